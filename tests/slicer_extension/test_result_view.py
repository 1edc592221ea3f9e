"""What is shown of a result."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import qt
import slicer
from classify_parts import ct_values, radiograph_values
from harness import pixels_of, screenshot
from shown_result import Shown
from SKDClassifierLib.scene import Plots, ResultNodes

from MonaiSKD.runtime import ModelIdentity, Result


def made(**changes: Any) -> Result:
    """A result by hand."""
    fields: dict[str, Any] = {
        "input": "x",
        "label": "pneumonia",
        "probabilities": {"normal": 0.13, "pneumonia": 0.87},
        "thresholds": {"normal": 0.35, "pneumonia": 0.52},
        "atypicality": 0.2,
        "atypicality_threshold": 1.0,
        "model": ModelIdentity("chest_xray", "1.0", "00"),
        "milliseconds": 20.0,
    }
    return Result(**{**fields, **changes})


def store(node: Any, result: Result) -> Any:
    return ResultNodes.store(slicer.mrmlScene, node, result, np.zeros((1, 3)), "Chest model")


def test_nothing_is_shown_of_nothing(shown):
    assert shown.view.widget.isHidden()
    shown.view.show(None)
    assert shown.view.widget.isHidden()


def test_the_sentence_is_that_of_all_other_places(shown, add_volume):
    shown.view.show(store(add_volume(radiograph_values(), name="p01"), made()))
    assert shown.ui.sentenceLabel.text == "pneumonia, 0.87"
    assert shown.ui.captionLabel.text == "p01 · Chest model 1.0"
    assert shown.ui.noticeLabel.isHidden()
    table = shown.ui.classTable
    assert [table.item(row, 0).text() for row in range(2)] == ["normal", "pneumonia"]
    assert [table.cellWidget(row, 1).value for row in range(2)] == [130, 870]
    assert [table.cellWidget(row, 1).text for row in range(2)] == ["0.13", "0.87"]
    assert [table.item(row, 2).text() for row in range(2)] == ["0.35", "0.52"]
    assert [table.item(row, 3).text() for row in range(2)] == ["–", "present"]
    assert "atypicality 0.20, limit 1.00" in shown.ui.warningsLabel.text


def test_an_atypical_image_is_told_in_red(shown, add_volume, tmp_path):
    node = add_volume(radiograph_values())
    shown.view.show(store(node, made(atypicality=3.12, warnings=("It is a lateral view",))))
    assert "NOT RELIABLE" in shown.ui.noticeLabel.text
    assert "atypicality 3.1, limit 1.0" in shown.ui.noticeLabel.text
    assert shown.ui.sentenceLabel.text == "Its answer would be: pneumonia, 0.87"
    assert "⚠ It is a lateral view." in shown.ui.warningsLabel.text
    shown.view.widget.resize(420, 400)
    image = pixels_of(screenshot(shown.view.widget, tmp_path / "atypical.png"))
    red = (image[..., 0] > 150) & (image[..., 1] < 60)
    assert red.mean() > 0.03
    shown.view.show(store(node, made()))
    assert shown.ui.noticeLabel.isHidden()
    assert "bold" in shown.ui.sentenceLabel.styleSheet


def test_rounding_does_not_contradict_the_decision(shown, add_volume):
    result = made(probabilities={"normal": 0.4801, "pneumonia": 0.5199})
    shown.view.show(store(add_volume(radiograph_values()), result))
    table = shown.ui.classTable
    assert (table.cellWidget(1, 1).text, table.item(1, 2).text()) == ("0.5199", "0.5200")
    assert shown.ui.sentenceLabel.text.startswith("normal, 0.48")


def test_classes_that_cannot_be_told_apart_are_not_both_present(shown, add_volume):
    limits = {"normal": 0.35, "pneumonia": 0.45, "covid": 0.4}
    result = made(probabilities={"normal": 0.1, "pneumonia": 0.48, "covid": 0.42}, thresholds=limits)
    stored = store(add_volume(radiograph_values()), result)
    shown.view.show(stored)
    assert "pneumonia (0.48) or covid (0.42): cannot be told apart" in shown.ui.sentenceLabel.text
    table = shown.ui.classTable
    assert [table.item(row, 3).text() for row in range(3)] == ["–", "undetermined", "undetermined"]
    decisions = stored.table_node.GetTable().GetColumnByName("decision")
    assert [decisions.GetValue(row) for row in range(3)] == ["", "undetermined", "undetermined"]


def test_a_radiograph_has_no_slices(shown, add_volume):
    shown.classify(add_volume(radiograph_values()), "tiny_chest_xray")
    assert shown.ui.slicesRow.isHidden()
    assert not shown.ui.heatRow.isHidden()


def plot(shown: Shown) -> Any:
    return shown.ui.plotLayout.itemAt(0).widget()


def slice_planes_hold(point: np.ndarray) -> None:
    """The plane of every slice view goes through a point."""
    nodes = slicer.util.getNodesByClass("vtkMRMLSliceNode")
    assert len(nodes) == 3
    for node in nodes:
        matrix = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())
        assert abs(matrix[:3, 2] @ (point - matrix[:3, 3])) < 1e-3


OBLIQUE = np.array([[-0.9, 0.1, 0.2, 30], [0.1, -0.8, 0.5, -20], [0.2, 0.4, 2.0, 7], [0, 0, 0, 1.0]])


@pytest.mark.parametrize("affine", [None, OBLIQUE], ids=["upright", "oblique"])
def test_a_click_on_a_point_goes_to_its_slice(shown, add_volume, affine):
    stored = shown.classify(add_volume(ct_values(12, 32), affine))
    count = len(stored.result.slices.used)
    chart = plot(shown).plotView().chart_node()
    assert chart.GetNumberOfPlotSeriesNodes() == 2
    for index in (0, count // 2, count - 1):
        plot(shown).plotView().click_point(index)
        slice_planes_hold(stored.points_ras[index])
        assert shown.ui.sliceLabel.text.startswith(f"Slice {index + 1} of {count}: ")
    plot(shown).plotView().click_point(0, drag=40)  # the chart is dragged, which is no click
    plot(shown).plotView().press(2, 2)  # beside the axes
    slice_planes_hold(stored.points_ras[count - 1])


def test_the_curve_stays_when_another_chart_is_shown_in_the_layout(shown, scene, ct):
    shown.classify(ct)
    view, own = plot(shown).plotView(), plot(shown).plotView().chart_node()
    other = Plots.curve_chart(scene, "other", {"loss": [0.5, 0.4]}, ("epoch", [1, 2]))
    logic = slicer.app.applicationLogic()
    logic.GetSelectionNode().SetActivePlotChartID(other.GetID())
    logic.PropagatePlotChartSelection()
    assert view.chart_node() is own


def test_the_slice_that_is_jumped_to_is_the_one_of_the_volume(shown, add_volume):
    """The point of slice k lies at slice k of the voxels, also in a volume that runs from head to feet."""
    values, affine = ct_values(12, 32)[::-1] - np.int16(300), np.diag([-1.0, -1.0, -2.0, 1.0])
    stored = shown.classify(add_volume(values, affine))
    brightest = int(np.argmax(stored.result.slices.probabilities[:, 1]))
    place = np.linalg.inv(affine) @ [*stored.points_ras[brightest], 1]
    assert values[round(place[2])].mean() == max(one.mean() for one in values)


def test_next_key_slice_goes_round(shown, ct):
    stored = shown.classify(ct)
    key = stored.result.slices.key
    assert len(key) > 1
    slice_planes_hold(stored.points_ras[key[0]])  # a fresh answer begins there
    for index in (*key[1:], *key[:2]):
        shown.ui.keySliceButton.click()
        slice_planes_hold(stored.points_ras[index])


def test_slices_without_a_known_place_cannot_be_jumped_to(shown, ct):
    stored = shown.classify(ct)
    shown.view.show(replace(stored, points_ras=np.empty((0, 3))))
    assert not shown.ui.keySliceButton.enabled
    plot(shown).plotView().click_point(3)
    assert shown.ui.sliceLabel.text.startswith("Slice 4 of 12")


def test_the_heat_map_follows_its_controls_and_the_parameter_node(shown, ct):
    stored = shown.classify(ct)
    composite = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")[0]
    display, node = stored.heat_node.GetDisplayNode(), shown.services.parameter_node
    assert composite.GetForegroundVolumeID() == stored.heat_node.GetID()
    shown.ui.opacitySlider.setValue(0.8)
    shown.ui.thresholdSlider.setValue(35)
    assert (composite.GetForegroundOpacity(), node.opacity) == (pytest.approx(0.8), pytest.approx(0.8))
    assert (display.GetLowerThreshold(), node.threshold) == (35, 35)
    shown.ui.heatMapCheck.setChecked(False)
    assert composite.GetForegroundVolumeID() is None
    assert not node.showHeatMap
    assert not shown.ui.opacitySlider.enabled
    node.showHeatMap, node.opacity = True, 0.3
    shown.view.refresh()
    assert composite.GetForegroundVolumeID() == stored.heat_node.GetID()
    assert composite.GetForegroundOpacity() == pytest.approx(0.3)


def test_another_foreground_than_a_heat_map_stays(shown, ct, add_volume):
    other = add_volume(ct_values(), name="registered")
    slicer.util.setSliceViewerLayers(foreground=other)
    shown.view.show(None)
    composite = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")[0]
    assert composite.GetForegroundVolumeID() == other.GetID()


def test_nodes_deleted_by_the_user_do_no_harm(shown, ct, app):
    stored = shown.classify(ct)
    for node in (stored.heat_node, stored.table_node, stored.text_node, ct):
        slicer.mrmlScene.RemoveNode(node)
    shown.ui.opacitySlider.setValue(0.9)
    shown.ui.heatMapCheck.setChecked(False)
    shown.ui.keySliceButton.click()
    app.answer("getSaveFileName", str(app.folder / "x.nrrd"))
    shown.action("Heat map").trigger()
    assert shown.errors == []
    assert not (app.folder / "x.nrrd").exists()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_is_readable_in_both_palettes(shown, ct, app, tmp_path, dark):
    palette = qt.QApplication.palette()
    if dark:
        other = qt.QPalette(qt.QColor("#2b2b2b"))
        qt.QApplication.setPalette(other)
    shown.classify(ct)
    shown.view.widget.resize(420, 640)
    image = pixels_of(screenshot(shown.view.widget, tmp_path / f"{'dark' if dark else 'light'}.png"))
    qt.QApplication.setPalette(palette)
    assert (np.median(image) < 100) == dark
    label = image[:60].astype(int)
    assert label.max() - label.min() > 120  # words stand out from what is behind them
