"""Taking a result out of the scene: table, heat map, picture, DICOM SR."""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import qt
import slicer
from classify_parts import ct_values, write_study
from harness import pixels_of, screenshot, wait_until
from SKDClassifierLib.classify import Exports
from SKDClassifierLib.scene import Inputs

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.dicom.dataset import open_dataset
from MonaiSKD.runtime import ModelIdentity


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
