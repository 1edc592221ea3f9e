"""Classification metrics, each with a bootstrap interval, as data that fits into JSON."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from MonaiSKD.evaluation.calibration import Array, Labels, reliability

Statistic = Callable[[Array], Array]

# Cases times resamples that are held in memory at once.
_CHUNK = 2_000_000
# Of the resamples, for an interval: those without a rare class are the others' worst, and leaving out many is a choice.
_DEFINED = 0.95


def classification_metrics(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    class_names: Sequence[str],
    *,
    groups: Sequence[Hashable] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Accuracy, balanced accuracy, AUC, recall and calibration error of a classifier.

    Every metric is `{"value", "low", "high"}`; `low` and `high` bound the 95 % percentile bootstrap interval. Cases are
    resampled plainly (not within classes), because the class frequencies of a test set are a sample too, and whole
    groups at a time, because images of one patient are alike: drawn one by one they would count as more than they say.
    A resample that lacks a class is left out for the metrics which that class enters. Where more than 5 % are left out,
    a class has too few cases for resampling to tell how sure the value is, and `low` and `high` are None. The
    calibration error of a resample is biased upwards, so an interval is widened to hold its value where needed.

    AUC is one against the rest; the macro AUC is its mean over the classes that have both positive and negative cases,
    balanced accuracy the mean recall of the classes that occur. What is undefined is None.

    Args:
        probabilities: [N, K], each row in [0, 1] with sum 1.
        labels: [N], class indices.
        class_names: K names, in the order of the columns.
        groups: N names of what is sampled, such as patients; by default every case is one.
        bootstrap: number of resamples; 0 leaves the intervals None.
        seed: of the resampling.

    Returns:
        `n`, `accuracy`, `balanced_accuracy`, `macro_auc`, `ece`, and `per_class`: name -> `n`, `auc`, `recall`.

    Raises:
        ValueError: misshapen or empty input, rows that are no probabilities, names that do not match the columns,
            groups that do not match the rows.

    Example:
        >>> m = classification_metrics([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], [0, 1, 1], ["normal", "pneumonia"])
        >>> m["accuracy"]["value"], m["per_class"]["pneumonia"]["recall"]["value"], m["macro_auc"]["value"]
        (0.6666666666666666, 0.5, 1.0)
    """
    p, y = _checked(probabilities, labels, class_names)
    groups = range(len(y)) if groups is None else groups
    if len(groups) != len(y):
        raise ValueError(f"{len(y)} groups are needed, one for each case, not {len(groups)}")
    statistics = _statistics(p, y)
    values = {name: float(statistic(np.ones((1, len(y))))[0]) for name, statistic in statistics.items()}
    drawn: dict[str, list[Array]] = {name: [] for name in statistics}
    for weights in resamples(groups, bootstrap, seed):
        for name, statistic in statistics.items():
            drawn[name].append(statistic(weights))
    metrics = {name: _with_interval(value, drawn[name]) for name, value in values.items()}
    per_class = {
        name: {"n": int((y == k).sum()), "auc": metrics.pop(f"auc {k}"), "recall": metrics.pop(f"recall {k}")}
        for k, name in enumerate(class_names)
    }
    return {"n": len(y), **metrics, "per_class": per_class}


def _checked(probabilities: npt.ArrayLike, labels: npt.ArrayLike, class_names: Sequence[str]) -> tuple[Array, Labels]:
    p, y = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    reliability(p, y)  # the same conditions on shapes and labels
    if p.min() < -1e-6 or np.abs(p.sum(axis=1) - 1).max() > 1e-3:
        raise ValueError("each row of probabilities must be non-negative with sum 1; apply softmax to logits first")
    if len(class_names) != p.shape[1] or len(set(class_names)) != len(class_names):
        raise ValueError(f"{p.shape[1]} different class names are needed, not {list(class_names)}")
    return p, y.astype(np.int64)


