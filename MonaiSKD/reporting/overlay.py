"""Heat maps as pictures. Pillow is imported when the first picture is made."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from MonaiSKD.files import atomic_path
from MonaiSKD.reading.own import PRODUCER
from MonaiSKD.reporting.sentences import NOT_CLINICAL, printable
from MonaiSKD.runtime.result import HeatMap, Result

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

    Picture = Image.Image

_LONGER = 512  # pixels of a saved picture's longer side, at least
_OPAQUE = 0.62  # of the strongest evidence; the anatomy below stays visible
_INK, _PAPER, _FAINT = (240, 243, 245), (16, 22, 28), (150, 162, 172)
# Nine anchors of a table whose lightness rises evenly, so that equal steps of evidence look equal, also to
# colour-blind eyes and in grey print (after the inferno table of Smith and van der Walt, CC0).
_ANCHORS = ("000004", "210c4a", "56106e", "89226a", "bb3754", "e35932", "f98c0a", "f9c932", "fcffa4")


@functools.lru_cache(maxsize=1)
def colour_table() -> npt.NDArray[np.uint8]:
    """uint8 (256, 3): the colour of evidence 0 to 1."""
    anchors = np.array([[int(name[i : i + 2], 16) for i in (0, 2, 4)] for name in _ANCHORS], dtype=float)
    places = np.linspace(0, 255, len(anchors))
    columns = [np.interp(np.arange(256), places, anchors[:, channel]) for channel in range(3)]
    table: npt.NDArray[np.uint8] = np.stack(columns, axis=1).round().astype(np.uint8)
    table.setflags(write=False)
    return table


def heat_values(heatmap: HeatMap, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Evidence as it is shown, everywhere: what speaks for the class, in parts of its maximum.

    What speaks against the class is left out. The maximum is this map's own, so two maps are not comparable by colour.

    Args:
        heatmap: the evidence.
        shape: (H, W) to interpolate to, bicubic.

    Returns:
        float32 (H, W) in [0, 1]; all 0 where nothing speaks for the class.
    """
    evidence = np.nan_to_num(heatmap.values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0).clip(min=0)
    peak = float(evidence.max(initial=0.0))
    if peak == 0:
        return np.zeros(shape, dtype=np.float32)
    return _resized(evidence / np.float32(peak), shape)


def blend(heatmap: HeatMap, shape: tuple[int, int]) -> Picture:
    """The grey image in RGB with the heat over it, without words; `shape` is (H, W)."""
    from PIL import Image

    grey = _resized(np.nan_to_num(heatmap.pixels), shape)[..., None] * np.float32(255)
    heat = heat_values(heatmap, shape)
    colours = colour_table()[(heat * 255).round().astype(np.intp)]
    # Weak evidence is nearly transparent, else the dark end of the table would blacken the image.
    alpha = (_OPAQUE * np.minimum(1, heat * 1.6))[..., None]
    return Image.fromarray((grey * (1 - alpha) + colours * alpha).round().astype(np.uint8))


