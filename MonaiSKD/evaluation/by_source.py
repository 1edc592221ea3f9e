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

Pair = tuple[str, str]
"""A source and a label."""


def usual_labels(pairs: Iterable[Pair]) -> set[Pair]:
    """The labels that are at least as frequent at a source as among all images.

    Args:
        pairs: source and label of every image of the data set.

    Example:
        >>> sorted(usual_labels([("clinic", "sick"), ("clinic", "sick"), ("clinic", "well"), ("web", "well")]))
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
        if count * images >= of_source[source] * of_label[label]
    }


def metrics_by_source(
    predicted: npt.ArrayLike,
    labels: npt.ArrayLike,
    sources: Sequence[str],
    usual: set[Pair],
    class_names: Sequence[str],
) -> dict[str, Any]:
    """Results source by source, and on images whose label is usual or unusual for their source.

    Args:
        predicted: [N], class indices that the classifier gave.
        labels: [N], true class indices.
        sources: N sources.
        usual: as :func:`usual_labels` finds them in the whole data set.
        class_names: K names.

    Returns:
        `sources`: name -> `n`, `balanced_accuracy` (in [0, 1], over the classes that occur there), the one with most
        images first; `usual` and `unusual`: `n`, `correct` and `taken_for_usual`, the images that were given a wrong
        label which is usual for their source.

    Raises:
        ValueError: the three sequences differ in length.

    Example:
        >>> found = metrics_by_source([0, 1, 0], [0, 1, 1], ["a", "b", "a"], {("a", "sick"), ("b", "well")},
        ...                           ["sick", "well"])
        >>> found["sources"]["a"], found["unusual"]
        ({'n': 2, 'balanced_accuracy': 0.5}, {'n': 1, 'correct': 0, 'taken_for_usual': 1})
    """
    given, true = np.asarray(predicted), np.asarray(labels)
    if not len(given) == len(true) == len(sources):
        raise ValueError(f"{len(given)} predictions, {len(true)} labels and {len(sources)} sources do not match")
    places = np.asarray(sources, dtype=object)
    expected = np.array([(s, class_names[k]) in usual for s, k in zip(sources, true, strict=True)], dtype=bool)
    taken = np.array([(s, class_names[k]) in usual for s, k in zip(sources, given, strict=True)], dtype=bool)

    def account(chosen: npt.NDArray[np.bool_]) -> dict[str, int]:
        wrong = chosen & (given != true)
        return {
            "n": int(chosen.sum()),
            "correct": int((chosen & (given == true)).sum()),
            "taken_for_usual": int((wrong & taken).sum()),
        }

    return {
        "sources": {
            source: {"n": count, "balanced_accuracy": _balanced(given[places == source], true[places == source])}
            for source, count in Counter(sources).most_common()
        },
        "usual": account(expected),
        "unusual": account(~expected),
    }


def _balanced(given: npt.NDArray[Any], true: npt.NDArray[Any]) -> float:
    """Mean recall of the classes that occur (scikit-learn warns where others are predicted)."""
    return float(np.mean([(given[true == k] == k).mean() for k in np.unique(true)]))
