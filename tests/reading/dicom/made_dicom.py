"""Small DICOM files written from known numbers, the same with pydicom 2 and 3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

SOP_CLASSES = {
    "CR": "1.2.840.10008.5.1.4.1.1.1",
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "SR": "1.2.840.10008.5.1.4.1.1.88.33",
}
PARTS = {"CR": "CHEST", "CT": "CHEST", "MR": "HEAD"}


def item(**elements: Any) -> Dataset:
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def table(descriptor: list[int] | None, entries: list[int] | None, **elements: Any) -> Dataset:
    """An item of a sequence of lookup tables."""
    made_item = item(**elements)
    if descriptor is not None:
        made_item.add_new("LUTDescriptor", "US", descriptor)
    if entries is not None:
        made_item.add_new("LUTData", "US", entries)
    return made_item


def made(pixels: np.ndarray | None, modality: str = "CT", **elements: Any) -> Dataset:
    """A data set in memory; `elements` go last and replace what is here, None takes it out."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SOP_CLASSES[modality]
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = Dataset()
    data.file_meta, data.preamble = meta, bytes(128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.Modality = modality
    if modality in PARTS:
        data.BodyPartExamined = PARTS[modality]
    if pixels is not None:
        frames = pixels if pixels.ndim == 3 else pixels[None]
        if len(frames) > 1:
            data.NumberOfFrames = len(frames)
        data.Rows, data.Columns = frames.shape[1:]
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        bits = 8 * pixels.dtype.itemsize
        data.BitsAllocated = bits
        if pixels.dtype.kind == "f":
            keyword = {32: "FloatPixelData", 64: "DoubleFloatPixelData"}[bits]
            setattr(data, keyword, pixels.tobytes())
        else:
            data.BitsStored, data.HighBit, data.PixelRepresentation = bits, bits - 1, int(pixels.dtype.kind == "i")
            data.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
            data["PixelData"].VR = "OB" if bits == 8 else "OW"
    for keyword, value in elements.items():
        if value is None:
            data.pop(keyword, None)
        else:
            setattr(data, keyword, value)
    return data


def save(path: Path, data: Dataset, *, implicit: bool = False, little: bool = True, bare: bool = False) -> Path:
    """Write a data set; `bare` leaves out preamble and file meta information."""
    if not little:
        data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.2"
    elif implicit:
        data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
    if bare:
        data.file_meta = FileMetaDataset()
        data.preamble = None
    if int(pydicom.__version__[0]) < 3:
        data.is_implicit_VR, data.is_little_endian = implicit, little
        data.save_as(path, write_like_original=True)
    else:
        data.save_as(path, implicit_vr=implicit, little_endian=little, enforce_file_format=not bare)
    return path


def ct(path: Path, hounsfield: list[list[int]] | np.ndarray, **elements: Any) -> Path:
    """A CT slice with a rescale of 1 and -1024."""
    stored = np.asarray(hounsfield, dtype=np.int16) + 1024
    return save(path, made(stored.astype(np.int16), "CT", **{"RescaleSlope": 1, "RescaleIntercept": -1024, **elements}))


def radiograph(path: Path, pixels: list[list[int]] | np.ndarray, **elements: Any) -> Path:
    """A CR of 12 of 16 bits."""
    stored = np.asarray(pixels, dtype=np.uint16)
    return save(path, made(stored, "CR", **{"BitsStored": 12, "HighBit": 11, **elements}))
