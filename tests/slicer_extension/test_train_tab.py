"""The train tab: every button, what goes wrong, and one real training, stopped and resumed."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import qt
import slicer
from harness import BlockTimer, observers, pixels_of, screenshot, wait_until
from SKDClassifierLib import TrainingView
from SKDClassifierLib.Jobs import ChildJob
from SKDClassifierLib.Models import Catalogue
from SKDClassifierLib.Plots import CHART_ATTRIBUTE
from SKDClassifierLib.Protocols import Services
from SKDClassifierLib.TrainTab import TrainTab
from tinymodel import write_tiny_model

TRAIN_PYTHON = os.environ.get("MONAI_SKD_TRAIN_PYTHON")
trains = pytest.mark.skipif(not TRAIN_PYTHON, reason="MONAI_SKD_TRAIN_PYTHON names no Python with the training half")
POSIX = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")

# A program that speaks as a training does, in a moment; its last argument says how it ends.
PROGRAM = """
import json, os, sys, time
from pathlib import Path
def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)
out, how = Path(sys.argv[sys.argv.index("--out") + 1]), sys.argv[1]
say("start", command="train", pid=os.getpid())
print("reading images", file=sys.stderr, flush=True)
if how == "refuses":
    say("error", code=2, message="a.png: is the same picture as b.png. Keep one.", thing="a.png")
    sys.exit(2)
say("plan", stages=[{"name": "teacher", "epochs": 2}, {"name": "dual", "epochs": 6}])
say("stage", name="teacher", epochs=2, epoch=0, steps=8)
for epoch in (1, 2):
    say("epoch", stage="teacher", epoch=epoch, epochs=2, loss=1.4 / epoch, seconds=1, val_auc=[0.5 + 0.1 * epoch])
say("stage", name="dual", epochs=6, epoch=0, steps=24)
say("step", stage="dual", step=1, steps=24, loss=0.9)
(out / "checkpoints").mkdir(parents=True, exist_ok=True)
for epoch in (1, 2, 3):
    (out / "checkpoints" / "dual.pt").write_text("state")
    time.sleep(0.02)
    say("epoch", stage="dual", epoch=epoch, epochs=6, loss=0.9 / epoch, seconds=1, val_auc=[0.6, 0.6 + 0.1 * epoch])
say("step", stage="dual", step=13, steps=24, loss=0.3)
if how == "waits":
    sys.stdin.readline()
    time.sleep(0.2)
    say("error", code=130, message="interrupted")
    sys.exit(130)
if how == "dies":
    os.kill(os.getpid(), 9)
say("task", name="report")
(out / "model.onnx").write_bytes(Path(sys.argv[2]).read_bytes())
(out / "report.html").write_text("<p>report</p>")
def value(v): return {"value": v, "low": max(0, v - 0.1), "high": min(1, v + 0.1)}
metrics = {split: {"n": 40, "balanced_accuracy": value(float(how)), "macro_auc": value(0.9), "ece": value(0.05),
                   "per_class": {"a": {"n": 20}, "b": {"n": 20}}} for split in ("val", "test")}
