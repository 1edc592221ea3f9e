"""What several test folders need."""

import os
from pathlib import Path

import pytest

# Sums depend on the number of threads, and runs in this process are compared with runs in child processes, bit by bit.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

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
