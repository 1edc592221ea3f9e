from __future__ import annotations

from pathlib import Path

import pytest
from tinymodel import write_tiny_model


@pytest.fixture(scope="session")
def tiny_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A valid model file whose answers are known (see tests/tinymodel.py).

    For another rule than "chest_xray": `@pytest.mark.parametrize("tiny_model", ["lung_ct"], indirect=True)`.
    """
    rule = getattr(request, "param", "chest_xray")
    return write_tiny_model(tmp_path_factory.mktemp("model") / "model.onnx", rule)
