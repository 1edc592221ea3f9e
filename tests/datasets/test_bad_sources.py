"""What a data set can have wrong with it; each time the sentence names the place and the remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from MonaiSKD.datasets import load_datalist
from MonaiSKD.errors import SKDError

GOOD = ["train/a/1.png", "train/b/1.png", "test/a/1.png", "test/b/1.png"]


def refusal(source: Path, **options: object) -> SKDError:
    with pytest.raises(SKDError) as caught:
        load_datalist(source, **options)
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize(
    ("names", "thing", "cause"),
    [
        ([], "", "holds no images"),
        (["1.png", "a/1.png", "b/1.png"], "1.png", "lies in no class folder"),
        ([*GOOD, "1.png"], "1.png", "lies in no class folder"),
        ([*GOOD, "train/1.png"], "train/1.png", "lies in no class folder"),
        ([*GOOD, "train/a/more/2.png"], "train/a", "holds images in folders of its own"),
        ([*GOOD, "extra/a/1.png"], "", "holds splits, and beside them extra"),
        (["a/1.png", "a/2.png"], "", "has one class only (a)"),
        (["train/a/1.png", "test/a/1.png"], "", "has one class only (a)"),
        (["train/a/1.png", "test/a/1.png", "test/b/1.png"], "", "b occurs in test, but not in train"),
        (["train/a/1.png", "train/b/1.png", "val/c/1.png"], "", "c occurs in val, but not in train"),
        (["test/a/1.png", "test/b/1.png"], "", "has no training images"),
    ],
)
def test_folders(write, names: list[str], thing: str, cause: str) -> None:
    folder = write(names)
    error = refusal(folder)
    assert error.thing == str(folder / thing)
    assert cause in error.cause


@pytest.mark.parametrize(("folder", "cause"), [("train/c", "holds no images"), ("val", "holds no class folders")])
def test_folders_that_hold_nothing(write, folder: str, cause: str) -> None:
    empty = write(GOOD) / folder
    empty.mkdir()
    error = refusal(empty.parents[folder.count("/")])
    assert (error.thing, error.cause) == (str(empty), cause)


def test_a_source_that_is_absent_or_of_another_kind(tmp_path: Path) -> None:
    assert refusal(tmp_path / "absent").cause == "does not exist"
    (tmp_path / "list.txt").write_text("a.png a")
    assert refusal(tmp_path / "list.txt").cause == "is neither a folder nor a .csv nor a .json"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "has no column 'path'"),
        ("file,label\n1.png,a\n", "has no column 'path'"),
        ("path,class\n1.png,a\n", "has no column 'label'"),
        ("path,label,label\n1.png,a,b\n", "line 1 gives label twice"),
        ("path,label,patient_id,Patient ID\n1.png,a,1,2\n", "line 1 gives patient_id twice"),
        ("path,label\n", "lists no images"),
        ("path,label\n1.png,a\n2.png\n", "line 3 has a blank label"),
        ("path,label\n1.png,a\n2.png,  \n", "line 3 has a blank label"),
        ("path,label\n,a\n", "line 2 names no image"),
        ("path,label\n1.png,a,b\n", "line 2 has more fields than line 1"),
        ("path,label\n1.png,a,\n", "line 2 has more fields than line 1"),
        ("path,label\n,,b\n", "line 2 has more fields than line 1"),
        ("path,label\n,\n,,\n", "lists no images"),
        ("path,label,split\n1.png,a,train\n2.png,b,holdout\n", "line 3 has the unknown split 'holdout'"),
        ("path,label\n1.png,a\n9.png,b\n", "1 of its images are not there: "),
        ("path,label\n1.png,a\n2.png,a\n", "has one class only (a)"),
        ("path,label\n1.png,a\n2.png,b\n1.png,a\n", "1.png is listed twice"),
        ("path,label\n1.png,a\n2.png,b\n./1.png,b\n", "1.png is listed twice"),
        ("path,label,split\n1.png,a,train\n2.png,b,train\n1.png,a,test\n", "1.png is in train and in test"),
        ("path,label,split\n1.png,a,train\n2.png,b,\n", "2.png has no split while others have one"),
        ("path,label,split\n1.png,a,train\n2.png,b,test\n", "b occurs in test, but not in train"),
        ("path,label,split\n1.png,a,test\n2.png,b,test\n", "has no training images"),
    ],
)
def test_csv_files(write, text: str, cause: str) -> None:
    table = write(["1.png", "2.png"]) / "list.csv"
    table.write_text(text)
    error = refusal(table)
    assert error.thing == str(table)
    assert cause in error.cause


def test_a_csv_in_another_encoding(write) -> None:
    table = write(["1.png"]) / "list.csv"
    table.write_bytes("path,label\n1.png,müde\n".encode("latin-1"))
    assert "is not a CSV in UTF-8" in refusal(table).cause


def test_missing_images_are_counted_and_some_are_named(write) -> None:
    table = write(["0.png"]) / "list.csv"
    table.write_text("path,label\n" + "".join(f"{number}.png,{'ab'[number % 2]}\n" for number in range(6)))
    named = ", ".join(str(table.parent / f"{number}.png") for number in (1, 2, 3))
    assert refusal(table).cause == f"5 of its images are not there: {named}, ..."


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        ([], "is not a MONAI datalist"),
        ({}, "is not a MONAI datalist"),
        ({"images": []}, "is not a MONAI datalist"),
        ({"training": []}, "lists no images"),
        ({"training": {"image": "1.png"}}, "training entry 1 is not an object"),
        ({"training": ["1.png"]}, "training entry 1 is not an object"),
        ({"training": [{"image": "1.png"}]}, "training entry 1 has a blank label"),
        ({"training": [{"image": "1.png", "label": " "}]}, "training entry 1 has a blank label"),
        ({"training": [{"image": "1.png", "label": [0]}]}, "training entry 1 has the label [0]"),
        ({"training": [{"image": "1.png", "label": 0.0}]}, "training entry 1 has the label 0.0"),
        ({"training": [{"image": "1.png", "label": True}]}, "training entry 1 has the label True"),
        (
            {"training": [{"image": "1.png", "label": 0}], "labels": {"0": ["a"]}},
            "training entry 1 has the label ['a']",
        ),
        ({"training": [{"label": "a"}]}, "training entry 1 names no image"),
        ({"training": [{"image": ["1.png"], "label": "a"}]}, "training entry 1 names no image"),
        ({"training": [{"image": "9.png", "label": "a"}]}, "1 of its images are not there: "),
        ({"training": [{"image": "1.png", "label": "a"}] * 2}, "1.png is listed twice"),
        (
            {"training": [{"image": "1.png", "label": "a"}], "test": [{"image": "1.png", "label": "a"}]},
            "1.png is in train and in test",
        ),
        ({"training": [{"image": "1.png", "label": "a"}]}, "has one class only (a)"),
    ],
)
def test_datalists(write, data: object, cause: str) -> None:
    path = write(["1.png"]) / "list.json"
    path.write_text(json.dumps(data))
    error = refusal(path)
    assert error.thing == str(path)
    assert cause in error.cause


def test_a_datalist_that_is_not_json(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text("{")
    assert "is not valid JSON" in refusal(path).cause


@pytest.mark.parametrize("names", [["a"], ["a", "c"], ["a", "b", "c"], ["a", "b", "b"]])
def test_class_names_that_are_not_those_of_the_data(write, names: list[str]) -> None:
    folder = write(GOOD)
    error = refusal(folder, class_names=names)
    assert error.thing == str(folder)
    assert error.cause == f"its classes are a, b, but {', '.join(names)} are expected"


@pytest.mark.parametrize("fractions", [(0.7, 0.1, 0.1), (1.0, 0.0, 0.0), (0.9, 0.2, -0.1), (0.5, 0.5, float("nan"))])
def test_fractions_that_are_no_shares(write, fractions: tuple[float, float, float]) -> None:
    error = refusal(write(GOOD), fractions=fractions)
    assert error.thing == "fractions"
    assert "are not three positive shares of 1" in error.cause
