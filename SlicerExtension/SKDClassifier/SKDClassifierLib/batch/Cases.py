"""Loading a case of a batch into the scene. No Qt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer

from SKDClassifierLib.scene import Inputs

if TYPE_CHECKING:
    from SKDClassifierLib.batch.BatchTable import Row


def open_case(row: Row, series: str) -> Any:
    """The volume of a case: the one in the scene, or loaded now.

    Args:
        row: the case.
        series: its UID where it is one of the DICOM database.

    Returns:
        The volume node.

    Raises:
        SKDError: it is not there any more, or cannot be loaded.
    """
    from MonaiSKD.errors import SKDError

    node = slicer.mrmlScene.GetNodeByID(row.origin)
    if node is None and not series and not Path(row.origin).exists():
        raise SKDError(row.case, "is not there any more", "Classify all once more", "not_found")
    if node is None:
        node = _from_database(series) if series else _from_files(Path(row.origin), row)
    if node is None:
        raise SKDError(row.case, "cannot be loaded by Slicer", "Load it with the module 'Add Data'", "unsupported")
    return node


def _from_database(series: str) -> Any:
    from DICOMLib import DICOMUtils

    loaded = [slicer.mrmlScene.GetNodeByID(one) for one in DICOMUtils.loadSeriesByUID([series])]
    return next((node for node in loaded if node is not None and node.IsA("vtkMRMLScalarVolumeNode")), None)


def _from_files(path: Path, row: Row) -> Any:
    """A file, or the series in a folder, of which Slicer is given the first file."""
    from MonaiSKD.reading.dicom.dataset import looks_like_dicom

    file = (
        min((one for one in path.iterdir() if one.is_file() and not one.name.startswith(".")), default=None)
        if path.is_dir()
        else path
    )
    if file is None:
        return None
    with file.open("rb") as stream:
        is_dicom = looks_like_dicom(stream.read(1024))
    alone = getattr(row.outcome, "slices", None) is None
    try:
        node = slicer.util.loadVolume(str(file), {"singleFile": alone, "show": True})
    except RuntimeError:  # what Slicer says of a file that it cannot read is in its log
        return None
    if is_dicom and alone:
        node.SetAttribute(Inputs.FILE, str(file))  # window and polarity lie in its header
    return node
