"""Writing DICOM files in tests, with pydicom 2 (which 3D Slicer 5.10 has) as with pydicom 3."""

from __future__ import annotations

from pathlib import Path

import pydicom
from pydicom import Dataset


def save_whole(dataset: Dataset, path: Path) -> None:
    """Write a data set in explicit VR, little endian, as a DICOM file with preamble and file meta information."""
    if int(pydicom.__version__[0]) > 2:
        dataset.save_as(path, enforce_file_format=True)
        return
    dataset.is_implicit_VR, dataset.is_little_endian = False, True
    dataset.save_as(path, write_like_original=False)
