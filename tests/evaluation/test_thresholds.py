from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from MonaiSKD.evaluation import calibrate, expected_calibration_error, fit_temperature, fit_thresholds
from MonaiSKD.evaluation.thresholds import Calibration, decisions

# Class 0: 0.9, 0.8, 0.6, 0.2 of its own; class 1: 0.7, 0.55.
P = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7], [0.45, 0.55]])
Y = np.array([0, 0, 0, 0, 1, 1])


@pytest.mark.parametrize(
    ("sensitivity", "expected"),
    [(0.25, [0.9, 0.7]), (0.5, [0.8, 0.7]), (0.51, [0.6, 0.55]), (0.75, [0.6, 0.55]), (1.0, [0.2, 0.55])],
)
def test_threshold_lies_just_below_the_last_case_needed_but_at_most_at_a_half(
    sensitivity: float, expected: list[float]
) -> None:
    assert fit_thresholds(P, Y, sensitivity) == [min(0.5, value - 0.001) for value in expected]
    # The same cases at half the probability: nothing is capped.
    assert fit_thresholds(P / 2, Y, sensitivity) == [value / 2 - 0.001 for value in expected]


def test_the_case_that_decides_is_still_found_when_the_file_rounds() -> None:
    rounded = P.astype(np.float16).astype(np.float64) - 1e-4
    assert decisions(rounded / 2, Y, dict(zip("ab", fit_thresholds(P / 2, Y, 1.0), strict=True)))["thresholds"] == {
        "a": {"threshold": 0.099, "sensitivity": 1.0, "specificity": 0.0},
        "b": {"threshold": 0.274, "sensitivity": 1.0, "specificity": 0.75},
    }


def test_a_threshold_is_never_below_zero() -> None:
    assert fit_thresholds([[0.0005, 0.9995]], [0], 1.0) == [0.0, 0.5]


def test_rounding_asks_for_no_case_too_many() -> None:
    # 0.7 * 10 is 7.000000000000001 in floating point for some ways to get at 0.7.
    p = np.linspace(0.1, 1, 10)
    assert fit_thresholds(np.stack([p, 1 - p], 1), np.zeros(10, dtype=int), 0.1 + 0.6)[0] == p[3] - 0.001  # 0.4


def test_the_smallest_sensitivity_asks_for_one_case() -> None:
    assert fit_thresholds(P / 2, Y, 1e-12) == [0.449, 0.349]


@settings(max_examples=80, deadline=None)
@given(
    cases=st.lists(st.integers(0, 20), min_size=1, max_size=40),
    others=st.lists(st.integers(0, 20), max_size=10),
    percent=st.integers(1, 100),
)
def test_the_wanted_share_reaches_it_and_the_next_higher_would_miss(
    cases: list[int], others: list[int], percent: int
) -> None:
    values = np.array(cases + others) / 40
    labels = np.array([0] * len(cases) + [1] * len(others))
    threshold = fit_thresholds(np.stack([values, 1 - values], 1), labels, percent / 100)[0]
    own = np.array(cases) / 40
    # In whole numbers, free of rounding: found / n >= percent / 100.
    assert 100 * (own >= threshold).sum() >= percent * len(cases)
    assert 100 * (own > threshold + 0.002).sum() < percent * len(cases)


def test_class_without_cases_gets_a_half() -> None:
    assert fit_thresholds([[0.2, 0.7, 0.1]], [1], 0.9) == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("sensitivity", [0.0, -0.1, 1.01, float("nan")])
def test_impossible_sensitivity_is_refused(sensitivity: float) -> None:
    with pytest.raises(ValueError, match="sensitivity"):
        fit_thresholds(P, Y, sensitivity)


@pytest.mark.parametrize(("p", "y"), [(P, Y[:-1]), (P[:, 0], Y), (P, Y[:, None])])
def test_shapes_that_do_not_fit_are_refused(p: np.ndarray, y: np.ndarray) -> None:
    with pytest.raises(ValueError, match="belong together"):
        fit_thresholds(p, y, 0.9)


def test_calibration_is_temperature_then_thresholds() -> None:
    torch.manual_seed(0)
    logits, labels = 4 * torch.randn(60, 3), torch.arange(60) % 3
    calibration = calibrate(logits, labels, 0.8)
    assert calibration.temperature == fit_temperature(logits.numpy(), labels.numpy())
    p = calibration.probabilities(logits)
    assert p.dtype == np.float64
    np.testing.assert_allclose(p, (logits / calibration.temperature).softmax(1), atol=1e-6)
    assert calibration.thresholds == tuple(fit_thresholds(p, labels.numpy(), 0.8))
    # What was fitted on a split is reached on it, to the very case.
    account = calibration.account(logits, labels, ["a", "b", "c"])
    assert all(of_class["sensitivity"] == 0.8 for of_class in account["thresholds"].values())


def test_account_by_hand() -> None:
    # At temperature 2 the probabilities of class "b" are 0.8, 0.5, 0.2: logits 2 log(p / (1 - p)) against 0.
    logits = torch.tensor([[0.0, 2 * np.log(4)], [0.0, 0.0], [0.0, -2 * np.log(4)]])
    labels = torch.tensor([1, 1, 0])
    account = Calibration(2.0, (0.45, 0.6)).account(logits, labels, ["a", "b"])
    assert account["thresholds"] == {
        "a": {"threshold": 0.45, "sensitivity": 1.0, "specificity": 0.5},
        "b": {"threshold": 0.6, "sensitivity": 0.5, "specificity": 1.0},
    }
    # Class "a" has 0.2, 0.5, 0.8: the first image reaches "b" alone, the others "a" alone.
    assert account["decisions"] == {"none": 0, "one": 3, "several": 0}
    before = expected_calibration_error(logits.softmax(1).numpy(), labels.numpy())
    assert account["ece_before_calibration"] == before
    # 16/17 and 16/17 right in one bin, 0.5 wrong (the first of two equals) in another.
    assert before == pytest.approx((2 * (1 - 16 / 17) + 0.5) / 3)


def test_account_of_a_class_without_cases_and_one_with_nothing_else() -> None:
    account = Calibration(1.0, (0.5, 0.5)).account(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0]), "ab")
    assert account["thresholds"]["a"] == {"threshold": 0.5, "sensitivity": 0.5, "specificity": None}
    assert account["thresholds"]["b"] == {"threshold": 0.5, "sensitivity": None, "specificity": 0.5}


def test_decisions_count_images_by_the_thresholds_they_reach() -> None:
    # A probability that equals its threshold reaches it.
    p = [[0.6, 0.3, 0.1], [0.3, 0.3, 0.4], [0.3, 0.35, 0.35], [0.2, 0.25, 0.55]]
    found = decisions(p, [0, 1, 2, 2], {"a": 0.3, "b": 0.3, "c": 0.6})
    assert found["decisions"] == {"none": 1, "one": 0, "several": 3}
    assert found["thresholds"]["c"] == {"threshold": 0.6, "sensitivity": 0.0, "specificity": 1.0}
    assert found["thresholds"]["b"]["specificity"] == pytest.approx(1 / 3)
