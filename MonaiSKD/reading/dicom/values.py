"""From a DICOM data set to the canonical image: the whole grey scale chain of the standard, once.

The chain, with the sections of PS3.3 that define its steps:

1. Stored values (C.7.6.3): the stored bits of the frame, with their sign.
2. Modality values (C.11.1): through the modality lookup table, or slope and intercept; Hounsfield units for CT.
3. Canonical brightness, by the rule's modality:

   chest_xray   the VOI lookup table (C.11.2) if the file has one, else its first window (linear, linear exact or
                sigmoid), else the rule's percentiles. What the file asks for is what the radiologist saw.
   lung_ct      the rule's window in Hounsfield units, always. The file's own window is for another organ as often as
                not. MONOCHROME1 changes the display of a CT and not its Hounsfield units, so nothing is inverted.
   brain_mri    the rule's percentiles within the head, always; windows of MR are the scanner's guess.

4. Inversion, at most once, for chest_xray and brain_mri: where the smallest value is meant to be white (MONOCHROME1,
   C.7.6.3.1.2, which in a radiograph goes with the presentation LUT shape INVERSE, C.11.6). Percentiles are taken after
   it: numbers of an MR image have no physical unit, so only their display says which end is air, and the head is found
   as what stands above it.
5. Padding (C.7.5.1.1.2) takes no part in percentiles and becomes 0, whatever was inverted.

A rule that has a window for a modality of percentiles, or the reverse, is followed: only the VOI of a file under a rule
of percentiles for chest_xray goes before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.canonical import CanonicalRule, between, value_range
from MonaiSKD.reading.dicom.header import number, quiet, thing, words
from MonaiSKD.reading.dicom.modality import ModalityTransform, modality_transform
from MonaiSKD.reading.dicom.pixels import frame_count, photometric, stored_frame
from MonaiSKD.reading.dicom.voi import display
from MonaiSKD.reading.histogram import as_indices, histogram, histogram_of_ends, look_up

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["canonical_frame", "frame_count", "is_inverse", "padding_of", "stored_frame"]

Values = npt.NDArray[Any]

# A slice of a body lies in air; values that never go below this are no Hounsfield units (fat is -100, air -1000).
_NO_AIR = -200.0
_LARGEST = 1e38  # of single precision; no unit of a picture comes near
_SAMPLE = 997  # every such pixel is looked at first


@quiet()
def canonical_frame(
    dataset: Dataset, frame: int, rule: CanonicalRule
) -> tuple[npt.NDArray[np.float32], tuple[str, ...], tuple[str, ...]]:
    """Bring one frame to the canonical image, by the chain that this module describes.

    Args:
        dataset: with its pixels, as :func:`~MonaiSKD.reading.dicom.dataset.open_dataset` gives it.
        frame: from 0.
        rule: how modality values become [0, 1].

    Returns:
        float32 (1, H, W) in [0, 1]; what was done, in words; what the file leaves open or contradicts, in words.

    Raises:
        SKDError: unsupported (colours, a CT that holds no Hounsfield units), damaged, too_large.

    Example:
        >>> pixels, applied, warnings = canonical_frame(dataset, 0, RULES["lung_ct"])  # doctest: +SKIP
        >>> applied  # doctest: +SKIP
        ('rescaled (1 x + -1024)', 'window (-1350.0, 150.0)')
    """
    stored = stored_frame(dataset, frame)
    transform = modality_transform(dataset, frame)
    indexed = as_indices(stored)
    indices, table = indexed if indexed is not None else (None, stored)
    padding = padding_of(dataset, table)
    counts = _Counts(indices, table, padding, is_ordered=transform.lut is None)
    modality = transform.apply(table)
    if modality.size and not max(-float(modality.min()), float(modality.max())) <= _LARGEST:
        cause = "its rescale slope and intercept make numbers that are too large"
        raise SKDError(thing(dataset), cause, "Replace the damaged file or leave it out", "damaged")
    warnings = list(transform.warnings)
    if rule.modality == "lung_ct":
        warnings += _hounsfield_warnings(dataset, transform, modality, counts)
    brightness, applied, broken = _brightness(dataset, frame, rule, modality, counts)
    if padding is not None and counts.is_padded(padding):
        brightness[padding] = 0.0
        applied.append("padding to 0")
    canonical = brightness if indices is None else look_up(brightness, indices)
    return canonical[None], (*transform.applied, *applied), (*warnings, *broken)


class _Counts:
    """Which values occur in the frame outside its padding; counted when it is first asked.

    `is_ordered` says that larger stored values have larger (or all of them smaller) modality values.
    """

    def __init__(
        self, indices: Values | None, table: Values, padding: npt.NDArray[np.bool_] | None, is_ordered: bool
    ) -> None:
        self._indices = indices
        self._is_ordered = is_ordered
        self._size = table.size
        self._padding = padding
        self._counts: npt.NDArray[np.int64] | None = None

    def is_padded(self, padding: npt.NDArray[np.bool_]) -> bool:
        """Whether any pixel is padding."""
        places = np.flatnonzero(padding)
        if self._indices is None:
            return bool(places.size)
        if places.size == 1:
            return bool((self._indices == places[0]).any())
        return bool(histogram(self._indices, self._size)[places].any())

    def of(self, values: Values) -> tuple[Values, npt.NDArray[np.int64] | None]:
        """The values and how often each occurs; for floats the pixels themselves and None."""
        if self._indices is None:
            return (values if self._padding is None else values[~self._padding]), None
        if self._counts is None:
            self._counts = histogram(self._indices, self._size)
            if self._padding is not None:
                self._counts[self._padding] = 0
        return values, self._counts

    def for_range(self, values: Values, rule: CanonicalRule) -> tuple[Values, npt.NDArray[np.int64] | None]:
        """As :meth:`of`, for the rule's percentiles alone; counted in less time where that can be."""
        # Padding may lie anywhere, and the head of a brain image is found by all values.
        is_simple = self._is_ordered and self._padding is None and rule.modality != "brain_mri"
        if self._indices is None or self._counts is not None or rule.percentiles is None or not is_simple:
            return self.of(values)
        low, high = rule.percentiles
        return values, histogram_of_ends(self._indices, self._size, min(max(low, 100.0 - high), 50.0))

    def varies(self, values: Values) -> bool:
        """Whether not all pixels have the same of the values; a few of them, which spare the count, mostly say so."""
        if self._indices is not None and self._padding is None:
            few = values[self._indices.ravel()[::_SAMPLE]]
            if few.min() < few.max():
                return True
        present = self.present(values)
        return bool(present.size and present.min() < present.max())

    def present(self, values: Values) -> Values:
        """The values that occur; none at all where everything is padding."""
        found, counts = self.of(values)
        return found if counts is None else found[counts > 0]


