"""`evaluate` measures what it says: never a drawn test split whose images the model was trained on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import onnx
import pytest

from MonaiSKD.bundle import find_bundle
from MonaiSKD.cli import main
from MonaiSKD.datasets import load_datalist
from MonaiSKD.errors import SKDError
from MonaiSKD.evaluating import evaluate, threshold_table
from MonaiSKD.runtime.contract import CONTRACT_KEY, read_contract, sealed

FAST = ["--image-size", "32", "--epochs", "1", "--quiet"] + [
    f"--set={text}" for text in ("batch_size=8", "feature_epochs=0", "finetune_epochs=0", "compensation_images=8")
]


@pytest.fixture(scope="module")
def data(phantoms, tmp_path_factory) -> Path:
    """Phantoms in class folders, without splits."""
    folder = tmp_path_factory.mktemp("undivided")
    for image in phantoms.glob("*/*/*.png"):
        (folder / image.parent.name).mkdir(exist_ok=True)
        shutil.copy(image, folder / image.parent.name / f"{image.parent.parent.name}_{image.name}")
    return folder


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> Path:
    """Trained on another division than that of seed 0."""
    folder = tmp_path_factory.mktemp("run")
    assert main(["train", "brain_mri", str(data), "--out", str(folder), "--seed", "1", *FAST]) == 0
    return folder


@pytest.fixture
def grown(data, tmp_path) -> Path:
    """The same images and one more."""
    shutil.copytree(data, tmp_path / "grown")
    image = next((data / "ring").iterdir())
    (tmp_path / "grown" / "ring" / "0.png").write_bytes(image.read_bytes() + b"\0")
    return tmp_path / "grown"


def measured(metrics: dict) -> tuple[str, int, int]:
    return metrics["split"], metrics["n"], metrics["images"]


def test_a_run_and_its_model_file_measure_the_division_of_their_training(run, data, tmp_path, capsys):
    moved = shutil.copytree(data, tmp_path / "elsewhere")
    recorded = json.loads((run / "metrics.json").read_text())
    assert read_contract(run / "model.onnx").seed == 1
    for model in (run, run / "model.pt", run / "model.onnx"):
        for split in ("test", "val"):
            found = evaluate(model, moved, split)
            assert measured(found) == (split, recorded[split]["n"], 48)
            # The file holds the weights in half precision.
            assert found["macro_auc"]["value"] == pytest.approx(recorded[split]["macro_auc"]["value"], abs=0.05)
        assert evaluate(model, moved)["split"] == "test"
    found = evaluate(run, moved)
    # What they reach hangs on the last digit here: this network gives all images nearly the same probabilities.
    for name, of in recorded["test"]["thresholds"].items():
        assert found["thresholds"][name]["threshold"] == of["threshold"]
    assert sum(found["decisions"].values()) == found["n"]
    assert main(["evaluate", str(run), str(moved)]) == 0
    said = capsys.readouterr().out
    assert f"{recorded['test']['n']} of 48 images: the test split." in said
    assert "one class {one}, of several {several}, of none {none}".format(**found["decisions"]) in said


def test_the_table_of_thresholds_says_what_is_undefined():
    of = {"sick": {"threshold": 0.25, "sensitivity": None, "specificity": 0.875}}
    table = threshold_table({"thresholds": of, "decisions": {"none": 1, "one": 2, "several": 3}})
    assert [line.split() for line in table.splitlines()[:2]] == [
        ["class", "threshold", "sensitivity", "specificity"],
        ["sick", "25", "undefined", "87.5"],
    ]
    assert table.endswith("one class 2, of several 3, of none 1")


@pytest.mark.parametrize("name", ["", "model.onnx"])
@pytest.mark.parametrize("split", [None, "test", "val", "train"])
def test_images_that_were_added_have_no_test_split(run, grown, name, split):
    with pytest.raises(SKDError, match=r"may hold images that the model was trained on.*--split all"):
        evaluate(run / name, grown, split)
    assert measured(evaluate(run / name, grown, "all")) == ("all", 49, 49)


def test_a_model_file_of_before_the_contract_had_a_seed_is_not_believed(run, data, tmp_path):
    model = onnx.load(run / "model.onnx")
    contract = json.loads({entry.key: entry.value for entry in model.metadata_props}[CONTRACT_KEY])
    assert contract.pop("seed") == 1
    onnx.helper.set_model_props(model, {CONTRACT_KEY: json.dumps(contract)})
    (tmp_path / "older.onnx").write_bytes(sealed(model.SerializeToString()))
    with pytest.raises(SKDError, match="may hold images that the model was trained on"):
        evaluate(tmp_path / "older.onnx", data, "test")
    assert measured(evaluate(tmp_path / "older.onnx", data, "all")) == ("all", 48, 48)


def test_splits_that_the_data_give_are_measured_as_given(run, data, tmp_path):
    images = sorted(data.glob("*/*.png"))
    lines = [f"{image},{image.parent.name},{'test' if number % 3 else 'train'}" for number, image in enumerate(images)]
    (tmp_path / "table.csv").write_text("\n".join(["path,label,split", *lines]))
    assert load_datalist(tmp_path / "table.csv").drawn == ("train", "val")
    assert measured(evaluate(run, tmp_path / "table.csv")) == ("test", 32, 48)
    with pytest.raises(SKDError, match="gives no val split"):
        evaluate(run, tmp_path / "table.csv", "val")


@pytest.fixture
def own(phantoms, tmp_path) -> Path:
    """Data of a user of a shipped model: its classes, no splits."""
    images = sorted(phantoms.glob("train/*/*.png"))
    for number, image in enumerate(images[:20]):
        folder = tmp_path / "own" / find_bundle("brain_mri").config["class_names"][number % 4]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, folder / image.name)
    return tmp_path / "own"


def test_a_shipped_model_measures_all_images_of_other_data(own, tmp_path, capsys):
    assert main(["evaluate", "brain_mri", str(own), "--json", str(tmp_path / "m.json")]) == 0
    assert measured(json.loads((tmp_path / "m.json").read_text())) == ("all", 20, 20)
    assert "All 20 images; the figures hold only if the model was trained on none" in capsys.readouterr().out
    with pytest.raises(SKDError, match="gives no test split"):
        evaluate("brain_mri", own, "test")


def test_intervals_are_drawn_over_the_patients_that_the_data_name(own, tmp_path):
    images = sorted(own.glob("*/*.png"))
    found = {}
    for name, patients in {"apart": range(20), "joined": [number // 10 for number in range(20)]}.items():
        lines = [f"{i},{i.parent.name},test,p{p}" for i, p in zip(images, patients, strict=True)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["path,label,split,patient_id", *lines]))
        found[name] = evaluate("brain_mri", tmp_path / f"{name}.csv")
    apart, joined = found["apart"]["accuracy"], found["joined"]["accuracy"]
    assert apart["value"] == joined["value"]
    assert apart != joined


def test_data_may_lack_classes_of_the_model_but_not_have_others(run, data, tmp_path):
    shutil.copytree(data, tmp_path / "some", ignore=shutil.ignore_patterns("ring"))
    found = evaluate(run, tmp_path / "some", "all")
    classes = json.loads((run / "config.json").read_text())["contract"]["class_names"]
    assert list(found["per_class"]) == classes
    assert found["per_class"]["ring"]["recall"]["value"] is None
    others = [found["per_class"][name]["recall"]["value"] for name in classes if name != "ring"]
    assert found["balanced_accuracy"]["value"] == pytest.approx(sum(others) / len(others))
    shutil.copytree(data / "ring", tmp_path / "some" / "halo")
    with pytest.raises(SKDError, match="halo"):
        evaluate(run, tmp_path / "some", "all")
