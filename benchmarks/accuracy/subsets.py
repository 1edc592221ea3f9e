"""A share of the training images, whole patients at a time; validation and test images stay as they are."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

from MonaiSKD.datasets import DataList, load_datalist
from MonaiSKD.datasets.splits import divide
from MonaiSKD.files import atomic_path


def subset(data: DataList, percent: int, seed: int) -> tuple[DataList, list[str]]:
    """The data with `percent` of its training images, and the paths of the others.

    Classes keep their shares, patients stay whole; the same for every row of a seed.
    """
    train = data.of("train")
    if percent == 100:
        return data, []
    divided = divide(train, {"train": percent / 100, "rest": 1 - percent / 100}, seed)
    rest = [case.path for case in divided if case.split == "rest"]
    others = tuple(case for case in data.cases if case.split != "train")
    kept = tuple(replace(case, split="train") for case in divided if case.split == "train")
    return DataList((*kept, *others), data.class_names), rest


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
