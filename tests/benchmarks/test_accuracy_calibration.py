"""The table of calibration before and after the temperature, of records made up by hand."""

from accuracy import calibration
from accuracy.plan import Cell, load_row

ROW = load_row("skd-lite")


def record(data, fraction, seed, val, test):
    cell = Cell(ROW, data, fraction, seed)
    splits = {"val": val, "test": test}
    return {
        "cell": cell.key, "digest": cell.digest, "seed": seed,
        **{split: {"ece_before": before, "ece": after} for split, (before, after) in splits.items()},
    }  # fmt: skip


def test_a_cell_says_the_means_of_both_splits():
    records = [record("ct", 25, 0, (0.2, 0.1), (0.3, 0.25)), record("ct", 25, 1, (0.1, 0.04), (0.1, 0.15))]
    assert calibration.cell(ROW, "ct", 25, records) == "15.0 → 7.0 / 20.0 → 20.0 (2)"
    assert calibration.cell(ROW, "ct", 100, records) == calibration.cell(ROW, "mri", 25, records) == ""


def test_only_what_was_measured_has_a_line():
    lines = calibration.section([record("mri", 100, 3, (0.2, 0.1), (0.3, 0.25))]).splitlines()
    assert lines[2:] == [f"| all | {ROW.title} |  |  | 20.0 → 10.0 / 30.0 → 25.0 (1) |"]
