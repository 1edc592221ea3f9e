"""Each bundle is what MONAI's own commands expect, and differs from the others only where its modality does."""

import json
import pydoc
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigWorkflow, ckpt_export, verify_metadata, verify_net_in_out

from MonaiSKD.bundle import find_bundle, list_bundles, prepare_training
from MonaiSKD.datasets.phantoms import write_phantoms
from MonaiSKD.engines import load_weights
from MonaiSKD.errors import SKDError
from MonaiSKD.models import Classifier
from MonaiSKD.reading import IMAGE_SUFFIXES

ROOT = Path(__file__).parents[2] / "bundles"
BUNDLES = sorted(ROOT.glob("*_classification"))
FAST = {
    "recipe#image_size": 32, "recipe#batch_size": 8, "recipe#teacher_epochs": 1, "recipe#epochs": 2,
    "recipe#feature_epochs": 1, "recipe#finetune_epochs": 1, "recipe#compensation_images": 8, "recipe#quiet": True,
}  # fmt: skip


def read(bundle: Path, name: str) -> dict:
    return json.loads((bundle / "configs" / name).read_text())


@pytest.fixture(params=BUNDLES, ids=lambda bundle: bundle.name)
def bundle(request) -> Path:
    return request.param


def test_there_are_three_and_their_names_say_classification():
    assert [bundle.name for bundle in BUNDLES] == [f"{bundle.name}_classification" for bundle in list_bundles()]
    assert [bundle.name for bundle in list_bundles()] == ["brain_mri", "chest_xray", "lung_ct"]


def test_the_files_that_the_model_zoo_asks_for_are_there(bundle):
    for name in (
        "LICENSE", "docs/README.md", "docs/data_license.txt", "configs/metadata.json", "configs/logging.conf",
        "configs/train.json", "configs/evaluate.json", "configs/inference.json", "configs/multi_gpu_train.json",
    ):  # fmt: skip
        assert (bundle / name).stat().st_size > 0, name
    metadata = read(bundle, "metadata.json")
    assert metadata["version"] in metadata["changelog"]
    assert all(value for value in metadata["required_packages_version"].values())


def test_the_metadata_names_the_formats_that_are_read(bundle):
    called = {"dcm": "dicom", "jpg": "jpeg", "tif": "tiff", "nii": "nifti", "nii.gz": "nifti"}
    read_here = {called.get(suffix[1:], suffix[1:]) for suffix in IMAGE_SUFFIXES}
    assert set(read(bundle, "metadata.json")["data_type"].split(", ")) == read_here


def test_the_metadata_fits_the_schema(bundle, shared, tmp_path):
    schema = shared / "schema" / "meta_schema_20240725.json"
    verify_metadata(meta_file=str(bundle / "configs" / "metadata.json"), filepath=str(schema))


def test_all_properties_that_monai_looks_for_are_there(bundle, tmp_path):
    modality, images = bundle.name.removesuffix("_classification"), tmp_path / "data"
    write_phantoms(images, modality, per_class=(2, 1, 1), size=64)
    classes = sorted(path.name for path in (images / "train").iterdir())
    configs = bundle / "configs"
    for kind, file in (("train", "train.json"), ("infer", "inference.json")):
        workflow = ConfigWorkflow(
            str(configs / file), str(configs / "metadata.json"), logging_file=False, workflow_type=kind,
            initialize=[], output_dir=str(tmp_path / "run"), dataset_dir=str(images), bundle_root=str(bundle),
            class_names=classes,
            **({"recipe#image_size": 32, "recipe#compensation_images": 0} if kind == "train" else {}),
        )  # fmt: skip
        workflow.initialize()
        assert workflow.check_properties() == []
    train = read(bundle, "train.json")
    for key in ("dataset_dir", "val_interval", "train#trainer#max_epochs", "train#dataset#data", "train#handlers",
                "validate#evaluator", "validate#dataset#data"):  # fmt: skip
        node = train
        for part in key.split("#"):
            assert part in node, key
            node = node[part]


def test_bundles_differ_only_where_their_modality_does(bundle):
    reference = BUNDLES[0]
    mine, other = read(bundle, "train.json"), read(reference, "train.json")
    for config in (mine, other):
        for key in ("title", "model", "modality", "class_names", "recipe"):
            config.pop(key)
        config["train"].pop("augmentation")
    assert mine == other
    for name in ("evaluate.json", "multi_gpu_train.json"):
        assert read(bundle, name) == read(reference, name)


