"""A run folder belongs to one training: other images, another division or other options never go on there."""

import json
import shutil

import pytest
import torch

from MonaiSKD.bundle import find_bundle, run_training
from MonaiSKD.datasets import load_datalist
from MonaiSKD.engines.recipe import decisive
from MonaiSKD.engines.runfolder import claim, held_out_items, load_weights, save_model
from MonaiSKD.errors import SKDError
from MonaiSKD.models import Classifier

FEW = {"epochs": 1, "teacher_epochs": 0, "feature_epochs": 0, "finetune_epochs": 0, "compensation_images": 0}


@pytest.fixture(scope="module")
def images(phantoms, tmp_path_factory):
    """Without splits, so that they are drawn by the seed."""
    folder = tmp_path_factory.mktemp("images")
    for picture in phantoms.glob("*/*/*.png"):
        target = folder / picture.parent.name / f"{picture.parent.parent.name}_{picture.name}"
        target.parent.mkdir(exist_ok=True)
        shutil.copy(picture, target)
    return folder


@pytest.fixture(scope="module")
def options(images, small_options):
    return {**small_options, **FEW, "dataset_dir": str(images)}


def train(out, options, bundle="brain_mri"):
    run_training(find_bundle(bundle), {**options, "output_dir": str(out)})
    return torch.load(out / "model.pt", weights_only=True), json.loads((out / "config.json").read_text())


def refused(out, options, bundle="brain_mri") -> str:
    before = {path: path.read_bytes() for path in out.iterdir() if path.is_file()}
    with pytest.raises(RuntimeError) as caught:
        train(out, options, bundle)
    assert {path: path.read_bytes() for path in out.iterdir() if path.is_file()} == before
    assert isinstance(caught.value.__cause__, SKDError)
    return str(caught.value.__cause__)


@pytest.fixture(scope="module")
def run(tmp_path_factory, options):
    out = tmp_path_factory.mktemp("run")
    train(out, options)
    return out


def test_another_seed_draws_another_test_set_and_is_refused(run, options):
    cause = refused(run, {**options, "seed": 1})
    assert "seed 0 instead of 1" in cause
    assert "other images, classes or splits" in cause
    assert "another --out" in cause


def test_further_images_are_refused(run, options, images, tmp_path):
    more = tmp_path / "more"
    shutil.copytree(images, more)
    picture = next(iter(sorted(more.glob("*/*.png"))))
    shutil.copy(picture, picture.with_name("again.png"))
    assert "other images, classes or splits" in refused(run, {**options, "dataset_dir": str(more)})


def test_images_without_labels_count_by_their_content(run, options, images):
    folder = next(path for path in sorted(images.iterdir()) if path.is_dir())
    assert "other images without labels" in refused(run, {**options, "unlabeled": str(folder)})


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"epochs": 2}, "epochs 1 instead of 2"),
        ({"learning_rate": 0.5}, "learning_rate 0.002 instead of 0.5"),
        ({"val_interval": 2}, "val_interval 1 instead of 2"),
    ],
)
def test_other_options_are_refused(run, options, changed, told):
    assert told in refused(run, {**options, **changed})


def test_another_modality_is_refused(run, options):
    assert "modality 'brain_mri' instead of 'lung_ct'" in refused(run, options, "lung_ct")


def test_a_folder_that_does_not_say_what_it_is_of_is_refused(run, options, tmp_path):
    shutil.copytree(run, tmp_path / "old")
    (tmp_path / "old" / "run.json").unlink()
    assert "do not say" in refused(tmp_path / "old", options)
    shutil.rmtree(tmp_path / "old" / "checkpoints")  # as the remedy says
    (tmp_path / "old" / "model.onnx").write_bytes(b"of the earlier training")
    train(tmp_path / "old", options)
    assert not (tmp_path / "old" / "model.onnx").exists()  # `export` is null


def test_a_folder_that_is_taken_anew_keeps_what_it_has_until_there_are_new_results(tmp_path):
    names = {"model.pt", "model.onnx", "config.json", "notes.txt"}
    for name in names:
        (tmp_path / name).write_text("earlier")
    claim(tmp_path, {"seed": 1})
    assert {path.name for path in tmp_path.iterdir()} == {"run.json", *names}


def test_one_factor_of_augmentation_is_what_it_was_when_it_was_noted(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "dual.pt").write_text("")
    (tmp_path / "run.json").write_text('{"augmentation": 1.0}')
    claim(tmp_path, {"augmentation": decisive({"augmentation": [1.0, 0.0]})["augmentation"]})
    with pytest.raises(SKDError, match=r"augmentation \[1.0, 0.0\] instead of \[1.0, 1.0\]"):
        claim(tmp_path, {"augmentation": decisive({"augmentation": 1.0})["augmentation"]})


def test_weights_of_a_run_are_loaded_as_what_they_were_trained_as(run, options, tmp_path):
    names = options["class_names"]
    as_trained = {"student": "tf_efficientnet_lite_xs", "class_names": names, "modality": "brain_mri"}
    network = Classifier("tf_efficientnet_lite_xs", len(names), 32)
    load_weights(network, run / "model.pt", **as_trained)
    for changed, told in (
        ({"student": "efficientnet_lite0"}, "--student=tf_efficientnet_lite_xs"),
        ({"class_names": names[::-1]}, rf"--class_names='\[\"{names[0]}\", "),
        ({"modality": "lung_ct"}, "Use a bundle for brain_mri"),
    ):
        with pytest.raises(SKDError, match=told):
            load_weights(network, run / "model.pt", **{**as_trained, **changed})
    with pytest.raises(SKDError, match=r"image_size 32, not 64. Give --image_size=32 .in evaluation --recipe#"):
        load_weights(Classifier("tf_efficientnet_lite_xs", len(names), 64), run / "model.pt", **as_trained)
    shutil.copy(run / "model.pt", tmp_path)
    (tmp_path / "config.json").write_text('["of another program"]')
    load_weights(network, tmp_path / "model.pt", student="x", class_names=["y"], modality="z")


def test_a_drawn_test_split_is_measured_where_the_training_had_the_same(run, images, caplog):
    same, other = (load_datalist(images, seed=seed) for seed in (0, 1))
    assert held_out_items(same, run / "model.pt") == same.items("test")
    with pytest.raises(SKDError, match=r"no test split.*recipe#seed"):
        held_out_items(other, run / "model.pt")
    assert not caplog.messages
    assert held_out_items(other, images / "model.pt") == other.items("test")
    assert "figures hold only if it was not" in caplog.text


def test_other_weights_end_the_model_file_of_those_before(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"earlier")
    save_model(tmp_path, Classifier("test_vit", 2, 32))
    assert {path.name for path in tmp_path.iterdir()} == {"model.pt"}


def test_what_does_not_change_the_weights_may_change(run, options, images, tmp_path):
    before = torch.load(run / "model.pt", weights_only=True)
    shutil.copytree(run, tmp_path / "run")
    shutil.copytree(images, tmp_path / "elsewhere")
    outward = {"sensitivity": 0.7, "num_workers": 1, "cache_dir": str(tmp_path / "cache"), "quiet": False}
    weights, config = train(tmp_path / "run", {**options, **outward, "dataset_dir": str(tmp_path / "elsewhere")})
    assert all(torch.equal(weights[key], before[key]) for key in before)
    assert config["contract"]["sensitivity"] == 0.7


def test_a_run_without_fine_tuning_says_so(run):
    kept = json.loads((run / "config.json").read_text())["contract"]["kept"]
    assert kept == {"student": 0, "dual_epoch": 1, "finetune_epoch": None}
