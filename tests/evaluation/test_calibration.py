from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from MonaiSKD.evaluation import expected_calibration_error, fit_temperature
from MonaiSKD.evaluation.calibration import TEMPERATURE_BOUNDS, reliability


def calibrated_logits(n: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    logits = generator.normal(scale=2, size=(n, 3))
    return logits, np.array([generator.choice(3, p=row) for row in softmax(logits, axis=1)])


def test_temperature_of_scaled_logits_is_their_scale() -> None:
    logits, labels = calibrated_logits(4000)
    base = fit_temperature(logits, labels)
    assert base == pytest.approx(1.0, abs=0.05)
    assert fit_temperature(3 * logits, labels) == pytest.approx(3 * base, rel=1e-3)


def test_temperature_has_a_closed_form_for_two_equal_confidences() -> None:
    # Three of four right at logit gap 3: softmax(3 / T) = 3/4, so T = 3 / log 3.
    logits = [[3.0, 0.0]] * 4
    assert fit_temperature(logits, [0, 0, 0, 1]) == pytest.approx(3 / np.log(3), rel=1e-4)


def test_temperature_keeps_the_order_and_lowers_the_calibration_error() -> None:
    logits, labels = calibrated_logits(2000)
    before, after = softmax(3 * logits, axis=1), softmax(3 * logits / fit_temperature(3 * logits, labels), axis=1)
    assert (before.argmax(1) == after.argmax(1)).all()
    assert expected_calibration_error(after, labels) < expected_calibration_error(before, labels) / 3


@pytest.mark.parametrize(("labels", "bound"), [([0, 1], TEMPERATURE_BOUNDS[0]), ([1, 0], TEMPERATURE_BOUNDS[1])])
def test_temperature_stays_in_its_bounds(labels: list[int], bound: float) -> None:
    assert fit_temperature([[5.0, 0.0], [0.0, 5.0]], labels) == pytest.approx(bound, rel=1e-3)


def test_calibration_error_of_four_cases() -> None:
    p = [[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.3, 0.7]]
    # Confidence 0.9: one of two right, gap 0.4. Confidence 0.7: both right, gap 0.3.
    assert expected_calibration_error(p, [0, 1, 1, 1]) == pytest.approx(0.5 * 0.4 + 0.5 * 0.3)


def test_opposite_errors_within_one_bin_cancel() -> None:
    assert expected_calibration_error([[0.5, 0.5], [0.5, 0.5]], [0, 1]) == 0.0


def test_bins_are_closed_above() -> None:
    cases = reliability([[1.0, 0.0], [0.6, 0.4], [0.61, 0.39]], [0, 0, 1], bins=5)
    assert cases.bin.tolist() == [4, 2, 3]
    assert cases.counts.tolist() == [0, 0, 1, 1, 1]
    np.testing.assert_array_equal(cases.mean_of(cases.correct), [np.nan, np.nan, 1, 0, 1])


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="two classes"):
        fit_temperature([[1.0], [2.0]], [0, 0])
    with pytest.raises(ValueError, match="integers"):
        fit_temperature([[1.0, 2.0]], [0.5])
    with pytest.raises(ValueError, match="infinity"):
        fit_temperature([[1.0, np.inf]], [0])
