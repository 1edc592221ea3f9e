"""The tab "Classify" as a user works with it, on real MRML and with models whose answers are known."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import slicer
import vtk
from classify_desk import Desk, action, open_desk
from classify_parts import ct_values, longest_block, new_parameter_node
from harness import observers, pixels_of, screenshot, wait_until
from SKDClassifierLib.scene import Inputs, ResultNodes, Samples


@pytest.fixture
def desk(app, tmp_path):
    yield from open_desk(app, tmp_path)


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


def test_an_answer_to_another_place_is_marked_and_its_places_are_not_shown(desk, add_volume):
    node = add_volume(ct_values(), name="moved")
    desk.choose(node, "tiny_lung_ct")
    stored, ui = desk.classify(), desk.tab.view.ui
    composite = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")[0]
    first, moved = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(first)
    moved.DeepCopy(first)
    moved.SetElement(2, 3, first.GetElement(2, 3) + 100)

    def is_marked() -> bool:
        marked = not ui.noticeLabel.isHidden()
        assert (composite.GetForegroundVolumeID() is None) == marked
        assert (ui.slicesRow.isHidden(), ui.heatRow.isHidden()) == (marked, marked)
        assert composite.GetBackgroundVolumeID() == node.GetID()
        return marked

    assert not is_marked()
    node.SetIJKToRASMatrix(moved)
    assert is_marked()
    desk.choose(add_volume(ct_values(), name="other"))
    desk.choose(node)
    assert is_marked()
    node.SetIJKToRASMatrix(first)
    assert not is_marked()
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetAndObserveTransformNodeID(transform.GetID())
    assert not is_marked()
    transform.SetMatrixTransformToParent(moved)
    assert is_marked()
    desk.classify()
    assert not is_marked()
    assert stored.outdated


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
