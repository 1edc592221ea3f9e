"""The table of remedies, of records made up by hand."""

from accuracy import remedies
from accuracy.plan import HERE, Cell, load_row

from MonaiSKD.files import read_json

ROW, REFERENCE = load_row("skd-lite"), load_row("compensated-lite")


def record(row, data, fraction, seed, val, test):
    cell = Cell(row, data, fraction, seed)
    return {
        "cell": cell.key, "digest": cell.digest, "seed": seed, "machine": "one",
        "val": {"macro_auc": val / 100}, "test": {"macro_auc": test / 100},
    }  # fmt: skip


def test_a_cell_says_each_share_on_the_seeds_that_both_have():
    records = [
        *(record(ROW, "ct", 25, seed, 82 + seed / 10, 70 - seed) for seed in range(3)),
        *(record(REFERENCE, "ct", 25, seed, 80, 70) for seed in range(4)),
        record(ROW, "ct", 100, 0, 90, 91), record(REFERENCE, "ct", 100, 0, 91, 90),
        record(ROW, "ct", 50, 0, 90, 91), record(REFERENCE, "ct", 50, 1, 91, 90),
    ]  # fmt: skip
    # 2.0, 2.1 and 2.2 are surely above 0; 0, -1 and -2 are not surely below.
    assert remedies.cell(ROW, REFERENCE, "ct", records) == "25 %: **+2.1** / -1.0 (3); all: -1.0 / +1.0 (1)"
    assert remedies.cell(ROW, REFERENCE, "cxr", records) == ""


def test_pairs_of_two_processors_are_counted():
    records = [
        *(record(ROW, "ct", 25, seed, 82, 70) for seed in range(2)),
        record(REFERENCE, "ct", 25, 0, 80, 70), {**record(REFERENCE, "ct", 25, 1, 80, 70), "machine": "another"},
    ]  # fmt: skip
    assert remedies.cell(ROW, REFERENCE, "ct", records) == "25 %: +2.0 / +0.0 (2, 1 mixed)"


def test_a_record_of_another_configuration_does_not_count():
    records = [record(ROW, "ct", 25, 0, 82, 70), {**record(REFERENCE, "ct", 25, 0, 80, 70), "digest": "another"}]
    assert remedies.cell(ROW, REFERENCE, "ct", records) == ""


def test_every_remedy_names_rows_that_there_are():
    entries = read_json(HERE / "remedies.json")
    lines = remedies.section([]).splitlines()
    assert len(lines) == len(entries) + 2
    assert all(line.count("|") == 6 for line in lines)
