"""The tab "Classify" as a user works with it, on real MRML and with models whose answers are known."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import slicer
from classify_parts import ct_values, longest_block, make_services, new_parameter_node
from harness import observers, pixels_of, screenshot, wait_until
from SKDClassifierLib.classify import Exports
from SKDClassifierLib.classify.ClassifyTab import ClassifyTab
from SKDClassifierLib.scene import Inputs, ResultNodes, Samples
from tinymodel import write_tiny_model

from MonaiSKD.errors import SKDError
from MonaiSKD.runtime import Failure, Result


class Desk(SimpleNamespace):
    """A tab with its services, and what a user does there."""

    def choose(self, node: Any, model: str = "") -> None:
        self.tab.ui.volumeSelector.setCurrentNode(node)
        if model:
            self.tab.chooser.choose(str(self.models / f"{model}.onnx"))

    def press(self) -> None:
        self.tab.ui.classifyButton.click()

    def classify(self, seconds: float = 30) -> Any:
        self.press()
        wait_until(lambda: self.idle or self.errors, seconds)
        return self.tab.view.stored

    @property
    def idle(self) -> bool:
        return self.tab.ui.classifyButton.text == "&Classify"

    @property
    def hint(self) -> str:
        return "" if self.tab.ui.hintLabel.isHidden() else self.tab.ui.hintLabel.text


@pytest.fixture
def desk(app, tmp_path) -> Iterator[Desk]:
    services, errors = make_services(app, tmp_path / "models")
    tab = ClassifyTab(services)
    yield Desk(tab=tab, services=services, errors=errors, models=tmp_path / "models", app=app)
    tab.cleanup()


class Slow:
    """Holds the reading of slices until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go, self.began = threading.Event(), threading.Event()
        read = Inputs.read

        def held(*args: Any) -> Any:
            self.began.set()
            self.go.wait(20)
            return read(*args)

        monkeypatch.setattr(Inputs, "read", held)


@pytest.fixture
def slow(monkeypatch) -> Iterator[Slow]:
    holder = Slow(monkeypatch)
    yield holder
    holder.go.set()


def test_a_click_gives_a_result_in_the_scene_and_on_the_panel(desk, add_volume):
    node = add_volume(ct_values(), name="chest")
    desk.choose(node, "tiny_lung_ct")
    stored = desk.classify()
    assert desk.errors == []
    assert stored.volume_node is node
    assert ResultNodes.for_volume(slicer.mrmlScene, node)[0].result.label == stored.result.label
    assert not desk.tab.view.widget.isHidden()
    assert desk.services.parameter_node.inputVolume is node


def test_the_image_in_the_views_is_chosen_at_first(desk, add_volume):
    add_volume(ct_values(), name="other")
    node = add_volume(ct_values(), name="seen")
    slicer.util.setSliceViewerLayers(background=node)
    desk.tab.refresh()
    assert desk.services.parameter_node.inputVolume is node
    other = slicer.util.getNode("other")
    desk.choose(other)
    desk.tab.refresh()
    assert desk.services.parameter_node.inputVolume is other


def test_without_an_image_the_button_says_why(desk, add_volume):
    assert not desk.tab.ui.classifyButton.enabled
    assert "Load an image" in desk.hint
    node = add_volume(ct_values())
    desk.choose(node)
    assert desk.tab.ui.classifyButton.enabled
    assert desk.hint == ""
    slicer.mrmlScene.RemoveNode(node)
    assert not desk.tab.ui.classifyButton.enabled
    assert "Load an image" in desk.hint


def test_without_a_model_the_button_says_why(desk, add_volume):
    desk.choose(add_volume(ct_values()))
    desk.tab.ui.modelSearch.setText("no such words")
    assert not desk.tab.ui.classifyButton.enabled
    assert "model" in desk.hint
    assert desk.tab.ui.modelInfo.text == "No model has these words."
    desk.tab.ui.modelSearch.setText("")
    assert desk.tab.ui.classifyButton.enabled


def test_nothing_runs_when_the_user_installs_nothing(desk, add_volume):
    desk.choose(add_volume(ct_values()), "tiny_lung_ct")
    desk.services.installer.agrees = False
    desk.press()
    assert desk.idle
    assert "nothing was installed" in desk.hint
    assert desk.tab.view.stored is None
    desk.services.installer.agrees = True
    assert desk.classify() is not None
    assert desk.hint == ""


def test_cancel_while_running_leaves_no_node_and_the_tab_usable(desk, add_volume, slow):
    node = add_volume(ct_values())
    desk.choose(node, "tiny_lung_ct")
    before = slicer.mrmlScene.GetNumberOfNodes()
    desk.press()
    wait_until(slow.began.is_set)
    assert desk.tab.ui.classifyButton.text == "&Cancel"
    assert not desk.tab.ui.progressBar.isHidden()
    desk.press()
    assert desk.idle
    slow.go.set()
    wait_until(lambda: not any(one.name == "MonaiSKD task" for one in threading.enumerate()))
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    assert desk.errors == []
    assert desk.classify().volume_node is node


