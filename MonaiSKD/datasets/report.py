"""What the checks found, as data and in words."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from dataclasses import dataclass
from typing import Any, Literal

from MonaiSKD.datasets.duplicates import Duplicate
from MonaiSKD.datasets.shortcuts import Shortcut

Verdict = Literal["ok", "warnings", "unusable", "leak"]

MAX_IMBALANCE = 3.0
FEW_IMAGES = 10
_VERDICTS: dict[Verdict, str] = {
    "ok": "OK: nothing found that would spoil a result",
    "warnings": "WARNINGS: a result on these data needs a caveat",
    "unusable": "UNUSABLE: train refuses these data",
    "leak": "LEAK: test results would be too good; train refuses these data",
}


@dataclass(frozen=True)
class DataReport:
    """What :func:`MonaiSKD.datasets.checks.check_data` found.

    Args:
        class_names: the classes.
        counts: per split, the number of images of each class.
        unreadable: the files that cannot be used, each with the reason.
        other_modality: those of them that are of another modality than they were read as.
        small: files whose shorter side is below 96 pixels.
        exact_duplicates: groups of files with equal decoded pixels.
        near_duplicates: pairs of files that look alike without being equal.
        divided_patients: patients in more than one split, with an image of each of these splits.
        shortcuts: trivial properties, each with how well it alone tells the classes apart.
    """

    class_names: tuple[str, ...]
    counts: dict[str, dict[str, int]]
    unreadable: dict[str, str]
    other_modality: tuple[str, ...]
    small: tuple[str, ...]
    exact_duplicates: tuple[Duplicate, ...]
    near_duplicates: tuple[Duplicate, ...]
    divided_patients: dict[str, tuple[str, ...]]
    shortcuts: tuple[Shortcut, ...]

    @property
    def verdict(self) -> Verdict:
        """ "leak" if splits share pictures or patients, else "unusable" if a file is, else "warnings" or "ok".

        Training refuses the first two: it leaves no labelled file out in silence.
        """
        if any(self._leaks()):
            return "leak"
        if self.unreadable:
            return "unusable"
        return "warnings" if any(self._warnings()) else "ok"

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence per problem with its remedy, leaks first."""
        return (*self._leaks(), *self._unusable(), *self._warnings())

    def _leaks(self) -> Iterator[str]:
        if groups := [group for group in self.exact_duplicates if group.across_splits]:
            yield f"{_count(groups, 'picture')} in more than one split ({_names(groups[0])}): keep one copy."
        if self.divided_patients:
            patient, paths = next(iter(self.divided_patients.items()))
            how_many = _count(self.divided_patients, "patient")
            yield f"{how_many} in more than one split ({patient}: {', '.join(paths)}): move each to one split."

    def _unusable(self) -> Iterator[str]:
        if foreign := self.other_modality:
            example = f"{foreign[0]}: {self.unreadable[foreign[0]]}"
            remedy = "replace or remove, or name another --modality"
            yield f"{_count(foreign, 'unusable file')} of another modality ({example}): {remedy}."
        if others := [path for path in self.unreadable if path not in set(foreign)]:
            example = f"{others[0]}: {self.unreadable[others[0]]}"
            yield f"{_count(others, 'unusable file')} ({example}): replace or remove."

    def _warnings(self) -> Iterator[str]:
        yield from self._duplicate_warnings()
        if self.small:
            yield f"{_count(self.small, 'image')} with a side below 96 pixels ({self.small[0]}): use larger originals."
        yield from self._count_warnings()
        for shortcut in self.shortcuts:
            if shortcut.flagged:
                score, chance = f"{shortcut.balanced_accuracy:.0%}", f"{shortcut.chance:.0%}"
                yield f"{shortcut.name} alone reaches {score} balanced accuracy (chance {chance}): {shortcut.remedy}."

    def _duplicate_warnings(self) -> Iterator[str]:
        exact, near = self.exact_duplicates, self.near_duplicates
        if groups := [group for group in exact if group.mixed_labels]:
            yield f"{_count(groups, 'picture')} under two classes ({_names(groups[0])}): correct the label."
        if groups := [group for group in exact if not group.across_splits]:
            yield f"{_count(groups, 'picture')} more than once in a split ({_names(groups[0])}): keep one copy."
        if pairs := [pair for pair in near if pair.across_splits]:
            yield f"{_count(pairs, 'near-duplicate pair')} across splits ({_names(pairs[0])}): keep one of each."
        if pairs := [pair for pair in near if pair.mixed_labels]:
            yield f"{_count(pairs, 'near-duplicate pair')} under two classes ({_names(pairs[0])}): look at them."
        if pairs := [pair for pair in near if not pair.across_splits]:
            yield f"{_count(pairs, 'near-duplicate pair')} within a split ({_names(pairs[0])}): consider keeping one."

    def _count_warnings(self) -> Iterator[str]:
        for split, counts in self.counts.items():
            few = [f"{name} {count}" for name, count in counts.items() if count < FEW_IMAGES]
            if not sum(counts.values()):
                yield f"there are no {split} images: give this split, or leave out all splits to have them drawn."
            elif few:
                yield f"{split} has few images ({', '.join(few)}): its figures will be coarse; add some."
        train = self.counts["train"]
        if min(train.values()) and max(train.values()) > MAX_IMBALANCE * min(train.values()):
            rare, common = min(train, key=lambda name: train[name]), max(train, key=lambda name: train[name])
            yield f"train has {train[common] / train[rare]:.1f} times as many {common} as {rare}: add images of {rare}."

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON data, with the verdict and the problems in words."""
        return {
            "verdict": self.verdict,
            "problems": list(self.problems),
            "class_names": list(self.class_names),
            "counts": self.counts,
            "unreadable": self.unreadable,
            "other_modality": list(self.other_modality),
            "small": list(self.small),
            "exact_duplicates": [group.to_dict() for group in self.exact_duplicates],
            "near_duplicates": [pair.to_dict() for pair in self.near_duplicates],
            "divided_patients": {patient: list(paths) for patient, paths in self.divided_patients.items()},
            "shortcuts": [shortcut.to_dict() for shortcut in self.shortcuts],
        }

    def text(self) -> str:
        """The report for a terminal: the counts, the trivial properties, the verdict, one line per problem."""
        width = max(len(name) for name in (*self.class_names, "split"))
        header = "  ".join(["split".ljust(width), *(name.rjust(max(width, 6)) for name in self.class_names), "   all"])
        lines = [header]
        for split, counts in self.counts.items():
            cells = [str(counts[name]).rjust(max(width, 6)) for name in self.class_names]
            lines.append("  ".join([split.ljust(width), *cells, str(sum(counts.values())).rjust(6)]))
        if self.shortcuts:
            lines += ["", f"one property alone, balanced accuracy (chance {self.shortcuts[0].chance:.0%})"]
            lines += [f"  {s.name:<28}{s.balanced_accuracy:>5.0%}{'  !' if s.flagged else ''}" for s in self.shortcuts]
        lines += ["", _VERDICTS[self.verdict], *(f"- {problem}" for problem in self.problems)]
        return "\n".join(lines)


def _count(found: Sized, noun: str) -> str:
    return f"{len(found)} {noun}{'s' if len(found) > 1 else ''}"


def _names(found: Duplicate) -> str:
    return ", ".join(found.paths[:2])
