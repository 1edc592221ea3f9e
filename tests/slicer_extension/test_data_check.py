"""Checking images before they are trained on, and labelling them in the same tab."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from harness import wait_until
from train_world import REPORT, check, image_folder, open_world


@pytest.fixture
def data(tmp_path) -> Path:
    return image_folder(tmp_path)


@pytest.fixture
def world(app, tmp_path):
    yield from open_world(app, tmp_path)


def test_a_leak_blocks_the_training_until_the_images_are_others(world, data):
    ui = world.ui
    check(world, data, "leak")
    assert ui.checkLabel.text.startswith("Leak: ")
    assert "#b3261e" in ui.checkLabel.styleSheet
    assert ui.checkText.plainText == "split  a  b"
    assert not ui.startButton.enabled
    assert ui.hintLabel.text.startswith("A leak between the splits: 1 picture in more than one split")
    ui.dataEdit.setCurrentPath(str(data / "a"))
    assert ui.startButton.enabled
    assert not ui.checkText.visible
    assert ui.checkLabel.text == ""
    for verdict, words in (("ok", "Nothing found"), ("warnings", "needs a caveat"), ("none", "without a report")):
        check(world, data, verdict)
        assert words in ui.checkLabel.text
        assert ui.startButton.enabled


def test_images_that_training_refuses_block_it(world, data):
    check(world, data, "unusable")
    assert world.ui.checkLabel.text.startswith("Not all images can be used")
    assert "#b3261e" in world.ui.checkLabel.styleSheet
    assert not world.ui.startButton.enabled
    assert world.ui.hintLabel.text.startswith("Not all images can be used: 1 picture in more than one split")


def test_a_check_can_be_stopped_and_its_words_count_no_more(world, data):
    world.command = [sys.executable, "-c", "import sys; sys.stdin.readline()\n" + REPORT, "leak"]
    world.ui.dataEdit.setCurrentPath(str(data))
    world.ui.checkButton.click()
    world.ui.checkButton.click()
    assert not world.ui.checkButton.enabled
    wait_until(lambda: not world.tab.check.running, 30)
    assert world.ui.checkLabel.text == "The check was stopped."
    assert world.ui.startButton.enabled
    assert world.ui.checkButton.text == "Check &data"


def test_labels_given_here_become_the_images_of_the_training(world, tmp_path):
    import nibabel

    folder = tmp_path / "cases"
    folder.mkdir()
    for name in ("a.nii", "b.nii"):
        nibabel.save(nibabel.Nifti1Image(np.eye(16, dtype=np.float32)[..., None], np.eye(4)), folder / name)
    section = world.tab.labels
    assert section.classes == ["glioma", "meningioma", "no_tumor", "pituitary"]  # the bundle's
    assert world.ui.labelSection.collapsed
    world.ui.labelSection.setCollapsed(False)
    section.ui.folderEdit.setCurrentPath(str(folder))
    section.ui.openButton.click()
    section.give("glioma")
    section.ui.useButton.click()
    assert world.ui.dataEdit.currentPath == str(folder / "labels.csv")
    assert world.ui.runEdit.currentPath == str(tmp_path / "cases-brain_mri")
    check(world, folder / "labels.csv", "leak")
    section.give("pituitary")  # what was found holds no more
    assert world.ui.startButton.enabled
