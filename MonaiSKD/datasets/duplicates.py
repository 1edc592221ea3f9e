"""The same picture more than once, and the same patient in two splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from MonaiSKD.datasets.cases import Case
from MonaiSKD.datasets.facts import Facts

MAX_BITS_APART = 4
MIN_CORRELATION = 0.98
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class Duplicate:
    """Two or more files that show the same picture.

    Args:
        paths: the files.
        labels: the class of each.
        splits: the split of each.
    """

    paths: tuple[str, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...]

    @property
    def across_splits(self) -> bool:
        """Whether two splits share the picture."""
        return len(set(self.splits)) > 1

    @property
    def mixed_labels(self) -> bool:
        """Whether the picture is said to be of two classes."""
        return len(set(self.labels)) > 1

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON data."""
        return {key: list(value) for key, value in asdict(self).items()}


def _duplicate(cases: Sequence[Case]) -> Duplicate:
    return Duplicate(
        tuple(case.path for case in cases),
        tuple(case.label for case in cases),
        tuple(str(case.split) for case in cases),
    )


def find_exact_duplicates(hashed: Iterable[tuple[str, Case]]) -> tuple[Duplicate, ...]:
    """Groups of cases with the same pixel hash.

    Args:
        hashed: pixel hash and case of each image.
    """
    groups: dict[str, list[Case]] = defaultdict(list)
    for sha256, case in hashed:
        groups[sha256].append(case)
    return tuple(_duplicate(group) for group in groups.values() if len(group) > 1)


def find_near_duplicates(facts: Sequence[Facts]) -> tuple[Duplicate, ...]:
    """Pairs that look alike and are not exactly alike.

    Alike means: 64-bit perceptual hashes at most 4 bits apart, and 64x64 thumbnails that correlate above 0.98.
    """
    if not facts:
        return ()
    # The product of two vectors of +1 and -1 is 64 minus twice the bits in which they differ.
    signs = np.stack([np.where(fact.phash, 1.0, -1.0) for fact in facts]).astype(np.float32)
    length = signs.shape[1]
    pairs: list[Duplicate] = []
    for start in range(0, len(facts), _ROWS_AT_ONCE):
        apart = (length - signs[start : start + _ROWS_AT_ONCE] @ signs.T) / 2
        rows, others = np.nonzero(apart <= MAX_BITS_APART + 0.5)
        for first, second in zip((rows + start).tolist(), others.tolist(), strict=True):
            if first < second and _look_alike(facts[first], facts[second]):
                pairs.append(_duplicate((facts[first].case, facts[second].case)))
    return tuple(pairs)


def _look_alike(one: Facts, other: Facts) -> bool:
    if one.sha256 == other.sha256:
        return False
    first, second = (fact.thumbnail.astype(np.float64).ravel() for fact in (one, other))
    first, second = first - first.mean(), second - second.mean()
    size = float(np.sqrt((first @ first) * (second @ second)))
    return size > 0 and float(first @ second) > MIN_CORRELATION * size


def find_divided_patients(cases: Iterable[Case]) -> dict[str, tuple[str, ...]]:
    """The patients whose images are in more than one split, with an image of each of these splits."""
    seen: dict[str, dict[str, str]] = defaultdict(dict)
    for case in cases:
        if case.patient_id is not None:
            seen[case.patient_id].setdefault(str(case.split), case.path)
    return {patient: tuple(paths.values()) for patient, paths in seen.items() if len(paths) > 1}
