"""The DICOM files that tests write: a test says only what its file differs in. With pydicom 2 as with pydicom 3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

SOP_CLASSES = {
    "CR": "1.2.840.10008.5.1.4.1.1.1",
    "DX": "1.2.840.10008.5.1.4.1.1.1.1",
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "SR": "1.2.840.10008.5.1.4.1.1.88.33",
}
PARTS = {"CR": "CHEST", "DX": "CHEST", "CT": "CHEST", "MR": "HEAD"}


def item(**elements: Any) -> Dataset:
    """An item of a sequence, or any data set of these elements alone."""
    return changed(Dataset(), elements)


def changed(dataset: Dataset, elements: dict[str, Any]) -> Dataset:
    """The same data set with these elements; None removes one."""
    for keyword, value in elements.items():
        if value is None:
            dataset.pop(keyword, None)
        else:
            setattr(dataset, keyword, value)
    return dataset


def made(pixels: np.ndarray | None, modality: str = "CT", **elements: Any) -> Dataset:
    """A data set of a class, an instance, a modality and a body part, with its file meta information.

    Args:
        pixels: (H, W) or (N, H, W), see `add_pixels`; None for none.
        modality: of `SOP_CLASSES`.
        elements: go last and replace what is here, even what describes the pixels; None takes it out.
    """
    dataset = item(SOPClassUID=SOP_CLASSES[modality], SOPInstanceUID=generate_uid(), Modality=modality)
    dataset.file_meta, dataset.preamble = FileMetaDataset(), bytes(128)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = elements.get("SOPClassUID") or dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = elements.get("SOPInstanceUID") or dataset.SOPInstanceUID
    if modality in PARTS:
        dataset.BodyPartExamined = PARTS[modality]
    changed(dataset, elements)
    if pixels is not None:
        add_pixels(dataset, pixels)
    return changed(dataset, elements)


def add_pixels(dataset: Dataset, pixels: np.ndarray) -> None:
    """Put grey pixels (H, W) or (N, H, W), integers or floats, into a data set; a description that it has stays."""
    bits, floats = 8 * pixels.dtype.itemsize, pixels.dtype.kind == "f"
    rows, columns = pixels.shape[-2:]
    description = {"Rows": rows, "Columns": columns, "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2"}
    if pixels.ndim == 3:
        description["NumberOfFrames"] = len(pixels)
    description["BitsAllocated"] = bits
    if not floats:
        stored = dataset.get("BitsStored", bits)
        description |= {"BitsStored": stored, "HighBit": max(stored - 1, 0)}
        description["PixelRepresentation"] = int(pixels.dtype.kind == "i")
    changed(dataset, {keyword: value for keyword, value in description.items() if keyword not in dataset})
    if floats:
        setattr(dataset, {32: "FloatPixelData", 64: "DoubleFloatPixelData"}[bits], pixels.tobytes())
    else:
        dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
        dataset["PixelData"].VR = "OB" if bits == 8 else "OW"


def write(path: Path, dataset: Dataset) -> Path:
    """Write a data set as a DICOM file with preamble and file meta information, in explicit VR, little endian."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if "file_meta" not in dataset.__dict__:
        dataset.file_meta = FileMetaDataset()
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if int(pydicom.__version__[0]) > 2:
        dataset.save_as(path, enforce_file_format=True)
    else:
        dataset.is_implicit_VR, dataset.is_little_endian = False, True
        dataset.save_as(path, write_like_original=False)
    return path
