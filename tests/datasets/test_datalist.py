"""Folders, CSV files and MONAI datalists as they should be."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from reading.handmade import header, save

from MonaiSKD.datasets import SPLITS, load_datalist
from MonaiSKD.errors import SKDError


def test_dicom_without_suffix_is_labelled_and_its_patients_are_known(tmp_path: Path) -> None:
    for number in range(12):
        dataset = header("CR")
        dataset.PatientID = f"p{number // 2}"
        folder = tmp_path / ("ab"[number % 4 // 2])
        folder.mkdir(exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 4000, (8, 8), dtype=np.uint16)
        save(folder / f"1.2.840.{number}", pixels, dataset)
    data = load_datalist(tmp_path)
    assert len(data.cases) == 12
    assert len({case.patient_id for case in data.cases}) == 6
    assert all(len({case.split for case in data.cases if case.patient_id == f"patient {n}"}) == 1 for n in range(1, 7))


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [("train", "val", "test"), ("training", "validation", "testing"), ("Train", "VALID", "Test")],
)
def test_a_folder_with_splits_keeps_them(write, train: str, val: str, test: str) -> None:
    folder = write([f"{train}/b/1.png", f"{train}/a/1.png", f"{train}/a/2.bmp", f"{val}/a/1.png", f"{test}/b/1.png"])
    (folder / "README.txt").write_text("about")
    (folder / train / "a" / ".DS_Store").write_text("hidden")
    (folder / "notes").mkdir()
    data = load_datalist(folder)
    assert data.class_names == ("a", "b")
    assert data.drawn == ()
    assert data.items("train") == [
        {"image": str(folder / train / "a" / "1.png"), "label": 0},
        {"image": str(folder / train / "a" / "2.bmp"), "label": 0},
        {"image": str(folder / train / "b" / "1.png"), "label": 1},
    ]
    assert [data.class_counts(split) for split in ("val", "test")] == [{"a": 1, "b": 0}, {"a": 0, "b": 1}]


def test_a_folder_without_splits_is_divided_70_10_20(write) -> None:
    folder = write([f"{name}/{number:02}.png" for name in ("sick", "well") for number in range(20)])
    data = load_datalist(folder)
    assert {split: data.class_counts(split) for split in SPLITS} == {
        "train": {"sick": 14, "well": 14},
        "val": {"sick": 2, "well": 2},
        "test": {"sick": 4, "well": 4},
    }
    assert data.drawn == SPLITS
    assert load_datalist(folder) == data
    assert load_datalist(folder, seed=1) != data
    halves = load_datalist(folder, fractions=(0.5, 0.25, 0.25))
    assert [sum(halves.class_counts(split).values()) for split in SPLITS] == [20, 10, 10]


def test_a_missing_validation_split_comes_out_of_the_training_split(write) -> None:
    names = [f"{split}/{name}/{number:02}.png" for split in ("train", "test") for name in "ab" for number in range(16)]
    folder = write(names)
    data = load_datalist(folder)
    assert {split: data.class_counts(split) for split in SPLITS} == {
        "train": {"a": 14, "b": 14},
        "val": {"a": 2, "b": 2},
        "test": {"a": 16, "b": 16},
    }
    assert all("/test/" in case.path for case in data.of("test"))
    assert data.drawn == ("train", "val")


def test_a_csv_gives_patients_and_sources_and_starts_at_its_own_folder(write) -> None:
    folder = write(["images/1.png", "images/2.png", "images/3.png", "4.png"])
    table = folder / "list.csv"
    table.write_text(
        "\ufeffPath, label ,split,patient_id,repository,age\n"
        "images/1.png,sick,training,p1,north,50\n"
        "images/2.png,well,train,p2,,\n"
        "\n"
        '"images/3.png", well ,Test,,south,7\n'
        f"{folder}/4.png,sick,val,p4,,\n"
        ",,,, ,\n,,,,,,,\n",
        encoding="utf-8",
    )
    data = load_datalist(table)
    assert data.class_names == ("sick", "well")
    assert [(Path(case.path).name, case.label, case.split, case.patient_id, case.source) for case in data.cases] == [
        ("1.png", "sick", "train", "p1", "north"),
        ("2.png", "well", "train", "p2", None),
        ("3.png", "well", "test", None, "south"),
        ("4.png", "sick", "val", "p4", None),
    ]
    assert data.cases[0].path == str(folder / "images" / "1.png")


@pytest.mark.parametrize("name", ["PatientID", "Patient ID", "patient-id", "patient", "Subject", "subject_id"])
def test_a_column_of_patients_may_have_their_usual_names(write, name: str) -> None:
    folder = write(["1.png", "2.png", "3.png"])
    rows = ["1.png,a,p1,60", "2.png,b,p1,60", "3.png,a,p2,70"]
    (folder / "list.csv").write_text("\n".join([f"path,label,{name},patient_age", *rows]))
    assert [case.patient_id for case in load_datalist(folder / "list.csv").cases] == ["p1", "p1", "p2"]
    entries = [
        {"image": row.split(",")[0], "label": row.split(",")[1], name: row.split(",")[2], "patient_age": 60}
        for row in rows
    ]
    (folder / "list.json").write_text(json.dumps({"training": entries}))
    cases = load_datalist(folder / "list.json").cases
    assert sorted((Path(case.path).name, case.patient_id) for case in cases) == [
        ("1.png", "p1"), ("2.png", "p1"), ("3.png", "p2"),
    ]  # fmt: skip


def test_words_for_an_unknown_patient_join_nobody_and_0_is_one(write) -> None:
    patients = ["unknown", "N/A", "nan", "", "0", "0"]
    folder = write([f"{n}.png" for n in range(6)])
    rows = [f"{n}.png,{'ab'[n % 2]},{patient}" for n, patient in enumerate(patients)]
    (folder / "list.csv").write_text("\n".join(["path,label,patient_id", *rows]))
    assert [case.patient_id for case in load_datalist(folder / "list.csv").cases] == [None] * 4 + ["0"] * 2


@pytest.mark.parametrize("parting", [";", "\t"])
def test_spreadsheets_part_columns_by_semicolons_or_tabs_too(write, parting: str) -> None:
    folder = write(["1,5.png", "2.png", "3.png"])
    rows = [parting.join(row) for row in (("path", "label"), ("1,5.png", "a"), ("2.png", "b"), ("3.png", "a, sure"))]
    (folder / "list.csv").write_text("\ufeff" + "\n".join(rows), encoding="utf-8")
    assert load_datalist(folder / "list.csv").class_names == ("a", "a, sure", "b")


def test_names_that_look_the_same_are_the_same(write) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Säugling") for form in ("NFC", "NFD"))
    folder = write([f"{split}/{decomposed}/1.png" for split in SPLITS] + [f"{split}/adult/1.png" for split in SPLITS])
    assert load_datalist(folder, class_names=[decomposed, "adult"]).class_names == (composed, "adult")
    patients = [composed, decomposed, "b"]
    rows = [f"{split}/adult/1.png,{patient},{patient}" for split, patient in zip(SPLITS, patients, strict=True)]
    (folder / "list.csv").write_text("\n".join(["path,label,patient_id", *rows]), encoding="utf-8")
    data = load_datalist(folder / "list.csv")
    assert data.class_names == (composed, "b")
    assert len({case.patient_id for case in data.cases}) == 2


def test_a_csv_without_splits_keeps_a_patient_together(write) -> None:
    folder = write([f"{number}.png" for number in range(30)])
    rows = [f"{number}.png,{'ab'[number // 3 % 2]},p{number // 3}" for number in range(30)]
    (folder / "list.csv").write_text("\n".join(["path,label,patient_id", *rows]))
    data = load_datalist(folder / "list.csv")
    seen = Counter(patient for split in SPLITS for patient in {case.patient_id for case in data.of(split)})
    assert set(seen.values()) == {1}
    assert [sum(data.class_counts(split).values()) for split in SPLITS] == [18, 6, 6]


def test_a_monai_datalist_is_read(write) -> None:
    folder = write(["images/1.png", "images/2.png", "images/3.png", "images/4.png"])
    (folder / "list.json").write_text(
        json.dumps(
            {
                "name": "something",
                "training": [
                    {"image": "images/1.png", "label": "sick", "patient_id": 7, "source": "north"},
                    {"image": "images/2.png", "label": "well"},
                ],
                "validation": [{"image": "images/3.png", "label": " well "}],
                "test": [{"image": str(folder / "images" / "4.png"), "label": "sick", "patient_id": ""}],
            }
        )
    )
    data = load_datalist(folder / "list.json")
    assert [(Path(case.path).name, case.label, case.split, case.patient_id, case.source) for case in data.cases] == [
        ("1.png", "sick", "train", "7", "north"),
        ("2.png", "well", "train", None, None),
        ("3.png", "well", "val", None, None),
        ("4.png", "sick", "test", None, None),
    ]


def test_numbers_as_labels_are_names_or_stand_for_them(write) -> None:
    folder = write(["1.png", "2.png", "3.png", "4.png"])
    entries = {
        "training": [{"image": "1.png", "label": 0}, {"image": "2.png", "label": 1}],
        "validation": [{"image": "3.png", "label": 0}],
        "testing": [{"image": "4.png", "label": 1}],
    }
    (folder / "list.json").write_text(json.dumps(entries))
    assert load_datalist(folder / "list.json").class_names == ("0", "1")
    (folder / "list.json").write_text(json.dumps({"labels": {"0": "well", "1": "sick"}, **entries}))
    data = load_datalist(folder / "list.json")
    assert [(case.label, case.split) for case in data.cases] == [
        ("well", "train"),
        ("sick", "train"),
        ("well", "val"),
        ("sick", "test"),
    ]


def test_class_names_decide_the_order(write) -> None:
    folder = write([f"{split}/{name}/1.png" for split in SPLITS for name in ("sick", "well")])
    data = load_datalist(folder, class_names=["well", "sick"])
    assert data.class_names == ("well", "sick")
    assert [(Path(item["image"]).parent.name, item["label"]) for item in data.items("train")] == [
        ("sick", 1),
        ("well", 0),
    ]


def test_with_known_classes_a_test_split_alone_will_do(write) -> None:
    folder = write(["test/sick/1.png", "test/well/1.png"])
    assert load_datalist(folder, class_names=["sick", "well"]).class_counts("test") == {"sick": 1, "well": 1}
    with pytest.raises(SKDError, match="it has no training images"):
        load_datalist(folder)


def test_the_three_forms_of_one_data_set_have_one_fingerprint(write) -> None:
    names = [f"{split}/{name}/{number}.png" for split in SPLITS for name in "ab" for number in range(2)]
    folder = write(names)
    rows = [f"{name},{name.split('/')[1]},{name.split('/')[0]}" for name in names]
    (folder / "list.csv").write_text("\n".join(["path,label,split", *rows]))
    entries = {
        split: [{"image": name, "label": name.split("/")[1]} for name in names if name.startswith(split)]
        for split in SPLITS
    }
    (folder / "list.json").write_text(json.dumps(entries))
    forms = [load_datalist(folder / source) for source in (".", "list.csv", "list.json")]
    assert len({form.sha256() for form in forms}) == 1
    assert forms[1].items("train") == forms[2].items("train")