def test_configurations_agree_on_classes_and_network(bundle):
    train, inference, metadata = (read(bundle, f"{name}.json") for name in ("train", "inference", "metadata"))
    assert train["model"] == {"name": bundle.name.removesuffix("_classification"), "version": metadata["version"]}
    assert inference["class_names"] == train["class_names"]
    assert inference["student"] == train["recipe"]["student"]
    assert inference["image_size"] == train["recipe"]["image_size"]
    output = metadata["network_data_format"]["outputs"]["pred"]
    assert list(output["channel_def"].values()) == train["class_names"]
    assert output["num_channels"] == len(train["class_names"])
    size = train["recipe"]["image_size"]
    assert metadata["network_data_format"]["inputs"]["image"]["spatial_shape"] == [size, size]


def test_the_network_takes_and_gives_what_the_metadata_says(bundle):
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "inference.json"),
        device="cpu",
    )


def test_configurations_define_no_functions_of_their_own():
    for bundle in BUNDLES:
        for name in ("train.json", "evaluate.json", "inference.json", "multi_gpu_train.json"):
            text = (bundle / "configs" / name).read_text()
            assert "lambda" not in text
            assert "exec" not in text


def test_what_configurations_make_is_no_module_of_the_same_name():
    """From Python 3.13 on, MONAI finds the module where both have the name, and on 3.12 and before the other."""
    configs = [path.read_text() for bundle in BUNDLES for path in (bundle / "configs").glob("*.json")]
    names = {name for text in configs for name in re.findall(r'"_target_": "(MonaiSKD\.[^"]+)"', text)}
    assert "MonaiSKD.engines.feature_stage" in names
    for name in names:
        assert callable(pydoc.locate(name)), name
        assert find_spec(name) is None, name


