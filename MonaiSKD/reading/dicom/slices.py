"""What one DICOM slice says of itself without its pixels: where it lies, and what tells it from its neighbours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from MonaiSKD.reading.dicom.geometry import frame_geometry
from MonaiSKD.reading.dicom.header import functional_group, number, quiet, text, words
from MonaiSKD.reading.dicom.pixels import frame_count

if TYPE_CHECKING:
    from pydicom import Dataset


@dataclass(frozen=True)
class Slice:
    """What the header says of one slice, without its pixels.

    Args:
        path: the DICOM file.
        frame: index from 0 within a file of several frames; None in a file of one.
        size: rows and columns.
        position: millimetres left, posterior, superior (LPS) of the first pixel; None where unknown.
        row: unit vector (LPS) along which the column index grows; None where unknown.
        column: unit vector (LPS) along which the row index grows; None where unknown.
        spacing: millimetres between rows and between columns; None where unknown.
        thickness: millimetres; None where unknown.
        number: the instance number; None where absent.
        series: SeriesInstanceUID; empty where absent.
        study: StudyInstanceUID; empty where absent.
        patient: PatientID; like the name, compared only, never shown.
        name: PatientName, without what writers vary.
        reference: FrameOfReferenceUID; empty where absent.
        is_localizer: whether the image type says so.
        echo_time: tells the volumes of one series apart, as do time_point, b_value, acquisition and kind.
    """

    path: str
    frame: int | None
    size: tuple[int, int]
    position: tuple[float, float, float] | None = None
    row: tuple[float, float, float] | None = None
    column: tuple[float, float, float] | None = None
    spacing: tuple[float, float] | None = None
    thickness: float | None = None
    number: int | None = None
    series: str = ""
    study: str = ""
    patient: str = field(default="", repr=False)
    name: str = field(default="", repr=False)
    reference: str = ""
    is_localizer: bool = False
    echo_time: str = ""
    time_point: str = ""
    b_value: str = ""
    acquisition: str = ""
    kind: str = ""

    @property
    def normal(self) -> npt.NDArray[np.float64] | None:
        """Unit vector (LPS) at right angles to the slice, row x column; None where unknown."""
        if self.row is None or self.column is None:
            return None
        return np.cross(self.row, self.column)


@quiet()
def slices_of(dataset: Dataset, path: str) -> list[Slice]:
    """The slices of one file, in the order they are stored.

    Args:
        dataset: the header.
        path: the file.
    """
    frames = frame_count(dataset)
    return [_slice(dataset, path, frame if frames > 1 else None) for frame in range(frames)]


def _slice(dataset: Dataset, path: str, frame: int | None) -> Slice:
    geometry = frame_geometry(dataset, frame or 0)
    kind = words(dataset, "ImageType")
    instance = number(dataset, "InstanceNumber")
    return Slice(
        path=path,
        frame=frame,
        size=(int(number(dataset, "Rows") or 0), int(number(dataset, "Columns") or 0)),
        position=_three(geometry.position),
        row=_three(geometry.row),
        column=_three(geometry.column),
        spacing=geometry.spacing,
        thickness=geometry.thickness,
        number=None if instance is None else int(instance),
        series=text(dataset, "SeriesInstanceUID"),
        study=text(dataset, "StudyInstanceUID"),
        patient=text(dataset, "PatientID"),
        name=_name(dataset),
        reference=text(dataset, "FrameOfReferenceUID"),
        is_localizer="LOCALIZER" in kind or "SCOUT" in kind,
        echo_time=_of_frame(dataset, frame, "MREchoSequence", "EffectiveEchoTime") or text(dataset, "EchoTime"),
        time_point=_of_frame(dataset, frame, "FrameContentSequence", "TemporalPositionIndex")
        or text(dataset, "TemporalPositionIdentifier"),
        b_value=_of_frame(dataset, frame, "MRDiffusionSequence", "DiffusionBValue") or text(dataset, "DiffusionBValue"),
        acquisition=text(dataset, "AcquisitionNumber"),
        kind="\\".join(kind),
    )


def _name(dataset: Dataset) -> str:
    """The patient's name, without what writers vary: capitals, and empty components at its end."""
    return " ".join(text(dataset, "PatientName").upper().replace("^", " ").split())


def _three(vector: Iterable[float] | None) -> tuple[float, float, float] | None:
    if vector is None:
        return None
    x, y, z = (float(value) for value in vector)
    return x, y, z


def _of_frame(dataset: Dataset, frame: int | None, group: str, keyword: str) -> str:
    """What a functional group says of a frame; empty for files of one frame."""
    item = None if frame is None else functional_group(dataset, frame, group)
    return "" if item is None else text(item, keyword)
