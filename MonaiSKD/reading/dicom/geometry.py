"""Where a frame lies in the patient, as the header says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from MonaiSKD.reading.dicom.header import functional_group, number, numbers, quiet

if TYPE_CHECKING:
    from pydicom import Dataset

Point = tuple[float, float, float]

# How far direction cosines may be from unit length and from a right angle: headers are rounded to a few digits.
_TOLERANCE = 1e-2


@dataclass(frozen=True)
class Geometry:
    """Where a frame lies; what the header does not say, or says wrongly, is None.

    Coordinates are the patient's (PS3.3 C.7.6.2.1.1): millimetres towards left, posterior, head (LPS).

    Args:
        position: the centre of the first pixel.
        row: unit vector along a row, in which the column index increases.
        column: unit vector along a column, in which the row index increases.
        spacing: millimetres between rows and between columns.
        thickness: millimetres.
    """

    position: Point | None = None
    row: Point | None = None
    column: Point | None = None
    spacing: tuple[float, float] | None = None
    thickness: float | None = None

    @property
    def normal(self) -> Point | None:
        """The unit vector row x column, along which slices are stacked; None without directions.

        Example:
            >>> Geometry(row=(1.0, 0.0, 0.0), column=(0.0, 1.0, 0.0)).normal
            (0.0, 0.0, 1.0)
        """
        if self.row is None or self.column is None:
            return None
        return _point(np.cross(self.row, self.column))


@quiet()
def frame_geometry(dataset: Dataset, frame: int = 0) -> Geometry:
    """Where one frame lies, from the functional groups of an enhanced object or else from the plain header.

    Spacing is PixelSpacing, or else, for a projection, that of the detector divided by the magnification, or that of
    the scanned film.

    Args:
        dataset: its header; pixels are not needed.
        frame: from 0.

    Example:
        >>> from pydicom import Dataset
        >>> header = Dataset()
        >>> header.PixelSpacing = [0.5, 0.25]
        >>> frame_geometry(header).spacing
        (0.5, 0.25)
    """
    plane = functional_group(dataset, frame, "PlanePositionSequence")
    orientation = functional_group(dataset, frame, "PlaneOrientationSequence") or dataset
    measures = functional_group(dataset, frame, "PixelMeasuresSequence") or dataset
    # The one position of a plain header is the first frame's.
    source = plane if plane is not None else dataset if frame == 0 else None
    position = numbers(source, "ImagePositionPatient", 3) if source is not None else None
    row, column = _directions(numbers(orientation, "ImageOrientationPatient", 6))
    thickness = number(measures, "SliceThickness")
    return Geometry(
        position=None if position is None else _point(position),
        row=row,
        column=column,
        spacing=_spacing(dataset, measures),
        thickness=thickness if thickness is not None and thickness > 0 else None,
    )


def _directions(cosines: tuple[float, ...] | None) -> tuple[Point | None, Point | None]:
    if cosines is None:
        return None, None
    row, column = np.array(cosines[:3]), np.array(cosines[3:])
    lengths = np.array([np.linalg.norm(row), np.linalg.norm(column)])
    if np.abs(lengths - 1).max() > _TOLERANCE or abs(float(row @ column)) > _TOLERANCE:
        return None, None
    return _point(row / lengths[0]), _point(column / lengths[1])


def _spacing(dataset: Dataset, measures: Any) -> tuple[float, float] | None:
    for source, keyword in ((measures, "PixelSpacing"), (dataset, "ImagerPixelSpacing"), (dataset, _FILM)):
        found = numbers(source, keyword, 2)
        if found is None or min(found) <= 0:
            continue
        magnification = number(dataset, "EstimatedRadiographicMagnificationFactor")
        if keyword == "ImagerPixelSpacing" and magnification is not None and magnification > 0:
            return found[0] / magnification, found[1] / magnification
        return found[0], found[1]
    return None


_FILM = "NominalScannedPixelSpacing"


def _point(values: Any) -> Point:
    x, y, z = (float(entry) for entry in values)
    return x, y, z