def test_progress_goes_by_slices(desk, add_volume):
    desk.choose(add_volume(ct_values(400, 256)), "tiny_lung_ct")
    desk.press()
    wait_until(lambda: desk.tab.ui.progressBar.value > 0 or desk.idle, 30)
    assert desk.tab.ui.progressBar.maximum == 400
    wait_until(lambda: desk.idle, 60)
    assert len(desk.tab.view.stored.result.slices.used) == 400


def test_a_volume_deleted_while_it_is_classified_is_told(desk, add_volume, slow):
    node = add_volume(ct_values(), name="gone")
    desk.choose(node, "tiny_lung_ct")
    desk.press()
    wait_until(slow.began.is_set)
    slicer.mrmlScene.RemoveNode(node)
    before = slicer.mrmlScene.GetNumberOfNodes()
    slow.go.set()
    wait_until(lambda: desk.errors)
    assert "gone: was deleted while it was classified" in str(desk.errors[0])
    assert "was deleted" in desk.hint
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    assert desk.idle


def test_a_scene_closed_while_classifying_ends_it_quietly(desk, add_volume, slow):
    desk.choose(add_volume(ct_values()), "tiny_lung_ct")
    desk.press()
    wait_until(slow.began.is_set)
    close_scene(desk)
    slow.go.set()
    wait_until(lambda: not any(one.name == "MonaiSKD task" for one in threading.enumerate()))
    assert desk.idle
    assert desk.errors == []
    assert slicer.util.getNodesByClass("vtkMRMLTextNode") == []
    desk.choose(add_volume(ct_values()), "tiny_lung_ct")
    assert desk.classify() is not None


def close_scene(desk: Desk) -> None:
    """As the module's panel does it."""
    desk.tab.scene_closing()
    desk.services.parameter_node = None
    desk.app.close_scene()
    desk.services.parameter_node = new_parameter_node()
    desk.tab.refresh()


BAD: dict[str, tuple[str, Callable[[Callable[..., Any]], Any], str]] = {
    "colours": (
        "tiny_chest_xray",
        lambda add: add(np.random.default_rng(0).integers(0, 255, (1, 8, 8, 3)).astype(np.uint8), kind="Vector"),
        "is a colour image",
    ),
    "several values": (
        "tiny_lung_ct",
        lambda add: add(np.zeros((4, 8, 8, 6), dtype=np.int16), kind="Vector"),
        "holds 6 values a voxel",
    ),
    "NaN": ("tiny_lung_ct", lambda add: add(np.full((4, 8, 8), np.nan, dtype=np.float32)), "NaN"),
    "empty": (
        "tiny_lung_ct",
        lambda add: slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty"),
        "holds no voxels",
    ),
    "another modality": ("tiny_chest_xray", lambda add: add(ct_values()), "a radiograph is one picture"),
    "no Hounsfield units": (
        "tiny_lung_ct",
        lambda add: add(np.arange(256, dtype=np.int16).reshape(4, 8, 8)),
        "Hounsfield",
    ),
    "mask": ("tiny_lung_ct", lambda add: add((np.arange(256).reshape(4, 8, 8) % 2).astype(np.int16)), "mask"),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_is_no_image_is_told_in_a_sentence_and_the_tab_goes_on(desk, add_volume, bad):
    model, make, words = BAD[bad]
    desk.choose(make(add_volume), model)
    before = slicer.mrmlScene.GetNumberOfNodes()
    assert desk.classify() is None
    (error,) = desk.errors
    assert isinstance(error, SKDError)
    assert words in desk.hint
    assert error.remedy in desk.hint
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    desk.errors.clear()
    desk.choose(add_volume(ct_values()), "tiny_lung_ct")
    assert desk.hint == ""
    assert desk.classify() is not None


def test_segmentations_are_not_offered(desk, add_volume):
    add_volume(np.zeros((4, 8, 8), dtype=np.uint8), kind="LabelMap")
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "segments")
    assert desk.tab.ui.volumeSelector.nodeCount() == 0


def test_a_heat_map_is_no_image(desk, add_volume):
    desk.choose(add_volume(ct_values()), "tiny_lung_ct")
    heat = desk.classify().heat_node
    desk.choose(heat)
    assert not desk.tab.ui.classifyButton.enabled
    assert "heat map" in desk.hint
    with pytest.raises(SKDError, match="is a heat map"):
        desk.services.logic.task(heat, desk.models / "tiny_lung_ct.onnx")


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


