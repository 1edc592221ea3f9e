"""The package's own commands as jobs of the train tab: a training stopped, resumed and used; a check."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from harness import BlockTimer, wait_until
from SKDClassifierLib.train import TrainingView
from train_world import epochs_drawn, open_world, picture

TRAIN_PYTHON = os.environ.get("MONAI_SKD_TRAIN_PYTHON")
trains = pytest.mark.skipif(not TRAIN_PYTHON, reason="MONAI_SKD_TRAIN_PYTHON names no Python with the training half")

TINY = """image_size=32
batch_size=16
teacher_epochs=0
feature_epochs=0
finetune_epochs=0
compensation_images=4
ramp_epochs=1"""


@pytest.fixture
def world(app, tmp_path):
    yield from open_world(app, tmp_path)


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory) -> Path:
    from MonaiSKD.datasets.phantoms import write_phantoms

    folder = tmp_path_factory.mktemp("train") / "phantoms"
    write_phantoms(folder, "brain_mri", per_class=(4, 3, 3), size=64, seed=1)
    return folder


@pytest.fixture
def training(world, monkeypatch) -> Any:
    """The tab, with jobs that run the package's own commands in the training environment."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    world.command = [str(TRAIN_PYTHON), "-m", "MonaiSKD"]
    return world


@trains
def test_a_real_training_is_stopped_resumed_and_its_model_used(training, phantoms, tmp_path, app):
    ui, view, run_folder = training.ui, training.view, tmp_path / "run"
    ui.dataEdit.setCurrentPath(str(phantoms))
    ui.runEdit.setCurrentPath(str(run_folder))
    ui.epochsBox.setValue(4)
    ui.optionsEdit.setPlainText(TINY)
    assert ui.startButton.enabled, ui.hintLabel.text
    with BlockTimer(time.thread_time) as busy:
        ui.startButton.click()
        wait_until(lambda: epochs_drawn(TrainingView.AUC) >= 2 or not training.tab.running, 300)
        assert training.tab.running, view.noticeLabel.text + view.logText.plainText
        ui.stopButton.click()
        wait_until(lambda: not training.tab.running, 60)
        assert (run_folder / "checkpoints" / "dual.pt").is_file()
        assert ui.startButton.text == "&Resume"
        ui.startButton.click()
        wait_until(lambda: epochs_drawn(TrainingView.LOSS) >= 3 or not training.tab.running, 300)
        training.tab.scene_closing()
        app.close_scene()
        training.tab.refresh()
        wait_until(lambda: view.progressBar.value == 1000 or not training.tab.running, 300)
        assert training.tab.running, view.noticeLabel.text + view.logText.plainText
        wait_until(lambda: not training.tab.running, 300)
    assert busy.longest < 100
    assert view.doingLabel.text == "Finished", view.noticeLabel.text + view.logText.plainText
    assert epochs_drawn(TrainingView.LOSS) == 4  # those before the stop, too
    picture(training, tmp_path / "real_finished.png")
    view.useButton.click()
    entry = training.services.catalogue.find(training.used[0])
    assert entry.modality == "brain_mri"
    assert set(entry.classes) == {path.name for path in (phantoms / "train").iterdir()}
    assert training.errors == []


@trains
def test_a_real_check_finds_a_picture_in_two_splits(training, phantoms, tmp_path):
    folder = tmp_path / "leaking"
    shutil.copytree(phantoms, folder)
    label = next(path.name for path in sorted((folder / "train").iterdir()))
    picture = next(iter(sorted((folder / "train" / label).iterdir())))
    shutil.copy(picture, folder / "test" / label / f"copy{picture.suffix}")
    training.ui.dataEdit.setCurrentPath(str(folder))
    training.ui.checkButton.click()
    wait_until(lambda: not training.tab.check.running, 120)
    assert training.ui.checkLabel.text.startswith("Leak: "), training.ui.checkLabel.text
    assert "LEAK" in training.ui.checkText.plainText
    assert not training.ui.startButton.enabled
