"""Whose images they are, from DICOM headers, where the data set does not say it itself."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from MonaiSKD.datasets.cases import Case
from MonaiSKD.errors import SKDError
from MonaiSKD.reading.dicom.dataset import open_dataset
from MonaiSKD.reading.dicom.header import text
from MonaiSKD.reading.dicom.recognise import looks_like_dicom

_HEAD = 512  # bytes that tell the format
# What de-identification leaves in the place of an ID; it joins people who have nothing in common.
_NOBODY = {"", "0", "none", "unknown", "anon", "anonymous", "anonymized", "anonymised", "removed", "deidentified"}


def with_patients(cases: Sequence[Case]) -> tuple[Case, ...]:
    """Give DICOM images without a `patient_id` a pseudonym by which those of one patient are known.

    The pseudonym is made of Patient ID and its issuer (PS3.3 C.7.1.1) by SHA-256, so that no output names the patient.
    An ID that all DICOM images share says nothing and is left out, as is one that stands for "removed".

    Args:
        cases: any images; other formats, and files that cannot be read, stay as they are.
    """
    unknown = [case for case in cases if case.patient_id is None]
    with ThreadPoolExecutor() as threads:
        found = dict(zip((case.path for case in unknown), threads.map(_pseudonym, unknown), strict=True))
    names = [name for name in found.values() if name is not None]
    if len(set(names)) < 2:
        return tuple(cases)
    return tuple(replace(case, patient_id=found[case.path]) if case.path in found else case for case in cases)


def _pseudonym(case: Case) -> str | None:
    try:
        with Path(case.path).open("rb") as stream:
            if not looks_like_dicom(stream.read(_HEAD)):
                return None
        header = open_dataset(case.path, pixels=False)
        number, issuer = text(header, "PatientID").strip(), text(header, "IssuerOfPatientID").strip()
    except (SKDError, OSError):  # the check of the images tells of it, with its remedy
        return None
    if number.lower() in _NOBODY:
        return None
    return "patient " + hashlib.sha256(f"{issuer}\0{number}".encode()).hexdigest()[:12]
