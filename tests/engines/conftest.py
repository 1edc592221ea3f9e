"""Options small enough that a whole training takes seconds."""

import pytest

SMALL = {
    "image_size": 32, "batch_size": 8, "teacher_epochs": 1, "epochs": 3, "feature_epochs": 1, "finetune_epochs": 1,
    "compensation_images": 8, "quiet": True, "allow_leaks": True, "export": None,
}  # fmt: skip


@pytest.fixture(scope="session")
def small_options(phantoms) -> dict:
    return {
        **SMALL,
        "class_names": sorted(p.name for p in (phantoms / "train").iterdir()),
        "dataset_dir": str(phantoms),
    }
