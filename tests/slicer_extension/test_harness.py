"""The harness is honest: it fails where Slicer would, and what it shows is real."""

from __future__ import annotations

import threading
import time
from typing import Annotated

import numpy as np
import pytest
import qt
import slicer
from harness import BlockTimer, observers, pixels_of, render_slice, screenshot, wait_until
from SKDClassifierLib.scene import Plots
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper


def test_properties_are_attributes(app):
    edit, box, combo, table = qt.QLineEdit("a"), qt.QCheckBox(), qt.QComboBox(), qt.QTableWidget(2, 3)
    edit.text = "b"
    box.checked = True
    combo.addItems(["x", "y"])
    combo.currentIndex = 1
    table.setItem(0, 0, qt.QTableWidgetItem("cell"))
    assert (edit.text, box.checked, combo.currentText, combo.count, combo.findData(1)) == ("b", True, "y", 2, -1)
    assert (table.rowCount, table.item(0, 0).text(), table.horizontalHeader().visible) == (2, "cell", False)
    assert box.isChecked()
    with pytest.raises(TypeError, match="'str' object is not callable"):
        edit.text()
    with pytest.raises(TypeError, match="'bool' object is not callable"):
        box.checked()


def test_misspelt_attributes_are_refused(app):
    with pytest.raises(AttributeError, match="chekced"):
        qt.QCheckBox().chekced = True
    with pytest.raises(AttributeError, match="visbile"):
        qt.QLabel().visbile  # noqa: B018


def test_signals_are_named_by_their_signature(app):
    button, heard = qt.QPushButton(), []
    button.setCheckable(True)
    button.connect("clicked(bool)", heard.append)
    button.click()
    button.disconnect("clicked(bool)", heard.append)
    button.click()
    assert heard == [True]
    with pytest.raises(ValueError, match=r"QPushButton has no signal 'clickd\(bool\)'"):
        button.connect("clickd(bool)", heard.append)
    with pytest.raises(ValueError, match=r"there is textChanged\(QString\)"):
        qt.QLineEdit().connect("textChanged(str)", heard.append)
    with pytest.raises(TypeError, match="cannot be called"):
        button.connect("clicked(bool)", None)


def test_what_only_pyside_takes_is_refused(app, tmp_path):
    with pytest.raises(TypeError, match="no pathlib"):
        qt.QFileInfo(tmp_path)
    assert qt.QFileInfo(str(tmp_path)).exists()
    assert qt.QIcon(qt.QPixmap(4, 4)).availableSizes()
    with pytest.raises(TypeError, match="cannot hold"):
        app.settings.setValue("a", tmp_path)
    with pytest.raises(TypeError, match="type"):
        app.settings.value("a", "", type=bool)
    with pytest.raises(ValueError, match="checkStateChanged"):
        qt.QCheckBox().connect("checkStateChanged(Qt::CheckState)", print)


def test_widgets_belong_to_the_main_thread(app):
    label, caught = qt.QLabel(), []

    def touch() -> None:
        try:
            label.setText("x")
        except RuntimeError as error:
            caught.append(str(error))

    thread = threading.Thread(target=touch)
    thread.start()
    thread.join()
    assert caught == ["QLabel.setText: widgets belong to the main thread"]


def test_the_combo_follows_the_scene(app, scene, add_volume):
    combo, heard = slicer.qMRMLNodeComboBox(), []
    combo.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    combo.noneEnabled = True
    combo.connect("currentNodeChanged(vtkMRMLNode*)", heard.append)
    combo.setMRMLScene(scene)
    first, second = (add_volume(np.zeros((2, 2, 2)), name=name) for name in ("first", "second"))
    scene.AddNewNodeByClass("vtkMRMLTextNode", "text")
    assert combo.nodeCount() == 2
    combo.setCurrentNode(second)
    second.SetName("renamed")
    assert combo.entries() == ["None", "first", "renamed"]
    scene.RemoveNode(second)
    assert combo.currentNode() is first
    app.close_scene()
    assert combo.currentNode() is None
    assert (combo.nodeCount(), combo.currentNodeID) == (0, "")
    assert heard == [second, first, None]
    before = observers(scene)
    combo.setMRMLScene(None)
    assert observers(scene) == before - 3


def test_a_block_of_the_event_loop_is_measured(app):
    qt.QTimer.singleShot(30, lambda: time.sleep(0.15))
    done = []
    qt.QTimer.singleShot(60, lambda: done.append(True))
    with BlockTimer() as blocked:
        wait_until(lambda: done, 2)
    assert 140 < blocked.longest < 300
    end = time.perf_counter() + 0.1
    with BlockTimer() as calm:
        wait_until(lambda: time.perf_counter() > end, 2)
    assert calm.longest < 100


