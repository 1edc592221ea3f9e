"""Stand-in for `slicer.dicomDatabase` (ctkDICOMDatabase), made of real DICOM files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydicom
import slicer
from pydicom.errors import InvalidDicomError


class DicomDatabase:
    """Finds files by patient, study, series and instance, in the order in which they came."""

    def __init__(self, *files: str | Path) -> None:
        self.isOpen = True
        self._headers: dict[str, Any] = {}
        for file in files:
            self.insert(file)

    def insert(self, file: str | Path) -> None:
        """Add a file; what is no DICOM file is passed over, as ctkDICOMIndexer does."""
        try:
            self._headers[str(file)] = pydicom.dcmread(file, stop_before_pixels=True)
        except InvalidDicomError:
            return

    def patients(self) -> tuple[str, ...]:
        return self._different("PatientID", {})

    def studiesForPatient(self, patient: str) -> tuple[str, ...]:
        return self._different("StudyInstanceUID", {"PatientID": patient})

    def seriesForStudy(self, study: str) -> tuple[str, ...]:
        return self._different("SeriesInstanceUID", {"StudyInstanceUID": study})

    def instancesForSeries(self, series: str, hits: int = -1) -> tuple[str, ...]:
        return self._different("SOPInstanceUID", {"SeriesInstanceUID": series})[: hits if hits >= 0 else None]

    def filesForSeries(self, series: str, hits: int = -1) -> tuple[str, ...]:
        return tuple(self._where({"SeriesInstanceUID": series}))[: hits if hits >= 0 else None]

    def fileForInstance(self, instance: str) -> str:
        return next(iter(self._where({"SOPInstanceUID": instance})), "")

    def instanceForFile(self, file: str) -> str:
        return self._value(file, "SOPInstanceUID") if file in self._headers else ""

    def studyForSeries(self, series: str) -> str:
        return self._first("StudyInstanceUID", {"SeriesInstanceUID": series})

    def patientForStudy(self, study: str) -> str:
        return self._first("PatientID", {"StudyInstanceUID": study})

    def seriesForFile(self, file: str) -> str:
        return self._value(file, "SeriesInstanceUID") if file in self._headers else ""

    def descriptionForSeries(self, series: str) -> str:
        return self.fieldForSeries("SeriesDescription", series)

    def descriptionForStudy(self, study: str) -> str:
        return self.fieldForStudy("StudyDescription", study)

    def nameForPatient(self, patient: str) -> str:
        return self.fieldForPatient("PatientsName", patient)

    def fieldForSeries(self, field: str, series: str) -> str:
        return self._first(field, {"SeriesInstanceUID": series})

    def fieldForStudy(self, field: str, study: str) -> str:
        return self._first(field, {"StudyInstanceUID": study})

    def fieldForPatient(self, field: str, patient: str) -> str:
        return self._first(field, {"PatientID": patient})

    def fileValue(self, file: str, tag: str) -> str:
        """The value of a tag such as "0008,0060"."""
        element = self._headers[file].get(tuple(int(part, 16) for part in tag.split(",")))
        return "" if element is None else str(element.value)

    def instanceValue(self, instance: str, tag: str) -> str:
        file = self.fileForInstance(instance)
        return self.fileValue(file, tag) if file else ""

    def _value(self, file: str, keyword: str) -> str:
        # The database's columns are called a little otherwise than the standard's keywords.
        keyword = {"PatientsName": "PatientName"}.get(keyword, keyword)
        return str(self._headers[file].get(keyword, ""))

    def _where(self, fields: dict[str, str]) -> list[str]:
        return [file for file in self._headers if all(self._value(file, key) == fields[key] for key in fields)]

    def _different(self, keyword: str, fields: dict[str, str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._value(file, keyword) for file in self._where(fields)))

    def _first(self, keyword: str, fields: dict[str, str]) -> str:
        return next(iter(self._different(keyword, fields)), "")


def load_series(database: DicomDatabase, series: str) -> Any:
    """A series as a volume node of `slicer.mrmlScene`, as Slicer's plugin for scalar volumes loads it."""
    files = database.filesForSeries(series)
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(files[0])
    for file in files:
        storage.AddFileName(file)
    storage.SetSingleFile(len(files) == 1)
    node = slicer.vtkMRMLScalarVolumeNode()
    if not storage.ReadData(node):
        raise RuntimeError(f"Slicer does not read {files[0]}")
    node.SetName(database.descriptionForSeries(series) or "volume")
    instances = [database.instanceForFile(file) for file in files]
    node.SetAttribute("DICOM.instanceUIDs", " ".join(instances))
    slicer.mrmlScene.AddNode(node)
    node.CreateDefaultDisplayNodes()
    return node
