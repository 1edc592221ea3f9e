"""Calibration as one step: the temperature, and from which probability a class counts as present."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from MonaiSKD.evaluation.calibration import expected_calibration_error, fit_temperature

# No other class can be as probable as one above it.
_CERTAIN = 0.5
# A threshold is chosen on this network's own probabilities, and asked of the exported file's, which are rounded (half
# precision: by up to 0.0001 in the shipped models): without a distance the case it stands on may miss it there.
_ROUNDING = 0.001


@dataclass(frozen=True)
class Calibration:
    """What validation data say about how to read the logits.

    Attributes:
        temperature: that logits are divided by.
        thresholds: K probabilities.
    """

    temperature: float
    thresholds: tuple[float, ...]

    def probabilities(self, logits: Tensor) -> npt.NDArray[np.float64]:
        """Logits [N, K] -> calibrated probabilities [N, K]."""
        result: npt.NDArray[np.float64] = (logits.double() / self.temperature).softmax(1).numpy()
        return result

    def account(self, logits: Tensor, labels: Tensor, class_names: Sequence[str]) -> dict[str, Any]:
        """Calibration error before the temperature, and what the thresholds reach (:func:`decisions`)."""
        thresholds = dict(zip(class_names, self.thresholds, strict=True))
        return {
            "ece_before_calibration": expected_calibration_error(logits.softmax(1).numpy(), labels.numpy()),
            **decisions(self.probabilities(logits), labels.numpy(), thresholds),
        }


def decisions(probabilities: npt.ArrayLike, labels: npt.ArrayLike, thresholds: Mapping[str, float]) -> dict[str, Any]:
    """What thresholds reach on labelled images: class by class, and how many images get a clear answer.

    Args:
        probabilities: [N, K].
        labels: [N], class indices.
        thresholds: class name -> the probability from which it counts as present, in the order of the columns.

    Returns:
        `thresholds`: name -> `threshold`, `sensitivity`, `specificity` (in [0, 1]; None for a class without a case, or
        with nothing but cases); `decisions`: how many of the N images reach the threshold of no class (`none`), of
        `one`, and of `several`, which cannot be told apart then.

    Example:
        >>> found = decisions([[0.7, 0.3], [0.5, 0.5], [0.3, 0.7]], [0, 1, 1], {"sick": 0.4, "well": 0.5})
        >>> found["decisions"], found["thresholds"]["sick"]
        ({'none': 0, 'one': 2, 'several': 1}, {'threshold': 0.4, 'sensitivity': 1.0, 'specificity': 0.5})
    """
    p, y = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    reached = p >= np.array(list(thresholds.values()))
    counts = reached.sum(1)
    return {
        "thresholds": {
            name: {
                "threshold": threshold,
                "sensitivity": _share(reached[y == k, k]),
                "specificity": _share(~reached[y != k, k]),
            }
            for k, (name, threshold) in enumerate(thresholds.items())
        },
        "decisions": {
            "none": int((counts == 0).sum()),
            "one": int((counts == 1).sum()),
            "several": int((counts > 1).sum()),
        },
    }


def _share(hits: npt.NDArray[np.bool_]) -> float | None:
    return float(hits.mean()) if hits.size else None


def calibrate(logits: Tensor, labels: Tensor, sensitivity: float) -> Calibration:
    """Fit temperature, then thresholds.

    Args:
        logits: [N, K], of validation data.
        labels: [N], class indices.
        sensitivity: see :func:`fit_thresholds`.
    """
    temperature = fit_temperature(logits.numpy(), labels.numpy())
    raw = Calibration(temperature, ())
    thresholds = fit_thresholds(raw.probabilities(logits), labels.numpy(), sensitivity)
    return Calibration(temperature, tuple(thresholds))


def fit_thresholds(probabilities: npt.ArrayLike, labels: npt.ArrayLike, sensitivity: float) -> list[float]:
    """The highest threshold of each class, but at most 0.5, that still finds the wanted share of its validation cases.

    Above 0.5 no other class can be as probable: a threshold there would withhold clear answers to hold the sensitivity
    of a good classifier down to the wanted one. It stays 0.001 below the case that decides it, so that the exported
    file, which rounds, finds that case as well.

    Args:
        probabilities: [N, K], calibrated, of validation data.
        labels: [N], class indices.
        sensitivity: the share of a class's cases whose probability must reach the threshold, in (0, 1].

    Returns:
        K thresholds in [0, 0.5]; a class without a case gets 0.5.

    Raises:
        ValueError: the sensitivity is out of bounds, or the shapes disagree.

    Example:
        >>> fit_thresholds([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.2, 0.8]], [0, 0, 1, 1], 1.0)
        [0.399, 0.5]
    """
    p, y = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    if not 0 < sensitivity <= 1:
        raise ValueError(f"the sensitivity must lie above 0 and at most at 1, not {sensitivity}")
    if p.ndim != 2 or y.shape != (len(p),):
        raise ValueError(f"probabilities {p.shape} and labels {y.shape} do not belong together")
    return [_threshold(p[y == k, k], sensitivity) for k in range(p.shape[1])]


def _threshold(cases: npt.NDArray[np.float64], sensitivity: float) -> float:
    if not cases.size:
        return _CERTAIN
    needed = max(1, int(np.ceil(sensitivity * cases.size - 1e-9)))
    return min(_CERTAIN, max(0.0, float(np.sort(cases)[::-1][needed - 1]) - _ROUNDING))
