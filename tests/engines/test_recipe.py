"""What a recipe may say, and that it is asked before anything is read."""

import json
import math

import pytest
import torch

from MonaiSKD.bundle import find_bundle, list_bundles, prepare_training
from MonaiSKD.engines import check_recipe, check_settings
from MonaiSKD.errors import SKDError
from MonaiSKD.training import _DEMO

SETTINGS = {
    "title": "Mine", "model": {"name": "mine", "version": "1.0"}, "modality": "lung_ct",
    "device": torch.device("cpu"), "val_interval": 1,
}  # fmt: skip
RECIPE = dict(find_bundle("brain_mri").recipe)


@pytest.mark.parametrize("bundle", list_bundles(), ids=lambda bundle: bundle.name)
def test_the_bundles_own_recipes_pass_and_so_does_the_demo(bundle):
    check_recipe(bundle.recipe)
    check_recipe({**bundle.recipe, **{name: value for name, value in _DEMO.items() if name in bundle.recipe}})


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("epochs", 0, r"a whole number in \[1, inf\)"),
        ("epochs", 2.5, "a whole number"),
        ("epochs", "many", "a whole number"),
        ("feature_epochs", -1, r"a whole number in \[0, inf\)"),
        ("image_size", 15, r"a whole number in \[16, inf\)"),
        ("seed", 2**32, r"a whole number in \[0, 4294967295\]"),
        ("students", 3, r"a whole number in \[1, 2\]"),
        ("sensitivity", 90, r"a number in \(0, 1\]"),
        ("learning_rate", 0, r"a number in \(0, inf\)"),
        ("learning_rate", math.nan, "a number"),
        ("skd", math.inf, r"a number in \[0, inf\)"),
        ("skd", True, "a number"),
        ("label_start", 1.0, r"a number in \[0, 1\)"),
        ("coupling", "crss", "own, cross or mean"),
        ("initialisation", "selected", "selection or random"),
        ("unlabeled_in", "feature", "features or all"),
        ("precision", "half", "auto, float32, bfloat16 or float16"),
        ("export", "fp16", "null, float32, float16 or int8"),
        ("augmentation", -1, r"a number in \[0, inf\), or two"),
        ("augmentation", [1, "0"], "a number"),
        ("augmentation", [1, 0, 0], "a number"),
        ("augmentation", "11", "a number"),
        ("selection", {"width": "narrow"}, "depth: .*; width: uniform, consecutive"),
        ("selection", {"phase": 1}, "depth: first, uniform or ends"),
        ("quiet", "yes", "true or false"),
        ("student", None, "a name"),
        ("unlabeled", 3, "a path, or null"),
    ],
)
def test_a_wrong_value_is_refused_with_those_that_are_right(name, value, remedy):
    with pytest.raises(SKDError, match=f"^option '{name}': it cannot be .*Use {remedy}"):
        check_recipe({**RECIPE, name: value})


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("title", None, "a text"),
        ("model", {"name": "mine"}, r'texts for both, as in \{"name"'),
        ("model", "mine", "texts for both"),
        ("modality", "ct", "chest_xray, lung_ct or brain_mri"),
        ("modality", [], "chest_xray"),
        ("device", "foo", "--device"),
        ("val_interval", 0, r"a whole number in \[1, inf\)"),
    ],
)
def test_a_wrong_setting_beside_the_recipe_is_refused_with_those_that_are_right(name, value, remedy):
    check_settings(**SETTINGS)
    with pytest.raises(SKDError, match=f"^option '{name}': it cannot be .*Use {remedy}"):
        check_settings(**{**SETTINGS, name: value})


def test_a_cache_is_a_folder_or_becomes_one(tmp_path):
    check_recipe({**RECIPE, "cache_dir": str(tmp_path)})
    check_recipe({**RECIPE, "cache_dir": str(tmp_path / "new")})
    (tmp_path / "file").touch()
    with pytest.raises(SKDError, match=r"'cache_dir'.*a folder, or null"):
        check_recipe({**RECIPE, "cache_dir": str(tmp_path / "file")})


