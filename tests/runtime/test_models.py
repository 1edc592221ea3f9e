"""Which file a model's name stands for."""

from __future__ import annotations

import json
import shlex

import pytest

import MonaiSKD.bundle
from MonaiSKD.errors import SKDError
from MonaiSKD.runtime import Classifier, find_model


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """The folder of the only bundle there is, "knee_mri", which holds no model."""
    folder = tmp_path / "bundles" / "knee_mri_classification"
    (folder / "configs").mkdir(parents=True)
    for name in ("train", "metadata"):
        (folder / "configs" / f"{name}.json").write_text(json.dumps({}))
    monkeypatch.setattr(MonaiSKD.bundle, "bundles_folder", lambda: folder.parent)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return folder


def refusal(model) -> SKDError:
    with pytest.raises(SKDError) as caught:
        find_model(model)
    assert caught.value.code == "not_found"
    return caught.value


def with_model(folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(b"")
    return folder / "model.onnx"


def test_a_file_is_the_model_whatever_its_name(tmp_path):
    (tmp_path / "mine.bin").write_bytes(b"")
    assert find_model(tmp_path / "mine.bin") == tmp_path / "mine.bin"
    assert find_model(str(tmp_path / "mine.bin")) == tmp_path / "mine.bin"


def test_a_run_folder_holds_its_model(tmp_path):
    file = with_model(tmp_path / "run")
    assert find_model(tmp_path / "run") == file


def test_a_bundle_folder_holds_its_model_below_models(tmp_path):
    file = with_model(tmp_path / "b" / "models")
    assert find_model(tmp_path / "b") == file


def test_a_folder_without_a_model_says_how_to_write_one(tmp_path):
    refused = refusal(tmp_path)
    assert "holds no model.onnx" in refused.cause
    assert refused.remedy == f"Write one with: monai-skd export {tmp_path} --out {tmp_path / 'model.onnx'}"


def test_the_command_that_writes_one_can_be_pasted_whatever_the_folder_is_called(tmp_path):
    folder = tmp_path / "my run; $HOME"
    folder.mkdir()
    command = refusal(folder).remedy.removeprefix("Write one with: ")
    assert shlex.split(command) == ["monai-skd", "export", str(folder), "--out", str(folder / "model.onnx")]


def test_a_short_name_stands_for_the_model_in_the_bundle(bundle):
    file = with_model(bundle / "models")
    assert find_model("knee_mri") == file


def test_a_bundle_without_a_model_says_how_to_train_one(bundle):
    refused = refusal("knee_mri")
    assert refused.cause == "the bundle holds no trained model"
    assert refused.remedy == "Train one with: monai-skd train knee_mri DATA --out RUN; then give RUN as the model"
    with pytest.raises(SKDError, match="no trained model"):
        Classifier("knee_mri")


def test_a_folder_of_data_does_not_hide_the_bundle_of_the_same_name(bundle, tmp_path):
    file = with_model(bundle / "models")
    (tmp_path / "elsewhere" / "knee_mri").mkdir()
    assert find_model("knee_mri") == file
    file.unlink()
    assert "no trained model" in refusal("knee_mri").cause


def test_a_run_folder_with_a_model_goes_before_the_bundle_of_the_same_name(bundle, tmp_path):
    with_model(bundle / "models")
    with_model(tmp_path / "elsewhere" / "knee_mri")
    assert find_model("knee_mri").resolve() == tmp_path / "elsewhere" / "knee_mri" / "model.onnx"


@pytest.mark.parametrize("name", ["knee", "no/such.onnx", "knee_mri.onnx"])
def test_an_unknown_name_is_refused_with_those_there_are(bundle, name):
    refused = refusal(name)
    assert refused.thing == f"model {name!r}"
    assert refused.remedy == "Give an .onnx file, a run folder, or one of knee_mri"
