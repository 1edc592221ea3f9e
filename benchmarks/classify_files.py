"""Files for `classify.py`: noise on smooth shapes, of the sizes and types that hospitals send. No medical meaning."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid


def radiograph(path: Path, side: int, seed: int = 0) -> Path:
    """A DICOM radiograph of 12 bits in 16, uncompressed."""
    values = (16 * _shade(side, seed, 255)).clip(0, 4095).astype(np.uint16)
    return _write(
        path, values, DigitalXRayImageStorageForPresentation, Modality="DX", BodyPartExamined="CHEST", bits=12
    )


def picture(path: Path, side: int, seed: int) -> Path:
    """A PNG or JPEG radiograph of 8 bits, by the name's suffix."""
    Image.fromarray(_shade(side, seed, 255).clip(0, 255).astype(np.uint8)).save(path)
    return path


def many(folder: Path, count: int, distinct: int, side: int) -> tuple[list[str], list[str]]:
    """`count` DICOM files and as many pictures, half PNG, half JPEG: `distinct` contents under many names."""
    folder.mkdir()
    suffixes = [".png", ".jpg"]
    dicoms = [radiograph(folder / f"content{k}.dcm", side, k) for k in range(distinct)]
    pictures = [picture(folder / f"content{k}{suffixes[k % 2]}", side, k) for k in range(distinct)]

    def linked(contents: list[Path]) -> list[str]:
        paths = []
        for index in range(count):
            content = contents[index % distinct]
            path = folder / f"{index:04d}{content.suffix}"
            os.link(content, path)
            paths.append(str(path))
        return paths

    return linked(dicoms), linked(pictures)


def series(folder: Path, slices: int, side: int) -> tuple[Path, Path]:
    """A CT series of int16 in Hounsfield units: a folder of DICOM files, and the same as one .nii file."""
    (folder / "series").mkdir(parents=True)
    uid, frame = generate_uid(), generate_uid()
    volume = np.empty((slices, side, side), np.int16)
    for index in range(slices):
        volume[index] = _chest(side, index)
        _write(
            folder / "series" / f"{index:04d}.dcm",
            volume[index],
            CTImageStorage,
            bits=16,
            Modality="CT",
            BodyPartExamined="CHEST",
            SeriesInstanceUID=uid,
            FrameOfReferenceUID=frame,
            InstanceNumber=index + 1,
            ImagePositionPatient=[-180.0, -180.0, 1.0 * index],
            ImageOrientationPatient=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            PixelSpacing=[0.7, 0.7],
            SliceThickness=1.0,
            RescaleSlope=1,
            RescaleIntercept=0,
            RescaleType="HU",
        )
    image = nibabel.Nifti1Image(volume.transpose(2, 1, 0), np.diag([-0.7, -0.7, 1.0, 1.0]))
    image.header.set_xyzt_units("mm")
    nibabel.save(image, folder / "series.nii")
    return folder / "series", folder / "series.nii"


def _shade(side: int, seed: int, highest: float) -> np.ndarray:
    row, column = np.mgrid[0:side, 0:side] / side
    noise = np.random.default_rng(seed).normal(0, highest / 100, (side, side))
    return highest * (0.2 + 0.4 * row + 0.3 * np.sin(6 * column) ** 2) + noise


def _chest(side: int, index: int) -> np.ndarray:
    row, column = np.mgrid[-1 : 1 : 1j * side, -1 : 1 : 1j * side]
    values = np.full((side, side), -1000.0)
    values[row**2 / 0.5 + column**2 / 0.8 < 1] = 40.0
    values[(row**2 / 0.25 + (np.abs(column) - 0.4) ** 2 / 0.08) < 1] = -850.0
    return (values + np.random.default_rng(index).normal(0, 20, values.shape)).astype(np.int16)


def _write(path: Path, values: np.ndarray, kind: str, *, bits: int, **elements: Any) -> Path:
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = kind
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.PatientID, dataset.PatientName = "phantom", "Phantom"
    dataset.Rows, dataset.Columns = values.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, bits - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.PixelData = values.tobytes()
    dataset.save_as(path, enforce_file_format=True)
    return path
