"""What is handed to MONAI's configuration arrives as it was meant, whatever it looks like."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from monai.bundle import ConfigParser

from MonaiSKD.bundle import find_bundle, literal, overrides
from MonaiSKD.cli import main
from MonaiSKD.datasets.phantoms import write_phantoms


@given(st.text(alphabet=st.sampled_from("$@%#:'\"\\\n ax1ü") | st.characters(codec="utf-8")))
@example("$1 + 1")
@example("@title")
@example("%title")
@example("a#b::c\\#'\"")
def test_a_literal_is_itself_in_a_configuration(text: str) -> None:
    parser = ConfigParser({"title": "x", "text": literal(text), "list": literal([text, 3]), "same": "@text"})
    assert parser.get_parsed_content("text") == text
    assert parser.get_parsed_content("list") == [text, 3]
    assert parser.get_parsed_content("same") == text


def test_options_keep_expressions_and_every_other_text() -> None:
    options = {
        "title": "Study #3",
        "class_names": ["a#b", "c"],
        "selection": {"width": "x#y"},
        "quiet": "@recipe#compile",
    }
    found = overrides(find_bundle("brain_mri"), {**options, "device": "$str('cpu#0')", "epochs": 3})
    parser = ConfigParser({"recipe": {"compile": False}})
    for key, value in found.items():
        parser[key] = value
    expected = {"title": "Study #3", "class_names": ["a#b", "c"], "device": "cpu::0", "recipe#epochs": 3}
    assert {key: parser.get_parsed_content(key) for key in expected} == expected
    assert parser.get_parsed_content("recipe#selection#width") == "x#y"
    assert parser.get_parsed_content("recipe#quiet") is False


def test_marks_of_monai_in_paths_and_classes_mean_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders, images and classes with "#", and classes that look like an expression or a reference."""
    monkeypatch.chdir(tmp_path)
    write_phantoms(tmp_path / "data #1", "brain_mri", per_class=(4, 2, 2), size=64, seed=1)
    write_phantoms(tmp_path / "more #1", "brain_mri", per_class=(2, 1, 1), size=64, seed=2)
    names = ["#1", "$__import__('pathlib').Path('run').touch()", "@title"]
    for split in (tmp_path / "data #1").glob("*/"):
        for folder, name in zip(sorted(split.iterdir()), names, strict=True):
            folder.rename(split / name)
    for image in list((tmp_path / "data #1").rglob("*.png")):
        image.rename(image.with_name(f"#{image.name}"))
    fast = ["students=1", "batch_size=4", "feature_epochs=1", "finetune_epochs=0", "compensation_images=4", "epochs=1"]
    options = ["--unlabeled", "more #1", "--image-size", "32", "--quiet", *(f"--set={text}" for text in fast)]
    out = tmp_path / "run#1 @50%"
    assert main(["train", "brain_mri", str(tmp_path / "data #1"), "--out", str(out), *options]) == 0
    config = json.loads((out / "config.json").read_text())
    assert config["contract"]["class_names"] == names
    assert config["recipe"]["unlabeled"] == "more #1"
    assert {"model.pt", "model.onnx", "metrics.json", "checkpoints"} <= {path.name for path in out.iterdir()}
    assert {path.name for path in tmp_path.iterdir()} == {"data #1", "more #1", out.name}
    shutil.move(out, tmp_path / "run#2")
    assert main(["evaluate", str(tmp_path / "run#2"), str(tmp_path / "data #1")]) == 0
