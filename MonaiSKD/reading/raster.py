"""Raster files (PNG, JPEG, TIFF, BMP): pictures that are taken as already displayed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PILImage
from PIL import ImageOps, UnidentifiedImageError

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.image import MAX_PIXELS
from MonaiSKD.reading.own import PRODUCER

RASTER_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")

_REPLACE = "Replace the damaged file or leave it out"
_EXIF_ORIENTATION = 0x0112
_TIFF_BITS = 258
_TIFF_PHOTOMETRIC = 262
_WHITE_IS_ZERO = 0


def read_raster(path: Path) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    """Read a raster picture as shown: upright, grey, value / largest value of its type.

    Args:
        path: a PNG, JPEG, TIFF or BMP file of 1, 8 or 16 bits a channel; the content counts, not the suffix.

    Returns:
        float32 (H, W) in [0, 1], and what was done, in words.

    Raises:
        SKDError: the file cannot be decoded, holds several pages, has signed or 32-bit pixels (which have no display
            range), or is a heat map that this package drew.
    """
    try:
        with PILImage.open(path, formats=("PNG", "JPEG", "TIFF", "BMP")) as picture:
            if picture.format == "TIFF" and getattr(picture, "n_frames", 1) > 1:
                pages = getattr(picture, "n_frames", 1)
                raise SKDError(path, f"holds {pages} pages", "Save one picture to a file", "unsupported")
            if picture.info.get("Software") == PRODUCER:
                raise SKDError(path, "is a heat map that this program drew", "Name the image itself", "not_an_image")
            if picture.width * picture.height > MAX_PIXELS:
                raise _too_large(path, f"{picture.width} x {picture.height}")
            picture.load()
            return _as_displayed(picture, path)
    except UnidentifiedImageError as error:
        cause = "is not a PNG, JPEG, TIFF or BMP picture"
        raise SKDError(path, cause, "Replace it or leave it out", "not_an_image") from error
    except (SKDError, MemoryError):
        raise
    except PILImage.DecompressionBombError as error:
        raise _too_large(path, f"more than {MAX_PIXELS}") from error
    # On damaged files Pillow's readers raise whatever the broken numbers provoke.
    except Exception as error:
        raise SKDError(path, f"cannot be decoded ({error or type(error).__name__})", _REPLACE, "damaged") from error


def _too_large(path: Path, size: str) -> SKDError:
    return SKDError(path, f"is too large ({size} pixels)", f"Reduce it to {MAX_PIXELS} pixels", "too_large")


def _as_displayed(picture: PILImage.Image, path: Path) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    applied: list[str] = []
    # Both are read from the opened file; what Pillow derives from it no longer carries them.
    depth = _stored_bits(picture)
    # Pillow inverts such a picture at 8 bits, but not at 16.
    white_is_zero = _is_16_bit_tiff(picture) and _tiff_tag(picture, _TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO
    orientation = picture.getexif().get(_EXIF_ORIENTATION, 1)
    upright = ImageOps.exif_transpose(picture) if orientation in range(2, 9) else picture
    if orientation != 1:
        applied.append(f"turned upright (EXIF orientation {orientation})")
    if depth == 16 or upright.mode.startswith("I;16"):
        values: npt.NDArray[Any] = np.asarray(upright).astype(np.float32)
    elif upright.mode in ("I", "F"):
        raise SKDError(
            path,
            "has signed or 32-bit pixels, whose display range is unknown",
            "Save it with 8 or 16 bits",
            "unsupported",
        )
    else:
        if upright.mode not in ("1", "L"):
            applied.append(f"{upright.mode} to luma")
        values = np.asarray(upright if upright.mode == "L" else upright.convert("L")).astype(np.float32)
    values /= np.float32(2**depth - 1)  # in place: a large picture is large
    if white_is_zero:
        np.subtract(1.0, values, out=values)
        applied.append("inverted (white is zero)")
    applied.append(f"{depth} bits to [0, 1]")
    return np.clip(values, 0.0, 1.0, out=values), tuple(applied)


def _stored_bits(picture: PILImage.Image) -> int:
    if picture.mode.startswith("I;16"):
        return int(_tiff_tag(picture, _TIFF_BITS)) if _is_16_bit_tiff(picture) else 16
    # Older Pillow opens a 16-bit grey PNG as 32-bit integers; a PNG never holds more than 16 bits.
    return 16 if picture.mode == "I" and picture.format == "PNG" else 8


def _is_16_bit_tiff(picture: PILImage.Image) -> bool:
    return picture.format == "TIFF" and picture.mode.startswith("I;16")


def _tiff_tag(picture: PILImage.Image, tag: int) -> Any:
    value = picture.tag_v2[tag]  # type: ignore[attr-defined]
    return value[0] if isinstance(value, tuple) else value
