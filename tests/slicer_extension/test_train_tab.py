"""A training in the train tab: its way, its end, and what goes wrong."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import qt
import slicer
from harness import BlockTimer, observers, wait_until
from SKDClassifierLib.train import TrainingView
from SKDClassifierLib.train.TrainTab import TrainTab
from train_world import charts, check, epochs_drawn, image_folder, open_world, picture, run

POSIX = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")


@pytest.fixture
def data(tmp_path) -> Path:
    return image_folder(tmp_path)


@pytest.fixture
def world(app, tmp_path):
    yield from open_world(app, tmp_path)


def test_a_training_shows_its_way_and_its_end(world, data, monkeypatch):
    ui, view = world.ui, world.view
    run(world, data, "waits")
    assert (ui.startButton.enabled, ui.stopButton.enabled, ui.planSection.enabled) == (False, True, False)
    assert not ui.dataEdit.enabled
    wait_until(lambda: epochs_drawn(TrainingView.LOSS) == 5, 30)
    # The last word of the training, which then waits.
    wait_until(lambda: view.progressBar.value == int(1000 * (2 + 6 * 13 / 24) / 8), 30)
    wait_until(lambda: view.leftLabel.text)
    assert view.doingLabel.text == "Training the students: epoch 4 of 6"
    assert view.leftLabel.text.startswith("about ")
    assert view.logSection.collapsed
    assert view.logText.plainText == "reading images"
    series = [charts()[TrainingView.AUC].GetNthPlotSeriesNode(i).GetName() for i in range(2)]
    assert series == ["large network", "students"]
    assert charts()[TrainingView.AUC].GetYAxisRange() == (0.5, 1.0)
    view.aucLargeButton.click()
    selection = slicer.util.getNodesByClass("vtkMRMLPlotViewNode")
    assert charts()[TrainingView.AUC].GetID() in [node.GetPlotChartNodeID() for node in selection]
    ui.stopButton.click()
    assert (ui.stopButton.text, ui.stopButton.enabled) == ("Stopping…", False)
    wait_until(lambda: not world.tab.running, 30)
    assert view.doingLabel.text == "Stopped"
    assert view.noticeLabel.text == "Everything up to the last epoch is kept. Resume goes on from there."
    assert (ui.startButton.text, ui.startButton.enabled, ui.stopButton.text) == ("&Resume", True, "S&top")

    run(world, data, 0.9)
    wait_until(lambda: not world.tab.running, 30)
    assert view.doingLabel.text == "Finished"
    assert not view.doubtLabel.visible
    cells = [[view.metricsTable.item(row, column).text() for column in range(2)] for row in range(4)]
    assert cells[0] == ["40", "40"]
    assert cells[1] == ["90.0\n(80.0–100.0)"] * 2
    opened = []
    monkeypatch.setattr(qt.QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    view.reportButton.click()
    assert opened == [str(data.parent / "images-brain_mri" / "report.html")]
    view.useButton.click()
    entry = world.services.catalogue.find(world.used[0])
    assert entry.path.read_bytes() == world.model.read_bytes()
    assert world.errors == []
    assert ui.startButton.text == "&Show results"


def test_a_finished_run_is_shown_again_and_a_new_one_gets_its_own_folder(world, data):
    run(world, data, 0.5)
    wait_until(lambda: not world.tab.running, 30)
    assert world.view.doubtLabel.text.startswith("Not better than chance (50%)")
    world.tab.cleanup()
    again = TrainTab(world.services)
    again.ui.runEdit.setCurrentPath(str(data.parent / "images-brain_mri"))
    again.ui.dataEdit.setCurrentPath(str(data))
    assert again.ui.startButton.text == "&Show results"
    again.ui.startButton.click()
    assert not again.running
    assert again.view.ui.metricsTable.item(1, 1).text() == "50.0\n(40.0–60.0)"
    again.ui.newRunButton.click()
    assert again.ui.runEdit.currentPath == str(data.parent / "images-brain_mri-2")
    assert again.ui.startButton.text == "&Start"
    again.cleanup()


def test_what_the_command_refuses_is_said(world, data):
    run(world, data, "refuses")
    wait_until(lambda: not world.tab.running, 30)
    assert world.view.doingLabel.text == "The training ended early"
    assert world.view.noticeLabel.text == "a.png: is the same picture as b.png. Keep one."
    assert "#b3261e" in world.view.noticeLabel.styleSheet
    assert world.ui.startButton.enabled
    assert world.ui.startButton.text == "&Start"


@POSIX
@pytest.mark.parametrize("by", ["itself", "another"])
def test_a_killed_training_says_so_and_can_be_resumed(world, data, by):
    run(world, data, "dies" if by == "itself" else "waits")
    if by == "another":
        wait_until(lambda: epochs_drawn(TrainingView.LOSS) == 5, 30)
        os.kill(world.jobs[0][0]._process.processId(), signal.SIGKILL)
    wait_until(lambda: not world.tab.running, 30)
    assert "killed" in world.view.noticeLabel.text
    assert world.view.noticeLabel.text.endswith("Resume goes on from there.")
    assert (world.ui.startButton.text, world.ui.startButton.enabled) == ("&Resume", True)


def test_a_job_that_cannot_start_leaves_the_tab_usable(world, data):
    world.command = ["/no/such/python"]
    world.ui.dataEdit.setCurrentPath(str(data))
    world.ui.startButton.click()
    wait_until(lambda: not world.tab.running, 10)
    assert "could not be started" in world.view.noticeLabel.text
    assert world.ui.startButton.enabled
    world.installer.agrees = False
    world.ui.startButton.click()
    assert not world.tab.running
    assert len(world.jobs) == 1


def test_a_training_goes_on_when_the_scene_closes(world, data, app):
    run(world, data, "waits")
    wait_until(lambda: epochs_drawn(TrainingView.LOSS) == 5, 30)
    for _ in range(3):
        world.tab.scene_closing()
        app.close_scene()
        assert charts() == {}
        world.tab.refresh()
        assert epochs_drawn(TrainingView.LOSS) == 5
        assert len(charts()) == 2
    assert world.tab.running
    world.ui.stopButton.click()
    wait_until(lambda: not world.tab.running, 30)


def test_the_event_loop_is_never_blocked(world, data, app):
    """From the start over a stop to the end; the best of some tries, for other programs share the processors."""
    tries = []
    while len(tries) < 6 and min(tries, default=999) >= 100:
        with BlockTimer() as blocked:
            run(world, data, "waits")
            wait_until(lambda: epochs_drawn(TrainingView.LOSS) == 5, 30)
            world.tab.scene_closing()
            app.close_scene()
            world.tab.refresh()
            world.ui.stopButton.click()
            wait_until(lambda: not world.tab.running, 30)
            run(world, data, 0.9)
            wait_until(lambda: not world.tab.running, 30)
        tries.append(blocked.longest)
        shutil.rmtree(data.parent / "images-brain_mri")
    assert min(tries) < 100


def test_the_module_takes_its_training_along(world, data):
    before = observers(slicer.mrmlScene)
    run(world, data, "waits")
    wait_until(lambda: epochs_drawn(TrainingView.LOSS) == 5, 30)
    world.tab.cleanup()
    job = world.jobs[0][0]
    wait_until(lambda: not job.running, 30)
    slicer.mrmlScene.Clear(False)
    assert observers(slicer.mrmlScene) == before


@pytest.fixture(params=["light", "dark"])
def theme(request, app) -> Any:
    """The palette of the application."""
    before = app.qt.palette()
    if request.param == "dark":
        palette = qt.QPalette(qt.QColor("#3a3a3a"), qt.QColor("#2b2b2b"))
        palette.setColor(qt.QPalette.Base, qt.QColor("#1e1e1e"))
        app.qt.setPalette(palette)
    yield request.param
    app.qt.setPalette(before)


def test_pictures_of_the_tab(theme, world, data, tmp_path):
    check(world, data, "leak")
    picture(world, tmp_path / f"{theme}_leak.png")
    world.ui.dataEdit.setCurrentPath(str(data / "a"))
    run(world, data, "waits")
    wait_until(lambda: epochs_drawn(TrainingView.LOSS) == 5, 30)
    wait_until(lambda: world.view.leftLabel.text)
    picture(world, tmp_path / f"{theme}_training.png")
    world.ui.stopButton.click()
    wait_until(lambda: not world.tab.running, 30)
    picture(world, tmp_path / f"{theme}_stopped.png")
    world.ui.advancedSection.setCollapsed(False)
    run(world, data, 0.55)
    wait_until(lambda: not world.tab.running, 30)
    picture(world, tmp_path / f"{theme}_finished.png")
