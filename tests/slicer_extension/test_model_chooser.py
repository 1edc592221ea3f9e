"""The choice of a model in the tab "Classify": what is offered, found, remembered, added, and what goes bad."""

from __future__ import annotations

import pytest
import slicer
from classify_desk import action, open_desk
from classify_parts import ct_values, make_services
from SKDClassifierLib.classify.ClassifyTab import ClassifyTab
from SKDClassifierLib.scene import ResultNodes
from tinymodel import write_tiny_model

from MonaiSKD.errors import SKDError


@pytest.fixture
def desk(app, tmp_path):
    yield from open_desk(app, tmp_path)


def test_without_a_model_the_button_says_why(desk, add_volume):
    desk.choose(add_volume(ct_values()))
    desk.tab.ui.modelSearch.setText("no such words")
    assert not desk.tab.ui.classifyButton.enabled
    assert "model" in desk.hint
    assert desk.tab.ui.modelInfo.text == "No model has these words."
    desk.tab.ui.modelSearch.setText("")
    assert desk.tab.ui.classifyButton.enabled


@pytest.mark.parametrize("harm", ["removed", "corrupt"])
def test_a_model_file_that_went_bad_meanwhile_is_told(desk, add_volume, harm):
    desk.choose(add_volume(ct_values()), "tiny_lung_ct")
    file = desk.models / "tiny_lung_ct.onnx"
    file.unlink() if harm == "removed" else file.write_bytes(b"damaged")
    assert desk.classify() is None
    assert isinstance(desk.errors[0], SKDError)
    assert not desk.tab.ui.classifyButton.enabled
    assert file.name in desk.hint
    desk.errors.clear()
    write_tiny_model(file, "lung_ct")
    desk.tab.refresh()
    assert desk.classify() is not None


def test_models_of_one_name_and_title_are_told_apart(desk, add_volume):
    """As a training on a bundle's recipe makes them."""
    node = add_volume(ct_values(), name="chest")
    same = {"rule": "lung_ct", "name": "lung_ct", "title": "Lung CT"}
    write_tiny_model(desk.models / "first.onnx", **same, version="1")
    write_tiny_model(desk.models / "second.onnx", **same, version="2")
    desk.tab.refresh()
    for name in ("first", "second", "second"):
        desk.choose(node, name)
        assert desk.tab.ui.modelSelector.currentText == f"Lung CT ({name})"
        assert desk.classify().heat_node is not None
    results = ResultNodes.for_volume(slicer.mrmlScene, node)
    assert [one.result.model.version for one in results] == ["1", "2"]
    assert all(one.heat_node is not None for one in results)
    assert len({one.heat_node.GetID() for one in results}) == 2
    desk.tab.ui.modelSearch.setText("tiny")
    assert desk.tab.ui.modelSelector.itemText(0) == "Tiny chest_xray"


def test_damaged_files_are_in_the_list_but_cannot_be_chosen(desk):
    (desk.models / "broken.onnx").write_bytes(b"none")
    desk.tab.refresh()
    combo = desk.tab.ui.modelSelector
    row = combo.findText("broken.onnx")
    assert row >= 0
    assert not combo.model().item(row).isEnabled()
    import qt

    assert "is not a model file" in combo.itemData(row, qt.Qt.ToolTipRole)


def test_the_search_narrows_the_list(desk):
    combo, search = desk.tab.ui.modelSelector, desk.tab.ui.modelSearch
    everything = combo.count
    search.setText("tiny LUNG")
    assert [combo.itemText(row) for row in range(combo.count)] == ["Tiny lung_ct"]
    assert "Lung CT: dark, bright" in desk.tab.ui.modelInfo.text
    search.setText("")
    assert combo.count == everything
    assert combo.currentText == "Tiny lung_ct"


def test_the_choice_of_a_model_is_remembered(desk, app, tmp_path):
    desk.tab.chooser.choose(str(desk.models / "tiny_lung_ct.onnx"))
    assert desk.services.parameter_node.model == str(desk.models / "tiny_lung_ct.onnx")
    services, _ = make_services(app, tmp_path / "models", ())
    other = ClassifyTab(services)  # another session: a new scene, the same settings
    assert other.chooser.entry.title == "Tiny lung_ct"
    other.cleanup()


def test_a_model_file_is_added_by_the_menu(desk, app, tmp_path):
    outside = write_tiny_model(tmp_path / "outside.onnx", "brain_mri", title="From outside")
    app.answer("getOpenFileName", str(outside), str(tmp_path / "nothing.onnx"))
    action(desk, "Add model file…").trigger()
    assert desk.tab.chooser.entry.title == "From outside"
    assert desk.tab.chooser.entry.path.parent == desk.models
    action(desk, "Add model file…").trigger()
    assert isinstance(desk.errors[0], SKDError)
    assert desk.tab.chooser.entry.title == "From outside"


def test_a_run_folder_can_be_chosen_and_vanish(desk, app, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    write_tiny_model(run / "model.onnx", "lung_ct", title="Just trained")
    app.answer("getExistingDirectory", str(run))
    action(desk, "Choose a run folder…").trigger()
    assert desk.tab.chooser.entry.title == "Just trained"
    desk.tab.choose_model(str(run / "model.onnx"))
    (run / "model.onnx").unlink()
    desk.tab.refresh()
    assert desk.tab.chooser.entry is None
    desk.tab.choose_model(str(run / "model.onnx"))
    assert "no such model" in str(desk.errors[-1])


def test_the_models_folder_is_opened(desk, monkeypatch):
    import qt

    opened = []
    monkeypatch.setattr(qt.QDesktopServices, "openUrl", staticmethod(lambda url: opened.append(url.toLocalFile())))
    action(desk, "Open models folder").trigger()
    assert opened == [str(desk.models)]


def test_sample_data_fits_its_model(desk):
    desk.tab.chooser.choose("brain_mri")
    action(desk, "Try with sample data").trigger()
    assert desk.errors == []
    assert desk.tab.ui.volumeSelector.currentNode().GetName() == "SKDBrainMR"
    assert desk.classify(60).result.model.name
    desk.tab.chooser.choose(str(desk.models / "tiny_lung_ct.onnx"))
    assert not action(desk, "Try with sample data").isEnabled()
