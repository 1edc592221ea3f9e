"""From stored to modality values (PS3.3 C.11.1), such as Hounsfield units: a lookup table, or slope and intercept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from MonaiSKD.reading.dicom.header import functional_group, items, number
from MonaiSKD.reading.dicom.lut import Lut, read_lut

if TYPE_CHECKING:
    from pydicom import Dataset


@dataclass(frozen=True, eq=False)
class ModalityTransform:
    """How stored values of one frame become modality values.

    Args:
        lut: looked up where the file has a table; slope and intercept then do not count.
        slope: modality units a stored unit.
        intercept: modality units.
        is_stated: whether the file says any of them; otherwise values are left as they are.
        warnings: what is broken.
    """

    lut: Lut | None = None
    slope: float = 1.0
    intercept: float = 0.0
    is_stated: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def applied(self) -> tuple[str, ...]:
        """What :meth:`apply` does, in words; empty where it does nothing."""
        if self.lut is not None:
            return ("modality lookup table",)
        return (f"rescaled ({self.slope:g} x + {self.intercept:g})",) if self.is_stated else ()

    def apply(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Stored values of any shape as modality values, float64 of the same shape."""
        if self.lut is not None:
            return self.lut.apply(values)
        return values.astype(np.float64) * self.slope + self.intercept


def modality_transform(dataset: Dataset, frame: int = 0) -> ModalityTransform:
    """The transform of one frame; of an enhanced object, the one in its functional groups (C.7.6.16.2.9)."""
    tables = items(dataset, "ModalityLUTSequence")
    warnings: tuple[str, ...] = ()
    if tables:
        lut = read_lut(tables[0], dataset)
        if lut is not None:
            return ModalityTransform(lut=lut)
        warnings = ("the modality lookup table is broken and was left out",)
    source = functional_group(dataset, frame, "PixelValueTransformationSequence") or dataset
    slope, intercept = number(source, "RescaleSlope"), number(source, "RescaleIntercept")
    if slope == 0.0:
        slope, warnings = None, (*warnings, "the rescale slope is 0 and was left out")
    if slope is None and intercept is None:
        return ModalityTransform(warnings=warnings)
    if slope is None or intercept is None:
        warnings = (*warnings, "only one of rescale slope and intercept is stated")
    return ModalityTransform(None, 1.0 if slope is None else slope, intercept or 0.0, True, warnings)
