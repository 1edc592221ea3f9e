from __future__ import annotations

import json
import time
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from MonaiSKD.evaluation import classification_metrics
from MonaiSKD.evaluation.metrics import weighted_auc


def simulated(n: int, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Labels drawn from the very probabilities, so that the classifier is calibrated."""
    generator = np.random.default_rng(seed)
    p = generator.dirichlet(np.full(classes, 0.5), size=n)
    y = np.array([generator.choice(classes, p=row) for row in p])
    return p, y, [f"class {k}" for k in range(classes)]


def every_metric(result: dict[str, Any]) -> list[dict[str, float | None]]:
    overall = [result[key] for key in ("accuracy", "balanced_accuracy", "macro_auc", "ece")]
    return overall + [of_class[key] for of_class in result["per_class"].values() for key in ("auc", "recall")]


def test_values_of_a_hand_made_case() -> None:
    # Four cases; predictions 0, 0, 1, 1; only the second is wrong.
    p = [[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8]]
    result = classification_metrics(p, [0, 1, 1, 1], ["normal", "ill"], bootstrap=0)
    assert result["n"] == 4
    assert result["accuracy"] == {"value": 0.75, "low": None, "high": None}
    assert result["balanced_accuracy"]["value"] == pytest.approx((1 + 2 / 3) / 2)
    assert result["macro_auc"]["value"] == 1.0
    # Each case has a bin of its own: |1-.9| + |0-.6| + |1-.7| + |1-.8| over 4.
    assert result["ece"]["value"] == pytest.approx((0.1 + 0.6 + 0.3 + 0.2) / 4)
    assert result["per_class"]["normal"]["n"] == 1
    assert result["per_class"]["normal"]["recall"]["value"] == 1.0
    assert result["per_class"]["ill"]["recall"]["value"] == pytest.approx(2 / 3)


def test_auc_counts_ties_half() -> None:
    p = [[0.5, 0.5], [0.5, 0.5], [0.8, 0.2]]
    # Class 1 scores: positive 0.5, negatives 0.5 (tie) and 0.2 (won).
    result = classification_metrics(p, [1, 0, 0], ["a", "b"], bootstrap=0)
    assert result["per_class"]["b"]["auc"]["value"] == 0.75


@settings(max_examples=60, deadline=None)
@given(
    scores=st.lists(st.integers(0, 4), min_size=2, max_size=12),
    data=st.data(),
)
def test_weighted_auc_is_the_auc_of_the_repeated_cases(scores: list[int], data: st.DataObject) -> None:
    n = len(scores)
    positive = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    weights = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    value = weighted_auc(np.array(scores, dtype=float), positive, weights[None].astype(float))[0]
    repeated, labels = np.repeat(scores, weights), np.repeat(positive, weights)
    if labels.any() and not labels.all():
        assert value == pytest.approx(roc_auc_score(labels, repeated))
    else:
        assert np.isnan(value)


def test_values_agree_with_scikit_learn() -> None:
    p, y, names = simulated(300)
    result = classification_metrics(p, y, names, bootstrap=0)
    assert result["macro_auc"]["value"] == pytest.approx(roc_auc_score(y, p, multi_class="ovr"))
    assert result["balanced_accuracy"]["value"] == pytest.approx(balanced_accuracy_score(y, p.argmax(1)))


def test_intervals_hold_their_values_and_shrink_with_n() -> None:
    small = classification_metrics(*simulated(60), bootstrap=300)
    large = classification_metrics(*simulated(6000), bootstrap=300)
    for metric in every_metric(small) + every_metric(large):
        assert metric["low"] <= metric["value"] <= metric["high"]
    for few, many in zip(every_metric(small), every_metric(large), strict=True):
        assert many["high"] - many["low"] < few["high"] - few["low"]


def test_interval_of_accuracy_is_near_its_normal_approximation() -> None:
    p, y, names = simulated(1000)
    accuracy = classification_metrics(p, y, names, bootstrap=2000)["accuracy"]
    half = 1.96 * np.sqrt(accuracy["value"] * (1 - accuracy["value"]) / 1000)
    assert (accuracy["high"] - accuracy["low"]) / 2 == pytest.approx(half, rel=0.08)


def test_same_seed_same_intervals() -> None:
    case = simulated(80)
    assert classification_metrics(*case, seed=3) == classification_metrics(*case, seed=3)
    assert classification_metrics(*case, seed=3) != classification_metrics(*case, seed=4)


def test_groups_of_one_change_nothing() -> None:
    case = simulated(80)
    names = [f"patient {n}" for n in np.random.default_rng(0).permutation(80)]
    assert classification_metrics(*case, groups=names) == classification_metrics(*case)


def test_without_groups_the_draws_are_those_of_ever() -> None:
    """Figures of before there were groups."""
    result = classification_metrics(*simulated(80), seed=3)
    assert (result["accuracy"]["low"], result["accuracy"]["high"]) == (0.4625, 0.675)
    figures = (0.10611747313414731, 0.23567898709602889)
    assert (result["ece"]["low"], result["ece"]["high"]) == pytest.approx(figures, abs=1e-12)


def test_copies_of_the_cases_narrow_no_interval_when_they_are_one_group() -> None:
    p, y, names = simulated(150)
    plain = classification_metrics(p, y, names)
    fourfold = (np.repeat(p, 4, axis=0), np.repeat(y, 4), names)
    assert every_metric(classification_metrics(*fourfold, groups=np.repeat(np.arange(150), 4).tolist())) == [
        pytest.approx(metric) for metric in every_metric(plain)
    ]
    apart = classification_metrics(*fourfold)
    for one_by_one, by_group in zip(every_metric(apart), every_metric(plain), strict=True):
        assert one_by_one["high"] - one_by_one["low"] < 0.7 * (by_group["high"] - by_group["low"])


def test_groups_of_unequal_size_weigh_by_their_cases() -> None:
    """Three right images of one patient and a wrong one of another: a draw is all right, all wrong, or 3 of 4 right."""
    p, y = np.tile([0.9, 0.1], (4, 1)), np.array([0, 0, 0, 1])
    result = classification_metrics(p, y, ["a", "b"], groups=["x", "x", "x", "y"])
    assert result["accuracy"] == {"value": 0.75, "low": 0.0, "high": 1.0}
    assert result["ece"] == {"value": pytest.approx(0.15), "low": pytest.approx(0.1), "high": pytest.approx(0.9)}


def test_groups_that_do_not_match_are_named() -> None:
    with pytest.raises(ValueError, match="3 groups are needed"):
        classification_metrics([[0.5, 0.5]] * 3, [0, 1, 0], ["a", "b"], groups=["x"])


def test_class_without_cases_is_left_out_of_the_means() -> None:
    p = [[0.6, 0.2, 0.2], [0.1, 0.3, 0.6], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = classification_metrics(p, [0, 1, 1, 0], ["a", "b", "c"])
    assert result["per_class"]["c"] == {
        "n": 0,
        "auc": {"value": None, "low": None, "high": None},
        "recall": {"value": None, "low": None, "high": None},
    }
    assert result["balanced_accuracy"]["value"] == 0.75  # recall 1 of a, 1/2 of b
    # a: 0.6 and 0.5 beat 0.1 and 0.2; b: 0.3 and 0.7 against 0.2 and 0.4.
    assert result["macro_auc"]["value"] == pytest.approx((1.0 + 0.75) / 2)
    assert "NaN" not in json.dumps(result, allow_nan=False)


def test_where_draws_often_lack_a_class_the_value_has_no_interval() -> None:
    """Of two images of a class a draw lacks both with a probability of about exp(-2), of nine with exp(-9)."""

    def of_b(images: int) -> dict:
        p = np.array([[0.9, 0.1]] * 40 + [[0.2, 0.8]] * (images - 1) + [[0.6, 0.4]])
        return classification_metrics(p, [0] * 40 + [1] * images, ["a", "b"])

    few, more = of_b(2), of_b(9)
    assert few["balanced_accuracy"] == {"value": 0.75, "low": None, "high": None}
    assert few["per_class"]["b"]["recall"] == {"value": 0.5, "low": None, "high": None}
    assert few["accuracy"]["low"] < few["accuracy"]["value"] < few["accuracy"]["high"]
    assert more["balanced_accuracy"]["low"] < more["balanced_accuracy"]["value"] <= more["balanced_accuracy"]["high"]


def test_single_case() -> None:
    result = classification_metrics([[0.8, 0.2]], [0], ["a", "b"], bootstrap=20)
    assert result["accuracy"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert result["macro_auc"] == {"value": None, "low": None, "high": None}
    assert result["ece"]["value"] == pytest.approx(0.2)


def test_a_thousand_resamples_of_600_cases_take_less_than_three_seconds() -> None:
    case = simulated(600)
    start = time.perf_counter()
    classification_metrics(*case, bootstrap=1000)
    assert time.perf_counter() - start < 3


@pytest.mark.parametrize(
    ("p", "y", "names", "message"),
    [
        ([[2.0, -1.0]], [0], ["a", "b"], "softmax"),
        ([[0.5, 0.5]], [2], ["a", "b"], r"0\.\.1"),
        ([[0.5, 0.5]], [0], ["a"], "class names"),
        ([[0.5, 0.5]], [0], ["a", "a"], "class names"),
        ([[0.5, 0.5]], [0, 1], ["a", "b"], "labels"),
        ([[np.nan, 0.5]], [0], ["a", "b"], "NaN"),
        (np.zeros((0, 2)), np.zeros(0, dtype=int), ["a", "b"], "at least one case"),
    ],
)
def test_bad_input_is_named(p: Any, y: Any, names: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classification_metrics(p, y, names)