@pytest.mark.parametrize("value", [None, "float32", "float16", "int8"])
def test_every_way_to_export_passes(value):
    check_recipe({**RECIPE, "export": value})


@pytest.mark.parametrize("value", [0, 1.5, [1, 0], (2.0, 2.0)])
def test_augmentation_is_one_factor_or_two(value):
    check_recipe({**RECIPE, "augmentation": value})


def test_entries_that_are_unknown_or_absent_are_refused():
    with pytest.raises(SKDError, match=r"'epoks'.*no such entry"):
        check_recipe({**RECIPE, "epoks": 3})
    with pytest.raises(SKDError, match=r"'epochs'.*no such entry"):
        check_recipe({name: value for name, value in RECIPE.items() if name != "epochs"})


@pytest.mark.parametrize("way", ["mixup", "cutmix"])
def test_images_without_labels_are_not_mixed(way):
    unlabeled = {**RECIPE, "unlabeled": "somewhere", "unlabeled_in": "all"}
    with pytest.raises(SKDError, match=r"without labels.*unlabeled_in=features"):
        check_recipe({**unlabeled, way: 0.2})
    check_recipe(unlabeled)
    check_recipe({**unlabeled, way: 0.2, "unlabeled_in": "features"})
    check_recipe({**unlabeled, way: 0.2, "unlabeled": None})


def test_some_epochs_are_left_for_the_labels():
    with pytest.raises(SKDError, match=r"label_start.*none of 4 epochs"):
        check_recipe({**RECIPE, "features": 1.0, "epochs": 4, "label_start": 0.9})
    check_recipe({**RECIPE, "features": 1.0, "epochs": 4, "label_start": 0.8})
    check_recipe({**RECIPE, "features": 0.0, "epochs": 4, "label_start": 0.9})  # without a teacher they do not wait


@pytest.mark.parametrize("name", ["brain_mri", "chest_xray", "lung_ct"])
@pytest.mark.parametrize(("option", "value"), [("export", "fp16"), ("val_interval", 0), ("device", "foo")])
def test_a_training_asks_before_it_reads_a_single_file(name, option, value, tmp_path):
    options = {"dataset_dir": str(tmp_path / "absent"), "output_dir": str(tmp_path / "run"), option: value}
    with pytest.raises(RuntimeError) as caught:
        prepare_training(find_bundle(name), options).initialize()
    assert isinstance(caught.value.__cause__, SKDError)
    assert f"'{option}'" in str(caught.value.__cause__)
    assert list(tmp_path.iterdir()) == []
    overlay = json.loads((find_bundle(name).folder / "configs" / "multi_gpu_train.json").read_text())
    assert overlay["initialize"][:2] == find_bundle(name).config["initialize"][:2]


@pytest.mark.parametrize(
    ("options", "rates"),
    [
        ({}, (0.002, 0.002)),
        ({"student": "tf_efficientnet_lite0"}, (0.002, 0.002)),
        ({"student": "vit_tiny_patch14_dinov2"}, (0.0002, 0.0002)),
        ({"recipe#student": "vit_tiny_patch16_224"}, (0.0002, 0.0002)),
        ({"student": "vit_tiny_patch14_dinov2", "learning_rate": 0.001}, (0.001, 0.0002)),
        ({"student": "vit_tiny_patch14_dinov2", "recipe#feature_learning_rate": 0.001}, (0.0002, 0.001)),
        ({"student": "resnet18"}, (0.002, 0.002)),  # of no family
        ({"student": "unheard_of"}, (0.002, 0.002)),  # refused later, by name
    ],
)
def test_a_transformer_learns_at_a_rate_that_it_bears_unless_another_is_set(options, rates):
    recipe = prepare_training(find_bundle("brain_mri"), options).parser["recipe"]
    assert (recipe["learning_rate"], recipe["feature_learning_rate"]) == rates
