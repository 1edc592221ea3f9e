"""Dividing cases into splits: whole patients, the shares of the classes kept, the same division for the same seed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from MonaiSKD.datasets.cases import SPLITS, Case, Split
from MonaiSKD.errors import SKDError


def missing_splits(cases: Iterable[Case]) -> tuple[Split, ...]:
    """The splits that must be drawn: all where none is given; train and val, out of train, where val is missing."""
    given = {case.split for case in cases}
    if given == {None}:
        return SPLITS
    return ("train", "val") if "train" in given and "val" not in given else ()


def complete_splits(
    where: Path, cases: Sequence[Case], fractions: tuple[float, float, float], seed: int
) -> tuple[Case, ...]:
    """Give every case a split: all of them where none has one, or a validation split where only that is missing.

    Args:
        where: the data set, for the error message.
        cases: the cases; either all or none have a split.
        fractions: the shares of train, val and test.
        seed: which of the possible divisions is drawn.

    Raises:
        SKDError: the fractions are no shares, or some cases have a split and others have none.
    """
    if min(fractions) <= 0 or not np.isclose(sum(fractions), 1.0):
        raise SKDError("fractions", f"{fractions} are not three positive shares of 1", "Use for example 0.7, 0.1, 0.2")
    drawn = missing_splits(cases)
    if drawn == SPLITS:
        return divide(cases, dict(zip(SPLITS, fractions, strict=True)), seed)
    without = [case.path for case in cases if case.split is None]
    if without:
        cause = f"{without[0]} has no split while others have one"
        raise SKDError(where, cause, "Give a split to every image or to none")
    if drawn:
        train = [case for case in cases if case.split == "train"]
        share = fractions[1] / (fractions[0] + fractions[1])
        rest = [case for case in cases if case.split != "train"]
        return (*divide(train, {"train": 1 - share, "val": share}, seed), *rest)
    return tuple(cases)


def divide(cases: Sequence[Case], fractions: Mapping[str, float], seed: int) -> tuple[Case, ...]:
    """Divide cases among splits, whole patients at a time, keeping the shares of the classes.

    Patients (an image without one counts as its own) are drawn in a seeded order, those with most images first, and
    each goes to the split that is furthest below its share of the patient's classes (the greedy rule of Sechidis et
    al., "On the stratification of multi-label data", ECML 2011, for groups). The first split is served first: a
    class with one patient is in it alone; a class with as many patients as splits is meant to be in each.

    Args:
        cases: the cases; a split they have is replaced.
        fractions: the share of each split; they sum to 1.
        seed: which of the possible divisions is drawn; the order of `cases` does not matter.

    Returns:
        The cases with their splits, ordered by path.

    Example:
        >>> cases = [Case(f"{n}.png", "ab"[n % 2]) for n in range(20)]
        >>> divided = divide(cases, {"train": 0.7, "val": 0.1, "test": 0.2}, seed=0)
        >>> sorted(Counter((case.split, case.label) for case in divided).values())
        [1, 1, 2, 2, 7, 7]
    """
    patients: dict[tuple[bool, str], list[Case]] = defaultdict(list)
    for case in sorted(cases, key=lambda case: case.path):
        # An image's path never meets a patient's name.
        patients[(case.patient_id is None, case.patient_id or case.path)].append(case)
    keys = sorted(patients)
    drawn = [keys[index] for index in np.random.default_rng(seed).permutation(len(keys))]
    wanted = _wanted(patients.values(), fractions)
    sizes = Counter(case.label for case in cases)
    chosen: dict[tuple[bool, str], str] = {}
    for key in sorted(drawn, key=lambda key: -len(patients[key])):
        labels = Counter(case.label for case in patients[key])
        chosen[key] = max(
            fractions,
            key=lambda split: sum(count * wanted[split][name] / sizes[name] for name, count in labels.items()),
        )
        for name, count in labels.items():
            wanted[chosen[key]][name] -= count
    divided = (replace(case, split=chosen[key]) for key, group in patients.items() for case in group)
    return tuple(sorted(divided, key=lambda case: case.path))


def _wanted(patients: Iterable[Sequence[Case]], fractions: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """How many images of each class each split should get: its share, but at least one patient's where they suffice."""
    images: Counter[str] = Counter()
    groups: Counter[str] = Counter()
    for group in patients:
        images.update(case.label for case in group)
        groups.update({case.label for case in group})
    first, *others = fractions
    wanted: dict[str, dict[str, float]] = {split: {} for split in fractions}
    for name, total in images.items():
        one = total / groups[name]
        # Largest share first, so that two patients of three splits go to train and test.
        for rank, split in enumerate(sorted(others, key=lambda split: -fractions[split])):
            wanted[split][name] = max(one, fractions[split] * total) if groups[name] >= rank + 2 else 0.0
        wanted[first][name] = total - sum(wanted[split][name] for split in others)
    return wanted