def heat_overlay(heatmap: HeatMap) -> Picture:
    """The picture that is saved: image with heat, at least 512 pixels long, and a strip below that says what it is.

    The strip holds the class, the slice's number, the colours' scale in logits and "not for clinical use".
    """
    from PIL import Image, ImageDraw

    rows, columns = heatmap.pixels.shape
    factor = max(1.0, _LONGER / max(rows, columns))
    height, width = max(1, round(rows * factor)), max(1, round(columns * factor))
    text = max(13, width // 36)
    canvas = Image.new("RGB", (max(width, 360), height + round(4.4 * text)), _PAPER)
    canvas.paste(blend(heatmap, (height, width)), ((canvas.width - width) // 2, 0))
    _caption(ImageDraw.Draw(canvas), heatmap, canvas.width, height, text)
    return canvas


def thumbnail(pixels: npt.NDArray[np.float32], longer: int = 256) -> Picture:
    """A grey picture, at most `longer` pixels long; `pixels` are float32 (H, W) or (1, H, W) in [0, 1]."""
    from PIL import Image

    pixels = pixels.reshape(pixels.shape[-2:])
    small = _resized(np.nan_to_num(pixels), small_shape(pixels.shape[-2:], longer))
    return Image.fromarray((small * 255).round().astype(np.uint8))


def small_shape(shape: tuple[int, ...], longer: int = 256) -> tuple[int, int]:
    """(H, W), made smaller where its longer side exceeds `longer`."""
    factor = min(1.0, longer / max(shape))
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def data_uri(picture: Picture) -> str:
    """The picture as JPEG inside a `data:` address."""
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def save_overlays(result: Result, folder: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Save the result's heat maps as PNG files, each whole or not at all.

    Names are made of the input's name, a digest of its path (so that `a/1.png` and `b/1.png` stay apart, and the same
    input overwrites only its own), the slice from 1 and the class. The files carry no header data but the name of this
    package, by which they are left out when their folder is classified.

    Args:
        result: with heat maps; without, nothing is written.
        folder: is made when it is absent.

    Returns:
        The files, in the order of the heat maps.

    Raises:
        SKDError: they cannot be written.
    """
    from PIL.PngImagePlugin import PngInfo

    mark = PngInfo()
    mark.add_text("Software", PRODUCER)
    paths: list[Path] = []
    for heatmap in result.heatmaps:
        parts = [_file_name(result.input), _safe(heatmap.label, 40)]
        if result.slices is not None:
            parts.insert(1, f"slice{heatmap.slice + 1:03d}")
        path = Path(folder) / f"{'-'.join(parts)}.png"
        if path in paths:  # two class names that are equal once they are safe
            path = path.with_name(f"{path.stem}-{len(paths) + 1}.png")
        with atomic_path(path) as beside:
            heat_overlay(heatmap).save(beside, format="PNG", pnginfo=mark)
        paths.append(path)
    return tuple(paths)


def _file_name(name: str) -> str:
    stem = re.sub(r"(\.nii)?\.[A-Za-z0-9]{1,5}$", "", Path(name).name)
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{_safe(stem, 80)}-{digest}"


def _safe(text: str, most: int) -> str:
    """Letters, digits, `.`, `_` and `-` in at most `most` bytes; no system refuses or hides such a name."""
    kept = "".join(char if char.isalnum() or char in "._-" else "_" for char in text).lstrip(".-")
    return kept.encode("utf-8")[:most].decode("utf-8", "ignore") or "image"


def _resized(values: npt.NDArray[np.float32], shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    from PIL import Image

    values = np.ascontiguousarray(values, dtype=np.float32)
    if values.shape != shape:
        picture = Image.fromarray(values).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
        values = np.asarray(picture, dtype=np.float32)
    return values.clip(0, 1)  # bicubic interpolation overshoots


def _caption(draw: ImageDraw.ImageDraw, heatmap: HeatMap, width: int, top: int, size: int) -> None:
    gap = size // 2
    peak = float(np.nan_to_num(heatmap.values, posinf=0.0, neginf=0.0).max(initial=0.0))
    bar = round(width * 0.3)
    left, right = gap, width - gap
    _write(draw, (left, top + gap), f"Evidence for {printable(heatmap.label)}", size, _INK, right - bar - 2 * gap)
    _write(draw, (left, top + gap + round(1.6 * size)), NOT_CLINICAL, size, _FAINT, right - bar - 2 * gap)
    if peak == 0:
        _write(draw, (right - bar, top + gap), "none found", size, _FAINT, bar)
        return
    for column in range(bar):
        colour = tuple(int(part) for part in colour_table()[column * 255 // max(1, bar - 1)])
        place = (right - bar + column, top + gap, right - bar + column, top + gap + size)
        draw.rectangle(place, fill=colour)
    _write(draw, (right - bar, top + gap + round(1.6 * size)), f"0 to {_two_digits(peak)} logits", size, _FAINT, bar)


def _two_digits(value: float) -> str:
    """A number by its first two digits: evidence may be of any magnitude."""
    return f"{float(f'{value:.2g}'):g}"


def _write(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int, colour: tuple[int, int, int], room: int
) -> None:
    """Draw `text`, shortened until it fits into `room` pixels."""
    font = _font(size)
    try:
        while draw.textlength(text, font=font) > room and len(text) > 4:
            text = text[:-4].rstrip() + "..."
    except UnicodeEncodeError:  # the bitmap font of a Pillow without FreeType knows Latin-1 only
        text = text.encode("ascii", "backslashreplace").decode("ascii")
    draw.text(place, text, fill=colour, font=font)


@functools.lru_cache(maxsize=8)
def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)
