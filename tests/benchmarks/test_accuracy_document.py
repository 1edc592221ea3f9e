"""The sections of the accuracy tables, of records made up by hand."""

from dataclasses import replace

import pytest
from accuracy.cost import cost_key, network_pairs, read_costs
from accuracy.document import draw, section
from accuracy.plan import Cell, Row, Table, load_table, table_names
from accuracy.plots import apart, latencies, shares_of, side_by_side
from accuracy.records import records_of
from accuracy.spread import Measured
from sections import page_with

from MonaiSKD import __version__

PLAIN = Row("plain", "plain", "student", "lite", False, False, {}, {})
BETTER = Row("better", "better", "student", "lite", True, False, {}, {"skd": 1.0})
PIXELS = Row("pixels", "pixels", "pixels", None, False, False, {}, {})
LARGE = Row("large", "large", "teacher", "lite", False, False, {}, {})
TABLE = Table("made_up", "What is better", [PIXELS, PLAIN, BETTER, LARGE], "plain", ["cxr", "ct"], [25, 100], [0, 1, 2])

COSTS = {
    cost_key("tf_efficientnet_lite_xs", 80): {"parameters": 1_284_387, "milliseconds": 1.72},
    cost_key("tf_efficientnet_lite2", 80): {"parameters": 6_100_000, "milliseconds": 4.0},
}

# Of "better", seeds 0 to 2 get to the 0.8 of "plain" after 2, 3 and no epochs.
CURVES = {("better", 0): [0.7, 0.8, 0.9], ("better", 1): [0.7, 0.7, 0.8], ("better", 2): [0.7, 0.79]}


def record(row, data, fraction, seed, accuracy, **more):
    """One line of results.jsonl: AUC is 10 points above balanced accuracy, F1 1 and accuracy 2 points."""
    cell = Cell(row, data, fraction, seed)
    test = {
        "balanced_accuracy": accuracy / 100, "macro_auc": accuracy / 100 + 0.1, "ece": 0.05, "ece_floor": 0.03,
        "f1": accuracy / 100 + 0.01, "accuracy": accuracy / 100 + 0.02,
    }  # fmt: skip
    network = {
        "parameters": 1_284_387, "multiply_adds": 22_899_776, "image_size": 80,
        "validation_auc": CURVES.get((row.name, seed), [0.7, 0.75, 0.8, 0.7]),
    }  # fmt: skip
    if row.kind == "teacher":
        network |= {"parameters": 6_100_000, "multiply_adds": 118_000_000}
    return {
        "cell": cell.key, "digest": cell.digest, "row": row.name, "data": data, "fraction": fraction, "seed": seed,
        "test": test, "val": {"macro_auc": 0.9}, "date": f"2026-11-2{seed}", "commit": "abc", "machine": "a processor",
        **({} if row.kind == "pixels" else {**network, "seconds": {"dual": 100.0 + seed, "finetune": 20.0}}), **more,
    }  # fmt: skip


RECORDS = [
    record(PIXELS, "cxr", 25, 0, 60, commit="def"),
    record(PLAIN, "cxr", 25, 0, 70), record(PLAIN, "cxr", 25, 1, 72), record(PLAIN, "cxr", 25, 2, 74),
    record(BETTER, "cxr", 25, 0, 75.9), record(BETTER, "cxr", 25, 1, 78), record(BETTER, "cxr", 25, 2, 80.1),
    record(PLAIN, "ct", 25, 0, 70), record(BETTER, "ct", 25, 1, 80),
]  # fmt: skip


def measured(records, table=TABLE):
    return Measured(table, records_of(table.cells(), records))


def test_a_section_cell_by_cell():
    # Half an interval is 4.3027 standard errors: 4.97 of a deviation of 2, 5.22 of 2.1, and 0.25 of 0.1.
    expected = f"""\
<!-- python benchmarks/accuracy run made_up --data DATA --weights WEIGHTS; python benchmarks/accuracy report; \
MonaiSKD {__version__}; 2026-11-22; commits abc, def; machines a processor; seeds 0, 1, 2 -->
## What is better

![A curve](images/curve.png)

Differences are to the row *plain*, on the same seeds.

25 % of the training images:

| data | row | seeds | balanced accuracy % | macro AUC % | ECE % | of it by chance % | \
difference of balanced accuracy | difference of AUC | training seconds | validation AUC % | epochs to the reference's |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| chest X-ray | pixels | 1 of 3 | 60.0 | 70.0 | 5.0 | 3.0 |  |  |  | 90.0 |  |
| chest X-ray | plain | 3 | 72.0 (67.0 to 77.0) | 82.0 (77.0 to 87.0) | 5.0 | 3.0 | reference | reference | \
121 | 90.0 | 3 |
| chest X-ray | better | 3 | 78.0 (72.8 to 83.2) | 88.0 (82.8 to 93.2) | 5.0 | 3.0 | \
**+6.0 (+5.8 to +6.2), p < 0.001** | \
**+6.0 (+5.8 to +6.2), p < 0.001** | 121 | 90.0 | 2.5 (2 of 3) |
| lung CT | plain | 1 of 3 | 70.0 | 80.0 | 5.0 | 3.0 | reference | reference | 120 | 90.0 | 3 |
| lung CT | better | 1 of 3 | 80.0 | 90.0 | 5.0 | 3.0 |  |  | 121 | 90.0 |  |

Sizes: 1.3 M parameters, 0.023 G multiply-adds, 1.7 ms per image at 80 px: *plain*, *better*.

Not measured yet: pixels (lung CT); large (chest X-ray, lung CT).

No row has been measured on 100 % of the training images yet."""
    assert section(measured(RECORDS), COSTS, {"curve.png": "A curve"}) == expected


