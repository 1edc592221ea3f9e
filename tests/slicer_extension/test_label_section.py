"""Labelling cases in the panel: on real images, a real scene and real files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
import slicer
from classify_parts import ct_values, make_services
from dicom_writing import made, write
from harness import observers, pixels_of, render_slice, screenshot, wait_until
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from SKDClassifierLib import train
from SKDClassifierLib.classify.ResultView import ResultView
from SKDClassifierLib.train.Labels import LabelFile
from SKDClassifierLib.train.LabelSection import LabelSection

from MonaiSKD.datasets import load_datalist

NAMES = [f"{letter}.nii" for letter in "abcdef"]


def write_image(path: Path, value: float = 100) -> None:
    ramp = np.linspace(0, value, 32 * 32, dtype=np.float32).reshape(32, 32, 1)
    nibabel.save(nibabel.Nifti1Image(ramp, np.eye(4)), path)


class Services:
    """What the section takes of the services."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def show_error(self, error: Exception) -> None:
        self.errors.append(str(error))


@pytest.fixture
def folder(tmp_path) -> Path:
    path = tmp_path / "images"
    path.mkdir()
    for number, name in enumerate(NAMES):
        write_image(path / name, 10 + number)
    return path


@pytest.fixture
def used() -> dict[str, list[str]]:
    return {"use": [], "labelled": []}


@pytest.fixture
def section(app, used, monkeypatch):
    monkeypatch.setattr(train.LabelSection, "SECONDS_TO_SEE", 0)
    one = LabelSection(Services(), used["use"].append, used["labelled"].append)
    one.suggest_classes(["normal", "pneumonia"])
    one.widget.resize(420, 330)
    one.widget.show()
    one.widget.activateWindow()  # keys go to the active window
    wait_until(lambda: app.qt.activeWindow() is not None)
    yield one
    one.cleanup()


def open_folder(section: LabelSection, folder: Path) -> None:
    section.ui.folderEdit.setCurrentPath(str(folder))
    section.ui.openButton.click()


def buttons(section: LabelSection) -> list:
    return [button for button, _ in section._buttons]


