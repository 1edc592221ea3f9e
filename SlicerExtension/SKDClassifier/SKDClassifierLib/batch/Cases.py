"""Loading a case of a batch into the scene. No Qt."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer

from SKDClassifierLib.scene import Inputs

if TYPE_CHECKING:
    from MonaiSKD.errors import SKDError
    from SKDClassifierLib.batch.BatchTable import Row


def file_of(origin: str) -> str:
    """The path behind a case; volumes of one file are called FILE#1, FILE#2, ..."""
    number = re.search(r"#\d+$", origin)
    return origin if number is None or Path(origin).exists() else origin[: number.start()]


def gone(row: Row) -> SKDError:
    """Why a case cannot be loaded that is not there any more."""
    from MonaiSKD.errors import SKDError

    return SKDError(row.case, "is not there any more", "Classify all once more", "not_found")


def open_case(row: Row) -> Any:
    """The volume node of a case: the one in the scene, or loaded now.

    Raises:
        SKDError: it is not there any more, or cannot be loaded.
    """
    from MonaiSKD.errors import SKDError

    node, path = slicer.mrmlScene.GetNodeByID(row.origin), Path(file_of(row.origin))
    if node is None and not row.series and not path.exists():
        raise gone(row)
    if node is None:
        node = _from_database(row.series) if row.series else _from_files(path, row)
    if node is None:
        raise SKDError(row.case, "cannot be loaded by Slicer", "Load it with the module 'Add Data'", "unsupported")
    return node


def _from_database(series: str) -> Any:
    from DICOMLib import DICOMUtils

    loaded = [slicer.mrmlScene.GetNodeByID(one) for one in DICOMUtils.loadSeriesByUID([series])]
    return next((node for node in loaded if node is not None and node.IsA("vtkMRMLScalarVolumeNode")), None)


def _from_files(path: Path, row: Row) -> Any:
    """A file, or the series in a folder, of which Slicer is given the first DICOM file."""
    files = [path]
    if path.is_dir():
        files = sorted(one for one in path.iterdir() if one.is_file() and not one.name.startswith("."))
    dicom = next((one for one in files if _is_dicom(one)), None)
    file = path if dicom is None else dicom
    if file.is_dir():
        return None
    alone = getattr(row.outcome, "slices", None) is None
    try:
        node = slicer.util.loadVolume(str(file), {"singleFile": alone, "show": True})
    except RuntimeError:  # what Slicer says of a file that it cannot read is in its log
        return None
    if dicom is not None and alone:
        node.SetAttribute(Inputs.FILE, str(file))  # window and polarity lie in its header
    return node


def _is_dicom(file: Path) -> bool:
    """Whether a file is a DICOM image by its head; the table of contents of a disc is none."""
    from MonaiSKD.reading.dicom.dataset import looks_like_dicom
    from MonaiSKD.reading.dicom.dicomdir import is_dicomdir

    with file.open("rb") as stream:
        head = stream.read(1024)
    return looks_like_dicom(head) and not is_dicomdir(head)