def action(desk: Desk, text: str) -> Any:
    return next(one for one in desk.tab.ui.modelMenuButton.menu().actions() if one.text == text)


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


def test_choosing_another_volume_shows_its_result(desk, add_volume):
    first, second = add_volume(ct_values(), name="first"), add_volume(ct_values(8), name="second")
    desk.choose(first, "tiny_lung_ct")
    desk.classify()
    desk.choose(second)
    assert desk.tab.view.stored is None
    assert desk.tab.view.widget.isHidden()
    desk.choose(first)
    assert desk.tab.view.stored.volume_node is first
    composite = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")[0]
    assert composite.GetBackgroundVolumeID() == first.GetID()
    assert composite.GetForegroundVolumeID() == desk.tab.view.stored.heat_node.GetID()


def test_an_answer_to_other_voxels_is_marked(desk, add_volume):
    node, other = add_volume(ct_values(), name="changed"), add_volume(ct_values(), name="other")
    desk.choose(node, "tiny_lung_ct")
    desk.classify()
    notice = desk.tab.view.ui.noticeLabel
    node.SetName("renamed")
    assert notice.isHidden()
    slicer.util.arrayFromVolume(node)[:] += 1
    slicer.util.arrayFromVolumeModified(node)
    assert notice.text == "The volume was changed since; classify it again."
    assert not notice.isHidden()
    desk.choose(other)
    desk.classify()
    assert notice.isHidden()
    desk.choose(node)
    assert not notice.isHidden()
    assert "Its answer would be" in desk.tab.view.ui.sentenceLabel.text
    desk.classify()
    assert notice.isHidden()
    node.GetImageData().Modified()  # as a filter leaves it
    assert not notice.isHidden()


def test_an_answer_for_a_volume_that_is_not_chosen_any_more_waits_for_it(desk, add_volume, slow):
    first, second = add_volume(ct_values(), name="first"), add_volume(ct_values(8), name="second")
    desk.choose(first, "tiny_lung_ct")
    desk.press()
    wait_until(slow.began.is_set)
    desk.choose(second)
    slow.go.set()
    wait_until(lambda: desk.idle)
    assert desk.tab.view.stored is None
    desk.choose(first)
    assert desk.tab.view.stored is not None


def test_results_are_shown_again_after_saving_and_loading_the_scene(desk, add_volume, tmp_path):
    desk.choose(add_volume(ct_values(), name="chest"), "tiny_lung_ct")
    wanted = desk.classify().result
    desk.services.parameter_node.opacity = 0.25
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    close_scene(desk)
    assert desk.tab.view.stored is None
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    node = slicer.util.getNode("chest")
    desk.tab.refresh()
    desk.choose(node)
    assert desk.tab.view.stored.result.probabilities == pytest.approx(wanted.probabilities, abs=1e-6)
    assert desk.tab.view.stored.heat_node is not None
    assert not desk.tab.view.stored.outdated  # times of change are another's


def test_twenty_scenes_leave_no_observers(desk, add_volume):
    counts = []
    for _ in range(20):
        desk.choose(add_volume(ct_values()), "tiny_lung_ct")
        desk.classify()
        close_scene(desk)
        counts.append((observers(slicer.mrmlScene), slicer.mrmlScene.GetNumberOfNodes()))
    assert counts[1] == counts[-1], counts


