"""A trained run goes into its bundle only if the bundle's configuration is what made it."""

import json
import shutil

import pytest
import ship

from MonaiSKD.bundle import find_bundle
from MonaiSKD.errors import SKDError


def value(number):
    return {"value": number, "low": number - 0.05, "high": number + 0.050004}


@pytest.fixture
def bundle(tmp_path):
    shutil.copytree(find_bundle("lung_ct").folder / "configs", tmp_path / "bundle" / "configs")
    (tmp_path / "bundle" / "models").mkdir()
    return find_bundle(str(tmp_path / "bundle"))


@pytest.fixture
def run(tmp_path, bundle):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "model.pt").write_bytes(b"weights")
    (folder / "model.onnx").write_bytes(b"model file")
    contract = {"modality": "lung_ct", "class_names": ["covid", "noncovid"], "training_data_sha256": "abc"}
    contract["versions"] = {"MonaiSKD": "1.2.3"}
    write(folder / "config.json", {"contract": contract, "recipe": {**bundle.recipe, "quiet": True}})
    split = {"n": 10, "balanced_accuracy": value(0.75), "macro_auc": value(0.8), "ece": value(0.06), "per_class": {}}
    write(folder / "metrics.json", {"val": split, "test": {**split, "n": 20}, "cost": {"seconds": {"all": 600.0}}})
    return folder


def write(path, data):
    path.write_text(json.dumps(data))


def test_weights_model_file_and_metrics_arrive_and_the_rest_of_the_metadata_stays(bundle, run):
    ship.ship(bundle, run)
    assert (bundle.folder / "models" / "model.pt").read_bytes() == b"weights"
    assert (bundle.folder / "models" / "model.onnx").read_bytes() == b"model file"
    written = json.loads((bundle.folder / "configs" / "metadata.json").read_text())
    metrics = written.pop("metrics")
    assert written == {name: entry for name, entry in bundle.metadata.items() if name != "metrics"}
    assert metrics["test"]["images"] == 20
    assert metrics["test"]["macro_auc"] == {"value": 0.8, "low": 0.75, "high": 0.85}
    assert metrics["versions"] == {"MonaiSKD": "1.2.3"}
    assert metrics["training_minutes"] == 10
    assert metrics["training_data_sha256"] == "abc"


def test_a_run_of_another_recipe_is_refused(bundle, run):
    config = json.loads((run / "config.json").read_text())
    config["recipe"]["seed"] = 7
    del config["recipe"]["smoothing"]
    write(run / "config.json", config)
    with pytest.raises(SKDError, match="another seed, smoothing"):
        ship.ship(bundle, run)
    assert not list((bundle.folder / "models").iterdir())


def test_a_run_of_other_classes_is_refused(bundle, run):
    config = json.loads((run / "config.json").read_text())
    config["contract"]["class_names"] = ["ill", "well"]
    write(run / "config.json", config)
    with pytest.raises(SKDError, match="other classes"):
        ship.ship(bundle, run)


def test_a_file_that_is_too_large_for_git_is_refused(bundle, run, monkeypatch):
    monkeypatch.setattr(ship, "LIMIT", 7)
    with pytest.raises(SKDError, match="10 bytes, more than 7"):
        ship.ship(bundle, run)
    assert not list((bundle.folder / "models").iterdir())