def shown(app) -> list[str]:
    return [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode", app.scene)]


def test_a_press_writes_the_label_and_the_next_case_follows(app, section, folder, used):
    assert not section.ui.openButton.enabled
    assert not section.ui.caseWidget.visible
    open_folder(section, folder)
    assert section.ui.caseLabel.text == "a.nii  (1 of 6)"
    assert shown(app) == ["a"]
    assert not section.ui.undoButton.enabled
    assert not section.ui.useButton.enabled
    buttons(section)[1].click()
    assert LabelFile(folder / "labels.csv").label_of(folder / "a.nii") == "pneumonia"
    assert section.ui.caseLabel.text == "b.nii  (2 of 6)"
    assert section.ui.countsLabel.text == "1 of 6: normal 0, pneumonia 1"
    assert shown(app) == ["b"]
    composite = app.qt.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
    assert composite.GetBackgroundVolumeID() == slicer.util.getNode("b").GetID()
    assert pixels_of(render_slice("Red")).std() > 10
    section.ui.previousButton.click()
    assert [button.checked for button in buttons(section)] == [False, True]
    section.ui.useButton.click()
    assert used == {"use": [str(folder / "labels.csv")], "labelled": [str(folder / "labels.csv")]}


def test_all_cases_by_keys_then_the_labels_are_a_data_set(app, section, folder):
    open_folder(section, folder)
    for key in "121212":
        QTest.keyClick(section.widget, key)
    assert section.ui.countsLabel.text == "6 of 6: normal 3, pneumonia 3"
    assert section.ui.messageLabel.text == "All cases have a label."
    assert section.ui.labelledBar.value == section.ui.labelledBar.maximum == 6
    datalist = load_datalist(folder / "labels.csv")
    found = {Path(case.path).name: case.label for split in ("train", "val", "test") for case in datalist.of(split)}
    assert found == dict(zip(NAMES, ["normal", "pneumonia"] * 3, strict=True))
    QTest.keyClick(section.widget, "9")  # there is no ninth class
    assert section.ui.countsLabel.text.startswith("6 of 6")


def test_keys_take_back_and_do_nothing_where_the_section_is_hidden(app, section, folder):
    open_folder(section, folder)
    QTest.keyClick(section.widget, "1")
    QTest.keyClick(section.widget, "2")
    QTest.keyClick(section.widget, "0")
    assert section.ui.caseLabel.text == "b.nii  (2 of 6)"
    QTest.keyClick(section.widget, Qt.Key.Key_Backspace)
    assert section.ui.caseLabel.text == "a.nii  (1 of 6)"
    assert len(LabelFile(folder / "labels.csv")) == 0
    assert not section.ui.undoButton.enabled
    QTest.keyClicks(section.ui.classesEdit, "1")  # a digit typed into a field is a digit
    assert section.ui.classesEdit.text == "normal, pneumonia1"
    section.widget.hide()
    QTest.keyClick(section.widget, "1")
    assert len(LabelFile(folder / "labels.csv")) == 0


def test_what_nobody_has_seen_gets_no_label(app, section, folder, monkeypatch):
    """A key that is held down, or a double click."""
    assert not any(shortcut.autoRepeat for shortcut in section.shortcuts.values())
    open_folder(section, folder)
    monkeypatch.setattr(train.LabelSection, "SECONDS_TO_SEE", 1.0)
    section.ui.nextButton.click()
    section.ui.previousButton.click()  # shown again just now
    QTest.keyClick(section.widget, "1")
    assert len(LabelFile(folder / "labels.csv")) == 0
    time.sleep(1)
    for event in (QTest.mouseClick, QTest.mouseDClick, QTest.mouseRelease):  # a double click
        event(buttons(section)[1], Qt.MouseButton.LeftButton)
    assert LabelFile(folder / "labels.csv").counts() == {"pneumonia": 1}
    assert section.ui.caseLabel.text == "b.nii  (2 of 6)"
    assert not any(button.checked for button in buttons(section))
    time.sleep(1)
    QTest.mouseClick(buttons(section)[0], Qt.MouseButton.LeftButton)
    assert LabelFile(folder / "labels.csv").counts() == {"normal": 1, "pneumonia": 1}


def test_walking_and_the_next_without_a_label(app, section, folder):
    labels = LabelFile(folder / "labels.csv")
    labels.give(folder / "a.nii", "normal")
    labels.give(folder / "c.nii", "other")
    open_folder(section, folder)
    assert section.ui.caseLabel.text.startswith("b.nii")
    assert section.classes == ["normal", "pneumonia", "other"]  # those of the file, too
    section.ui.nextUnlabelledButton.click()
    assert section.ui.caseLabel.text.startswith("d.nii")
    section.ui.nextButton.click()
    section.ui.nextButton.click()
    section.ui.nextButton.click()
    assert section.ui.caseLabel.text.startswith("a.nii")  # round again
    section.ui.previousButton.click()
    assert section.ui.caseLabel.text.startswith("f.nii")


def test_class_names_can_be_changed(app, section, folder):
    open_folder(section, folder)
    section.ui.classesEdit.setText(" sick ,, healthy & well, sick")
    QTest.keyClick(section.ui.classesEdit, Qt.Key.Key_Return)
    assert [button.text for button in buttons(section)] == ["1   sick", "2   healthy && well"]
    buttons(section)[1].click()
    assert LabelFile(folder / "labels.csv").label_of(folder / "a.nii") == "healthy & well"
    section.suggest_classes(["x", "y"])  # another bundle does not take them away
    assert section.classes == ["sick", "healthy & well"]


def test_a_file_that_cannot_be_read_is_passed_over_and_stays_without_a_label(app, section, folder):
    (folder / "b.nii").write_bytes(b"no image")
    (folder / "c.nii").write_bytes(b"")
    open_folder(section, folder)
    buttons(section)[0].click()
    assert section.ui.caseLabel.text.startswith("d.nii")
    assert section.ui.messageLabel.text == "c.nii cannot be shown; it stays without a label."
    for _ in range(3):
        buttons(section)[0].click()
    assert section.ui.messageLabel.text == "All have a label but 2 that cannot be shown."
    assert section.ui.countsLabel.text == "4 of 6: normal 4, pneumonia 0"
    section.ui.previousButton.click()
    section.ui.previousButton.click()
    section.ui.previousButton.click()
    assert section.ui.caseLabel.text.startswith("a.nii")
    assert section._services.errors == []


def test_when_no_file_can_be_read_nothing_can_be_labelled(app, section, folder):
    for name in NAMES:
        (folder / name).write_bytes(b"no image")
    open_folder(section, folder)
    assert not any(button.enabled for button in buttons(section))
    QTest.keyClick(section.widget, "1")
    assert len(LabelFile(folder / "labels.csv")) == 0
    assert shown(app) == []


def test_what_cannot_be_written_is_said_and_nothing_is_lost(app, section, folder):
    open_folder(section, folder)
    buttons(section)[0].click()
    (folder / ".labels.csv.lock").unlink()
    (folder / ".labels.csv.lock").mkdir()  # also root cannot write there
    buttons(section)[1].click()
    assert section.ui.messageLabel.text.startswith("Not written. ")
    assert "cannot be written" in section.ui.messageLabel.text
    assert section.ui.caseLabel.text.startswith("b.nii")
    assert LabelFile(folder / "labels.csv").counts() == {"normal": 1}
    (folder / ".labels.csv.lock").rmdir()
    buttons(section)[1].click()
    assert LabelFile(folder / "labels.csv").counts() == {"normal": 1, "pneumonia": 1}
    assert section.ui.messageLabel.text == ""


def test_a_folder_without_images_and_a_foreign_csv_are_refused(app, section, folder, tmp_path):
    open_folder(section, tmp_path / "none")
    (folder / "labels.csv").write_text("name,diagnosis\n")
    open_folder(section, folder)
    assert len(section._services.errors) == 2
    assert "holds no image" in section._services.errors[0]
    assert "its columns are name, diagnosis" in section._services.errors[1]
    assert not section.ui.caseWidget.visible


def test_the_label_of_another_reader_is_shown_before_it_is_replaced(app, section, folder):
    open_folder(section, folder)
    LabelFile(folder / "labels.csv").give(folder / "a.nii", "pneumonia")
    buttons(section)[0].click()
    assert "'pneumonia' by another program" in section.ui.messageLabel.text
    assert [button.checked for button in buttons(section)] == [False, True]
    buttons(section)[0].click()
    assert LabelFile(folder / "labels.csv").counts() == {"normal": 1}
    LabelFile(folder / "labels.csv").give(folder / "b.nii", "pneumonia")
    section.ui.nextUnlabelledButton.click()
    assert section.ui.caseLabel.text.startswith("c.nii")


def write_slice(path: Path, number: int) -> None:
    """A slice of a CT series; all have the same series UID."""
    place = {"ImagePositionPatient": [0, 0, number], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
    tags = {"StudyInstanceUID": "1.2.4", "SeriesInstanceUID": "1.2.5", "InstanceNumber": number, "PixelSpacing": [1, 1]}
    write(path, made(np.full((16, 16), 100 * (number + 1), np.uint16), "CT", **place, **tags))


def test_a_dicom_file_is_a_case_of_its_own_not_its_series(app, section, tmp_path):
    for number in range(3):
        write_slice(tmp_path / f"{number}.dcm", number)
    section.open(str(tmp_path))
    assert section.ui.caseLabel.text == "0.dcm  (1 of 3)"
    values = slicer.util.arrayFromVolume(slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode"))
    assert values.shape == (1, 16, 16)
    assert (values == 100).all()


def test_another_folder_is_labelled_in_its_own_file(app, section, folder, tmp_path):
    open_folder(section, folder)
    other = tmp_path / "other"
    other.mkdir()
    for name in ("x.nii", "y.nii"):
        write_image(other / name)
    open_folder(section, other)
    assert section.ui.caseLabel.text == "x.nii  (1 of 2)"
    section.give("normal")
    assert not (folder / "labels.csv").exists()
    assert [row.split(",")[:2] for row in (other / "labels.csv").read_text().splitlines()[1:]] == [["x.nii", "normal"]]
    assert shown(app) == ["y"]


def test_no_label_while_the_views_show_another_image(app, section, folder, tmp_path, add_volume):
    services, _ = make_services(app, tmp_path / "models")
    patient = add_volume(ct_values(6, 32), name="patient")
    stored = services.logic.classify(patient, tmp_path / "models" / "tiny_lung_ct.onnx")
    view = ResultView(services)
    view.show(stored)
    composite = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")[0]
    assert composite.GetForegroundVolumeID() == stored.heat_node.GetID()
    open_folder(section, folder)
    assert composite.GetForegroundVolumeID() is None
    view.show(stored)  # as when the user comes back to the module
    section.give("pneumonia")
    assert section.ui.messageLabel.text == "a.nii was not in the views and is shown again."
    assert not (folder / "labels.csv").exists()
    assert (composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID()) == (
        slicer.util.getNode("a").GetID(),
        None,
    )
    view.show(stored)
    section.refresh()
    assert composite.GetBackgroundVolumeID() == slicer.util.getNode("a").GetID()
    section.give("pneumonia")
    assert LabelFile(folder / "labels.csv").counts() == {"pneumonia": 1}
    view.cleanup()


def test_memory_and_observers_stay_flat(app, section, folder):
    open_folder(section, folder)
    section.ui.nextButton.click()
    before = (app.scene.GetNumberOfNodes(), observers(app.scene))
    for _ in range(20):
        section.ui.nextButton.click()
    assert (app.scene.GetNumberOfNodes(), observers(app.scene)) == before


def test_a_closed_scene_and_a_deleted_volume_do_no_harm(app, section, folder):
    open_folder(section, folder)
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("a"))
    buttons(section)[0].click()
    assert section.ui.messageLabel.text == "a.nii was not in the views and is shown again."
    assert section.ui.countsLabel.text.startswith("0 of 6")
    buttons(section)[0].click()
    section.scene_closing()
    app.close_scene()
    section.refresh()
    assert shown(app) == ["b"]
    buttons(section)[0].click()
    assert shown(app) == ["c"]
    assert LabelFile(folder / "labels.csv").counts() == {"normal": 2}


CHILD = """
import sys
sys.path[:0] = sys.argv[1:4]
import harness
harness.install()
import pytest, slicer
from pathlib import Path
slicer.mrmlScene = slicer.vtkMRMLScene()
from harness.fixture import App
app = App(slicer.mrmlScene, Path(sys.argv[5]), pytest.MonkeyPatch())
from SKDClassifierLib.train.LabelSection import LabelSection
section = LabelSection(None, print, lambda path: print("written", flush=True))
section.suggest_classes(["normal", "pneumonia"])
section.open(sys.argv[4])
while True:
    section.give("normal")
    section.ui.nextButton.click()
    section.give("pneumonia")
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_a_killed_application_loses_no_label(folder, tmp_path):
    for number in range(60):
        write_image(folder / f"more{number}.nii")
    here = Path(__file__).parent
    paths = [here.parents[1] / "SlicerExtension" / "SKDClassifier", here.parents[1], here, folder, tmp_path / "app"]
    command = [sys.executable, "-c", CHILD, *map(str, paths)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for _ in range(25):
        assert child.stdout.readline() == "written\n"
    child.send_signal(signal.SIGKILL)
    said = 25 + child.communicate()[0].count("written\n")
    assert said <= len(LabelFile(folder / "labels.csv")) <= said + 1
    left = {path.name for path in folder.iterdir() if path.suffix != ".nii"}
    assert {"labels.csv", ".labels.csv.lock"} <= left


def test_it_looks_as_it_should(app, section, folder, tmp_path):
    open_folder(section, folder)
    section.ui.classesEdit.setText("glioma, meningioma, no_tumor, pituitary")
    QTest.keyClick(section.ui.classesEdit, Qt.Key.Key_Return)
    for index in (0, 1, 2, 3):
        buttons(section)[index].click()
    section.ui.previousButton.click()
    wait_until(lambda: section.widget.visible)
    image = screenshot(section.widget, tmp_path / "label_section.png")
    assert image.width() == 420
    assert len(np.unique(pixels_of(image))) > 20
