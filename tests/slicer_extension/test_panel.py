"""The whole module, opened as Slicer opens it: the panel, its tabs and the scene."""

from __future__ import annotations

import sys
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import slicer
from harness import composite, observers, pixels_of, render_slice, screenshot, wait_until
from SKDClassifierLib.place.Install import Installer
from SKDClassifierLib.place.Requirements import Requirement
from SKDClassifierLib.scene import ResultNodes, Samples

from MonaiSKD.errors import SKDError

MODULE = Path(__file__).parents[2] / "SlicerExtension" / "SKDClassifier" / "SKDClassifier.py"
WIDTH = 430
WANTED = {"SKDChestRadiograph": "chest_xray", "SKDLungCT": "lung_ct", "SKDBrainMR": "brain_mri"}


@pytest.fixture
def panel(app: Any) -> Iterator[Any]:
    """The panel of the opened module."""
    yield app.open_module(MODULE).panel
    app.close_module("SKDClassifier")


def answered(panel: Any, name: str) -> Any:
    """The stored result of a sample by its model, through the buttons."""
    volume = Samples.load(name)
    tab = panel.classify_tab
    tab.ui.volumeSelector.setCurrentNode(volume)
    tab.choose_model(WANTED[name])
    assert tab.ui.classifyButton.enabled
    tab.ui.classifyButton.click()
    wait_until(lambda: bool(ResultNodes.for_volume(slicer.mrmlScene, volume)), 60)
    (stored,) = ResultNodes.for_volume(slicer.mrmlScene, volume)
    return stored


def pictured(panel: Any, path: Path) -> Any:
    """A screenshot of the panel, as high as it needs at the width of Slicer's module panel."""
    window = panel.widget.window()
    window.show()
    for _round in range(8):  # what is wrapped and what was shown just now settle in rounds
        window.resize(WIDTH, window.heightForWidth(WIDTH))
        slicer.app.processEvents()
    return screenshot(panel.widget, path)


def test_at_first_it_says_what_to_do(panel):
    assert panel.ui.tabs.currentIndex == 0
    assert not panel.classify_tab.ui.classifyButton.enabled
    assert "Load an image" in panel.classify_tab.ui.hintLabel.text
    assert panel.ui.disclaimerLabel.text == "Research only, not for clinical use."


@pytest.mark.parametrize("name", WANTED)
def test_a_sample_is_answered_and_pictured(app, panel, tmp_path, name):
    stored = answered(panel, name)
    assert app.dialogs == []
    assert stored.result.label in panel.classify_tab.view.ui.sentenceLabel.text
    assert "a drawn phantom" in panel.classify_tab.view.ui.warningsLabel.text
    image = pictured(panel, tmp_path / f"slicer-{WANTED[name]}.png")
    assert len({tuple(pixel) for pixel in pixels_of(image).reshape(-1, 3)[::97]}) > 5
    with_heat = pixels_of(render_slice("Red"))
    panel.classify_tab.view.ui.heatMapCheck.setChecked(False)
    without = pixels_of(render_slice("Red"))
    assert (with_heat != without).any(axis=-1).mean() > 0.01
    assert (without[..., 0] == without[..., 2]).all()  # grey
    panel.classify_tab.view.ui.heatMapCheck.setChecked(True)


def test_panel_slices_and_overlay_make_one_picture(panel, tmp_path):
    answered(panel, "SKDBrainMR")
    pictured(panel, tmp_path / "slicer.png")
    slicer.util.resetSliceViews()
    panel.classify_tab.view.ui.keySliceButton.click()
    slices = [render_slice(view) for view in ("Red", "Yellow", "Green")]
    composite(panel.widget, slices, tmp_path / "slicer.png")
    assert (tmp_path / "slicer.png").stat().st_size > 30_000


def test_the_other_tabs_are_pictured(panel, tmp_path):
    for index, name in ((1, "train"), (2, "place")):
        panel.ui.tabs.setCurrentIndex(index)
        image = pictured(panel, tmp_path / f"slicer-{name}.png")
        assert len({tuple(pixel) for pixel in pixels_of(image).reshape(-1, 3)[::97]}) > 3


def test_the_panel_is_as_high_as_its_tab(panel, tmp_path):
    heights = []
    for index in (0, 1, 2, 0):
        panel.ui.tabs.setCurrentIndex(index)
        heights.append(pictured(panel, tmp_path / "tab.png").height())
    assert max(heights[0], heights[3]) < min(heights[1], heights[2])


