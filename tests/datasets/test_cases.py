from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from MonaiSKD.datasets import SPLITS, Case, DataList, load_datalist
from MonaiSKD.errors import SKDError

DATA = DataList(
    (
        Case("1.png", "well", "train", "p1"),
        Case("2.png", "sick", "train"),
        Case("3.png", "well", "test", "p3", "here"),
        Case("4.png", "well", "train"),
    ),
    ("well", "sick"),
)


def test_items_number_the_classes_in_the_given_order() -> None:
    assert DATA.items("train") == [
        {"image": "1.png", "label": 0},
        {"image": "2.png", "label": 1},
        {"image": "4.png", "label": 0},
    ]
    assert DATA.items("test") == [{"image": "3.png", "label": 0}]
    assert DATA.items("val") == []


def test_counts_name_every_class() -> None:
    assert {split: DATA.class_counts(split) for split in SPLITS} == {
        "train": {"well": 2, "sick": 1},
        "val": {"well": 0, "sick": 0},
        "test": {"well": 1, "sick": 0},
    }


def test_other_split_names_are_a_mistake_of_the_caller() -> None:
    for method in (DATA.items, DATA.of, DATA.class_counts):
        with pytest.raises(ValueError, match="not 'training'"):
            method("training")


def test_the_fingerprint_follows_content_class_and_split_and_nothing_else(write) -> None:
    folder = write([f"{split}/{name}/{n}.png" for split in SPLITS for name in "ab" for n in range(2)])
    data = load_datalist(folder)
    fingerprint = data.sha256()
    assert len(fingerprint) == 64
    assert DataList(data.cases[::-1], data.class_names).sha256() == fingerprint
    elsewhere = folder / "elsewhere"
    for split in SPLITS:
        shutil.copytree(folder / split, elsewhere / split)
    (elsewhere / "val" / "a" / "0.png").rename(elsewhere / "val" / "a" / "renamed.png")
    assert load_datalist(elsewhere).sha256() == fingerprint
    assert DataList(data.cases[1:], data.class_names).sha256() != fingerprint
    assert DataList(data.cases, data.class_names[::-1]).sha256() != fingerprint

    for old, new in (("train/a/0.png", "train/b/0_.png"), ("train/a/1.png", "val/a/1_.png")):
        (elsewhere / old).rename(elsewhere / new)
        assert load_datalist(elsewhere).sha256() != fingerprint
        (elsewhere / new).rename(elsewhere / old)
    assert load_datalist(elsewhere).sha256() == fingerprint
    with (elsewhere / "test" / "b" / "1.png").open("ab") as stream:
        stream.write(b"\0")
    assert load_datalist(elsewhere).sha256() != fingerprint


def test_the_fingerprint_of_known_bytes_is_known(tmp_path: Path) -> None:
    # A change of this value makes every recorded fingerprint worthless.
    (tmp_path / "a.png").write_bytes(b"a")
    (tmp_path / "b.png").write_bytes(b"b")
    cases = (Case(str(tmp_path / "a.png"), "sick", "train"), Case(str(tmp_path / "b.png"), "well", "test"))
    expected = "ff35623b5b1059ef0802682f2f6bdc6c5ca8f30d13f9bfa99af89ae77148ea86"
    assert DataList(cases, ("sick", "well")).sha256() == expected


def test_the_fingerprint_names_a_file_that_is_gone(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone.png")
    with pytest.raises(SKDError, match="No such file") as caught:
        DataList((Case(gone, "sick", "train"),), ("sick", "well")).sha256()
    assert caught.value.thing == gone
