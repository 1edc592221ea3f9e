"""Phantoms small enough that a whole training takes seconds."""

from pathlib import Path

import pytest

from MonaiSKD.datasets.phantoms import write_phantoms

SMALL = {
    "image_size": 32, "batch_size": 8, "teacher_epochs": 1, "epochs": 3, "feature_epochs": 1, "finetune_epochs": 1,
    "compensation_images": 8, "quiet": True, "allow_leaks": True,
}  # fmt: skip


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    write_phantoms(folder, "brain_mri", per_class=(8, 4, 4), size=64, seed=1)
    return folder


@pytest.fixture(scope="session")
def small_options(phantoms) -> dict:
    return {
        **SMALL,
        "class_names": sorted(p.name for p in (phantoms / "train").iterdir()),
        "dataset_dir": str(phantoms),
    }
