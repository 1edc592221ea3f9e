"""What reading yields: images with where they come from, and series of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

# Of one picture, frame or slice. A radiograph has 20 million; this many in colour are some hundred megabytes.
MAX_PIXELS = 50_000_000


@dataclass(frozen=True, eq=False)
class Image:
    """One canonical image.

    Args:
        pixels: float32 (1, H, W) in [0, 1], bright = dense.
        spacing: millimetres between rows and between columns; None where the file does not say.
        path: the file it was read from.
        applied: what was done to the stored values, in order, in words.
        warnings: what the file leaves open or contradicts, in words; never the patient's name or number.
    """

    pixels: npt.NDArray[np.float32]
    spacing: tuple[float, float] | None
    path: str
    applied: tuple[str, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Identity:
    """Whose images these are, as a DICOM header says; empty text where it does not.

    It stays in memory: nothing writes it unless the user asks for it.
    """

    patient_id: str = ""
    patient_name: str = ""
    study_uid: str = ""
    series_uid: str = ""


@dataclass(frozen=True)
class Instance:
    """Where one slice is stored: a DICOM file and, where it holds several frames, the frame's number from 1."""

    path: str
    frame: int | None = None


@dataclass(frozen=True, eq=False)
class Series:
    """What is classified as one: a radiograph, a picture, or the axial slices of one volume, from feet to head.

    Slices are read when they are asked for, so that a series costs no more memory than the slices in use.

    Args:
        path: what the user would call it: the file, or the folder of a series.
        length: the number of slices; 1 for a radiograph or a picture.
        read: slice index from 0 -> canonical image; safe to call from several threads; raises SKDError.
        positions: millimetres of each slice along the normal, increasing; None where unknown.
        affine: (4, 4), from (column, row, slice) index of the slices as read to millimetres right, anterior, superior
            (RAS+); None where unknown.
        instances: the DICOM instance behind each slice; empty for other files and for resampled slices.
        files: every file the series was read from.
        identity: whose it is; None where the file does not say.
        applied: what was done to the series as a whole (sorted, oriented, resampled), in words.
        warnings: gaps, duplicates, gantry tilt, excluded localizers, in words; never the patient's name or number.
    """

    path: str
    length: int
    read: Callable[[int], Image]
    positions: tuple[float, ...] | None = None
    affine: npt.NDArray[np.float64] | None = None
    instances: tuple[Instance, ...] = ()
    files: tuple[str, ...] = ()
    identity: Identity | None = None
    applied: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return self.length
