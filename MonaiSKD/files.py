"""Writing files so that a final name never holds half a file, and no file is lost that was not meant to be replaced."""

from __future__ import annotations

import json
import os
import secrets
import stat
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from MonaiSKD.errors import SKDError

_MASK_LOCK = threading.Lock()
# What `train` leaves at the top of a run folder (docs/architecture.md); `engines/runfolder.py` is of the training half.
_RUN_FILES = (
    *("model.pt", "evidence.pt", "typicality.pt", "model.onnx", "config.json", "metrics.json", "plan.json"),
    *("report.html", "summary.png", "run.json"),
)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block succeeds, remove it when it fails.

    Args:
        path: the final name. Its folder is made when it is absent.

    Raises:
        SKDError: the folder or the file cannot be written (permissions, disk full).

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "a.txt"
        >>> with atomic_path(target) as beside:
        ...     _ = beside.write_text("whole")
        >>> target.read_text()
        'whole'
    """
    target = Path(path)
    # The suffix is kept: many writers choose the format by it. The name is chosen first, and the file made within the
    # block that removes it: a signal may come between any two steps, as it may after `tempfile.mkstemp`.
    beside = target.parent / f".{target.stem}.{secrets.token_urlsafe(6)}{target.suffix}"
    try:
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        yield beside
        os.chmod(beside, 0o666 & ~_mask())
        os.replace(beside, target)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and error.filename not in (None, str(beside), str(target)):
            raise  # of a file that the block reads
        raise _unwritable(target, error) from error
    finally:
        with suppress(OSError):  # it is the target now; or its folder refuses this, as it refused to have it made
            beside.unlink()


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn the system's refusal of what the block does into a problem with `path` that the user can mend."""
    try:
        yield
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: str | os.PathLike[str], error: OSError) -> SKDError:
    return SKDError(path, f"cannot be written ({_words(error)})", "Choose another folder")


def _words(error: OSError) -> str:
    """The system's own: pydicom raises its errors anew, with a traceback for words."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError) and link.strerror:
            return link.strerror
        link = link.__cause__ or link.__context__
    return str(error)


def output_file(path: str | os.PathLike[str], kept: Iterable[str | os.PathLike[str]] = ()) -> Path:
    """Where an output goes that the user named: tried before the work, so that it costs neither answers nor inputs.

    A file that is there already will be replaced; through a link, what the link points to.

    Args:
        path: the name.
        kept: files that are read; looked at only where there is a file of the name.

    Returns:
        the path to write, which is no link.

    Raises:
        SKDError: it is one of `kept`, no regular file, write-protected, or its folder cannot be written.
    """
    with writing(path):
        try:
            mode = Path(path).stat().st_mode
        except FileNotFoundError:
            mode = None
        target = Path(os.path.realpath(path) if Path(path).is_symlink() else path)
    if mode is not None:
        if not stat.S_ISREG(mode):
            kind = "folder" if stat.S_ISDIR(mode) else "pipe or device"
            raise SKDError(path, f"cannot be written, since it is a {kind}", "Name a file")
        if any(_is_open_as(target, number) for number in (1, 2)):
            raise SKDError(path, "is where this program's own words go", "Name another file")
        if any(os.path.exists(one) and target.samefile(one) for one in kept):  # noqa: PTH110, Path's may raise
            cause = "it is an input or part of the model, and would be lost"
            raise SKDError(path, cause, "Name another file for the output")
        if not mode & 0o222:  # renaming would not ask
            raise SKDError(path, "is write-protected", "Name another file, or lift the protection")
    check_writable(target.parent)
    return target


def _is_open_as(path: Path, number: int) -> bool:
    """Whether a descriptor of this process writes to the file, as standard output behind /dev/stdout does."""
    try:
        return os.path.samestat(path.stat(), os.fstat(number))
    except OSError:  # closed
        return False


def run_files(folder: str | os.PathLike[str]) -> list[Path]:
    """What `train` left in a run folder, where people keep results of their own, too; nothing of any other folder."""
    where = Path(folder)
    if not ((where / "model.pt").is_file() and (where / "config.json").is_file()):
        return []
    return [*(where / name for name in _RUN_FILES), *where.glob("checkpoints/*")]


def state_of(path: str | os.PathLike[str]) -> tuple[int, int, int] | None:
    """What changes when another program writes or replaces a file; None where there is none."""
    with writing(path):
        try:
            found = Path(path).stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns


def refuse_changed(path: str | os.PathLike[str], before: tuple[int, int, int] | None) -> None:
    """Refuse to replace what another program has written since `before` was the file's state.

    Raises:
        SKDError: it has.
    """
    if state_of(path) != before:
        raise SKDError(path, "was written by another program meanwhile, and is left as it is", "Name another file")


def reserve_beside(path: Path, suffix: str) -> Path:
    """Make an empty file called `path` with `suffix`, or with .2 and `suffix`, ...: the first that is not there yet.

    Example:
        >>> path = Path(tempfile.mkdtemp()) / "t.csv"
        >>> [reserve_beside(path, ".partial").name for _ in range(2)]
        ['t.csv.partial', 't.csv.2.partial']
    """
    number = 1
    while True:
        beside = path.with_name(f"{path.name}{'' if number == 1 else f'.{number}'}{suffix}")
        try:
            beside.open("x").close()
            return beside
        except FileExistsError:
            number += 1


def check_writable(folder: str | os.PathLike[str]) -> None:
    """Make a folder and a file without a name in it: before long work whose outcome shall go there.

    Raises:
        SKDError: the folder cannot be made, or no file in it.
    """
    with writing(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


def refuse_undecoded(name: str, thing: object, remedy: str) -> None:
    """Refuse a name that must be written as text and has bytes that are not UTF-8, which Python keeps as surrogates.

    Raises:
        SKDError: it has.
    """
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise SKDError(thing, "its name is not UTF-8", remedy) from error


def _mask() -> int:
    """The process's file mode creation mask, which can be read only by setting it: two threads must not interleave."""
    with _MASK_LOCK:
        mask = os.umask(0o077)
        os.umask(mask)
    return mask


def write_json(path: str | os.PathLike[str], data: Any) -> None:
    """Write `data` as indented UTF-8 JSON, whole or not at all (see :func:`atomic_path`).

    Bytes of a path that are not UTF-8, which Python keeps as surrogates, become JSON's escapes of these.
    """
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic_path(path) as beside:
        beside.write_text(text, encoding="utf-8", errors="backslashreplace")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file.

    Raises:
        SKDError: the file is absent, unreadable, or not JSON.
    """
    try:
        # Programs on Windows put a byte-order mark in front.
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SKDError(path, f"cannot be read ({error.strerror or error})", "Check the path") from error
    except ValueError as error:
        raise SKDError(path, f"is not valid JSON ({error})", "Write it again with the tool that made it") from error
