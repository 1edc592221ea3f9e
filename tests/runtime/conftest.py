from __future__ import annotations

from pathlib import Path

import pytest
from tinymodel import write_tiny_model

from MonaiSKD.runtime import Classifier


@pytest.fixture(scope="session")
def tiny_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A valid model file whose answers are known (see tests/tinymodel.py).

    For another rule than "chest_xray": `@pytest.mark.parametrize("tiny_model", ["lung_ct"], indirect=True)`.
    """
    rule = getattr(request, "param", "chest_xray")
    return write_tiny_model(tmp_path_factory.mktemp("model") / "model.onnx", rule)


@pytest.fixture(scope="module")
def classifier(tiny_model: Path) -> Classifier:
    """On the tiny model, with four threads."""
    return Classifier(tiny_model, threads=4)


@pytest.fixture(scope="module")
def lung_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model for lung CT."""
    return write_tiny_model(tmp_path_factory.mktemp("lungs") / "model.onnx", "lung_ct")


@pytest.fixture(scope="module")
def lungs(lung_model: Path) -> Classifier:
    """On the tiny model for lung CT, with four threads."""
    return Classifier(lung_model, threads=4)
