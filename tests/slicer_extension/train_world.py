"""A train tab among real parts, and programs that speak as its jobs do, for tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import slicer
from harness import pixels_of, screenshot, wait_until
from SKDClassifierLib.jobs.Jobs import ChildJob
from SKDClassifierLib.Models import Catalogue
from SKDClassifierLib.Protocols import Services
from SKDClassifierLib.scene.Plots import CHART_ATTRIBUTE
from SKDClassifierLib.train.TrainTab import TrainTab
from tinymodel import write_tiny_model

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

# A program that speaks as a check of the data does; its argument is the verdict.
REPORT = """
import json, sys
print(json.dumps({"event": "start", "pid": 0}))
report = {"verdict": sys.argv[1], "problems": ["1 picture in more than one split (a, b): keep one copy."]}
if sys.argv[1] != "none":
    print(json.dumps({"event": "report", "report": report, "text": "split  a  b"}))
print(json.dumps({"event": "end", "code": 0}))
"""


class Installer:
    """Says whether the packages are there, as the test wants it."""

    agrees = True

    def ensure_training(self, parent: Any = None) -> bool:
        return self.agrees


def image_folder(tmp_path: Path) -> Path:
    """A folder of two classes, without an image."""
    folder = tmp_path / "images"
    for label in ("a", "b"):
        (folder / label).mkdir(parents=True)
    return folder


def open_world(app: Any, tmp_path: Path) -> Iterator[Any]:
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


def check(world: Any, data: Path, verdict: str) -> None:
    world.command = [sys.executable, "-c", REPORT, verdict]
    world.ui.dataEdit.setCurrentPath(str(data))
    world.ui.checkButton.click()
    assert world.ui.checkButton.text == "Stop the check"
    assert not world.ui.startButton.enabled
    wait_until(lambda: not world.tab.check.running, 30)


def charts() -> dict[str, Any]:
    return {node.GetAttribute(CHART_ATTRIBUTE): node for node in slicer.util.getNodesByClass("vtkMRMLPlotChartNode")}


def epochs_drawn(name: str) -> int:
    chart = charts().get(name)
    return chart.GetNthPlotSeriesNode(0).GetTableNode().GetNumberOfRows() if chart is not None else 0


def picture(world: Any, path: Path) -> None:
    """Save a picture of the tab, as wide as Slicer's panel and as high as it needs."""
    widget = world.tab.widget
    widget.resize(420, widget.heightForWidth(420))
    image = screenshot(widget, path)
    assert image.width() == 420
    assert len(np.unique(pixels_of(image).reshape(-1, 3), axis=0)) > 30