def test_waiting_ends(app):
    with pytest.raises(AssertionError, match=r"within 0.05 s"):
        wait_until(lambda: False, 0.05)


def test_a_plot_draws_its_chart_and_is_clicked(app, scene, tmp_path):
    window, points = qt.QWidget(), []
    layout = qt.QVBoxLayout(window)
    plot = Plots.SlicePlot(scene, layout, points.append)
    chart = Plots.probability_chart(scene, np.array([[0.1, 0.9], [0.8, 0.2], [0.6, 0.4]]), ["a", "b"])
    plot.show(chart)
    view = plot.widget.plotView()
    view.click_point(2, series=1)
    assert points == [2]
    pixels = pixels_of(screenshot(window, tmp_path / "plot.png"))
    blue = np.array([0, 115, 179])
    assert (np.abs(pixels.astype(int) - blue).sum(axis=2) < 30).sum() > 100
    app.close_scene()
    plot.cleanup()


def test_a_slice_is_drawn_with_its_overlay(app, scene, add_volume, tmp_path):
    values = np.zeros((3, 40, 40), dtype=np.int16)
    values[:, :20] = 100
    image = add_volume(values)
    heat = np.zeros((3, 40, 40), dtype=np.uint8)
    heat[:, :, :20] = 100
    overlay = add_volume(heat)
    for node in (image, overlay):
        node.CreateDefaultDisplayNodes()
    overlay.GetDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeRed")
    overlay.GetDisplayNode().SetThreshold(50, 100)
    overlay.GetDisplayNode().SetApplyThreshold(True)
    slicer.util.setSliceViewerLayers(background=image, foreground=overlay, foregroundOpacity=1.0, fit=True)
    pixels = pixels_of(render_slice("Red", (200, 200)))
    assert pixels.shape == (200, 200, 3)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) >= 3


def test_errors_in_slots_are_told(app):
    qt.QTimer.singleShot(0, lambda: 1 / 0)
    wait_until(lambda: app.errors, 2)
    assert "ZeroDivisionError" in app.errors.pop()


def test_dialogs_answer_what_was_prepared(app):
    app.answer("confirmOkCancelDisplay", True)
    app.answer("getSaveFileName", "/tmp/x.csv")
    assert slicer.util.confirmOkCancelDisplay("Sure?")
    assert not slicer.util.confirmOkCancelDisplay("Sure?")
    assert qt.QFileDialog.getSaveFileName(None, "Save", "", "CSV (*.csv)") == "/tmp/x.csv"
    slicer.util.errorDisplay("Broken", detailedText="why")
    assert [kind for kind, _ in app.dialogs] == ["confirmOkCancelDisplay"] * 2 + ["getSaveFileName", "errorDisplay"]
    assert app.dialogs[-1] == ("errorDisplay", "Broken")
    with pytest.raises(TypeError, match="missing a required argument"):
        slicer.util.errorDisplay()


def test_settings_belong_to_the_test(app):
    assert not app.settings.contains("SKDClassifier/model")
    app.settings.setValue("SKDClassifier/model", "x")
    assert slicer.util.settingsValue("SKDClassifier/model", "") == "x"


def test_the_next_test_has_other_settings(app):
    assert slicer.util.settingsValue("SKDClassifier/model", "") == ""


@parameterNodeWrapper
class Parameters:
    model: str = ""
    volume: slicer.vtkMRMLVolumeNode
    shown: bool = True
    opacity: Annotated[float, WithinRange(0, 1)] = 0.5


def test_a_parameter_node_keeps_typed_fields(app, scene, add_volume):
    node = scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    node.SetSingletonTag("x")
    parameters, volume, heard = Parameters(node), add_volume(np.zeros((1, 2, 2))), []
    tag = parameters.AddObserver("ModifiedEvent", lambda *_: heard.append(parameters.opacity))
    parameters.opacity = 0.25
    parameters.volume = volume
    assert heard[:1] == [0.25]
    assert (Parameters(node).opacity, Parameters(node).volume) == (0.25, volume)
    with pytest.raises(ValueError, match="within range"):
        parameters.opacity = 2.0
    with pytest.raises(TypeError, match="must be of type"):
        parameters.model = 3
    parameters.RemoveObserver(tag)
    app.close_scene()
    assert (parameters.opacity, parameters.volume, parameters.shown) == (0.5, None, True)