(out / "metrics.json").write_text(json.dumps(metrics))
say("metrics", metrics=metrics, model=str(out / "model.onnx"), report=str(out / "report.html"))
say("end", code=0)
"""


class Installer:
    """Says whether the packages are there, as the test wants it."""

    agrees = True

    def ensure_training(self, parent: Any = None) -> bool:
        return self.agrees


@pytest.fixture
def data(tmp_path) -> Path:
    folder = tmp_path / "images"
    for label in ("a", "b"):
        (folder / label).mkdir(parents=True)
    return folder


@pytest.fixture
def world(app, tmp_path):
    """The tab with real parts, and what it asks of the others; `command` is what its jobs run."""
    model = write_tiny_model(tmp_path / "tiny.onnx")
    one = SimpleNamespace(command=None, errors=[], used=[], installer=Installer(), model=model, jobs=[])

    def child(arguments: list[str], on_event: Any, on_log: Any, on_end: Any) -> ChildJob:
        job = ChildJob(arguments, on_event, on_log, on_end, command=one.command)
        one.jobs.append((job, arguments))
        return job

    def program(how: object) -> None:
        one.command = [sys.executable, "-c", PROGRAM, str(how), str(model)]

    one.program = program
    one.services = Services(
        logic=None,
        catalogue=Catalogue(tmp_path / "models"),
        installer=one.installer,
        server=None,
        settings=app.settings,
        background=None,
        child=child,
        show_error=one.errors.append,
        use_model=one.used.append,
    )
    one.tab = TrainTab(one.services)
    one.ui = one.tab.ui
    one.view = one.tab.view.ui
    one.tab.widget.resize(420, 900)
    one.tab.widget.show()
    yield one
    one.tab.cleanup()
    wait_until(lambda: not any(job.running for job, _ in one.jobs), 30)


def run(world: Any, data: Path, how: object) -> None:
    world.program(how)
    world.ui.dataEdit.setCurrentPath(str(data))
    world.ui.startButton.click()
    assert world.tab.running


def charts() -> dict[str, Any]:
    return {node.GetAttribute(CHART_ATTRIBUTE): node for node in slicer.util.getNodesByClass("vtkMRMLPlotChartNode")}


def epochs_drawn(name: str) -> int:
    chart = charts().get(name)
    return chart.GetNthPlotSeriesNode(0).GetTableNode().GetNumberOfRows() if chart is not None else 0


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


def test_a_training_shows_its_way_and_its_end(world, data, monkeypatch):
    ui, view = world.ui, world.view
    run(world, data, "waits")
    assert (ui.startButton.enabled, ui.stopButton.enabled, ui.planSection.enabled) == (False, True, False)
    assert not ui.dataEdit.enabled
    wait_until(lambda: epochs_drawn(TrainingView.LOSS) == 5, 30)
    wait_until(lambda: view.leftLabel.text)
    assert view.doingLabel.text == "Training two students: epoch 4 of 6"
    assert view.progressBar.value == int(1000 * (2 + 6 * 13 / 24) / 8)
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
    assert cells[1] == ["90.0 (80.0–100.0)"] * 2
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
    assert again.view.ui.metricsTable.item(1, 1).text() == "50.0 (40.0–60.0)"
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


REPORT = """
import json, sys
print(json.dumps({"event": "start", "pid": 0}))
report = {"verdict": sys.argv[1], "problems": ["1 picture in more than one split (a, b): keep one copy."]}
if sys.argv[1] != "none":
    print(json.dumps({"event": "report", "report": report, "text": "split  a  b"}))
print(json.dumps({"event": "end", "code": 0}))
"""


def check(world: Any, data: Path, verdict: str) -> None:
    world.command = [sys.executable, "-c", REPORT, verdict]
    world.ui.dataEdit.setCurrentPath(str(data))
    world.ui.checkButton.click()
    assert world.ui.checkButton.text == "Stop the check"
    assert not world.ui.startButton.enabled
    wait_until(lambda: not world.tab.check.running, 30)


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


TINY = """image_size=32
batch_size=16
teacher_epochs=0
feature_epochs=0
finetune_epochs=0
compensation_images=4
ramp_epochs=1"""


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


class Busy:
    """The longest time for which the main thread computed without a turn of the event loop, in milliseconds.

    Unlike BlockTimer it leaves out when other programs had the processors, as a training has for minutes.
    """

    def __enter__(self) -> Busy:
        self.longest = 0.0
        self._last = time.thread_time()
        self._timer = qt.QTimer()
        self._timer.setInterval(5)
        self._timer.connect("timeout()", self._beat)
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._beat()
        self._timer.stop()

    def _beat(self) -> None:
        now = time.thread_time()
        self.longest, self._last = max(self.longest, 1000 * (now - self._last)), now


@trains
def test_a_real_training_is_stopped_resumed_and_its_model_used(training, phantoms, tmp_path, app):
    ui, view, run_folder = training.ui, training.view, tmp_path / "run"
    ui.dataEdit.setCurrentPath(str(phantoms))
    ui.runEdit.setCurrentPath(str(run_folder))
    ui.epochsBox.setValue(4)
    ui.optionsEdit.setPlainText(TINY)
    assert ui.startButton.enabled, ui.hintLabel.text
    with Busy() as busy:
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


def picture(world: Any, path: Path) -> None:
    """Save a picture of the tab, as wide as Slicer's panel and as high as it needs."""
    widget = world.tab.widget
    widget.resize(420, widget.heightForWidth(420))
    image = screenshot(widget, path)
    assert image.width() == 420
    assert len(np.unique(pixels_of(image).reshape(-1, 3), axis=0)) > 30


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
