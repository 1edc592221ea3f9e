"""A body whose every voxel can be told, and the DICOM files that scanners would write of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from dicom_writing import add_pixels, made, write
from pydicom import Dataset

from MonaiSKD.reading import CanonicalRule

# Rules under which stored numbers can be read off the pixels: value / 1000.
MR = CanonicalRule("brain_mri", window=(0.0, 1000.0))
CT = CanonicalRule("lung_ct", window=(-1000.0, 0.0))


def body(shape: tuple[int, int, int] = (6, 5, 4)) -> np.ndarray:
    """(Z, Y, X) int16: z grows to the head, y to the back, x to the patient's left; value = 1 + 100 z + 10 y + x."""
    z, y, x = np.indices(shape)
    return (1 + 100 * z + 10 * y + x).astype(np.int16)


def numbers(series: Any, rule: CanonicalRule = MR) -> np.ndarray:
    """All slices of a series as the stored numbers they came from."""
    low, high = rule.window or (0.0, 1.0)
    pixels = np.stack([series.read(index).pixels[0] for index in range(len(series))])
    return pixels * (high - low) + low


# Plane -> stored [slice, row, column] from the body, and the directions (LPS) of row, column and slice.
PLANES = {
    "axial": (lambda b: b, (1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "axial, prone": (lambda b: b[:, ::-1, ::-1], (-1, 0, 0), (0, -1, 0), (0, 0, 1)),
    "axial, transposed": (lambda b: b.transpose(0, 2, 1), (0, 1, 0), (1, 0, 0), (0, 0, 1)),
    "coronal": (lambda b: b.transpose(1, 0, 2)[:, ::-1], (1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "sagittal": (lambda b: b.transpose(2, 0, 1)[:, ::-1], (0, 1, 0), (0, 0, -1), (1, 0, 0)),
}


def header(modality: str = "MR", **tags: Any) -> Dataset:
    """A data set with what every image has; `tags` are set last, and None removes one."""
    series = {"SeriesInstanceUID": "1.2.3", "StudyInstanceUID": "1.2", "PatientID": "17"}
    return made(None, modality, **{**series, **tags})


def save(path: Path, stored: np.ndarray, dataset: Dataset) -> Path:
    """Write (H, W) or (N, H, W) integers with their description."""
    add_pixels(dataset, stored)
    return write(path, dataset)


def write_series(
    folder: Path,
    shape: tuple[int, int, int] = (6, 5, 4),
    plane: str = "axial",
    *,
    spacing: tuple[float, float] = (1.0, 1.0),
    step: float = 1.0,
    modality: str = "MR",
    name: str = "im{}",
    **tags: Any,
) -> list[Path]:
    """Write the body as a scanner would: one file a slice, numbered against the direction of the slices.

    Returns:
        The files in the order of the slices.
    """
    cut, row, column, through = PLANES[plane]
    stored = cut(body(shape))
    # The first voxel lies at the corner that the directions start from.
    extent = np.array([shape[2] - 1, shape[1] - 1, shape[0] - 1], dtype=float)
    origin = np.where(np.add(row, column) < 0, extent, 0.0)
    paths = []
    for k, picture in enumerate(stored):
        position = origin + step * k * np.array(through)
        place = {
            "ImagePositionPatient": position.tolist(),
            "ImageOrientationPatient": [*map(float, row), *map(float, column)],
            "PixelSpacing": list(spacing),
            "InstanceNumber": len(stored) - k,
            "FrameOfReferenceUID": "1.9",
        }
        number = (k * 7 + 3) % len(stored) if len(stored) % 7 else k
        paths.append(save(folder / name.format(number), picture, header(modality, **{**place, **tags})))
    return paths
