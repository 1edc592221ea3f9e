"""Calibration: one temperature fitted on validation data, and the error that it is to lower.

Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, arXiv 1706.04599.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

BINS = 15
# On a small validation set without an error the likelihood alone would drive the temperature to zero.
TEMPERATURE_BOUNDS = (0.25, 10.0)


def fit_temperature(logits: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """The temperature T that minimises the mean negative log-likelihood of `softmax(logits / T)`.

    The likelihood is convex in 1/T, so its minimum within the bounds is the only one.

    Args:
        logits: [N, K], of validation data.
        labels: [N], class indices.

    Returns:
        T between 0.25 and 10; above 1 when the network is too confident.

    Raises:
        ValueError: empty or misshapen input, or values that are not finite.

    Example:
        >>> round(fit_temperature([[3.0, 0.0], [3.0, 0.0], [3.0, 0.0], [3.0, 0.0]], [0, 0, 0, 1]), 3)
        2.731
    """
    z, y = _checked(logits, labels)

    def loss(log_temperature: float) -> float:
        likelihood = log_softmax(z / np.exp(log_temperature), axis=1)
        return -float(likelihood[np.arange(len(y)), y].mean())

    low, high = np.log(TEMPERATURE_BOUNDS)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


@dataclass(frozen=True)
class Reliability:
    """Top-label confidence against accuracy, per case and in equal-width bins (lower, upper].

    Attributes:
        confidence: [N], the highest probability of each case.
        correct: [N], 1.0 where the most probable class is the label.
        bin: [N], index of the bin of each case.
        edges: [bins + 1].
    """

    confidence: Array
    correct: Array
    bin: Labels
    edges: Array

    def mean_of(self, values: Array) -> Array:
        """Mean of `values` [N] in each bin; NaN where a bin is empty."""
        counts = self.counts
        total = np.bincount(self.bin, weights=values, minlength=len(counts))
        mean: Array = np.divide(total, counts, out=np.full(len(counts), np.nan), where=counts > 0)
        return mean

    @property
    def counts(self) -> Array:
        """[bins], number of cases in each."""
        return np.bincount(self.bin, minlength=len(self.edges) - 1).astype(np.float64)


def reliability(probabilities: npt.ArrayLike, labels: npt.ArrayLike, bins: int = BINS) -> Reliability:
    """Sort cases into bins by their top-label confidence.

    Args:
        probabilities: [N, K], rows in [0, 1].
        labels: [N], class indices.
        bins: number of bins of equal width.

    Raises:
        ValueError: empty or misshapen input, or values that are not finite.
    """
    p, y = _checked(probabilities, labels)
    confidence = p.max(axis=1)
    correct = (p.argmax(axis=1) == y).astype(np.float64)
    index = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    return Reliability(confidence, correct, index, np.linspace(0.0, 1.0, bins + 1))


def expected_calibration_error(probabilities: npt.ArrayLike, labels: npt.ArrayLike, bins: int = BINS) -> float:
    """Mean distance between confidence and accuracy over bins, weighted by the cases in each (Guo et al., eq. 3).

    Args:
        probabilities: [N, K], rows in [0, 1].
        labels: [N], class indices.
        bins: number of bins of equal width.

    Returns:
        A value in [0, 1]; 0 is perfect.

    Raises:
        ValueError: empty or misshapen input, or values that are not finite.

    Example:
        >>> round(expected_calibration_error([[0.9, 0.1], [0.9, 0.1]], [0, 1]), 6)
        0.4
    """
    cases = reliability(probabilities, labels, bins)
    gap = np.bincount(cases.bin, weights=cases.correct - cases.confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(cases.bin))


def _checked(scores: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Array, Labels]:
    p, y = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    if p.ndim != 2 or p.shape[0] == 0 or p.shape[1] < 2:
        raise ValueError(f"scores must be [N, K] with at least one case and two classes, not {p.shape}")
    if y.shape != (len(p),) or not np.issubdtype(y.dtype, np.integer):
        raise ValueError(f"labels must be {len(p)} integers, not {y.dtype} of shape {y.shape}")
    if y.min() < 0 or y.max() >= p.shape[1]:
        raise ValueError(f"labels must lie in 0..{p.shape[1] - 1}, not {y.min()}..{y.max()}")
    if not np.isfinite(p).all():
        raise ValueError("scores hold NaN or infinity")
    return p, y.astype(np.int64)