def _statistics(p: Array, y: Labels) -> dict[str, Statistic]:
    """One function per metric, from case weights [B, N] to values [B], NaN where the metric is undefined.

    The value itself is the statistic of equal weights, so value and interval share one definition.
    """
    cases = reliability(p, y)
    gap = np.zeros((len(y), len(cases.counts)))
    gap[np.arange(len(y)), cases.bin] = cases.correct - cases.confidence
    members = np.stack([y == k for k in range(p.shape[1])], axis=1)
    occurring = np.flatnonzero(members.any(axis=0))
    ranked = np.flatnonzero(members.any(axis=0) & ~members.all(axis=0))

    def recall(weights: Array, k: int) -> Array:
        return _ratio(weights @ (cases.correct * members[:, k]), weights @ members[:, k].astype(np.float64))

    def auc(weights: Array, k: int) -> Array:
        return weighted_auc(p[:, k], members[:, k], weights)

    def mean(metric: Callable[[Array, int], Array], classes: Labels, weights: Array) -> Array:
        per_class = [metric(weights, int(k)) for k in classes] or [np.full(len(weights), np.nan)]
        return np.asarray(np.mean(per_class, axis=0))

    return {
        "accuracy": lambda weights: weights @ cases.correct / weights.sum(axis=1),
        "balanced_accuracy": partial(mean, recall, occurring),
        "macro_auc": partial(mean, auc, ranked),
        "ece": lambda weights: np.abs(weights @ gap).sum(axis=1) / weights.sum(axis=1),
        **{f"auc {k}": partial(auc, k=k) for k in range(p.shape[1])},
        **{f"recall {k}": partial(recall, k=k) for k in range(p.shape[1])},
    }


def weighted_auc(scores: Array, positive: npt.NDArray[np.bool_], weights: Array) -> Array:
    """Area under the ROC curve for each row of case weights, ties counted half (the Mann-Whitney statistic).

    Args:
        scores: [N], higher for positive cases.
        positive: [N].
        weights: [B, N], how often each case counts.

    Returns:
        [B], NaN where a row has no positive or no negative case.
    """
    order = np.argsort(scores, kind="stable")
    _, starts = np.unique(scores[order], return_index=True)
    positives = np.add.reduceat(weights[:, order] * positive[order], starts, axis=1)
    negatives = np.add.reduceat(weights[:, order] * ~positive[order], starts, axis=1)
    below = np.cumsum(negatives, axis=1) - negatives
    wins = (positives * (below + negatives / 2)).sum(axis=1)
    return _ratio(wins, positives.sum(axis=1) * negatives.sum(axis=1))


def resamples(groups: Sequence[Hashable], bootstrap: int, seed: int = 0) -> Iterator[Array]:
    """Bootstrap over groups: how often each case counts when as many groups as there are are drawn with replacement.

    Args:
        groups: N names of what is drawn whole, such as patients.
        bootstrap: number of resamples.
        seed: of the draws.

    Returns:
        blocks [B, N] of weights, `bootstrap` rows in all.

    Example:
        >>> weights = np.concatenate(list(resamples(["x", "x", "y"], 100)))
        >>> weights.shape, bool((weights[:, 0] == weights[:, 1]).all()), set((weights[:, 0] + weights[:, 2]).tolist())
        ((100, 3), True, {2.0})
    """
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    members = np.array([numbers[group] for group in groups])
    generator = np.random.default_rng(seed)
    n = len(numbers)
    step = max(1, _CHUNK // len(members))
    for start in range(0, bootstrap, step):
        drawn = generator.multinomial(n, np.full(n, 1 / n), size=min(step, bootstrap - start))
        yield drawn[:, members].astype(np.float64)


def _ratio(numerator: Array, denominator: Array) -> Array:
    ratio: Array = np.divide(numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0)
    return ratio


def _with_interval(value: float, drawn: list[Array]) -> dict[str, float | None]:
    if np.isnan(value):
        return {"value": None, "low": None, "high": None}
    resampled = np.concatenate(drawn) if drawn else np.empty(0)
    defined = resampled[np.isfinite(resampled)]
    if not len(defined) or len(defined) < _DEFINED * len(resampled):
        return {"value": value, "low": None, "high": None}
    low, high = np.percentile(defined, [2.5, 97.5])
    return {"value": value, "low": min(float(low), value), "high": max(float(high), value)}
