from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tinymodel import write_tiny_model

from MonaiSKD.runtime import Classifier

# The damaged files and the measuring of benchmarks/fuzz.
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Classifier]:
    """One on a tiny model for each rule."""
    from answered import RULES

    folder = tmp_path_factory.mktemp("models")
    return {rule: Classifier(write_tiny_model(folder / f"{rule}.onnx", rule), threads=1) for rule in RULES}
