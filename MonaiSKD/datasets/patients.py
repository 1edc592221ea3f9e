"""Whose images they are, from DICOM headers, where the data set does not say it itself."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path

from MonaiSKD.datasets.cases import Case
from MonaiSKD.errors import SKDError
from MonaiSKD.reading.dicom.dataset import open_dataset
from MonaiSKD.reading.dicom.header import text
from MonaiSKD.reading.dicom.recognise import looks_like_dicom

_HEAD = 512  # bytes that tell the format
# What stands in the place of an ID that is not known; it joins people who have nothing in common.
_NOBODY = {
    "", "none", "null", "nan", "na", "n/a", "-", "?", "unknown",
    "anon", "anonymous", "anonymized", "anonymised", "removed", "deidentified",
}  # fmt: skip


def names_nobody(patient: str) -> bool:
    """Whether a patient's ID is a word for "not known".

    Example:
        >>> names_nobody("N/A"), names_nobody("0")
        (True, False)
    """
    return patient.strip().lower() in _NOBODY


def with_patients(cases: Sequence[Case]) -> tuple[Case, ...]:
    """Give DICOM images without a `patient_id` a number by which those of one patient are known.

    Patients are told apart by Patient ID and its issuer (PS3.3 C.7.1.1) and numbered in the order of their images'
    paths, so that nothing written down later leads back to an ID, as a digest of it would for whoever tries all IDs.
    An ID that all DICOM images share says nothing and is left out, as is one that stands for "removed".

    Args:
        cases: any images; other formats, and files that cannot be read, stay as they are.
    """
    unknown = sorted((case for case in cases if case.patient_id is None), key=lambda case: case.path)
    with ThreadPoolExecutor() as threads:
        shown = dict(zip((case.path for case in unknown), threads.map(_patient, unknown), strict=True))
    patients = list(dict.fromkeys(patient for patient in shown.values() if patient is not None))
    if len(patients) < 2:
        return tuple(cases)
    taken = {case.patient_id for case in cases}
    free = (name for number in count(1) if (name := f"patient {number}") not in taken)
    names = dict(zip(patients, free, strict=False))
    return tuple(
        replace(case, patient_id=names[patient])
        if case.patient_id is None and (patient := shown[case.path]) is not None
        else case
        for case in cases
    )


def _patient(case: Case) -> tuple[str, str] | None:
    """Issuer and number, where the image names a patient."""
    try:
        with Path(case.path).open("rb") as stream:
            if not looks_like_dicom(stream.read(_HEAD)):
                return None
        header = open_dataset(case.path, pixels=False)
        number, issuer = text(header, "PatientID").strip(), text(header, "IssuerOfPatientID").strip()
    except (SKDError, OSError):  # the check of the images tells of it, with its remedy
        return None
    # De-identification leaves 0, too; a list may count its patients from there.
    return None if names_nobody(number) or number == "0" else (issuer, number)
