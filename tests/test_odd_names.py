"""Names of files and classes that an output cannot write, or that are not UTF-8, as the command line meets them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def command(*arguments: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Of a real child process: names are bytes there."""
    whole = [sys.executable, "-m", "MonaiSKD", *(os.fsencode(str(argument)) for argument in arguments)]
    return subprocess.run(whole, capture_output=True, env=os.environ | environment, timeout=300)


@pytest.fixture
def leaky(phantoms: Path, tmp_path: Path) -> Path:
    """Phantoms with a class of a name that few encodings have, and one picture in two splits."""
    folder = Path(shutil.copytree(phantoms, tmp_path / "data"))
    for ring in folder.glob("*/ring"):
        ring.rename(ring.with_name("≥ring"))
    picture, *_ = sorted((folder / "train" / "≥ring").iterdir())
    shutil.copy(picture, folder / "test" / "≥ring" / "copy.png")
    return folder


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("cp1252", "\\u2265ring"),
        ("ascii:surrogateescape", "\\u2265ring"),
        ("cp1252:replace", "?ring"),
        ("utf-8", "≥ring"),
    ],
)
def test_what_the_output_cannot_write_is_escaped_and_changes_no_exit_code(
    leaky: Path, encoding: str, shown: str
) -> None:
    done = command("check-data", leaky, "--modality", "brain_mri", PYTHONIOENCODING=encoding)
    assert done.returncode == 3, done.stderr
    assert shown in done.stdout.decode()
