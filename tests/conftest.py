"""What several test folders need."""

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real images, weights and schemas, which lie beside the repository and are never part of it."""
    if not SHARED.is_dir():
        pytest.skip("the folder of real images and weights beside the repository is absent")
    return SHARED
