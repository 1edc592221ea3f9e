"""From which probability a class counts as present, for a sensitivity that the user chose."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def fit_thresholds(probabilities: npt.ArrayLike, labels: npt.ArrayLike, sensitivity: float) -> list[float]:
    """The highest threshold of each class that still finds the wanted share of its validation cases.

    Args:
        probabilities: [N, K], calibrated, of validation data.
        labels: [N], class indices.
        sensitivity: the share of a class's cases whose probability must reach the threshold, in (0, 1].

    Returns:
        K thresholds in [0, 1]; a class without a case gets 0.5.

    Raises:
        ValueError: the sensitivity is out of bounds, or the shapes disagree.

    Example:
        >>> fit_thresholds([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8]], [0, 0, 1, 1], 0.5)
        [0.9, 0.8]
    """
    p, y = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    if not 0 < sensitivity <= 1:
        raise ValueError(f"the sensitivity must lie above 0 and at most at 1, not {sensitivity}")
    if p.ndim != 2 or y.shape != (len(p),):
        raise ValueError(f"probabilities {p.shape} and labels {y.shape} do not belong together")
    return [_threshold(p[y == k, k], sensitivity) for k in range(p.shape[1])]


def _threshold(cases: npt.NDArray[np.float64], sensitivity: float) -> float:
    if not cases.size:
        return 0.5
    needed = int(np.ceil(sensitivity * cases.size - 1e-9))
    return float(np.sort(cases)[::-1][needed - 1])
