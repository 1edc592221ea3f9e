"""What is measured of each image once, so that every check can look at it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image as PILImage

from MonaiSKD.datasets.cases import Case
from MonaiSKD.errors import SKDError
from MonaiSKD.reading import CanonicalRule, read_image

THUMBNAIL_SIDE = 64
_BORDER_SHARE = 0.05

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Facts:
    """What the checks need to know of one readable image; the pixels themselves are let go.

    Args:
        case: the image's entry in the data list.
        height: in pixels.
        width: in pixels.
        sha256: of the canonical pixels and their shape.
        mean: mean canonical value.
        deviation: standard deviation of the canonical values.
        border_mean: mean of the outer 5 % frame.
        border_deviation: standard deviation of the outer 5 % frame.
        phash: (64,) bits of the perceptual hash.
        thumbnail: uint8 (64, 64).
    """

    case: Case
    height: int
    width: int
    sha256: str
    mean: float
    deviation: float
    border_mean: float
    border_deviation: float
    phash: npt.NDArray[np.bool_]
    thumbnail: npt.NDArray[np.uint8]

    @property
    def file_type(self) -> str:
        """The suffix, such as ".png"."""
        return Path(self.case.path).suffix.lower()


def measure(case: Case, rule: CanonicalRule) -> Facts:
    """Read one image and measure it.

    Raises:
        SKDError: the image cannot be read, or all its pixels are alike.
    """
    pixels = read_picture(case.path, rule)
    plane = pixels[0]
    import imagehash  # here, so that phantoms can be drawn where it is absent

    border = _border(plane)
    small = PILImage.fromarray((plane * 255).round().astype(np.uint8)).reduce(_shrink(plane.shape))
    thumbnail = small.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), PILImage.Resampling.LANCZOS)
    return Facts(
        case=case,
        height=plane.shape[0],
        width=plane.shape[1],
        sha256=pixel_sha256(pixels),
        mean=float(plane.mean()),
        deviation=float(plane.std()),
        border_mean=float(border.mean()),
        border_deviation=float(border.std()),
        phash=np.asarray(imagehash.phash(small).hash).reshape(-1),
        thumbnail=np.asarray(thumbnail),
    )


def read_picture(path: str, rule: CanonicalRule) -> npt.NDArray[np.float32]:
    """The canonical pixels (1, H, W) of an image that shows something.

    Raises:
        SKDError: the image cannot be read, or all its pixels are alike.
    """
    pixels = read_image(path, rule).pixels
    if pixels.min() == pixels.max():
        raise SKDError(path, "shows nothing: all its pixels have one value", "Replace the file or leave it out")
    return pixels


def pixel_sha256(pixels: npt.NDArray[np.float32]) -> str:
    """The hash of decoded pixels: equal pictures have equal hashes, whatever their file format."""
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Map over items with one thread per core; decoding and hashing let go of the interpreter's lock."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(function, items))


def _border(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    rows, columns = (max(1, round(_BORDER_SHARE * length)) for length in plane.shape)
    inner = np.zeros(plane.shape, dtype=bool)
    inner[rows:-rows, columns:-columns] = True
    return plane[~inner]


def _shrink(shape: tuple[int, ...]) -> tuple[int, int]:
    """The whole factors (across, down) that keep at least four thumbnail sides: the exact resize then costs little."""
    height, width = (max(1, length // (4 * THUMBNAIL_SIDE)) for length in shape)
    return width, height
