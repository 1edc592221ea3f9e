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

    Patients (an image without one counts as its own) are drawn at random, so that those of many images are in every
    split in proportion. First each split gets a patient of each class, the rarest class first; a class with fewer
    patients than splits is in the first split, then in those of the largest shares. Then each patient, those with most
    images first, goes to a split that still wants half of the patient's images or more, by a chance in proportion to
    what it wants; where none does, to the one that wants most (after Sechidis et al., "On the stratification of
    multi-label data", ECML 2011). A patient with more images than a small split wants is thus in a large one.

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
    division = _Division(cases, fractions, np.random.default_rng(seed))
    division.give_each_class()
    division.give_the_rest()
    return tuple(replace(case, split=division.given[patient_of(case)]) for case in sorted(cases, key=_path))


Patient = tuple[bool, str]


def patient_of(case: Case) -> Patient:
    """Whose image it is; an image's path never meets a patient's name."""
    return case.patient_id is None, case.patient_id or case.path


def _path(case: Case) -> str:
    return case.path


class _Division:
    """Patients on their way into splits.

    Attributes:
        given: the split of each patient that has one.
        wanted: how many images of each class a split still wants; less than 0 where it has more.
    """

    def __init__(self, cases: Sequence[Case], fractions: Mapping[str, float], generator: np.random.Generator) -> None:
        self._generator = generator
        images: dict[Patient, Counter[str]] = defaultdict(Counter)
        for case in cases:
            images[patient_of(case)][case.label] += 1
        keys = sorted(images)
        self._images = {keys[index]: images[keys[index]] for index in generator.permutation(len(keys))}
        self.given: dict[Patient, str] = {}
        first, *others = fractions
        self._splits = [first, *sorted(others, key=lambda split: -fractions[split])]
        self._totals = Counter(case.label for case in cases)
        self.wanted = {split: {n: round(fractions[split] * t) for n, t in self._totals.items()} for split in others}
        self.wanted[first] = {n: t - sum(self.wanted[split][n] for split in others) for n, t in self._totals.items()}

    def give_each_class(self) -> None:
        """A patient of each class for each split, as far as there are any."""
        of_class = {name: [key for key, labels in self._images.items() if name in labels] for name in self._totals}
        for split in self._splits:
            for name in sorted(of_class, key=lambda name: (len(of_class[name]), name)):
                free = [key for key in of_class[name] if key not in self.given]
                if free and not any(self.given.get(key) == split for key in of_class[name]):
                    fitting = (key for key in free if self._fits(key, split))
                    self._give(next(fitting, None) or min(free, key=self._size), split)

    def give_the_rest(self) -> None:
        """The other patients, those with most images first."""
        for key in sorted((key for key in self._images if key not in self.given), key=self._size, reverse=True):
            wishes = {split: self._wish(key, split) for split in self._splits}
            fitting = [split for split in self._splits if self._fits(key, split)]
            if fitting:
                chances = np.array([wishes[split] for split in fitting])
                self._give(key, fitting[self._generator.choice(len(fitting), p=chances / chances.sum())])
            else:
                self._give(key, max(wishes, key=lambda split: wishes[split]))

    def _give(self, key: Patient, split: str) -> None:
        self.given[key] = split
        for name, count in self._images[key].items():
            self.wanted[split][name] -= count

    def _size(self, key: Patient) -> int:
        return self._images[key].total()

    def _fits(self, key: Patient, split: str) -> bool:
        return all(self.wanted[split][name] >= count / 2 for name, count in self._images[key].items())

    def _wish(self, key: Patient, split: str) -> float:
        """How much of its classes a split wants, as shares of all their images, each class by the patient's part."""
        return sum(count * self.wanted[split][name] / self._totals[name] for name, count in self._images[key].items())
