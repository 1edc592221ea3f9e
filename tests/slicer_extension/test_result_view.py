"""What is shown of a result, and what can be done with it."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import qt
import slicer
from classify_parts import ct_values, make_services, radiograph_values, write_study
from harness import pixels_of, screenshot, wait_until
from SKDClassifierLib.classify import Exports
from SKDClassifierLib.classify.ResultView import ResultView
from SKDClassifierLib.scene import Inputs, Plots, ResultNodes

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.dicom.dataset import open_dataset
from MonaiSKD.runtime import ModelIdentity, Result


class Shown:
    """A view on a scene, with its services."""

    def __init__(self, app: Any, folder: Path) -> None:
        self.services, self.errors = make_services(app, folder / "models")
        self.models = folder / "models"
        self.view = ResultView(self.services)
        self.ui = self.view.ui

    def classify(self, node: Any, model: str = "tiny_lung_ct") -> Any:
        stored = self.services.logic.classify(node, self.models / f"{model}.onnx")
        self.view.show(stored, fresh=True)
        return stored

    def action(self, text: str) -> Any:
        return next(one for one in self.ui.exportButton.menu().actions() if one.text.startswith(text))


@pytest.fixture
def shown(app, tmp_path) -> Iterator[Shown]:
    one = Shown(app, tmp_path)
    yield one
    one.view.cleanup()


@pytest.fixture
def ct(add_volume) -> Any:
    return add_volume(ct_values(12, 32), name="chest")


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


def test_csv_heat_map_and_picture_are_saved(shown, ct, app, tmp_path):
    stored = shown.classify(ct)
    app.answer("getSaveFileName", str(tmp_path / "one"), str(tmp_path / "heat.nrrd"), str(tmp_path / "one.png"))
    shown.action("Table as CSV").trigger()
    with (tmp_path / "one.csv").open() as rows:
        (row,) = csv.DictReader(rows)
    assert float(row["p_bright"]) == pytest.approx(stored.result.probabilities["bright"], abs=1e-6)
    shown.action("Heat map").trigger()
    assert (tmp_path / "heat.nrrd").stat().st_size > 0
    shown.action("Picture").trigger()
    assert qt.QImage(str(tmp_path / "one.png")).width() > shown.view.widget.width
    assert shown.errors == []
    assert "one.png" in shown.ui.savedLabel.text


def test_a_file_that_the_added_suffix_hits_is_replaced_only_where_the_user_says_so(shown, ct, app, tmp_path):
    """The dialog has asked of the name without the suffix."""
    shown.classify(ct)
    (tmp_path / "one.csv").write_text("mine")
    app.answer("getSaveFileName", *[str(tmp_path / name) for name in ("one", "one", "v1.2", "heat.nii.gz")])
    app.answer("confirmYesNoDisplay", False, True)
    shown.action("Table as CSV").trigger()
    assert (tmp_path / "one.csv").read_text() == "mine"
    assert shown.ui.savedLabel.text == ""
    for text in ("Table as CSV", "Table as CSV", "Heat map"):
        shown.action(text).trigger()
    assert (tmp_path / "one.csv").read_text() == (tmp_path / "v1.2.csv").read_text() != "mine"
    assert (tmp_path / "heat.nii.gz").exists()
    assert [kind for kind, _text in app.dialogs].count("confirmYesNoDisplay") == 2
    assert shown.errors == []


def test_the_user_may_change_his_mind(shown, ct, app):
    shown.classify(ct)
    for text in ("Table as CSV", "Heat map", "Picture"):
        shown.action(text).trigger()
    assert [kind for kind, _ in app.dialogs] == ["getSaveFileName"] * 3
    assert shown.errors == []


def test_the_picture_goes_to_the_clipboard(shown, ct, tmp_path):
    shown.classify(ct)
    screenshot(shown.view.widget, tmp_path / "panel.png")
    shown.ui.screenshotButton.click()
    image = qt.QApplication.clipboard().image()
    assert image.width() > shown.view.widget.width
    assert "clipboard" in shown.ui.savedLabel.text
    assert len(np.unique(pixels_of(image).reshape(-1, 3), axis=0)) > 20


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_cannot_be_written_is_told(shown, ct, app, tmp_path):
    shown.classify(ct)
    (tmp_path / "locked").mkdir(mode=0o500)
    app.answer("getSaveFileName", str(tmp_path / "locked" / "a.csv"))
    shown.action("Table as CSV").trigger()
    assert isinstance(shown.errors[0], SKDError)


def test_a_place_that_is_no_folder_is_told(shown, ct, app, tmp_path):
    """As with a folder that is read-only, but also for the superuser."""
    shown.classify(ct)
    (tmp_path / "file").write_text("")
    inside = str(tmp_path / "file" / "a")
    app.answer("getSaveFileName", f"{inside}.csv", f"{inside}.nrrd", f"{inside}.png")
    for text in ("Table as CSV", "Heat map", "Picture"):
        shown.action(text).trigger()
    assert [type(error) for error in shown.errors] == [SKDError] * 3
    assert all("cannot be written" in str(error) for error in shown.errors)


def loaded(app: Any, files: list[Path]) -> Any:
    """The volume node of a series, from the DICOM database."""
    from DICOMLib import DICOMUtils

    series = str(open_dataset(files[0], pixels=False).SeriesInstanceUID)
    app.use_database(*files)
    (identity,) = DICOMUtils.loadSeriesByUID([series])
    return slicer.mrmlScene.GetNodeByID(identity)


@pytest.fixture
def radiograph(app, tmp_path) -> Any:
    """A DICOM radiograph in the database, loaded."""
    return loaded(app, write_study(tmp_path / "dicom", 1))


def test_reports_are_offered_for_dicom_only(shown, ct):
    shown.classify(ct)
    assert not shown.action("DICOM SR into a folder").isEnabled()


def test_dicom_sr_goes_into_a_folder_and_into_the_database(shown, radiograph, app, tmp_path):
    node = radiograph
    shown.classify(node, "tiny_chest_xray")
    app.answer("getExistingDirectory", str(tmp_path / "reports"))
    (tmp_path / "reports").mkdir()
    shown.action("DICOM SR into a folder").trigger()
    assert shown.ui.savedLabel.text == "Writing the DICOM SR…"
    wait_until(lambda: shown.ui.savedLabel.text != "Writing the DICOM SR…", 60)
    assert shown.errors == []
    (report,) = (tmp_path / "reports").rglob("*.dcm")
    assert pydicom.dcmread(report).Modality == "SR"
    shown.action("DICOM SR into the DICOM database").trigger()
    wait_until(lambda: shown.ui.savedLabel.text != "Writing the DICOM SR…", 60)
    assert shown.errors == []
    assert "In the DICOM database: 1" in shown.ui.savedLabel.text


def test_the_end_of_a_report_names_its_volume_and_a_second_one_waits(shown, radiograph, ct, app, tmp_path):
    node = radiograph
    stored = shown.classify(node, "tiny_chest_xray")
    app.answer("getExistingDirectory", str(tmp_path))
    shown.action("DICOM SR into a folder").trigger()
    before = len(app.dialogs)
    for text in ("DICOM SR into a folder", "DICOM SR into the DICOM database"):
        shown.action(text).trigger()
    assert ["a report is being written" in str(error) for error in shown.errors] == [True, True]
    assert len(app.dialogs) == before
    shown.classify(ct)
    wait_until(lambda: shown.ui.savedLabel.text, 60)
    assert shown.ui.savedLabel.text.startswith(f"{node.GetName()}: Saved: ")
    shown.view.show(stored)
    app.answer("getExistingDirectory", "")
    shown.action("DICOM SR into a folder").trigger()  # now it asks again
    assert len(app.dialogs) == before + 1


def test_a_database_that_takes_no_report_is_told(tmp_path, monkeypatch):
    from DICOMLib import DICOMUtils

    (tmp_path / "report.dcm").touch()
    monkeypatch.setattr(DICOMUtils, "importDicom", lambda folder, copyFiles: False)  # as Slicer says it
    with pytest.raises(SKDError, match="did not take the report"):
        Exports.import_into_database(tmp_path)


def test_the_dicom_sr_of_a_volume_is_one_for_all_its_slices(shown, app, tmp_path):
    node = loaded(app, write_study(tmp_path / "dicom", 1, "CT", slices=8))
    shown.classify(node)
    app.answer("getExistingDirectory", str(tmp_path / "reports"))
    shown.action("DICOM SR into a folder").trigger()
    wait_until(lambda: shown.ui.savedLabel.text != "Writing the DICOM SR…", 60)
    assert shown.errors == []
    (report,) = (tmp_path / "reports").rglob("*.dcm")
    written = pydicom.dcmread(report).to_json()
    assert written.count("Series 1, tiny_lung_ct: ") == 1  # eight slices by themselves would be eight answers


def test_a_report_that_says_something_else_than_is_shown_is_not_kept(shown, radiograph, app, tmp_path):
    stored = shown.classify(radiograph, "tiny_chest_xray")
    least = min(stored.result.probabilities, key=stored.result.probabilities.get)
    others = 0.03 / (len(stored.result.probabilities) - 1)
    other = replace(
        stored.result,
        probabilities={name: 0.97 if name == least else others for name in stored.result.probabilities},
        label=least,
    )
    shown.view.show(replace(stored, result=other))
    app.answer("getExistingDirectory", str(tmp_path / "reports"))
    shown.action("DICOM SR into a folder").trigger()
    wait_until(lambda: shown.ui.savedLabel.text != "Writing the DICOM SR…", 60)
    assert "give another answer than is shown" in str(shown.errors[0])
    assert list((tmp_path / "reports").rglob("*.dcm")) == []


def test_dicom_sr_needs_the_model_that_answered(shown, radiograph, app, tmp_path):
    node = radiograph
    stored = shown.classify(node, "tiny_chest_xray")
    shown.view.show(replace(stored, result=replace(stored.result, model=ModelIdentity("other", "1", "ff"))))
    app.answer("getExistingDirectory", str(tmp_path))
    shown.action("DICOM SR into a folder").trigger()
    assert "is not among the models" in str(shown.errors[0])


def test_without_highdicom_the_installer_offers_it(shown, radiograph, app, tmp_path, monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "highdicom" else real(name, *more)
    )
    node = radiograph
    shown.classify(node, "tiny_chest_xray")
    shown.services.installer.agrees = False
    app.answer("getExistingDirectory", str(tmp_path))
    shown.action("DICOM SR into a folder").trigger()
    assert shown.services.installer.asked == 1
    assert shown.ui.savedLabel.text == ""
    assert shown.errors == []


def test_the_same_geometry_is_exported_for_a_server(add_volume, tmp_path):
    import SimpleITK as sitk

    affine = np.array([[0.0, 0.0, 3.0, 5], [-0.7, 0, 0, -4], [0, 0.8, 0, 9], [0, 0, 0, 1]])
    node = add_volume(ct_values(5, 8), affine)
    Exports.write_image(Inputs.capture(node), tmp_path / "a.nii.gz")
    image = sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    lps = np.array(image.TransformContinuousIndexToPhysicalPoint((1.0, 2.0, 3.0)))
    np.testing.assert_allclose(lps * [-1, -1, 1], (affine @ [1, 2, 3, 1])[:3], atol=1e-4)
    skewed = add_volume(ct_values(5, 8), affine + np.array([[0, 0.5, 0, 0], *[[0.0] * 4] * 3]))
    with pytest.raises(SKDError, match="right angles"):
        Exports.write_image(Inputs.capture(skewed), tmp_path / "b.nii.gz")


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
