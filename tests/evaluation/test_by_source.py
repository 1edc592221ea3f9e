"""Results source by source, on hand-made cases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from MonaiSKD.datasets import Case
from MonaiSKD.evaluation import metrics_by_source, usual_labels

PAIRS = [("web", "sick")] * 6 + [("web", "well")] * 2 + [("clinic", "well")] * 7 + [("clinic", "sick")]


THREE = [*PAIRS, ("clinic", "hurt")]


def test_a_label_is_usual_where_it_is_as_frequent_as_anywhere():
    assert usual_labels(PAIRS) == {("web", "sick"), ("clinic", "well")}
    # 1 of 2 at either source, and 2 of 4 in all: usual everywhere.
    even = [(source, label) for source in "ab" for label in ("sick", "well")]
    assert usual_labels(even) == set(even)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), min_size=1))
def test_every_source_has_a_usual_label_and_no_label_is_unusual_everywhere(pairs):
    usual = usual_labels(pairs)
    assert usual <= set(pairs)
    assert {source for source, _ in usual} == {source for source, _ in pairs}
    assert {label for _, label in usual} == {label for _, label in pairs}


def cases_of(pairs):
    return [Case(str(number), label, source=source) for number, (source, label) in enumerate(pairs)]


def test_a_label_that_is_a_little_rarer_at_a_source_is_usual_there():
    pairs = [("a", "sick")] * 51 + [("a", "well")] * 49 + [("b", "sick")] * 49 + [("b", "well")] * 51
    assert usual_labels(pairs) == set(pairs)


def test_of_two_labels_the_other_is_the_only_wrong_one_so_it_is_not_counted():
    cases = cases_of(PAIRS)
    found = metrics_by_source(["well"] * len(cases), cases, cases)
    assert found["unusual"] == {"n": 3, "correct": 2, "taken_for_usual": None}


def test_who_goes_by_the_source_takes_unusual_images_for_usual_ones():
    cases = cases_of(THREE)
    by_source = ["sick" if case.source == "web" else "well" for case in cases]
    found = metrics_by_source(by_source, cases, cases)
    assert found == {
        "sources": {
            "clinic": {"n": 9, "balanced_accuracy": pytest.approx(1 / 3)},
            "web": {"n": 8, "balanced_accuracy": 0.5},
        },
        "usual": {"n": 14, "correct": 13, "taken_for_usual": 1},  # "hurt"
        "unusual": {"n": 3, "correct": 0, "taken_for_usual": 3},
    }
    by_disease = metrics_by_source([case.label for case in cases], cases, cases)
    assert by_disease["unusual"] == {"n": 3, "correct": 3, "taken_for_usual": 0}


def test_what_is_usual_is_told_by_all_images_and_not_by_those_asked():
    asked = cases_of([("web", "well"), ("clinic", "sick")])
    found = metrics_by_source(["other", "well"], asked, cases_of(THREE))
    assert found["unusual"] == {"n": 2, "correct": 0, "taken_for_usual": 1}  # "other" is usual nowhere
    assert found["usual"]["n"] == 0
    assert found["sources"]["web"] == {"n": 1, "balanced_accuracy": 0.0}


def test_images_of_no_known_source_are_left_out_and_one_source_says_nothing():
    cases = [*cases_of(PAIRS), Case("unknown", "sick")]
    given = [case.label for case in cases]
    assert metrics_by_source(given, cases, cases) == metrics_by_source(given[:-1], cases[:-1], cases[:-1])
    assert metrics_by_source(["sick"] * 6, cases[:6], cases) is None


def test_lengths_must_match():
    with pytest.raises(ValueError, match="longer"):
        metrics_by_source(["sick"], cases_of(PAIRS), cases_of(PAIRS))
