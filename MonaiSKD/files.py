"""Writing files so that a final name never holds half a file."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from MonaiSKD.errors import SKDError

_MASK_LOCK = threading.Lock()


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
    beside: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # The suffix is kept: many writers choose the format by it.
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}.", suffix=target.suffix)
        os.close(handle)
        beside = Path(name)
        yield beside
        os.chmod(beside, 0o666 & ~_mask())
        os.replace(beside, target)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and error.filename not in (None, str(beside), str(target)):
            raise
        raise SKDError(target, f"cannot be written ({error.strerror or error})", "Choose another folder") from error
    finally:
        if beside is not None:
            beside.unlink(missing_ok=True)


def check_writable(folder: str | os.PathLike[str]) -> None:
    """Make a folder and a file without a name in it: before long work whose outcome shall go there.

    Raises:
        SKDError: the folder cannot be made, or no file in it.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SKDError(folder, f"cannot be written ({error.strerror or error})", "Choose another folder") from error


def _mask() -> int:
    """The process's file mode creation mask, which can be read only by setting it: two threads must not interleave."""
    with _MASK_LOCK:
        mask = os.umask(0o077)
        os.umask(mask)
    return mask


def write_json(path: str | os.PathLike[str], data: Any) -> None:
    """Write `data` as indented UTF-8 JSON, whole or not at all (see :func:`atomic_path`)."""
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic_path(path) as beside:
        beside.write_text(text, encoding="utf-8")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file.

    Raises:
        SKDError: the file is absent, unreadable, or not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SKDError(path, f"cannot be read ({error.strerror or error})", "Check the path") from error
    except ValueError as error:
        raise SKDError(path, f"is not valid JSON ({error})", "Write it again with the tool that made it") from error