def _brightness(
    dataset: Dataset, frame: int, rule: CanonicalRule, modality: npt.NDArray[np.float64], counts: _Counts
) -> tuple[npt.NDArray[np.float32], list[str], list[str]]:
    inverts = rule.modality != "lung_ct" and is_inverse(dataset)
    inverted = [f"inverted ({photometric(dataset)})"] if inverts else []
    if rule.window is not None:
        shown = between(modality, *rule.window)
        return (1.0 - shown if inverts else shown), [f"window {rule.window}", *inverted], []
    warnings: list[str] = []
    if rule.modality == "chest_xray":
        wanted = display(dataset, frame)
        warnings += wanted.warnings
        if wanted.apply is not None:
            shown = wanted.apply(modality).astype(np.float32)
            if counts.varies(shown) or not counts.varies(modality):
                return (1.0 - shown if inverts else shown), [wanted.applied, *inverted], warnings
            warnings.append("the window shows nothing of the picture and was left out")
    directed = -modality if inverts else modality
    percentiles = f"percentiles {rule.percentiles}"
    values, how_often = counts.for_range(directed, rule)
    if not (values.size if how_often is None else how_often.any()):
        return (
            np.zeros(directed.shape, dtype=np.float32),
            [*inverted, percentiles],
            [*warnings, "all pixels are padding"],
        )
    low, high = value_range(values, rule, how_often)
    if low == high:
        warnings.append("all pixels have the same value")
    return between(directed, low, high), [*inverted, percentiles], warnings


def is_inverse(dataset: Dataset) -> bool:
    """Whether the smallest value is meant to be white."""
    return photometric(dataset) == "MONOCHROME1" or words(dataset, "PresentationLUTShape") == ("INVERSE",)


def padding_of(dataset: Dataset, stored: Values) -> npt.NDArray[np.bool_] | None:
    """Which of some stored values, of any shape, are padding (C.7.5.1.1.2); None where none is."""
    if stored.dtype.kind == "f":
        # Of their own keywords (C.7.6.24); a value of integers says nothing about floats.
        ends = [number(dataset, f"{kind}PixelPadding{end}") for kind in ("Float", "DoubleFloat") for end in _ENDS]
        ends = ends[:2] if ends[0] is not None else ends[2:]
    else:
        ends = [number(dataset, f"PixelPadding{end}") for end in _ENDS]
        if number(dataset, "PixelRepresentation") == 1:
            # A negative value that was written as an unsigned one.
            stored_bits = int(number(dataset, "BitsAllocated") or 16)
            ends = [end - 2**stored_bits if end is not None and end >= 2 ** (stored_bits - 1) else end for end in ends]
    if ends[0] is None:
        return None
    other = ends[0] if ends[1] is None else ends[1]
    found: npt.NDArray[np.bool_] = (stored >= min(ends[0], other)) & (stored <= max(ends[0], other))
    return found if found.any() else None


_ENDS = ("Value", "RangeLimit")


def _hounsfield_warnings(
    dataset: Dataset, transform: ModalityTransform, modality: npt.NDArray[np.float64], counts: _Counts
) -> list[str]:
    """Refuse a CT whose values cannot be Hounsfield units, and say what is doubtful."""
    remedy = "Give the original slice, with rescale slope and intercept"
    bits = number(dataset, "BitsStored")
    if bits is not None and bits <= 8:
        raise SKDError(thing(dataset), "has 8 bits, which cannot hold Hounsfield units", remedy, "unsupported")
    warnings = []
    unit = words(dataset, "RescaleType")
    if unit and unit[0] not in ("HU", "HOUNSFIELD"):
        warnings.append("its rescale type is not Hounsfield units")
    if transform.is_stated or transform.lut is not None:
        return warnings
    present = counts.present(modality)
    if present.size and present.min() >= _NO_AIR:
        raise SKDError(
            thing(dataset),
            "does not look like Hounsfield units: no rescale is stated, and no value is as low as air's",
            remedy,
            "unsupported",
        )
    return [*warnings, "it states no rescale slope and intercept; values were taken as Hounsfield units"]
