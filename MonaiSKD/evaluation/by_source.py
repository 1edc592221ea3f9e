"""Does a classifier go by the disease, or by where an image comes from? Its results source by source.

Where a label is frequent at one source and rare at another, a network can learn the source instead (DeGrave, Janizek &
Lee, Nature Machine Intelligence 3, 610-619, 2021). Images whose label is *unusual* for their source tell the two apart:
who goes by the source gives them a label that is usual there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import recall_score

from MonaiSKD.datasets import Case

Pair = tuple[str, str]
"""A source and a label."""


def usual_labels(pairs: Iterable[Pair]) -> set[Pair]:
    """The labels that are not clearly rarer at a source than among all images: at least half as frequent.

    Args:
        pairs: source and label of every image of the data set.

    Example:
        >>> sorted(usual_labels([("clinic", "sick")] * 3 + [("clinic", "well")] + [("web", "well")] * 3))
        [('clinic', 'sick'), ('web', 'well')]
    """
    counts = Counter(pairs)
    of_source, of_label = Counter[str](), Counter[str]()
    for (source, label), count in counts.items():
        of_source[source] += count
        of_label[label] += count
    images = counts.total()
    return {
        (source, label)
        for (source, label), count in counts.items()
        if 2 * count * images >= of_source[source] * of_label[label]
    }


def metrics_by_source(predicted: Sequence[str], cases: Sequence[Case], among: Sequence[Case]) -> dict[str, Any] | None:
    """Results source by source, and on images whose label is usual or unusual for their source.

    Args:
        predicted: N class names that the classifier gave.
        cases: the N images; those of no known source are left out.
        among: all images of the data set, which say what is usual (:func:`usual_labels`).

    Returns:
        `sources`: name -> `n`, `balanced_accuracy` (in [0, 1], over the classes that occur there), the one with most
        images first; `usual` and `unusual`: `n`, `correct` and `taken_for_usual`, the images that were given a wrong
        label which is usual for their source (None where `among` has two labels: every wrong one is the other). None
        where fewer than two sources are known.

    Raises:
        ValueError: `predicted` and `cases` differ in length.

    Example:
        >>> labels = ["sick"] * 3 + ["well"] + ["well"] * 6 + ["hurt"] * 2
        >>> cases = [Case(str(n), label, source="ab"[n > 3]) for n, label in enumerate(labels)]
        >>> found = metrics_by_source(["sick"] * 4 + labels[4:], cases, cases)
        >>> found["sources"]["a"], found["unusual"]
        ({'n': 4, 'balanced_accuracy': 0.5}, {'n': 1, 'correct': 0, 'taken_for_usual': 1})
    """
    named = [(given, case.source, case.label) for given, case in zip(predicted, cases, strict=True) if case.source]
    if len({source for _, source, _ in named}) < 2:
        return None
    pairs = [(case.source, case.label) for case in among if case.source]
    usual, several = usual_labels(pairs), len({label for _, label in pairs}) > 2
    given, sources, true = (np.array(column, dtype=object) for column in zip(*named, strict=True))
    expected = np.array([(source, label) in usual for _, source, label in named])
    taken = np.array([(source, guess) in usual for guess, source, _ in named])

    def account(chosen: npt.NDArray[np.bool_]) -> dict[str, int | None]:
        wrong = chosen & (given != true)
        return {
            "n": int(chosen.sum()),
            "correct": int((chosen & (given == true)).sum()),
            "taken_for_usual": int((wrong & taken).sum()) if several else None,
        }

    return {
        "sources": {
            source: {"n": count, "balanced_accuracy": _mean_recall(true[sources == source], given[sources == source])}
            for source, count in Counter(sources.tolist()).most_common()
        },
        "usual": account(expected),
        "unusual": account(~expected),
    }


def _mean_recall(true: npt.NDArray[Any], given: npt.NDArray[Any]) -> float:
    """Over the classes that occur; scikit-learn's balanced accuracy warns where others are given."""
    return float(recall_score(true.tolist(), given.tolist(), labels=sorted(set(true)), average="macro"))
