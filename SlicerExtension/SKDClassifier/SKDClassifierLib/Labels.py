"""Labels that a reader gives case by case, safe on disk as soon as they are given. No Qt."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path

from SKDClassifierLib import Package

COLUMNS = ("path", "label", "time")


class LabelFile:
    """A CSV of labels beside the images: `path` relative to it, `label`, and when it was given (UTC).

    It is a data set as `monai-skd train` and `check-data` take it. Each change is written beside the file, forced to
    the disk and renamed, so that a crash costs no label and leaves no half of a file.

    Args:
        path: of the CSV; what it holds already is kept.

    Raises:
        SKDError: it is a CSV of another kind, or cannot be read.

    Example:
        labels = LabelFile("/data/labels.csv")
        labels.give("/data/a.dcm", "normal")
    """

    def __init__(self, path: str | Path) -> None:
        Package.make_importable()
        from MonaiSKD.errors import SKDError

        self.path = Path(path).absolute()
        self._rows: dict[str, tuple[str, str]] = {}
        self._history: list[tuple[str, tuple[str, str] | None]] = []
        if not self.path.exists():
            return
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file)
                if tuple(reader.fieldnames or ()) != COLUMNS:
                    cause = f"its columns are {', '.join(reader.fieldnames or ('none',))}, not {', '.join(COLUMNS)}"
                    raise SKDError(self.path, cause, "Move it away, or label images of another folder")
                for row in reader:
                    self._rows[row["path"]] = (row["label"], row["time"])
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise SKDError(self.path, f"cannot be read ({error})", "Check its permissions, or move it away") from error

    def give(self, case: str | Path, label: str) -> None:
        """Label a case, or label it anew; on disk when this returns.

        Raises:
            SKDError: the file cannot be written; the labels are then as before.
        """
        key = self._key(case)
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        before = self._rows.get(key)
        self._change(key, (label, now))
        self._history.append((key, before))

    def undo(self) -> Path | None:
        """Take back the last label given since the file was opened; gives its case, None where there is none."""
        if not self._history:
            return None
        key, before = self._history[-1]
        self._change(key, before)
        self._history.pop()
        return self._case(key)

    def label_of(self, case: str | Path) -> str | None:
        """The label of a case; None where it has none."""
        row = self._rows.get(self._key(case))
        return None if row is None else row[0]

    def counts(self, classes: Iterable[str]) -> dict[str, int]:
        """How many cases each class has."""
        labels = [label for label, _ in self._rows.values()]
        return {name: labels.count(name) for name in classes}

    def next_unlabelled(self, cases: list[Path], after: Path | None = None) -> Path | None:
        """The next case without a label, from `after` on and round again; None where all have one."""
        start = cases.index(after) + 1 if after in cases else 0
        for case in cases[start:] + cases[:start]:
            if self.label_of(case) is None:
                return case
        return None

    def __len__(self) -> int:
        return len(self._rows)

    def _key(self, case: str | Path) -> str:
        path = Path(case).absolute()
        try:
            return Path(os.path.relpath(path, self.path.parent)).as_posix()
        except ValueError:  # on another drive
            return path.as_posix()

    def _case(self, key: str) -> Path:
        return Path(os.path.normpath(self.path.parent / key))

    def _change(self, key: str, row: tuple[str, str] | None) -> None:
        rows = {other: value for other, value in self._rows.items() if other != key}
        if row is not None:
            rows[key] = row
        self._write(rows)
        self._rows = rows

    def _write(self, rows: dict[str, tuple[str, str]]) -> None:
        from MonaiSKD.files import atomic_path

        with atomic_path(self.path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows([key, *row] for key, row in sorted(rows.items()))
            file.flush()
            os.fsync(file.fileno())


def cases_in(folder: str | Path) -> list[Path]:
    """The images in a folder and below it, in the order of their paths; hidden files and other files are left out.

    Raises:
        SKDError: there is no image, or no such folder.
    """
    Package.make_importable()
    from MonaiSKD.errors import SKDError
    from MonaiSKD.reading import is_image_name

    root = Path(folder)
    found = (
        sorted(path for path in root.rglob("*") if path.is_file() and is_image_name(path.name)) if root.is_dir() else []
    )
    visible = [path for path in found if not any(part.startswith(".") for part in path.relative_to(root).parts)]
    if not visible:
        remedy = "Choose a folder with DICOM (.dcm), PNG, JPEG, TIFF or NIfTI files"
        raise SKDError(root, "holds no image", remedy, "not_found")
    return visible
