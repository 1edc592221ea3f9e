"""Processes beside the application: which Python, in which environment, and the end of a whole tree. No Qt."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import slicer

from SKDClassifierLib import Package

# Keeps Windows from opening a console window.
HIDDEN = getattr(subprocess, "CREATE_NO_WINDOW", 0)


def interpreter() -> str:
    """The Python that jobs run in: Slicer's where there is one, else this one.

    Raises:
        SKDError: this is Slicer, and its Python is not found.
    """
    home = getattr(getattr(slicer, "app", None), "slicerHome", None)
    beside = Path(str(home)) / "bin" / ("PythonSlicer.exe" if os.name == "nt" else "PythonSlicer")
    found = shutil.which("PythonSlicer") or (str(beside) if home and beside.is_file() else None)
    if found is not None:
        return found
    # In Slicer this may be the application itself, and a job would open a second Slicer.
    if "python" in Path(sys.executable).name.lower():
        return sys.executable
    Package.make_importable()
    from MonaiSKD.errors import SKDError

    raise SKDError("PythonSlicer", "Slicer's Python was not found", "Install Slicer again", "not_installed")


def environment() -> dict[str, str]:
    """The environment of this process, and MonaiSKD importable in it.

    PYTHONHOME stays as it is: the launcher of Slicer's Python sets its own, and any other Python runs with what this
    process runs with.
    """
    paths = [str(Package.make_importable()), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
        "PYTHONSAFEPATH": "1",  # files of the current folder are not modules
    }


def own_group(pid: Any) -> int | None:
    """The process group that a job leads, where it does."""
    if not hasattr(os, "getpgid") or not isinstance(pid, int):
        return None
    try:
        group = os.getpgid(pid)
    except ProcessLookupError:  # its workers may live
        return pid
    return group if group == pid and group != os.getpgrp() else None


def kill_group(group: int | None) -> None:
    """Kill a process group, if there is one."""
    if group is None:
        return
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # it is empty; macOS says so by the second
        return


def kill_tree(pid: int, group: int | None) -> None:
    """Kill a job with all that it started.

    Args:
        pid: of the process that was started; on Windows the launcher of Slicer's Python, and not the Python that works.
        group: that the job leads, on POSIX systems.
    """
    if os.name == "nt":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(pid)], check=False, creationflags=HIDDEN)
    kill_group(group)
