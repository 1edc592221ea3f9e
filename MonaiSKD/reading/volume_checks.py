"""What a volume is refused for: values that are no image of the modality, and giant slices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.canonical import CanonicalRule
from MonaiSKD.reading.image import MAX_PIXELS
from MonaiSKD.reading.orientation import squared_shape

if TYPE_CHECKING:
    from MonaiSKD.reading.volume import Volume

# Air is -1000 HU, fat about -100 HU. A scan without a value below this is no CT in Hounsfield units.
_HIGHEST_CT_MINIMUM = -200.0
# Values that a segmentation may have; an image has more.
_MOST_LABELS = 3
# Slices are scaled as float32.
_LARGEST_VALUE = float(np.finfo(np.float32).max)


def refuse_giant_slices(path: str, shape: tuple[int, ...], spacing: tuple[float, float]) -> None:
    """Refuse slices, before any is made, of too many pixels.

    Args:
        path: what the user would call the volume.
        shape: rows and columns as they are stored.
        spacing: millimetres between rows and between columns, where pixels will be made square; else twice the same.

    Raises:
        SKDError: too_large.
    """
    rows, columns = squared_shape((shape[0], shape[1]), spacing)
    if rows * columns > MAX_PIXELS:
        cause = f"has axial slices of {rows} x {columns} pixels, more than {MAX_PIXELS}"
        raise SKDError(path, cause, "Check its spacing, or resample it", code="too_large")


def check_values(volume: Volume, rule: CanonicalRule) -> tuple[str, ...]:
    """Refuse values that are no image of the modality; look at each value once, a slab at a time.

    Returns:
        Warnings, in words.

    Raises:
        SKDError: NaN or infinity ("damaged"), a mask ("not_an_image"), no Hounsfield units ("unsupported").
    """
    lowest, highest = np.inf, -np.inf
    labels: list[Any] = []
    # Slabs along the slowest axis: no copies of the whole.
    slabs = volume.values.T if volume.values.flags.f_contiguous else volume.values
    for slab in slabs:
        if slab.dtype.kind == "f" and not np.isfinite(slab).all():
            cause = "holds pixels that are NaN or infinite"
            raise SKDError(volume.path, cause, "Replace the file or leave it out", code="damaged")
        lowest, highest = min(lowest, float(slab.min())), max(highest, float(slab.max()))
        labels = _more_labels(slab, labels)
    ends = (lowest * volume.slope + volume.intercept, highest * volume.slope + volume.intercept)
    if not max(abs(ends[0]), abs(ends[1])) <= _LARGEST_VALUE:
        cause = "its slope and intercept make numbers that are too large"
        raise SKDError(volume.path, cause, "Replace the damaged file or leave it out", code="damaged")
    if len(labels) <= _MOST_LABELS and not volume.is_one_slice:
        cause = f"holds {len(labels)} different values only: a mask, not an image"
        raise SKDError(volume.path, cause, "Give the image that the mask belongs to", code="not_an_image")
    if rule.modality == "lung_ct" and min(ends) >= _HIGHEST_CT_MINIMUM:
        cause = f"its values cannot be Hounsfield units: the lowest is {min(ends):g}, and air is -1000"
        raise SKDError(volume.path, cause, "Give the CT with its rescaling applied", code="unsupported")
    if rule.modality == "brain_mri" and min(ends) < 0:
        return (f"Some values are negative (down to {min(ends):g}), which an MR magnitude image has not.",)
    return ()


def _more_labels(slab: npt.NDArray[Any], labels: list[Any]) -> list[Any]:
    """The different values seen, up to one more than a mask may have; cheaper than sorting millions of values."""
    found = list(labels)
    while len(found) <= _MOST_LABELS:
        new = np.ones(slab.shape, dtype=bool)
        for label in found:
            new &= slab != label
        if not new.any():
            break
        found.append(slab[new][0])
    return found
