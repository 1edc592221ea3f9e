"""What several test folders need."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # imported when a test asks for it
    from MonaiSKD.runtime import Classifier

# Sums depend on the number of threads, and runs in this process are compared with runs in child processes, bit by bit.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

# A shell that starts pytest in the background has it and its children ignore Ctrl-C, which some of them are told by.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real images, weights and schemas, which lie beside the repository and are never part of it."""
    if not SHARED.is_dir():
        pytest.skip("the folder of real images and weights beside the repository is absent")
    return SHARED


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory) -> Path:
    """A small data set of procedural brain slices; copy it before changing it."""
    from MonaiSKD.datasets.phantoms import write_phantoms

    folder = tmp_path_factory.mktemp("phantoms")
    write_phantoms(folder, "brain_mri", per_class=(8, 4, 4), size=64, seed=1)
    return folder


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A folder that is a disk of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here (needs root)")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory) -> Classifier:
    """On the tiny model for radiographs (see tinymodel.py); a folder may have its own."""
    return _tiny_classifier(tmp_path_factory.mktemp("m"), "chest_xray")


@pytest.fixture(scope="module")
def lungs(tmp_path_factory) -> Classifier:
    """On the tiny model for lung CT; a folder may have its own."""
    return _tiny_classifier(tmp_path_factory.mktemp("m"), "lung_ct")


def _tiny_classifier(folder: Path, rule: str) -> Classifier:
    from tinymodel import write_tiny_model

    from MonaiSKD.runtime import Classifier

    return Classifier(write_tiny_model(folder / "model.onnx", rule), threads=2)


@pytest.fixture
def in_browser(tmp_path) -> Callable[..., tuple[str, str]]:
    """Opens a page in a real browser; gives the document after its scripts ran, and what the console said."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no chromium on PATH to open the page with")

    def open_page(path: Path, anchor: str = "", width: int = 1200) -> tuple[str, str]:
        quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
        command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", *quiet, "--enable-logging=stderr"]
        command += [f"--window-size={width},900", f"--user-data-dir={tmp_path / 'profile'}"]
        command += ["--dump-dom", path.as_uri() + anchor]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        return done.stdout, "\n".join(console)

    return open_page
