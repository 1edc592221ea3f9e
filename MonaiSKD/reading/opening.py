"""Opening what the user named without ever waiting for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from MonaiSKD.errors import SKDError


def open_plain(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a plain file for reading; a pipe would be waited for, and a device never ends.

    Args:
        path: the file, or a link to it.

    Raises:
        SKDError: not_found: it is absent, may not be read, or is a folder, a pipe, a socket or a device.
    """
    file = Path(path)
    try:
        # Of a folder, opening says what it is.
        if file.exists() and not (file.is_file() or file.is_dir()):
            raise SKDError(file, "is a pipe, a socket or a device, not a file", "Give a plain file", "not_found")
        return file.open("rb")
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        cause = f"cannot be read ({getattr(error, 'strerror', None) or error})"
        raise SKDError(file, cause, "Check the path", "not_found") from error


def is_plain(path: str | os.PathLike[str]) -> bool:
    """Whether it is a plain file, or a link to one; False for names that no file can have."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # too long a name, a folder that may not be entered
        return False


def is_dangling(path: str | os.PathLike[str]) -> bool:
    """Whether it is a link whose target is absent, such as a store that is not mounted."""
    return os.path.islink(path) and not os.path.exists(path)  # noqa: PTH110, PTH114, Path's may raise


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether it is a folder, or a link to one; False for names that none can have."""
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False


def real_path(path: str | os.PathLike[str]) -> str:
    """The path without links; as it is, where no file can have that name."""
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return str(path)
