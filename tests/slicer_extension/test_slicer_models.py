"""The list of models: what the files say of themselves, and the files that say nothing right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from SKDClassifierLib.Models import Catalogue
from tinymodel import write_tiny_model

from MonaiSKD.bundle import list_bundles
from MonaiSKD.errors import SKDError

ROOT = Path(__file__).parents[2]
RESOURCES = ROOT / "SlicerExtension" / "SKDClassifier" / "Resources"


@pytest.fixture
def catalogue(tmp_path) -> Catalogue:
    return Catalogue(tmp_path / "models")


def test_the_notes_follow_their_schema_and_name_the_bundles():
    notes = json.loads((RESOURCES / "models.json").read_text())
    schema = json.loads((RESOURCES / "models.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(notes, schema)
    assert set(notes["models"]) == {bundle.name for bundle in list_bundles()}


def test_the_bundles_models_are_listed_with_what_their_files_say(catalogue):
    entries = {entry.id: entry for entry in catalogue.entries()}
    assert list(entries) == ["brain_mri", "chest_xray", "lung_ct"]
    entry = entries["brain_mri"]
    assert (entry.modality, entry.error, entry.sample) == ("brain_mri", "", "SKDBrainMR")
    assert entry.classes == ("glioma", "meningioma", "no_tumor", "pituitary")
    assert 0 < entry.megabytes < 25
    assert entry.metrics.startswith("balanced accuracy ")
    assert "AUC" in entry.metrics


def test_a_search_takes_all_words_in_any_case(catalogue):
    assert [entry.id for entry in catalogue.search("HEAD glioma")] == ["brain_mri"]
    assert [entry.id for entry in catalogue.search("covid")] == ["chest_xray", "lung_ct"]
    assert catalogue.search("glioma covid") == []
    assert len(catalogue.search("  ")) == 3


def test_an_added_model_is_copied_once_and_listed(catalogue, tmp_path):
    source = write_tiny_model(tmp_path / "from somewhere.onnx", title="My model")
    added = catalogue.add(source)
    assert added == catalogue.add(source)
    assert catalogue.entries()[-1] == added
    assert (added.title, added.path.parent, added.classes) == ("My model", catalogue.folder, ("dark", "bright"))
    assert added.path.read_bytes() == source.read_bytes()
    write_tiny_model(source, title="Another of the same name")
    assert catalogue.add(source).path != added.path
    assert len(list(catalogue.folder.iterdir())) == 2


def test_a_damaged_file_is_listed_with_its_error_and_costs_no_other(catalogue, tmp_path):
    good = catalogue.add(write_tiny_model(tmp_path / "a.onnx"))
    broken = catalogue.folder / "broken.onnx"
    broken.write_bytes(good.path.read_bytes()[:-10])
    entries = {entry.path.name: entry for entry in catalogue.entries()}
    assert "is not a model file" in entries["broken.onnx"].error
    assert entries[good.path.name].error == ""
    with pytest.raises(SKDError, match="is not a model file"):
        catalogue.find(str(broken))
    with pytest.raises(SKDError, match="is not a model file"):
        catalogue.add(broken)


def test_a_model_is_found_by_id_file_or_run_folder(catalogue, tmp_path):
    assert catalogue.find("lung_ct").modality == "lung_ct"
    model = write_tiny_model(tmp_path / "model.onnx")
    assert catalogue.find(str(model)).path == model
    assert catalogue.find(str(tmp_path)).path == model
    model.unlink()
    with pytest.raises(SKDError, match="no such model any more"):
        catalogue.find(str(model))


def test_the_list_needs_nothing_that_is_installed_later():
    """Before the user agreed to install anything, the list of models is there."""
    later = (
        "onnxruntime",
        "pylibjpeg",
        "nibabel",
        "highdicom",
        "jinja2",
        "tqdm",
        "onnx",
        "slicer",
    )  # Slicer has the others
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({later!r})); sys.path[:0] = sys.argv[1:]\n"
        "from SKDClassifierLib.Models import Catalogue\n"
        "print(len([entry for entry in Catalogue('none').entries() if not entry.error]))"
    )
    command = [sys.executable, "-c", code, str(RESOURCES.parent), str(ROOT)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "3"
