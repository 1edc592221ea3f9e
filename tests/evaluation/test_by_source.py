"""Results source by source, on hand-made cases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from MonaiSKD.evaluation import metrics_by_source, usual_labels

PAIRS = [("web", "sick")] * 6 + [("web", "well")] * 2 + [("clinic", "well")] * 7 + [("clinic", "sick")]


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


def test_who_goes_by_the_source_takes_unusual_images_for_usual_ones():
    names = ["sick", "well"]
    labels = [names.index(label) for _, label in PAIRS]
    sources = [source for source, _ in PAIRS]
    by_source = [0 if source == "web" else 1 for source in sources]
    found = metrics_by_source(by_source, labels, sources, usual_labels(PAIRS), names)
    assert found["usual"] == {"n": 13, "correct": 13, "taken_for_usual": 0}
    assert found["unusual"] == {"n": 3, "correct": 0, "taken_for_usual": 3}
    assert found["sources"] == {
        "web": {"n": 8, "balanced_accuracy": 0.5},
        "clinic": {"n": 8, "balanced_accuracy": 0.5},
    }
    by_disease = metrics_by_source(labels, labels, sources, usual_labels(PAIRS), names)
    assert by_disease["unusual"] == {"n": 3, "correct": 3, "taken_for_usual": 0}


def test_a_wrong_label_that_is_unusual_too_is_not_taken_for_a_usual_one():
    usual = {("web", "sick")}
    found = metrics_by_source([1, 2], [0, 1], ["web", "web"], usual, ["sick", "well", "other"])
    assert found["usual"] == {"n": 1, "correct": 0, "taken_for_usual": 0}
    assert found["unusual"] == {"n": 1, "correct": 0, "taken_for_usual": 0}
    # Recall over the two classes that occur.
    assert found["sources"]["web"] == {"n": 2, "balanced_accuracy": 0.0}


def test_lengths_must_match():
    with pytest.raises(ValueError, match="2 predictions, 2 labels and 1 sources"):
        metrics_by_source([0, 1], [0, 1], ["web"], set(), ["sick", "well"])
