"""Labels that a reader gives case by case, safe on disk as soon as they are given. No Qt."""

from __future__ import annotations

import csv
import errno
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from SKDClassifierLib import Package

COLUMNS = ("path", "label", "time")
Row = tuple[str, str]  # label, time


class LabelFile:
    """A CSV of labels beside the images: `path` relative to it, `label`, and when it was given (UTC).

    It is a data set as `monai-skd train` and `check-data` take it. Each change is written beside the file, forced to
    the disk and renamed, so that a crash costs no label and leaves no half of a file. Several programs may label into
    one file: each change begins from what the file holds at that moment, and one program writes at a time.

    Args:
        path: of the CSV; what it holds already is kept.

    Raises:
        SKDError: it is a CSV of another kind, a line of it is not whole, or it cannot be read.

    Example:
        labels = LabelFile("/data/labels.csv")
        labels.give("/data/a.dcm", "normal")
    """

    def __init__(self, path: str | Path) -> None:
        Package.make_importable()
        self.path = Path(path).absolute()
        self._rows: dict[str, Row] = {}
        self._history: list[tuple[str, Row, Row | None]] = []
        self.reload()

    def reload(self) -> None:
        """Read the file again, for the labels that others gave meanwhile.

        Raises:
            SKDError: it is a CSV of another kind, a line of it is not whole, or it cannot be read.
        """
        self._rows = _read(self.path)

    def give(self, case: str | Path, label: str) -> None:
        """Label a case, or label it anew; on disk when this returns.

        Raises:
            SKDError: the file cannot be written, the labels are then as before; or another program labelled the case
                meanwhile, its label is then kept and known here, and giving the label again replaces it.
        """
        key = self._key(case)
        row = (label, datetime.now(timezone.utc).isoformat(timespec="seconds"))
        before = self._rows.get(key)
        self._change(key, before, row)
        self._history.append((key, row, before))

    def undo(self) -> Path | None:
        """Take back the last label given since the file was opened; gives its case, None where there is none.

        Raises:
            SKDError: the file cannot be written; or another program changed the label since, it then stays.
        """
        if not self._history:
            return None
        key, given, before = self._history[-1]
        try:
            self._change(key, given, before)
        finally:
            if self._rows.get(key) != given:  # taken back, or somebody else's by now
                self._history.pop()
        return self._case(key)

    @property
    def can_undo(self) -> bool:
        """Whether a label was given since the file was opened."""
        return bool(self._history)

    def label_of(self, case: str | Path) -> str | None:
        """The label of a case; None where it has none."""
        row = self._rows.get(self._key(case))
        return None if row is None else row[0]

    def counts(self, classes: Iterable[str] = ()) -> dict[str, int]:
        """How many cases each class has: the named ones, then any others in the file."""
        found = Counter(label for label, _ in self._rows.values())
        names = [*classes]
        return {name: found[name] for name in [*names, *sorted(set(found) - set(names))]}

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

    def _change(self, key: str, known: Row | None, wanted: Row | None) -> None:
        """Replace the row that is known here by the wanted one; refuse where the file has another by now."""
        from MonaiSKD.errors import SKDError

        with _alone(self.path):
            rows = _read(self.path)
            found = rows.get(key)
            if found != known:
                self._rows = rows
                cause = "was given the label " + repr(found[0]) if found else "lost its label"
                remedy = "Look at it again; your label can still be given, and replaces the other"
                raise SKDError(Path(key).name, f"{cause} by another program meanwhile", remedy)
            rows.pop(key, None)
            if wanted is not None:
                rows[key] = wanted
            _write(self.path, rows)
            self._rows = rows


def _read(path: Path) -> dict[str, Row]:
    """The rows of the file; none where it is absent."""
    from MonaiSKD.errors import SKDError

    if not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                cause = f"its columns are {', '.join(reader.fieldnames or ('none',))}, not {', '.join(COLUMNS)}"
                raise SKDError(path, cause, "Move it away, or label images of another folder")
            return dict(_row(row, path, reader.line_num) for row in reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SKDError(path, f"cannot be read ({error})", "Check its permissions, or move it away") from error


def _row(row: dict[str, str | None], path: Path, line: int) -> tuple[str, Row]:
    """A row of the file; writing would lose what a broken one says."""
    from MonaiSKD.errors import SKDError

    case, label, time = (row[name] for name in COLUMNS)
    if not case or not label or time is None or len(row) > len(COLUMNS):
        raise SKDError(path, f"its line {line} is not whole", "Mend or remove that line")
    return case, (label, time)


def _write(path: Path, rows: dict[str, Row]) -> None:
    from MonaiSKD.files import atomic_path

    with atomic_path(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([key, *row] for key, row in sorted(rows.items()))
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock of a label file, in a hidden file beside it; a program that dies lets go of it."""
    from MonaiSKD.errors import SKDError

    lock = None
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(path.parent / f".{path.name}.lock", os.O_RDWR | os.O_CREAT, 0o666)
            _lock(lock)
        except OSError as error:
            remedy = "Copy the images into a folder that you may write to"
            raise SKDError(path, f"cannot be written ({error.strerror or error})", remedy) from error
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _lock(file: int) -> None:
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(file, msvcrt.LK_LOCK, 1)  # waits up to ten seconds
        return
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        # Some network shares know no locks; reading the file right before writing it must do there.
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise


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
