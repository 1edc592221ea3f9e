"""What to train: all fields, what is missing, what is remembered."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import wait_until
from SKDClassifierLib.train.TrainTab import TrainTab
from train_world import image_folder, open_world, run


@pytest.fixture
def data(tmp_path) -> Path:
    return image_folder(tmp_path)


@pytest.fixture
def world(app, tmp_path):
    yield from open_world(app, tmp_path)


def test_it_says_what_is_missing_until_it_can_start(world, data):
    ui = world.ui
    assert (ui.startButton.enabled, ui.stopButton.enabled, ui.checkButton.enabled) == (False, False, False)
    assert ui.hintLabel.text == "Choose labelled images: a folder, or a CSV"
    ui.dataEdit.setCurrentPath(str(data / "none"))
    assert ui.hintLabel.text == f"There is no {data / 'none'}"
    ui.dataEdit.setCurrentPath(str(data))
    assert ui.startButton.enabled
    assert ui.checkButton.enabled
    assert not ui.hintLabel.visible
    assert ui.startButton.text == "&Start"
    ui.teacherEdit.setText("/no/such.pth")
    assert ui.hintLabel.text == "There is no weights file /no/such.pth"
    assert not ui.startButton.enabled
    ui.teacherEdit.setText("")
    ui.optionsEdit.setPlainText("batch_size 3")
    assert ui.hintLabel.text == "Recipe: write KEY=VALUE, not 'batch_size 3'"
    ui.optionsEdit.setPlainText("bach_size=3")
    assert ui.hintLabel.text.startswith("Recipe: there is no bach_size. Known: teacher, ")
    ui.optionsEdit.setPlainText("")
    ui.runEdit.setCurrentPath("")
    assert ui.hintLabel.text == "Choose a folder for the run"


def test_the_run_folder_follows_images_and_bundle_until_the_user_chooses_one(world, data, app):
    ui = world.ui
    ui.dataEdit.setCurrentPath(str(data))
    assert ui.runEdit.currentPath == str(data.parent / "images-brain_mri")
    ui.bundleSelector.setCurrentIndex(ui.bundleSelector.findData("lung_ct"))
    assert ui.runEdit.currentPath == str(data.parent / "images-lung_ct")
    ui.runEdit.setCurrentPath(str(data.parent / "mine"))
    ui.bundleSelector.setCurrentIndex(ui.bundleSelector.findData("chest_xray"))
    assert ui.runEdit.currentPath == str(data.parent / "mine")
    ui.newRunButton.click()
    assert ui.runEdit.currentPath == str(data.parent / "images-chest_xray")
    app.answer("getExistingDirectory", str(data / "a"), "")
    ui.dataFolderButton.click()
    ui.dataFolderButton.click()  # the user closes the dialog
    assert ui.dataEdit.currentPath == str(data / "a")
    assert ui.runEdit.currentPath == str(data / "a-chest_xray")
    assert ui.startButton.enabled
    ui.runEdit.setCurrentPath("")
    assert (ui.startButton.enabled, ui.hintLabel.text) == (False, "Choose a folder for the run")
    ui.dataEdit.setCurrentPath("")
    assert not ui.checkButton.enabled


def test_a_line_says_which_teacher_it_is(world, tmp_path, app):
    ui = world.ui
    assert ui.teacherInfo.text == "With its installed pretrained weights"
    assert ui.teacherEdit.placeholderText == "the bundle's own: tf_efficientnet_lite2"
    ui.teacherEdit.setText("resnet18.a1_in1k")
    assert ui.teacherInfo.text.startswith("Its pretrained weights are fetched from the internet")
    (tmp_path / "w.safetensors").write_bytes(b"")
    app.answer("getOpenFileName", str(tmp_path / "w.safetensors"), "")
    ui.teacherFileButton.click()
    assert ui.teacherInfo.text == "tf_efficientnet_lite2 with the weights in w.safetensors"
    ui.teacherFileButton.click()
    ui.teacherEdit.setText(f"resnet18={ui.teacherEdit.text}")
    assert ui.teacherInfo.text == "resnet18 with the weights in w.safetensors"


def test_all_choices_reach_the_command(world, data):
    ui = world.ui
    ui.bundleSelector.setCurrentIndex(ui.bundleSelector.findData("chest_xray"))
    ui.epochsBox.setValue(7)
    ui.studentEdit.setText("tf_efficientnet_lite0")
    ui.sizeBox.setValue(96)
    ui.seedBox.setValue(5)
    ui.optionsEdit.setPlainText("batch_size=8\nteacher_epochs=0")
    run(world, data, 0.9)
    (_, arguments) = world.jobs[0]
    assert arguments[:3] == ["train", "chest_xray", str(data)]
    assert arguments[arguments.index("--epochs") + 1] == "7"
    settings = {arguments[i + 1] for i, one in enumerate(arguments) if one == "--set"}
    assert settings == {"batch_size=8", "teacher_epochs=0", "student=tf_efficientnet_lite0", "image_size=96", "seed=5"}
    wait_until(lambda: not world.tab.running, 30)


def test_choices_are_remembered_without_paths_of_images(world, data, app):
    ui = world.ui
    ui.bundleSelector.setCurrentIndex(ui.bundleSelector.findData("lung_ct"))
    ui.epochsBox.setValue(9)
    ui.optionsEdit.setPlainText("batch_size=8")
    run(world, data, 0.9)
    wait_until(lambda: not world.tab.running, 30)
    kept = {key: str(app.settings.value(key)) for key in app.settings.allKeys()}
    assert not any(str(data) in value for value in kept.values())
    again = TrainTab(world.services)
    assert again.form.bundle.name == "lung_ct"
    assert (again.ui.epochsBox.value, again.ui.optionsEdit.plainText) == (9, "batch_size=8")
    again.cleanup()
