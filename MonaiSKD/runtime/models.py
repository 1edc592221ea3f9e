"""Which file a model's name stands for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from shlex import quote

from MonaiSKD.bundle import Bundle, list_bundles
from MonaiSKD.errors import SKDError

MODEL_NAME = "model.onnx"


def find_model(model: str | os.PathLike[str]) -> Path:
    """The model file of a bundle's short name, a bundle folder, a run folder, or of its own path.

    Args:
        model: such as "chest_xray", "runs/first" or "model.onnx".

    Raises:
        SKDError: there is none.
    """
    path = Path(model)
    if path.is_file():
        return path
    for folder in (path, path / "models"):
        if (folder / MODEL_NAME).is_file():
            return folder / MODEL_NAME
    bundles = {bundle.name: bundle for bundle in list_bundles()}
    if path.is_dir() and str(model) not in bundles:  # a folder of data may be called as a bundle is
        remedy = f"Write one with: monai-skd export {quote(str(path))} --out {quote(str(path / MODEL_NAME))}"
        raise SKDError(path, f"the folder holds no {MODEL_NAME}", remedy, code="not_found")
    return _of_bundle(str(model), bundles)


def _of_bundle(name: str, bundles: Mapping[str, Bundle]) -> Path:
    if name not in bundles:
        cause = "there is no such file, run folder or bundle"
        remedy = f"Give an .onnx file, a run folder, or one of {', '.join(bundles)}"
        raise SKDError(f"model {name!r}", cause, remedy, code="not_found")
    file = bundles[name].folder / "models" / MODEL_NAME
    if not file.is_file():
        cause = "the bundle holds no trained model"
        remedy = f"Train one with: monai-skd train {name} DATA --out RUN; then give RUN as the model"
        raise SKDError(f"model {name!r}", cause, remedy, code="not_found")
    return file
