"""The command line as its users meet it: what works, and one sentence for what does not."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydicom.data import get_testdata_file

from MonaiSKD import Classifier
from MonaiSKD.cli import main, mendable
from MonaiSKD.files import run_files

FAST = ["--image-size", "32", "--epochs", "2", "--quiet"] + [
    f"--set={text}"
    for text in (
        "students=2", "batch_size=8", "teacher_epochs=1", "feature_epochs=1", "finetune_epochs=1",
        "compensation_images=8",
    )
]  # fmt: skip


@pytest.fixture(scope="module")
def data(phantoms) -> Path:
    return phantoms


@pytest.fixture(scope="module")
def run(tmp_path_factory, data) -> Path:
    folder = tmp_path_factory.mktemp("run")
    assert main(["train", "brain_mri", str(data), "--out", str(folder), *FAST]) == 0
    return folder


@pytest.fixture
def refused(capsys):
    """Run a command that must be refused; its one sentence."""

    def refused(*arguments: object) -> str:
        capsys.readouterr()
        assert main([str(argument) for argument in arguments]) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("monai-skd: ")
        assert "Traceback" not in error
        return error

    return refused


def test_a_run_folder_is_complete(run):
    assert {path.name for path in run.iterdir()} >= {
        "model.pt", "plan.json", "metrics.json", "config.json", "report.html", "summary.png", "checkpoints", "logs",
    }  # fmt: skip
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test"]["n"] == 12
    assert set(metrics["test"]) >= {"accuracy", "balanced_accuracy", "macro_auc", "per_class", "ece"}
    assert metrics["cost"]["parameters"] < 1_300_000
    assert metrics["cost"]["seconds"]["all"] > 0
    assert len(json.loads((run / "plan.json").read_text())["plans"]) == 2
    assert not [path for path in run.rglob("*") if path.name.startswith(".")]


def test_evaluate_repeats_the_metrics_of_the_run(run, data, tmp_path, capsys):
    assert main(["evaluate", str(run), str(data), "--split", "test", "--json", str(tmp_path / "m.json")]) == 0
    measured = json.loads((tmp_path / "m.json").read_text())
    recorded = json.loads((run / "metrics.json").read_text())["test"]
    assert measured["macro_auc"]["value"] == pytest.approx(recorded["macro_auc"]["value"], abs=1e-6)
    assert measured["ece"]["value"] == pytest.approx(recorded["ece"]["value"], abs=1e-4)
    assert "balanced accuracy" in capsys.readouterr().out


def test_evaluate_takes_a_model_file_and_tells_sources_apart(run, data, tmp_path, capsys):
    table = tmp_path / "two sources.csv"
    lines = ["path,label,split,source"]
    for number, image in enumerate(sorted(data.glob("test/*/*.png"))):
        lines.append(f"{image},{image.parent.name},test,{'clinic' if number % 3 else 'web'}")
    table.write_text("\n".join(lines))
    found = {}
    for model in (run, run / "model.onnx"):
        assert main(["evaluate", str(model), str(table), "--json", str(tmp_path / "m.json")]) == 0
        found[model] = json.loads((tmp_path / "m.json").read_text())
    network, file = found.values()
    # The file holds the weights in half precision.
    assert file["macro_auc"]["value"] == pytest.approx(network["macro_auc"]["value"], abs=0.05)
    assert file["n"] == network["n"] == 12
    assert {name: of["n"] for name, of in file["by_source"]["sources"].items()} == {"clinic": 8, "web": 4}
    assert file["by_source"]["usual"]["n"] + file["by_source"]["unusual"]["n"] == 12
    printed = capsys.readouterr().out
    assert "clinic" in printed
    assert "label usual for its source" in printed


def test_evaluate_by_a_model_file_keeps_answers_and_labels_together(run, data, tmp_path):
    """A wrong label on the first image, a DICOM file, is one wrong answer of thirteen: nothing is shifted."""
    pictures = sorted(data.glob("test/*/*.png"))
    slice_of_mr = get_testdata_file("MR_small.dcm")
    classifier = Classifier(run / "model.onnx")
    wrong = next(n for n in classifier.contract.class_names if n != classifier(slice_of_mr).label)
    labelled = [(slice_of_mr, wrong), *((picture, classifier(picture).label) for picture in pictures)]
    lines = [f"{path},{label},test" for path, label in labelled]
    lines += [f"{picture},{picture.parent.name},train" for picture in sorted(data.glob("train/*/*.png"))]
    table = tmp_path / "mixed.csv"
    table.write_text("\n".join(["path,label,split", *lines]))
    assert main(["evaluate", str(run / "model.onnx"), str(table), "--json", str(tmp_path / "m.json")]) == 0
    assert json.loads((tmp_path / "m.json").read_text())["accuracy"]["value"] == pytest.approx(12 / 13)


def test_a_report_never_replaces_the_data_that_it_is_about(refused, data, tmp_path):
    images = sorted(shutil.copytree(data, tmp_path / "d").glob("test/*/*.png"))
    table = tmp_path / "d.csv"
    table.write_text("\n".join(["path,label", *(f"{path},{path.parent.name}" for path in images)]))
    before = table.read_bytes(), images[0].read_bytes()
    for command in (["check-data", table], ["evaluate", "brain_mri", table]):
        for file in (table, images[0]):
            assert f"{file}: it is an input or part of the model" in refused(*command, "--json", file)
        assert "since it is a folder. Name a file" in refused(*command, "--json", tmp_path)
    assert (table.read_bytes(), images[0].read_bytes()) == before
    assert "since it is a folder" in refused("select", "tf_efficientnet_lite2", "tf_efficientnet_lite0", "--out", ".")


def test_no_output_replaces_what_a_training_left(run, data, refused, tmp_path):
    left = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and "logs" not in path.parts}
    assert set(left) == set(run_files(run))
    for path in left:
        assert "part of the model, and would be lost" in refused("evaluate", run, data, "--json", path)
        if path.name != "model.onnx":
            assert "part of the model, and would be lost" in refused("export", run, "--out", path)
    assert "since it is a folder. Name a file" in refused("export", run, "--out", ".")
    assert {path: path.read_bytes() for path in left} == left
    (tmp_path / "link.onnx").symlink_to("model.onnx")
    assert main(["export", str(run), "--out", str(tmp_path / "link.onnx")]) == 0
    assert (tmp_path / "model.onnx").stat().st_size > 100_000


def test_evaluate_says_which_images_a_model_file_refuses(run, data, tmp_path, refused):
    table = tmp_path / "damaged.csv"
    (tmp_path / "damaged.png").write_bytes(b"no picture")
    good = sorted(data.glob("test/*/*.png"))
    lines = [f"{image},{image.parent.name},test" for image in good]
    table.write_text("\n".join(["path,label,split", *lines, f"damaged.png,{good[0].parent.name},test"]))
    error = refused("evaluate", run / "model.onnx", table)
    assert "1 of 13 images" in error
    assert "damaged.png" in error


def test_bundles_are_listed(capsys):
    assert main(["bundles"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == ["brain_mri", "chest_xray", "lung_ct"]


def test_check_data_tells_a_leak_by_its_exit_code(data, tmp_path, capsys):
    assert main(["check-data", str(data), "--modality", "brain_mri"]) == 0
    shutil.copytree(data, tmp_path / "leaky")
    source = next((data / "test" / "ring").iterdir())
    shutil.copy(source, tmp_path / "leaky" / "train" / "ring" / "copy.png")
    assert main(["check-data", str(tmp_path / "leaky"), "--modality", "brain_mri"]) == 3
    assert "copy.png" in capsys.readouterr().out


def test_check_data_of_another_modality_is_no_success(data, tmp_path, capsys):
    for number, name in enumerate(("a", "b")):
        (tmp_path / "d" / name).mkdir(parents=True)
        shutil.copy(get_testdata_file("MR_small.dcm"), tmp_path / "d" / name / f"{number}.dcm")
    assert main(["check-data", str(tmp_path / "d")]) == 2
    out = capsys.readouterr().out
    assert "UNUSABLE: train refuses these data" in out
    assert "is of modality MR, not a chest radiograph" in out
    assert "or name another --modality" in out
    with pytest.raises(SystemExit):
        main(["check-data", "--help"])
    assert "default: chest_xray" in " ".join(capsys.readouterr().out.split())


def test_check_data_and_train_refuse_the_same(refused, tmp_path, data, capsys):
    shutil.copytree(data, tmp_path / "d")
    (tmp_path / "d" / "train" / "ring" / "broken.png").write_bytes(b"no picture")
    assert main(["check-data", str(tmp_path / "d"), "--modality", "brain_mri"]) == 2
    assert "1 unusable file (" in capsys.readouterr().out
    assert "broken.png" in refused(*train(tmp_path / "d", tmp_path / "out"))


def train(data: object, out: Path, *more: object) -> list[object]:
    return ["train", "brain_mri", data, "--out", out, *FAST, *more]


def test_missing_and_empty_folders(refused, tmp_path):
    assert "nowhere" in refused(*train(tmp_path / "nowhere", tmp_path / "out"))
    (tmp_path / "empty").mkdir()
    assert "empty" in refused(*train(tmp_path / "empty", tmp_path / "out"))


def test_a_run_within_its_own_images_is_refused_and_leaves_nothing(refused, tmp_path, data):
    shutil.copytree(data / "train", tmp_path / "d")
    for out in (tmp_path / "d", tmp_path / "d" / "run"):
        assert "lies in the folder of the images" in refused(*train(tmp_path / "d", out))
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == ["no_tumor", "ring", "tumor"]


def test_one_class_only(refused, tmp_path, data):
    shutil.copytree(data / "train" / "ring", tmp_path / "d" / "ring")
    assert "one class only (ring)" in refused(*train(tmp_path / "d", tmp_path / "out"))


@pytest.mark.parametrize("content", [b"", b"not an image"])
def test_unreadable_images_are_named(refused, tmp_path, data, content):
    shutil.copytree(data, tmp_path / "d")
    (tmp_path / "d" / "train" / "ring" / "broken.png").write_bytes(content)
    assert "broken.png" in refused(*train(tmp_path / "d", tmp_path / "out"))
    assert not (tmp_path / "out" / "model.pt").exists()


def test_nan_pixels_are_named(refused, tmp_path, data):
    shutil.copytree(data, tmp_path / "d")
    Image.fromarray(np.full((40, 40), np.nan, np.float32)).save(tmp_path / "d" / "train" / "ring" / "nan.tiff")
    assert "nan.tiff" in refused(*train(tmp_path / "d", tmp_path / "out"))


def test_labels_without_images_and_duplicate_paths(refused, tmp_path, data):
    images = sorted((data / "train").glob("*/*.png"))
    rows = [f"{path},{path.parent.name}" for path in images]
    (tmp_path / "a.csv").write_text("\n".join(["path,label", *rows, "gone.png,ring"]))
    assert "gone.png" in refused(*train(tmp_path / "a.csv", tmp_path / "out"))
    (tmp_path / "b.csv").write_text("\n".join(["path,label", *rows, rows[0]]))
    assert "twice" in refused(*train(tmp_path / "b.csv", tmp_path / "out"))


def test_an_empty_test_split_is_said_before_training(refused, tmp_path, data):
    shutil.copytree(data / "train", tmp_path / "d" / "train")
    assert "split 'test' has no images" in refused(*train(tmp_path / "d", tmp_path / "out"))


def test_a_class_in_test_that_train_lacks(refused, tmp_path, data):
    shutil.copytree(data, tmp_path / "d")
    shutil.rmtree(tmp_path / "d" / "train" / "ring")
    assert "ring" in refused(*train(tmp_path / "d", tmp_path / "out"))


def test_an_exact_duplicate_across_splits_stops_training_unless_allowed(refused, tmp_path, data):
    shutil.copytree(data, tmp_path / "d")
    source = next((data / "test" / "ring").iterdir())
    shutil.copy(source, tmp_path / "d" / "train" / "ring" / "copy.png")
    assert "copy.png" in refused(*train(tmp_path / "d", tmp_path / "out"))
    assert main([str(part) for part in train(tmp_path / "d", tmp_path / "out", "--set", "allow_leaks=true")]) == 0


class Bomb:
    def __reduce__(self):
        return os.system, ("touch exploded",)


def test_a_pickle_with_code_inside_is_never_run(refused, tmp_path, data, run, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bomb.pth").write_bytes(pickle.dumps(Bomb()))
    assert "bomb.pth" in refused(*train(data, tmp_path / "out", "--teacher", "tf_efficientnet_lite2=bomb.pth"))
    shutil.copytree(run, tmp_path / "run")
    torch.save(Bomb(), tmp_path / "run" / "model.pt")
    assert "holds code" in refused("evaluate", tmp_path / "run", data)
    assert not (tmp_path / "exploded").exists()


def test_a_teacher_file_of_another_architecture(refused, tmp_path, data):
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "other.pth")
    sentence = refused(*train(data, tmp_path / "out", "--teacher", f"tf_efficientnet_lite2={tmp_path / 'other.pth'}"))
    assert "not the weights of tf_efficientnet_lite2" in sentence


def test_the_teacher_may_be_a_file_alone(refused, tmp_path, data):
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "other.pth")
    sentence = refused(*train(data, tmp_path / "out", "--teacher", tmp_path / "other.pth"))
    assert "not the weights of tf_efficientnet_lite2" in sentence
    assert "none.pth" in refused(*train(data, tmp_path / "out", "--teacher", tmp_path / "none.pth"))
    assert "timm knows no network" in refused(*train(data, tmp_path / "out", "--teacher", "resnet7"))
    assert "timm knows no network" in refused(*train(data, tmp_path / "out", "--teacher", "resnet7.a1_in1k"))


def test_unlabeled_images_of_the_test_split_stop_training_unless_allowed(refused, tmp_path, data, monkeypatch):
    shutil.copytree(data / "test", tmp_path / "$more")  # MONAI would run this name
    monkeypatch.chdir(tmp_path)
    command = train(data, tmp_path / "out", "--unlabeled", "$more", "--set", "teacher_epochs=0", "--set", "students=1")
    assert "the unlabeled image" in refused(*command)
    assert not (tmp_path / "out" / "model.pt").exists()
    assert main([str(part) for part in (*command, "--set", "allow_leaks=true")]) == 0


def test_a_vit_student_of_a_local_dinov2_teacher_with_unlabeled_images(tmp_path, data, shared):
    weights = shared / "weights" / "vit_small_patch14_dinov2" / "model.fp16.safetensors"
    options = ["--teacher", f"vit_small_patch14_dinov2={weights}", "--student", "vit_tiny_patch14_dinov2"]
    more = ["--unlabeled", data / "train", "--image-size", "28", "--epochs", "1", "--set", "feature_epochs=0"]
    assert main([str(part) for part in train(data, tmp_path / "out", *options, *more)]) == 0
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["contract"]["teacher"]["name"] == "vit_small_patch14_dinov2"
    assert str(weights) not in json.dumps(config["contract"])
    plans = json.loads((tmp_path / "out" / "plan.json").read_text())
    streams = [set(plan["spaces"]["residual"]) for plan in plans["plans"]]
    assert not streams[0] & streams[1]
    assert all(row["after"] < row["before"] for row in plans["compensation"][0])


@pytest.mark.parametrize("command", ["train", "demo"])
def test_without_the_training_half_the_sentence_says_how_to_install_it(tmp_path, data, command):
    arguments = [
        *([command, "brain_mri", str(data)] if command == "train" else [command]),
        "--out",
        str(tmp_path / "o"),
    ]
    code = f"import sys; sys.modules['monai'] = None; from MonaiSKD.cli import main; sys.exit(main({arguments!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert "pip install 'monai-skd[train]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_has_the_code_of_one():
    known = mendable(ModuleNotFoundError("No module named 'scipy'", name="scipy"))
    assert (known.thing, known.code) == ("scipy", "not_installed")
    assert mendable(ModuleNotFoundError("No module named 'MonaiSKD.x'", name="MonaiSKD.x")) is None


def test_cuda_without_a_cuda_device(refused, tmp_path, data):
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    assert "no CUDA device" in refused(*train(data, tmp_path / "out", "--device", "cuda"))


def test_a_full_disk_leaves_nothing_half_written(refused, small_disk, data):
    assert "No space left" in refused(*train(data, small_disk / "out"))
    assert not list(small_disk.rglob("*.pt"))


def test_pairs_that_do_not_map_and_unknown_names(refused, tmp_path, data):
    assert "resnet18" in refused("select", "resnet50", "resnet18", "--out", tmp_path / "p.json")
    assert "mammo" in refused("train", "mammo", data, "--out", tmp_path / "out")
    assert "epoks" in refused(*train(data, tmp_path / "out", "--set", "epoks=3"))
    assert "KEY=VALUE" in refused(*train(data, tmp_path / "out", "--set", "epochs"))
    assert "holds no model.onnx" in refused("evaluate", tmp_path, data)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("epochs", ["--set=epochs=5"]),  # of train() itself, as is the size
        ("image_size", ["--set=recipe#image_size=48"]),
        ("seed", ["--seed=0", "--set=seed=1"]),
        ("quiet", ["--set=quiet=false"]),
        ("teacher", ["--teacher=tf_efficientnet_lite2", "--set=teacher=resnet50"]),
        ("device", ["--device=cpu", "--set=device=cpu"]),
    ],
)
def test_an_option_that_is_given_twice_is_refused(refused, tmp_path, data, name, more):
    short = f"--{name.replace('_', '-')}"
    sentence = refused(*train(data, tmp_path / "out", *more))
    assert f"option {name!r}: it is given twice, by {short} and by --set. Give it once." in sentence
    assert not (tmp_path / "out").exists()


def test_an_unwritable_folder_is_found_before_training(refused, tmp_path, data):
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file") in refused(*train(data, tmp_path / "file" / "out"))


def test_killed_and_started_again_it_goes_on(tmp_path, data, run):
    out = tmp_path / "out"
    command = [sys.executable, "-W", "ignore", "-m", "MonaiSKD", *map(str, train(data, out))]
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (out / "checkpoints" / "dual.pt").exists():
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (out / "model.pt").exists()
    assert main([str(part) for part in train(data, out)]) == 0
    ours, theirs = (torch.load(folder / "model.pt", weights_only=True) for folder in (out, run))
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
