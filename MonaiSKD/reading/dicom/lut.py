"""Lookup tables of DICOM (PS3.3 C.11.1.1 and C.11.2.1.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from MonaiSKD.reading.dicom.header import numbers, quiet, value

if TYPE_CHECKING:
    from pydicom import Dataset


@dataclass(frozen=True, eq=False)
class Lut:
    """A lookup table.

    Args:
        first: the value that the first entry is for; what lies below the first or above the last gets theirs.
        entries: float64 (K,).
        highest: the largest value that its bits can hold.
    """

    first: int
    entries: npt.NDArray[np.float64]
    highest: float

    def apply(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Look values of any shape up; fractions are rounded to the nearest entry.

        Example:
            >>> Lut(10, np.array([0.0, 7.0]), 255.0).apply(np.array([0, 10, 11, 12])).tolist()
            [0.0, 0.0, 7.0, 7.0]
        """
        places = np.rint(np.clip(values.astype(np.float64) - self.first, 0, self.entries.size - 1))
        found: npt.NDArray[np.float64] = self.entries[places.astype(np.intp)]
        return found


def read_lut(item: Any, dataset: Dataset) -> Lut | None:
    """The table in an item of a Modality or VOI LUT Sequence.

    Args:
        item: with LUTDescriptor and LUTData.
        dataset: the whole, which knows the byte order.

    Returns:
        None where it is broken: no data, or fewer entries than it says.
    """
    descriptor = numbers(item, "LUTDescriptor", 3)
    data = value(item, "LUTData")
    if descriptor is None or data is None:
        return None
    count, first, bits = int(descriptor[0]) or 2**16, int(descriptor[1]), int(descriptor[2])
    if not 1 <= count <= 2**16 or not 1 <= bits <= 16:
        return None
    if first >= 2**15 and value(dataset, "PixelRepresentation") == 1 and not value(dataset, "ModalityLUTSequence"):
        first -= 2**16  # the descriptor was written as unsigned, though it stands for signed values
    with quiet():
        try:
            entries = _entries(data, count, dataset)
        except (TypeError, ValueError, OverflowError):
            return None
    if entries.size < count or entries.min() < 0:
        return None
    entries = entries[:count]
    # Some tables hold more than the bits they claim.
    highest = max(2**bits - 1, 2 ** int(entries.max()).bit_length() - 1)
    return Lut(first, entries.astype(np.float64), float(highest))


def _entries(data: Any, count: int, dataset: Any) -> npt.NDArray[np.int64]:
    if not isinstance(data, (bytes, bytearray)):
        return np.atleast_1d(np.asarray(data, dtype=np.int64))
    if len(data) < 2 * count:  # one byte an entry
        return np.frombuffer(bytes(data), dtype=np.uint8).astype(np.int64)
    syntax = str(getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", ""))
    order = ">" if syntax == "1.2.840.10008.1.2.2" else "<"
    return np.frombuffer(bytes(data)[: 2 * count], dtype=f"{order}u2").astype(np.int64)