def test_monai_loads_the_network_wherever_the_working_directory_is(bundle, tmp_path):
    """`load` cannot say where a bundle lies, so neither data nor weights may be read before `run`."""
    code = (
        "from monai.bundle import load\n"
        "for kind in ('train', 'inference'):\n"
        f"    print(load('{bundle.name}', bundle_dir='{bundle.parent}', workflow_type=kind).temperature)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    stored = torch.load(bundle / "models" / "model.pt", weights_only=True)["temperature"]
    assert done.stdout.count(str(stored)) == 2


@pytest.mark.parametrize("part", ["pipeline", "train#dataset", "train#trainer"])
def test_nothing_that_trains_can_be_made_of_leaking_images(part, bundle, tmp_path):
    modality = bundle.name.removesuffix("_classification")
    write_phantoms(tmp_path / "data", modality, per_class=(4, 2, 2), size=64)
    picture, *_ = sorted((tmp_path / "data" / "train").glob("*/*.*"))
    shutil.copy(picture, tmp_path / "data" / "test" / picture.parent.name / f"again_{picture.name}")
    classes = sorted(path.name for path in (tmp_path / "data" / "train").iterdir())
    # The leak is told before a teacher is looked for.
    options = {"teacher": "of nobody", "dataset_dir": str(tmp_path / "data"), "output_dir": str(tmp_path / "run")}
    workflow = prepare_training(find_bundle(modality), {**options, "class_names": classes, "image_size": 32})
    workflow.initialize()
    with pytest.raises(RuntimeError) as caught:
        workflow.parser.get_parsed_content(part)
    error = caught.value
    while error.__cause__ is not None:
        error = error.__cause__
    assert isinstance(error, SKDError)
    assert "is the same picture as" in error.cause
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """The brain bundle trained on phantoms by MONAI's own command, in a process of its own."""
    folder = tmp_path_factory.mktemp("bundle")
    write_phantoms(folder / "data", "brain_mri", per_class=(8, 4, 4), size=64, seed=3)
    classes = sorted(path.name for path in (folder / "data" / "train").iterdir())
    monai_run("train.json", folder / "run", dataset_dir=str(folder / "data"), class_names=classes, **FAST)
    return folder


def monai_run(config: str | list[str], out: Path, **options: object) -> str:
    done = monai_ended(config, out, **options)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def monai_ended(
    config: str | list[str], out: Path, modality: str = "brain_mri", **options: object
) -> subprocess.CompletedProcess[str]:
    bundle = ROOT / f"{modality}_classification"
    names = [config] if isinstance(config, str) else config
    arguments = [f"--{key}={value}" for key, value in options.items()]
    command = [
        sys.executable, "-m", "monai.bundle", "run", "--config_file", str([str(bundle / "configs" / n) for n in names]),
        "--meta_file", str(bundle / "configs" / "metadata.json"), "--bundle_root", str(bundle),
        f"--output_dir={out}", *arguments,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def options_of(trained: Path) -> dict:
    contract = json.loads((trained / "run" / "config.json").read_text())["contract"]
    return {"class_names": contract["class_names"], "model": str(trained / "run" / "model.pt")}


def test_monai_bundle_run_trains(trained):
    assert (trained / "run" / "report.html").is_file()
    assert json.loads((trained / "run" / "metrics.json").read_text())["test"]["n"] == 12


def test_monai_bundle_run_evaluates(trained, tmp_path):
    monai_run(
        ["train.json", "evaluate.json"], tmp_path, dataset_dir=str(trained / "data"), **options_of(trained),
        **{"recipe#image_size": 32},
    )  # fmt: skip
    rows = dict(line.split(",") for line in (tmp_path / "metrics.csv").read_text().splitlines())
    recorded = json.loads((trained / "run" / "metrics.json").read_text())["test"]["macro_auc"]["value"]
    assert float(rows["val_auc"]) == pytest.approx(recorded, abs=1e-3)


def test_monai_bundle_run_infers(trained, tmp_path):
    monai_run(
        "inference.json", tmp_path, dataset_dir=str(trained / "data" / "test"), image_size=32, **options_of(trained)
    )
    header, *rows = (tmp_path / "predictions.csv").read_text().splitlines()
    names = options_of(trained)["class_names"]
    assert header.split(",") == ["image", "label", *names]
    assert len(rows) == 12
    for row in rows:
        _, label, *probabilities = row.split(",")
        values = [float(value) for value in probabilities]
        assert sum(values) == pytest.approx(1, abs=1e-4)
        assert values[names.index(label)] == max(values)  # printed to six places, two may be equal


def test_an_evaluator_that_is_started_without_the_workflows_run_has_the_weights(trained, tmp_path):
    options, configs = options_of(trained), find_bundle("brain_mri").folder / "configs"
    workflow = ConfigWorkflow(
        config_file=str(configs / "inference.json"), meta_file=str(configs / "metadata.json"), workflow_type="infer",
        **options, dataset_dir=str(trained / "data" / "test"), output_dir=str(tmp_path), image_size=32, device="cpu",
    )  # fmt: skip
    workflow.initialize()
    network = workflow.parser.get_parsed_content("network")
    workflow.parser.get_parsed_content("evaluator").run()
    stored = torch.load(options["model"], weights_only=True)
    assert all(torch.equal(value, stored[name]) for name, value in network.state_dict().items())


def test_evaluation_of_weights_of_another_image_size_or_class_order_is_refused(trained, tmp_path):
    """They would fit, and the figures be those of something else."""
    options = options_of(trained)
    options["class_names"] = options["class_names"][::-1]
    done = monai_ended(["train.json", "evaluate.json"], tmp_path, dataset_dir=str(trained / "data"), **options)
    assert done.returncode != 0
    *_, last = done.stderr.splitlines()
    assert f"{options['model']}: was trained with image_size 32, not 112; class_names [" in done.stderr, last
    assert "--image_size=32 --class_names='[" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_inference_of_weights_of_another_bundle_is_refused(trained, tmp_path):
    images = str(trained / "data" / "test")
    done = monai_ended("inference.json", tmp_path, "lung_ct", dataset_dir=images, image_size=32, **options_of(trained))
    assert done.returncode != 0
    assert "was trained with modality 'brain_mri', not 'lung_ct'. Use a bundle for brain_mri" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_evaluation_on_a_drawn_test_split_says_what_is_not_known_and_refuses_what_is(trained, tmp_path):
    for image in (trained / "data").glob("*/*/*.png"):
        (tmp_path / "undivided" / image.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(image, tmp_path / "undivided" / image.parent.name / f"{image.parent.parent.name}_{image.name}")
    options = {"dataset_dir": str(tmp_path / "undivided"), **options_of(trained), "recipe#image_size": 32}
    evaluation = ["train.json", "evaluate.json"]
    done = monai_ended(evaluation, tmp_path / "refused", **options)
    assert done.returncode != 0
    assert "the images: they give no test split, and one drawn from them may hold images" in done.stderr
    weights = Path(shutil.copy(trained / "run" / "model.pt", tmp_path))
    told = monai_run(evaluation, tmp_path / "told", **{**options, "model": str(weights)})
    assert f"The images give no test split. One was drawn from them, and {weights} may have been trained" in told
    assert (tmp_path / "told" / "metrics.csv").is_file()


def test_ckpt_export_gives_a_torchscript_that_answers_alike(trained, tmp_path):
    configs = find_bundle("brain_mri").folder / "configs"
    options = options_of(trained)
    ckpt_export(
        net_id="network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=options["model"],
        meta_file=str(configs / "metadata.json"),
        config_file=str(configs / "inference.json"),
        use_trace=True,
        input_shape=[1, 1, 32, 32],
        class_names=options["class_names"],
        image_size=32,
    )
    network = Classifier("tf_efficientnet_lite_xs", len(options["class_names"]), 32).eval()
    load_weights(network, options["model"])
    traced = torch.jit.load(str(tmp_path / "model.ts"))
    for shape in ((1, 1, 32, 32), (1, 1, 64, 48), (3, 1, 20, 32)):
        images = torch.rand(shape)
        assert torch.allclose(traced(images), network(images), atol=1e-5)
