"""A body whose every voxel can be told, and the DICOM files that scanners would write of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from dicom_writing import save_whole
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from MonaiSKD.reading import CanonicalRule

# Rules under which stored numbers can be read off the pixels: value / 1000.
MR = CanonicalRule("brain_mri", window=(0.0, 1000.0))
CT = CanonicalRule("lung_ct", window=(-1000.0, 0.0))

MR_CLASS, CT_CLASS, CR_CLASS = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("4", "2", "1"))


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
    dataset = Dataset()
    dataset.SOPClassUID = {"MR": MR_CLASS, "CT": CT_CLASS}.get(modality, CR_CLASS)
    dataset.SOPInstanceUID = generate_uid()
    dataset.SeriesInstanceUID, dataset.StudyInstanceUID = "1.2.3", "1.2"
    dataset.Modality, dataset.PatientID = modality, "17"
    dataset.BodyPartExamined = {"MR": "BRAIN", "CT": "CHEST"}.get(modality, "CHEST")
    for keyword, value in tags.items():
        if value is None:
            if keyword in dataset:
                delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def save(path: Path, stored: np.ndarray, dataset: Dataset) -> Path:
    """Write (H, W) or (N, H, W) integers with their description."""
    bits = stored.dtype.itemsize * 8
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    if stored.ndim == 3:
        dataset.NumberOfFrames = len(stored)
    dataset.SamplesPerPixel, dataset.BitsAllocated = 1, bits
    dataset.BitsStored = dataset.get("BitsStored") or bits
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.PhotometricInterpretation = dataset.get("PhotometricInterpretation") or "MONOCHROME2"
    dataset.PixelData = np.ascontiguousarray(stored).tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    save_whole(dataset, path)
    return path


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
