"""The images of one patient are known by their headers, and the patient by no output."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reading.handmade import header, save

from MonaiSKD.datasets import load_datalist
from MonaiSKD.datasets.cases import Case
from MonaiSKD.datasets.patients import with_patients


def dicom(path: Path, patient: str, issuer: str = "") -> Case:
    dataset = header("CR")
    dataset.PatientID, dataset.IssuerOfPatientID = patient, issuer
    save(path, np.arange(64, dtype=np.uint16).reshape(8, 8), dataset)
    return Case(str(path), "a")


def known(*cases: Case) -> list[str | None]:
    return [case.patient_id for case in with_patients(cases)]


def test_images_of_one_patient_are_joined_under_a_number_that_tells_nothing_of_the_id(tmp_path):
    cases = [dicom(tmp_path / f"{n}.dcm", patient) for n, patient in enumerate(("4711", "4711 ", "0815"))]
    assert known(*cases) == ["patient 1", "patient 1", "patient 2"]
    others = [dicom(tmp_path / f"{n}.dcm", patient) for n, patient in enumerate(("a", "a", "b"))]
    assert known(*others) == known(*cases)


def test_numbers_follow_the_paths_and_not_the_order_of_the_list(tmp_path):
    cases = [dicom(tmp_path / f"{n}.dcm", patient) for n, patient in enumerate(("x", "y", "x", "z"))]
    assert known(*reversed(cases)) == known(*cases)[::-1] == ["patient 3", "patient 1", "patient 2", "patient 1"]


def test_the_same_number_of_two_hospitals_is_two_patients(tmp_path):
    one, two = known(dicom(tmp_path / "1.dcm", "1", "north"), dicom(tmp_path / "2.dcm", "1", "south"))
    assert one != two


@pytest.mark.parametrize("nobody", ["", "ANONYMOUS", "0"])
def test_what_stands_for_nobody_joins_nothing(tmp_path, nobody):
    cases = [dicom(tmp_path / f"{n}.dcm", patient) for n, patient in enumerate((nobody, nobody, "17", "18"))]
    assert known(*cases)[:2] == [None, None]
    assert None not in known(*cases)[2:]


def test_an_id_that_all_share_says_nothing(tmp_path):
    assert known(*(dicom(tmp_path / f"{n}.dcm", "study 9") for n in range(3))) == [None] * 3


def test_what_the_data_set_says_itself_counts(tmp_path):
    given = Case(dicom(tmp_path / "1.dcm", "1").path, "a", None, "mine")
    others = [dicom(tmp_path / f"{n}.dcm", str(n)) for n in (2, 3)]
    assert known(given, *others)[0] == "mine"


def test_a_number_is_never_the_name_of_a_patient_whom_the_data_set_names(tmp_path):
    given = Case(dicom(tmp_path / "1.dcm", "1").path, "a", None, "patient 1")
    others = [dicom(tmp_path / f"{n}.dcm", str(n)) for n in (2, 3)]
    assert known(given, *others) == ["patient 1", "patient 2", "patient 3"]


def test_other_files_and_damaged_ones_stay_as_they_are(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    (tmp_path / "b.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"rubbish")
    paths = [str(tmp_path / name) for name in ("a.png", "b.dcm", "none.dcm")]
    assert known(*(Case(path, "a") for path in paths)) == [None] * 3


def test_no_patient_is_divided_between_the_splits_of_a_folder(tmp_path):
    for label in ("normal", "sick"):
        for number in range(20):
            dicom(tmp_path / label / f"{number}.dcm", f"{label} {number // 2}")
    data = load_datalist(tmp_path)
    splits: dict[str | None, set[str | None]] = {}
    for case in data.cases:
        splits.setdefault(case.patient_id, set()).add(case.split)
    assert len(splits) == 20
    assert all(len(found) == 1 for found in splits.values())
