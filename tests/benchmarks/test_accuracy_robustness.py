"""Tables of harmed images, on records that are summed by hand."""

import pytest
from accuracy.corruptions import CORRUPTIONS
from accuracy.plan import Cell, load_row
from accuracy.robustness import Trained, at_hand
from accuracy.robustness_tables import is_current, lost, section

ROW = "compensated-lite"


def record(seed, corruption, strength, accuracy, row=ROW):
    cell = Cell(load_row(row), "cxr", 100, seed)
    return {
        "cell": cell.key, "digest": cell.digest, "row": row, "data": "cxr", "fraction": 100, "seed": seed,
        "corruption": corruption, "strength": strength, "balanced_accuracy": accuracy, "macro_auc": accuracy + 0.1,
        "ece": 0.05, "date": "2026-01-01", "commit": "abc", "machine": "m",
    }  # fmt: skip


def test_losses_are_paired_by_network():
    records = [
        record(0, "clean", None, 0.8), record(1, "clean", None, 0.7),
        record(0, "blur", 1, 0.7), record(1, "blur", 1, 0.68), record(1, "blur", 3, 0.5),
    ]  # fmt: skip
    assert lost(records, [("blur", 1)]) == pytest.approx(-6)
    assert lost(records, [("blur", 3)]) == pytest.approx(-20)  # not against the mean of both
    assert lost(records, [("blur", 1), ("blur", 3)]) == pytest.approx(-13)
    assert lost(records, [("blur", 1), ("jpeg", 7)]) is None


def test_rows_are_compared_on_the_seeds_that_all_have():
    records = [
        record(0, "clean", None, 0.8), record(1, "clean", None, 0.6), record(2, "clean", None, 0.1),
        record(1, "clean", None, 0.7, "random-lite"), record(2, "clean", None, 0.9, "random-lite"),
    ]  # fmt: skip
    assert "| clean, % (seeds) | 35.0 (2) | 80.0 (2) |" in section(records, 100)
    apart = [records[0], records[4]]
    assert "| clean, % (seeds) | 80.0 (1) | 90.0 (1) |" in section(apart, 100)


def test_section_shows_what_is_measured_and_leaves_the_rest_empty():
    other = "random-lite"
    records = [
        record(0, "clean", None, 0.8),
        *(record(0, "rotation", strength, 0.8 - strength / 100) for strength in CORRUPTIONS["rotation"].strengths),
        record(0, "blanked", None, 0.4),
        record(0, "clean", None, 0.6, other),
    ]
    text = section(records, 100)
    assert f"robustness {ROW} {other} --data DATA --out RUNS --fraction 100; 2026-01-01; commits abc" in text
    assert "| clean, % (seeds) | 80.0 (1) | 60.0 (1) |" in text
    assert "| rotation, degrees 5 / 15 / 30 | -5.0 / -15.0 / -30.0 |  /  /  |" in text
    assert "| chest X-ray | all but the lungs | 33.3 / 50.0 | 40.0 / 50.0 |  |" in text
    assert "Lung CT" not in text


def test_records_of_other_configurations_do_not_count():
    current = record(0, "clean", None, 0.8)
    assert is_current(current)
    assert not is_current({**current, "digest": "0"})
    assert not is_current({**current, "row": "gone"})


def test_networks_trained_elsewhere_are_named_and_left_out(tmp_path, capsys):
    here, elsewhere, measured = (
        Trained(Cell(load_row(ROW), "cxr", 25, seed), 1.0, missing)
        for seed, missing in ((0, [("clean", None)]), (1, [("clean", None)]), (2, []))
    )
    here.weights(tmp_path).parent.mkdir(parents=True)
    here.weights(tmp_path).touch()
    assert at_hand([here, elsewhere, measured], tmp_path) == [here]
    said = capsys.readouterr().out
    assert said.startswith(f"left out: {ROW}/cxr-25-1, ")
    assert said.count("left out") == 1
