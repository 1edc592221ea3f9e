"""A cell of an accuracy table: its images, its record, and what it shares with others."""

import csv
from collections import Counter, defaultdict
from dataclasses import replace

import pytest
from accuracy.plan import Cell, load_row, load_table, table_names
from accuracy.records import append_record, read_records, records_of
from accuracy.subsets import subset, write_subset
from accuracy.work import Places, do

from MonaiSKD.datasets import Case, DataList, load_datalist

DATA = DataList(
    tuple(
        Case(f"{split}{n}.png", "ab"[n % 2], split, f"{split}{n // 4}")
        for split, count in (("train", 400), ("val", 8), ("test", 12))
        for n in range(count)
    ),
    ("a", "b"),
)


def test_a_share_keeps_classes_patients_and_the_other_splits():
    kept, rest = subset(DATA, 25, seed=0)
    assert Counter(case.label for case in kept.of("train")) == {"a": 50, "b": 50}
    assert (kept.of("val"), kept.of("test")) == (DATA.of("val"), DATA.of("test"))
    assert len(rest) == 300
    patients = {case.patient_id for case in kept.of("train")}
    assert all(case.path in rest for case in DATA.of("train") if case.patient_id not in patients)
    assert not {case.path for case in kept.of("train")} & set(rest)


def test_a_share_depends_on_the_seed_alone():
    again, other = subset(DATA, 25, seed=0)[1], subset(DATA, 25, seed=1)[1]
    assert again == subset(DATA, 25, seed=0)[1]
    assert again != other
    assert subset(DATA, 100, seed=0) == (DATA, [])


def test_every_table_names_rows_that_exist_and_none_twice():
    for name in table_names():
        table = load_table(name)
        keys = [cell.key for cell in table.cells()]
        assert (
            len(keys) == len(set(keys)) == len(table.rows) * len(table.data) * len(table.fractions) * len(table.seeds)
        )
        assert table.reference in {row.name for row in table.rows}


def test_a_record_counts_for_the_configuration_that_it_was_made_with(tmp_path):
    cell = Cell(load_row("skd-lite"), "ct", 25, 0)
    other = replace(cell, row=replace(cell.row, options={**cell.row.options, "skd": 0.5}))
    for value in (1, 2):
        append_record({"cell": cell.key, "digest": cell.digest, "value": value}, tmp_path / "results.jsonl")
    records = read_records(tmp_path / "results.jsonl")
    assert records_of([cell], records) == {cell.key: {"cell": cell.key, "digest": cell.digest, "value": 2}}
    assert records_of([other], records) == {}


@pytest.fixture
def places(phantoms, tmp_path) -> Places:
    (tmp_path / "data" / "mri").mkdir(parents=True)
    rows = [[path, path.parent.name, path.parent.parent.name] for path in sorted(phantoms.rglob("*.png"))]
    with (tmp_path / "data" / "mri" / "manifest.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["path", "label", "split"], *rows])
    return Places(tmp_path / "data", None, tmp_path / "out", "cpu", 1)


def test_rows_share_the_distilled_start_and_the_teacher(places):
    places.out.mkdir()
    budget = {"epochs": 1, "teacher_epochs": 1, "batch_size": 8}
    small = {"image_size": 32, "finetune_epochs": 0, "feature_epochs": 1}
    found = defaultdict(dict)
    for name in ("features-40-lite", "features-40-logits-lite"):
        row = load_row(name)
        cell = Cell(replace(row, budget=budget, options={**row.options, **small}), "mri", 50, 0)
        found[name] = do(cell, places)
    first, second = found.values()
    assert (first["images"], first["image_size"]) == (12, 32)
    assert first["seconds"].keys() == {"features", "dual"}
    assert second["seconds"].keys() == {"features", "teacher", "dual"}
    # The second did not distil again: it found the first one's checkpoint, seconds included.
    assert first["seconds"]["features"] == second["seconds"]["features"] > 0
    for record in found.values():
        assert record["val"].keys() == record["test"].keys() > {"balanced_accuracy", "macro_auc", "ece"}
        assert record["parameters"] == 1_283_746 + 641  # three classes
        assert 0 <= record["test"]["balanced_accuracy"] <= 1


def test_labelled_images_and_the_others_make_the_training_images(places, tmp_path):
    table, unlabeled = write_subset(places.data / "mri" / "manifest.csv", 50, 0, tmp_path / "half")
    with table.open() as stream:
        train = {row["path"] for row in csv.DictReader(stream) if row["split"] == "train"}
    rest = {str(path.resolve()) for path in unlabeled.iterdir()}
    assert (len(train), len(rest)) == (12, 12)
    assert not train & rest


@pytest.mark.parametrize(("data", "shares"), [("cxr", {10: 15, 25: 36}), ("ct", {10: 18, 25: 37})])
def test_a_share_of_the_images_is_the_share_of_the_patients_that_the_document_says(shared, data, shares):
    whole = load_datalist(shared / "data" / data / "manifest.csv")
    patients = len({case.sampled for case in whole.of("train")})
    found = {
        percent: round(100 * len({case.sampled for case in subset(whole, percent, 0)[0].of("train")}) / patients)
        for percent in shares
    }
    assert found == shares
