"""Small DICOM files written from known numbers, the same with pydicom 2 and 3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from dicom_writing import item, made
from pydicom.dataset import Dataset, FileMetaDataset


def table(descriptor: list[int] | None, entries: list[int] | None, **elements: Any) -> Dataset:
    """An item of a sequence of lookup tables."""
    made_item = item(**elements)
    if descriptor is not None:
        made_item.add_new("LUTDescriptor", "US", descriptor)
    if entries is not None:
        made_item.add_new("LUTData", "US", entries)
    return made_item


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
    return save(path, made(stored, "CR", **{"BitsStored": 12, **elements}))