def test_a_new_scene_is_followed_and_a_result_shown_again(app, panel, tmp_path):
    answered(panel, "SKDBrainMR")
    shown = panel.classify_tab.view.ui.sentenceLabel.text
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    app.close_scene()
    assert panel.classify_tab.view.widget.isHidden()
    wait_until(lambda: panel.services.parameter_node is not None)
    assert panel.services.parameter_node.inputVolume is None
    slicer.util.loadScene(path)
    wait_until(lambda: panel.classify_tab.ui.volumeSelector.currentNode() is not None)
    assert panel.classify_tab.ui.volumeSelector.currentNode().GetName() == "SKDBrainMR"
    assert panel.classify_tab.view.ui.sentenceLabel.text == shown
    assert not panel.classify_tab.view.widget.isHidden()


def test_twenty_scenes_leave_no_observers(app, panel):
    answered(panel, "SKDBrainMR")
    counts = []
    for _round in range(20):
        app.close_scene()
        wait_until(lambda: panel.services.parameter_node is not None)
        Samples.load("SKDBrainMR")
        counts.append(observers(slicer.mrmlScene))
    assert len(set(counts[2:])) == 1


def test_samples_are_offered_and_survive_the_loss_of_their_file(app, panel):
    import SampleData

    Samples.register()
    sources = slicer.modules.sampleDataSources[Samples.CATEGORY]
    assert [source.sampleName for source in sources] == list(WANTED)
    (node,) = sources[0].customDownloader(sources[0])
    assert node.GetName() == "SKDChestRadiograph"
    path = Path(slicer.app.temporaryPath) / Samples.CATEGORY / "SKDChestRadiograph.nii.gz"
    path.unlink()
    assert SampleData.SampleDataLogic is not None
    assert Samples.load("SKDChestRadiograph") is not None
    assert path.is_file()


def test_a_sample_that_cannot_be_loaded_is_told(app, panel):
    path = Path(slicer.app.temporaryPath) / Samples.CATEGORY / "SKDBrainMR.nii.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half a file")
    with pytest.raises(SKDError, match="cannot be loaded"):
        Samples.load("SKDBrainMR")


def test_reload_reads_the_library_again(app):
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "SKDClassifierLib"}
    try:
        app.open_module(MODULE).onReload()
        again = slicer.util.getModuleWidget("SKDClassifier").panel
        assert type(again).__module__ == "SKDClassifierLib.Widget"
        assert sys.modules["SKDClassifierLib.Widget"] is not before["SKDClassifierLib.Widget"]
        assert isinstance(again, sys.modules["SKDClassifierLib.Widget"].Panel)
        app.close_module("SKDClassifier")
    finally:
        sys.modules.update(before)


def test_without_its_packages_the_modules_own_test_is_skipped(app, panel, monkeypatch):
    import SKDClassifier

    absent = Requirement("onnxruntime", ">=1.17", "onnxruntime", 28, "pip", "runs the models")
    monkeypatch.setattr(Installer, "missing_light", lambda self: [absent])
    with pytest.raises(unittest.SkipTest, match="Install these"):
        SKDClassifier.SKDClassifierTest().setUp()


def test_the_modules_own_test_runs(app, panel):
    """ScriptedLoadableModuleTest: what people run inside Slicer, here on the stand-ins."""
    import SKDClassifier

    case = SKDClassifier.SKDClassifierTest()
    for name in ("test_samples_are_answered", "test_results_survive_the_scene", "test_what_is_no_image_is_refused"):
        case.setUp()
        getattr(case, name)()


def test_a_volume_is_sent_to_a_server_answered_and_shown(app, panel, server):
    """The whole way of remote mode over real HTTP: test, choice, upload, answer; then a server that breaks off."""
    volume = Samples.load("SKDChestRadiograph")
    place, tab = panel.place_tab.ui, panel.classify_tab
    place.serverButton.click()
    place.urlCombo.setEditText(server.url)
    place.testButton.click()
    wait_until(lambda: place.testButton.enabled)
    tab.ui.volumeSelector.setCurrentNode(volume)
    assert [tab.ui.modelSelector.itemText(index) for index in range(tab.ui.modelSelector.count)] == ["chest", "lung"]
    tab.ui.classifyButton.click()
    wait_until(lambda: bool(ResultNodes.for_volume(slicer.mrmlScene, volume)), 20)
    assert tab.view.ui.sentenceLabel.text == "pneumonia, 0.90"
    assert f"answered by {server.url}" in tab.view.ui.captionLabel.text
    kind, path, body = server.seen[-1]
    assert (kind, path) == ("POST", "/infer/chest?output=json")
    assert b"SKDChestRadiograph" not in body
    server.cut = True
    nodes = slicer.mrmlScene.GetNumberOfNodes()
    tab.ui.classifyButton.click()
    wait_until(lambda: tab.ui.classifyButton.text == "&Classify", 20)
    assert "broke off in the middle of its answer" in tab.ui.hintLabel.text
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    place.localButton.click()
    tab.choose_model("chest_xray")
    assert tab.ui.classifyButton.enabled
    assert [kind for kind, _text in app.dialogs] == ["errorDisplay"]
