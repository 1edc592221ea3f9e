"""A share of the training images, whole patients at a time; validation and test images stay as they are."""

from __future__ import annotations

import csv
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from MonaiSKD.datasets import DataList, load_datalist
from MonaiSKD.datasets.cases import Case
from MonaiSKD.files import atomic_path


def subset(data: DataList, percent: int, seed: int) -> tuple[DataList, list[str]]:
    """The data with `percent` of its training images, and the paths of the others.

    Classes keep their shares, patients stay whole; the same for every row of a seed. Patients with most images are the
    first to be given away, and the larger part gets them, so that a share of the images below half is a larger share of
    the patients: 25 % of the images are 36 % of the patients of chest X-ray and 37 % of lung CT, 10 % are 15 and 18 %.
    """
    train = data.of("train")
    if percent == 100:
        return data, []
    divided = drawn_apart(train, {"train": percent / 100, "rest": 1 - percent / 100}, seed)
    rest = [case.path for case in divided if case.split == "rest"]
    others = tuple(case for case in data.cases if case.split != "train")
    kept = tuple(replace(case, split="train") for case in divided if case.split == "train")
    return DataList((*kept, *others), data.class_names), rest


def drawn_apart(cases: Sequence[Case], fractions: Mapping[str, float], seed: int) -> tuple[Case, ...]:
    """The cases with the part they are in as their split.

    All records of a share below 100 % were made with this draw, so it stays although
    :func:`MonaiSKD.datasets.splits.divide` draws without regard to a patient's number of images by now. Each patient
    goes to the part that is furthest below its share of the patient's classes.
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


def write_subset(manifest: Path, percent: int, seed: int, folder: Path) -> tuple[Path, Path | None]:
    """Write the share as a CSV, and links to the other training images in a folder; give both paths.

    The second is None where nothing is left over. What is there already is kept.
    """
    table, unlabeled = folder / "data.csv", folder / "unlabeled"
    if not table.exists():
        data, rest = subset(load_datalist(manifest), percent, seed)
        shutil.rmtree(unlabeled, ignore_errors=True)
        unlabeled.mkdir(parents=True)
        for number, path in enumerate(rest):
            (unlabeled / f"{number:05}{Path(path).suffix}").symlink_to(Path(path).resolve())
        write_list(data, table)
    return table, unlabeled if any(unlabeled.iterdir()) else None


def write_list(data: DataList, path: Path) -> Path:
    """Write the data as a CSV."""
    with atomic_path(path) as beside, beside.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "label", "split", "patient_id"])
        for case in data.cases:
            writer.writerow([Path(case.path).resolve(), case.label, case.split, case.patient_id or ""])
    return path
