"""Stand-in for DICOMLib.DICOMUtils: imports into `slicer.dicomDatabase` and keeps a list of what was imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

imported: list[tuple[str, bool]] = []


def importDicom(dicomDataDir: str, dicomDatabase: Any = None, copyFiles: bool = False) -> bool:
    """Add the DICOM files below a folder."""
    if not isinstance(dicomDataDir, str):
        raise TypeError(f"importDicom: {dicomDataDir!r} is no str")
    database = dicomDatabase if dicomDatabase is not None else slicer.dicomDatabase
    if database is None or not database.isOpen:
        raise OSError("DICOM module or database cannot be accessed")
    imported.append((dicomDataDir, copyFiles))
    for path in sorted(Path(dicomDataDir).rglob("*")):
        if path.is_file():
            database.insert(path)
    return True


def loadSeriesByUID(seriesUIDs: list[str]) -> list[str]:
    """Load series as volumes; gives the IDs of their nodes."""
    if not isinstance(seriesUIDs, list):
        raise ValueError("SeriesUIDs must contain a list")
    from harness.dicom import load_series

    return [load_series(slicer.dicomDatabase, uid).GetID() for uid in seriesUIDs]


def loadPatientByUID(patientUID: str) -> list[str]:
    """Load all series of a patient."""
    database = slicer.dicomDatabase
    studies = database.studiesForPatient(patientUID)
    return loadSeriesByUID([series for study in studies for series in database.seriesForStudy(study)])
