"""Results as files: a table, the heat map, DICOM reports. No Qt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer

from SKDClassifierLib import Package
from SKDClassifierLib.scene import Inputs

if TYPE_CHECKING:
    from MonaiSKD.runtime import Failure, Result
    from SKDClassifierLib.scene.Inputs import CapturedVolume


def write_csv(path: str | Path, classes: Sequence[str], outcomes: Iterable[Result | Failure]) -> Path:
    """Write a table of outcomes, whole or not at all; without whose images they are.

    Args:
        path: the final name.
        classes: of the model, in its order.
        outcomes: results and failures.

    Raises:
        SKDError: it cannot be written.
    """
    Package.make_importable()
    from MonaiSKD.reporting import TableWriter

    with TableWriter(path, classes) as table:
        for outcome in outcomes:
            table.add(outcome)
    return Path(path)


def write_image(captured: CapturedVolume, path: Path) -> Path:
    """Write the voxels of a volume with their place in space, for a server that reads files; any thread.

    Args:
        captured: the volume.
        path: ending in .nii.gz.

    Raises:
        SKDError: it is a colour image, lies askew, or cannot be written.
    """
    import SimpleITK as sitk

    from MonaiSKD.errors import SKDError

    affine = captured.to_world @ captured.ijk_to_ras
    to_lps = np.diag([-1.0, -1.0, 1.0])
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    direction = to_lps @ affine[:3, :3] / spacing
    if not np.allclose(direction.T @ direction, np.eye(3), atol=1e-3):
        raise SKDError(captured.name, "its axes are not at right angles", "Take it out of its transform", "unsupported")
    image = sitk.GetImageFromArray(Inputs.grey(captured))
    image.SetSpacing(spacing.tolist())
    image.SetDirection(direction.ravel().tolist())
    image.SetOrigin((to_lps @ affine[:3, 3]).tolist())
    try:
        sitk.WriteImage(image, str(path), True, 1)
    except RuntimeError as error:
        raise SKDError(path.parent, "a file cannot be written there", "Free some disk space", "invalid") from error
    return path


def save_heat_map(heat_node: Any, path: str | Path) -> Path:
    """Write a heat map as a volume (.nrrd, .nii.gz), 0 to 100 percent of the strongest evidence.

    Raises:
        SKDError: it cannot be written.
    """
    Package.make_importable()
    from MonaiSKD.errors import SKDError

    if not slicer.util.saveNode(heat_node, str(path)):
        raise SKDError(path, "cannot be written", "Choose another folder, and a name that ends in .nrrd or .nii.gz")
    return Path(path)


def model_file(paths: Iterable[Path], result: Result) -> Path:
    """The file of the very model that gave a result.

    Args:
        paths: model files to look among.
        result: what it said.

    Raises:
        SKDError: it is not among them, or the answer came from a server.
    """
    from MonaiSKD.errors import SKDError
    from MonaiSKD.runtime.contract import unsealed

    wanted = result.model
    for path in paths:
        try:
            if wanted.sha256 and unsealed(path.read_bytes()) == wanted.sha256:
                return path
        except (OSError, ValueError):  # not this one
            continue
    cause = "the model that gave this answer is not among the models of this computer"
    raise SKDError(f"{wanted.name} {wanted.version}".strip(), cause, "Add its file, or classify again", "model")


def sr_arguments(model: str | Path, files: Sequence[str], folder: str | Path, listing: Path) -> list[str]:
    """What a child process is started with to write DICOM SR: always from the files, never from volume nodes.

    Args:
        model: as for `monai-skd classify`.
        files: DICOM files.
        folder: where the reports go.
        listing: a text file that takes the files' paths.

    Raises:
        SKDError: there are no DICOM files.
    """
    Package.make_importable()
    from MonaiSKD.errors import SKDError

    if not files:
        remedy = "Load the image through the DICOM module, then classify it; or write a CSV"
        raise SKDError("DICOM SR", "the image was not loaded from the DICOM database", remedy, "unsupported")
    listing.write_text("\n".join(files), encoding="utf-8")
    return ["classify", str(model), f"@{listing}", "--gather", "--sr", str(folder), "--events"]


def import_into_database(folder: str | Path) -> int:
    """Add the DICOM files of a folder to Slicer's database, by copy; gives their number.

    Raises:
        SKDError: the database does not take them.
    """
    from DICOMLib import DICOMUtils

    from MonaiSKD.errors import SKDError

    files = [path for path in Path(folder).rglob("*.dcm") if path.is_file()]
    if not DICOMUtils.importDicom(str(folder), copyFiles=True):
        remedy = "Open the module DICOM and see whether its database works; or write the report into a folder"
        raise SKDError("DICOM database", "did not take the report", remedy)
    return len(files)