def test_a_difference_that_may_be_none_is_not_bold():
    text = section(measured([record(row, "cxr", 25, s, v) for row, s, v in (
        (PLAIN, 0, 70), (PLAIN, 1, 72), (PLAIN, 2, 74), (BETTER, 0, 70), (BETTER, 1, 73), (BETTER, 2, 76),
    )]), {}, {})  # fmt: skip
    # Differences 0, 1 and 2: t is the root of 3, and with two degrees of freedom P(|T| > t) is 1 - t / sqrt(2 + t²).
    assert "| +1.0 (-1.5 to +3.5), p = 0.225 |" in text
    assert "**" not in text


def test_a_record_of_another_configuration_does_not_count():
    text = section(measured([record(PLAIN, "cxr", 25, 0, 70, digest="other")]), {}, {})
    assert "70.0" not in text
    assert "No row has been measured on 25 %, 100 % of the training images yet." in text


def test_published_figures_stand_below_ours_where_the_table_asks_for_them():
    asked = replace(TABLE, references=True)
    assert "Self-Trans" not in section(measured(RECORDS, asked), {}, {})  # theirs had all training images
    records = [*RECORDS, record(PLAIN, "cxr", 100, 0, 75), record(BETTER, "ct", 100, 1, 80)]
    text = section(measured(records, asked), {}, {})
    ours = "| better | 1.3 M | 82.0 | 81.0 | 90.0 |\n| *Self-Trans (DenseNet-169"
    assert ours in text
    assert "| 14 M |  | 85 | 94 |\n| *CovidDenseNet;" in text
    assert text.count("| classifier |") == 1
    assert "Self-Trans" not in section(measured(records), {}, {})


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([0.1, 0.5, 0.9], [0.1, 0.5, 0.9]),
        ([0.1, 0.1, 0.15], [0.1, 0.3, 0.5]),
        ([0.9, 0.95, 1.0], [0.6, 0.8, 1.0]),
        ([], []),
    ],
)
def test_labels_keep_apart(places, expected):
    assert apart(places, 0.2) == pytest.approx(expected)


def test_pictures_are_drawn_when_there_is_something_to_compare(tmp_path):
    table = replace(TABLE, seeds=[0], curves=True)
    one_share = [record(PLAIN, "cxr", 25, 0, 70), record(BETTER, "cxr", 25, 0, 71), record(PIXELS, "cxr", 25, 0, 60)]
    assert draw(measured(one_share, table), COSTS, tmp_path) == {}
    assert not list(tmp_path.iterdir())
    two = [*one_share, record(PLAIN, "cxr", 100, 0, 75), record(LARGE, "cxr", 25, 0, 80)]
    found = draw(measured(two, table), COSTS, tmp_path)
    assert sorted(found) == ["accuracy_made_up_curves.png", "accuracy_made_up_latency.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(found)
    assert list(draw(measured(two, replace(table, curves=False)), COSTS, tmp_path)) == ["accuracy_made_up_latency.png"]
    assert [path.name for path in tmp_path.iterdir()] == ["accuracy_made_up_latency.png"]  # none is left of before


def test_a_curve_leaves_out_shares_with_fewer_seeds_than_an_interval_needs():
    few = [*RECORDS, record(PLAIN, "cxr", 100, 0, 75)]
    assert shares_of(measured(few), PLAIN, "cxr") == [25]
    enough = [*few, record(PLAIN, "cxr", 100, 1, 75), record(PLAIN, "cxr", 100, 2, 76)]
    assert shares_of(measured(enough), PLAIN, "cxr") == [25, 100]
    assert shares_of(measured([*few, record(PLAIN, "ct", 100, 1, 80)]), PLAIN, "ct") == [25, 100]  # nothing better
    assert shares_of(measured(RECORDS), LARGE, "ct") == []


def test_every_table_has_its_place_in_the_document_and_its_reference_among_its_rows():
    for name in table_names():
        table = load_table(name)
        assert table.reference in [row.name for row in table.rows]
        page = page_with(f"accuracy:{name}").read_text(encoding="utf-8")
        assert page.count(f"<!-- accuracy:{name} -->\n") == page.count(f"<!-- /accuracy:{name} -->") == 1


def test_a_picture_compares_over_the_seeds_that_all_rows_have():
    found = measured([*RECORDS, record(LARGE, "cxr", 25, 0, 90)])
    shown = [
        (row.name, time, round(value.mean, 1), size) for row, time, value, size in latencies(found, COSTS, "cxr", 25)
    ]
    assert shown == [("plain", 1.72, 70.0, 1.284387), ("better", 1.72, 75.9, 1.284387), ("large", 4.0, 90.0, 6.1)]
    (_, _, plain, _), (_, _, better, _) = latencies(measured(RECORDS), COSTS, "cxr", 25)
    assert better.interval == pytest.approx((78 - 5.217, 78 + 5.217), abs=0.01)
    assert plain.mean == 72
    shown = [row.name for row, *_ in latencies(measured(RECORDS), COSTS, "ct", 25)]
    assert shown == ["plain"]  # "better" has another seed
    shown = [row.name for row, *_ in latencies(measured([record(LARGE, "ct", 25, 0, 90)]), COSTS, "ct", 25)]
    assert shown == []


def test_points_of_one_time_lie_beside_each_other_around_it():
    found = latencies(measured([*RECORDS, record(LARGE, "cxr", 25, 0, 90)]), COSTS, "cxr", 25)
    left, right, alone = side_by_side(found)
    assert left < 1.72 < right < 2
    assert left * right == pytest.approx(1.72**2)
    assert alone == 4.0


def test_every_network_of_the_tables_has_its_cost():
    known = read_costs()
    assert [pair for pair in network_pairs() for which in pair if cost_key(*which) not in known] == []
