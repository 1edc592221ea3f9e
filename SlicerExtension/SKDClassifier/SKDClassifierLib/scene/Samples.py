"""Sample data: one phantom a modality, drawn on first use, so that it is there without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

from SKDClassifierLib import Package

CATEGORY = "MonaiSKD"
# Name of the sample (as in Resources/models.json) -> modality.
SAMPLES = {"SKDChestRadiograph": "chest_xray", "SKDLungCT": "lung_ct", "SKDBrainMR": "brain_mri"}
# Volumes that were loaded here carry this attribute, also in a saved scene.
PHANTOM = "SKDClassifier.phantom"
_ICONS = Path(__file__).parents[2] / "Resources" / "Icons"


def register() -> None:
    """Offer the samples in the module SampleData, which calls :func:`_download` when a button is pressed."""
    import SampleData

    for name in SAMPLES:
        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category=CATEGORY,
            sampleName=name,
            uris=[],
            fileNames=[],
            nodeNames=[],
            thumbnailFileName=str(_ICONS / f"{name}.png"),
            customDownloader=_download,
        )


def load(name: str) -> Any:
    """Draw a sample where it is not there yet, and load it.

    Args:
        name: key of :data:`SAMPLES`.

    Returns:
        The volume node.

    Raises:
        SKDError: it cannot be written or loaded.
        ModuleNotFoundError: what drawing needs is not installed; `Install.Installer.ensure_light` installs it.
    """
    Package.make_importable()
    from MonaiSKD.datasets.phantoms import write_sample
    from MonaiSKD.errors import SKDError

    path = Path(slicer.app.temporaryPath) / CATEGORY / f"{name}.nii.gz"
    if not path.is_file():
        write_sample(path, SAMPLES[name])
    try:
        node = slicer.util.loadVolume(str(path), {"name": name, "show": True})
    except RuntimeError as error:  # what Slicer says of it is in its log
        raise SKDError(path, "cannot be loaded", "Delete it, then try again") from error
    node.SetAttribute(PHANTOM, "1")
    return node


def _download(source: Any) -> list[Any]:
    """What the buttons of the module SampleData call."""
    from SKDClassifierLib.place.Install import Installer

    try:
        ready = Installer(slicer.app.userSettings()).ensure_light(slicer.util.mainWindow())
        return [load(source.sampleName)] if ready else []
    except Exception as error:
        slicer.util.errorDisplay(str(error))
        return []
