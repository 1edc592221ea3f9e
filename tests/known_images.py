"""Images of known brightness, for which every answer of the tiny model is known (see tinymodel.py)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image as PILImage
from reading.handmade import header, save

STUDY, SERIES, FRAME = "1.2.826.1", "1.2.826.1.1", "1.2.826.1.9"


def png(path: Path, level: int = 51) -> Path:
    """A picture of one grey of 255."""
    path.parent.mkdir(parents=True, exist_ok=True)
    PILImage.fromarray(np.full((8, 8), level, dtype=np.uint8)).save(path)
    return path


def radiograph(path: Path, value: int | np.ndarray = 3072, **tags: object) -> Path:
    """A radiograph of 12 bits whose window makes value / 4096 of it."""
    stored = np.full((8, 8), value, dtype=np.uint16) if np.isscalar(value) else np.asarray(value, dtype=np.uint16)
    window = {"WindowCenter": 2048, "WindowWidth": 4096, "VOILUTFunction": "LINEAR_EXACT"}
    place = {"StudyInstanceUID": STUDY, "SeriesInstanceUID": SERIES, "BitsStored": 12}
    return save(path, stored, header("CR", **{**place, **window, **tags}))


def hounsfield(bright: float) -> int:
    """What the lung window makes `bright` of."""
    return round(-1350 + 1500 * bright)


def ct_series(folder: Path, brights: list[float], **tags: object) -> list[Path]:
    """One file a slice, from feet to head, each of one Hounsfield value."""
    paths = []
    for index, bright in enumerate(brights):
        place = {
            "StudyInstanceUID": STUDY,
            "SeriesInstanceUID": SERIES,
            "FrameOfReferenceUID": FRAME,
            "ImagePositionPatient": [0.0, 0.0, 5.0 * index],
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "PixelSpacing": [0.5, 0.5],
            "SliceThickness": 5,
            "InstanceNumber": index + 1,
            "RescaleSlope": 1,
            "RescaleIntercept": -1024,
        }
        stored = np.full((8, 8), hounsfield(bright) + 1024, dtype=np.int16)
        paths.append(save(folder / f"{index:03}.dcm", stored, header("CT", **{**place, **tags})))
    return paths