class TestOnAServer:
    """The same tab while a server is chosen."""

    @pytest.fixture
    def far(self, desk, add_volume) -> Desk:
        desk.choose(add_volume(ct_values(), name="chest"), "tiny_lung_ct")
        local = desk.classify().result
        desk.services.server.answer = lambda model, file: local
        desk.services.server.choose(True)
        desk.local = local
        return desk

    def test_its_models_are_offered_and_its_answer_is_marked(self, far):
        assert far.tab.chooser.entry.id == "far_model"
        assert "http://10.0.0.1:8000" in far.tab.ui.modelInfo.text
        stored = far.classify()
        assert far.errors == []
        assert stored.source == "http://10.0.0.1:8000"
        assert stored.heat_node is None
        assert "answered by http://10.0.0.1:8000" in far.tab.view.ui.captionLabel.text
        assert len(stored.points_ras) == 6
        (sent,) = far.services.server.sent
        assert sent[0] == "far_model"
        assert sent[1].endswith(".nii.gz")
        assert not Path(sent[1]).exists()

    def test_the_server_is_the_one_that_was_chosen_at_the_click(self, far, monkeypatch):
        write, server = Exports.write_image, far.services.server

        def change(captured: Any, path: Path) -> Path:
            server.url = "http://10.0.0.2:8000"
            return write(captured, path)

        monkeypatch.setattr(Exports, "write_image", change)
        stored = far.classify()
        assert far.errors == []
        assert (server.asked, stored.source) == (["http://10.0.0.1:8000"], "http://10.0.0.1:8000")

    def test_what_is_sent_is_the_volume_in_its_place(self, far, tmp_path):
        import SimpleITK as sitk

        far.classify()
        (tmp_path / "sent.nii.gz").write_bytes(far.services.server.sent[0][2])
        image = sitk.ReadImage(str(tmp_path / "sent.nii.gz"))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image), ct_values())
        lps = image.TransformContinuousIndexToPhysicalPoint((3.0, 2.0, 1.0))
        np.testing.assert_allclose([-lps[0], -lps[1], lps[2]], [-3.0, -2.0, 1.0], atol=1e-4)

    def test_nothing_is_sent_without_consent(self, far):
        far.services.server.agrees = False
        before = far.tab.view.stored
        far.press()
        assert far.services.server.sent == []
        assert far.tab.view.stored is before
        assert "nothing was installed or sent" in far.hint

    def test_a_server_that_breaks_off_is_told(self, far):
        def gone(model: str, file: Path) -> Any:
            raise SKDError("http://10.0.0.1:8000", "broke off in the middle of its answer", "Look into its log")

        before = slicer.mrmlScene.GetNumberOfNodes()
        far.services.server.answer = gone
        far.classify()
        assert "broke off" in str(far.errors[0])
        assert "broke off" in far.hint
        assert slicer.mrmlScene.GetNumberOfNodes() == before
        far.errors.clear()
        far.services.server.answer = lambda model, file: far.local
        assert far.classify().source

    def test_a_failure_of_the_server_is_an_error_here(self, far):
        far.services.server.answer = lambda model, file: Failure("image.nii.gz", "damaged", "it ends", "Copy it again")
        far.classify()
        assert str(far.errors[0]) == "chest: it ends. Copy it again."

    def test_a_stock_answer_is_not_called_reliable(self, far):
        from SKDClassifierLib.place.Server import _stock

        far.services.server.answer = lambda model, file: _stock(
            [{"label": "dark", "score": 0.8}, {"label": "bright", "score": 0.2}], model
        )
        stored = far.classify()
        assert isinstance(stored.result, Result)
        assert "NOT KNOWN TO BE RELIABLE" in far.tab.view.ui.noticeLabel.text
        assert not far.tab.view.ui.noticeLabel.isHidden()
        assert far.tab.view.ui.classTable.item(0, 2).text() == "–"

    def test_the_one_dicom_file_goes_as_it_is(self, far, monkeypatch, tmp_path):
        file = tmp_path / "one.dcm"
        file.write_bytes(b"as it is")
        monkeypatch.setattr(Inputs, "dicom_files", lambda node, database: (str(file),))
        far.classify()
        assert far.services.server.sent[0][1:] == (str(file), b"as it is")

    def test_cancel_does_not_wait_for_the_server(self, far):
        hold = threading.Event()
        far.services.server.answer = lambda model, file: hold.wait(20) and far.local
        nodes = slicer.mrmlScene.GetNumberOfNodes()
        far.press()
        wait_until(lambda: far.services.server.sent)
        far.press()
        assert far.idle
        hold.set()
        wait_until(lambda: not any(one.name == "MonaiSKD task" for one in threading.enumerate()))
        assert slicer.mrmlScene.GetNumberOfNodes() == nodes


def test_a_large_radiograph_is_answered_fast_and_nothing_stands_still(desk, add_volume):
    """The shipped model on 2000 x 2000 pixels: 1.5 s the first time, 0.3 s after; the loop never stands 100 ms."""
    values = np.random.default_rng(0).integers(0, 4095, (1, 2000, 2000)).astype(np.int16)
    desk.choose(add_volume(values, name="large"))
    desk.tab.chooser.choose("chest_xray")
    times: list[float] = []

    def classify() -> None:
        start = time.perf_counter()
        desk.classify()
        times.append(time.perf_counter() - start)

    classify()
    longest, limit = longest_block(classify)
    classify()
    print("seconds", [round(one, 2) for one in times], f"blocked for {longest:.0f} ms of {limit:.0f}")
    assert desk.errors == []
    assert times[0] < 1.5 * limit / 100
    assert min(times[1:]) < 0.3 * limit / 100
    assert longest < limit


@pytest.mark.parametrize("sample", Samples.SAMPLES)
def test_the_panel_looks_right_with_the_shipped_models(desk, tmp_path, sample):
    desk.tab.chooser.choose(Samples.SAMPLES[sample])
    action(desk, "Try with sample data").trigger()
    desk.tab.widget.resize(420, 860)
    desk.classify(120)
    assert desk.errors == []
    image = screenshot(desk.tab.widget, tmp_path / f"{sample}.png")
    assert image.width() == 420  # nothing forces the panel wider
    pixels = pixels_of(image).reshape(-1, 3)
    assert len(np.unique(pixels, axis=0)) > 50
