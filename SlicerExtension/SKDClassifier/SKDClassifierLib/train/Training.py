"""A training as the user plans it, and as its events tell it. No Qt."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from SKDClassifierLib import Package

# What the stages and tasks of a training are called; see docs/events.md of the package.
STAGES = {
    "features": "Learning the features of the large network",
    "teacher": "Teaching the large network",
    "dual": "Training the students",
    "finetune": "Fine-tuning the best",
}
# Of weights files; the package has the same list, but only beside torch.
WEIGHTS = (".safetensors", ".pth", ".pt")
CURVES = {"features": "features", "teacher": "large network", "dual": "students", "finetune": "fine-tuned"}
TASKS = {
    "calibrate": "Calibrating",
    "explain": "Fitting heat maps",
    "report": "Writing the report",
    "export": "Exporting",
}


_METRICS, _MODEL, _REPORT = "metrics.json", "model.onnx", "report.html"


@dataclass(frozen=True)
class TrainingPlan:
    """What is to be trained on what.

    Args:
        bundle: short name, such as "brain_mri".
        data: folder or CSV of labelled images.
        out: run folder; an interrupted run there goes on.
        epochs: of the main stage; the bundle's own where None.
        teacher: a timm name, a weights file, or NAME=FILE; the bundle's own where empty.
        options: further entries of the recipe.
    """

    bundle: str
    data: str
    out: str
    epochs: int | None = None
    teacher: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def is_valid(self) -> tuple[bool, str]:
        """Whether it can be started, and if not why."""
        if not self.bundle:
            return False, "Choose a bundle"
        if not self.data:
            return False, "Choose labelled images: a folder, or a CSV"
        if not Path(self.data).exists():
            return False, f"There is no {self.data}"
        if not self.out:
            return False, "Choose a folder for the run"
        if Path(self.out).is_file():
            return False, f"{self.out} is a file; choose a folder for the run"
        if self.epochs is not None and self.epochs < 1:
            return False, "Train for one epoch at least"
        if is_weights_file(self.teacher) and not Path(self.teacher.rpartition("=")[2]).is_file():
            return False, f"There is no weights file {self.teacher.rpartition('=')[2]}"
        return True, ""

    @property
    def finished(self) -> bool:
        """Whether a training that came to its end lies in the run folder."""
        return bool(self.out) and all((Path(self.out) / name).is_file() for name in (_METRICS, _MODEL))

    @property
    def resumes(self) -> bool:
        """Whether an interrupted run lies in the run folder."""
        return bool(self.out) and not self.finished and any(Path(self.out).glob("checkpoints/*.pt"))

    def arguments(self) -> list[str]:
        """Of `python -m MonaiSKD`."""
        chosen = ["train", self.bundle, self.data, "--out", self.out, "--events"]
        if self.epochs is not None:
            chosen += ["--epochs", str(self.epochs)]
        if self.teacher:
            chosen += ["--teacher", self.teacher]
        for name, value in self.options.items():
            chosen += ["--set", f"{name}={value}"]
        return chosen


@dataclass
class TrainingState:
    """How far a training is, from its events.

    Attributes:
        stages: name -> epochs, in order.
        stage: the present one; empty before the first.
        doing: what happens now, in words.
        loss: stage -> epochs and mean losses.
        val_auc: stage -> epochs and the best validated network's AUC.
        metrics: of "val" and "test", once measured.
        model: the finished model file.
        report: the page about the run.
    """

    stages: dict[str, int] = field(default_factory=dict)
    stage: str = ""
    doing: str = "Starting"
    loss: dict[str, tuple[list[int], list[float]]] = field(default_factory=dict)
    val_auc: dict[str, tuple[list[int], list[float]]] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    model: str = ""
    report: str = ""
    clock: Callable[[], float] = time.monotonic
    _done: dict[str, float] = field(default_factory=dict)
    _first: tuple[float, float] | None = None

    def consume(self, event: Mapping[str, Any]) -> None:
        """Take in one event; unknown ones are left aside."""
        taker = getattr(self, f"_on_{event.get('event')}", None)
        if taker is not None:
            taker(event)

    @property
    def fraction(self) -> float:
        """How much of all epochs is done, 0 to 1; the work after the last epoch counts nothing."""
        whole = sum(self.stages.values())
        return sum(self._done.get(name, 0.0) for name in self.stages) / whole if whole else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Until the last epoch is done, from the pace so far; None where it cannot be told yet."""
        if self._first is None:
            return None
        began, before = self._first
        gained, elapsed = self.fraction - before, self.clock() - began
        return (1 - self.fraction) * elapsed / gained if gained > 0.005 and elapsed > 0 else None

    @property
    def sentence(self) -> str:
        """What happens now, with the epoch."""
        epochs = self.stages.get(self.stage, 0)
        epoch = min(int(self._done.get(self.stage, 0.0)) + 1, epochs)
        return f"{self.doing}: epoch {epoch} of {epochs}" if epochs else self.doing

    def curves(self, values: Mapping[str, tuple[list[int], list[float]]]) -> tuple[list[int], dict[str, list[float]]]:
        """:attr:`loss` or :attr:`val_auc` as columns over the epochs of all stages; NaN where a stage has no value."""
        points: dict[str, dict[int, float]] = {}
        before = 0
        for stage, epochs in self.stages.items():
            if stage in values:
                points[stage] = {before + epoch: value for epoch, value in zip(*values[stage], strict=True)}
            before += epochs
        x = sorted({epoch for column in points.values() for epoch in column})
        columns = {CURVES.get(stage, stage): [of.get(epoch, math.nan) for epoch in x] for stage, of in points.items()}
        return x, columns

    @classmethod
    def of_run(cls, folder: str | Path) -> TrainingState:
        """The state at the end of a training, from its run folder.

        Raises:
            SKDError: its metrics cannot be read.
        """
        Package.make_importable()
        from MonaiSKD.files import read_json

        run = Path(folder)
        state = cls()
        found = {split: values for split, values in read_json(run / _METRICS).items() if split in ("val", "test")}
        files = {key: str(run / name) for key, name in (("model", _MODEL), ("report", _REPORT))}
        state._on_metrics({"metrics": found, **{key: file for key, file in files.items() if Path(file).is_file()}})
        state.doing = "Done"
        return state

    def _on_plan(self, event: Mapping[str, Any]) -> None:
        self.stages = {str(one["name"]): int(one["epochs"]) for one in event["stages"]}

    def _on_stage(self, event: Mapping[str, Any]) -> None:
        self.stage = str(event["name"])
        self.doing = STAGES.get(self.stage, self.stage)
        self.stages.setdefault(self.stage, int(event["epochs"]))
        self._done[self.stage] = float(event["epoch"])

    def _on_step(self, event: Mapping[str, Any]) -> None:
        stage, steps = str(event["stage"]), max(1, int(event["steps"]))
        self._done[stage] = self.stages.get(stage, 0) * int(event["step"]) / steps
        if self._first is None:  # epochs of an interrupted run say nothing of the pace
            self._first = (self.clock(), self.fraction)

    def _on_epoch(self, event: Mapping[str, Any]) -> None:
        stage, epoch = str(event["stage"]), int(event["epoch"])
        self._done[stage] = max(self._done.get(stage, 0.0), float(epoch))
        for curves, value in (
            (self.loss, event.get("loss")),
            (self.val_auc, max((auc for auc in event.get("val_auc") or [] if auc is not None), default=None)),
        ):
            if value is not None:
                epochs, values = curves.setdefault(stage, ([], []))
                if epoch not in epochs:
                    epochs.append(epoch)
                    values.append(float(value))

    def _on_task(self, event: Mapping[str, Any]) -> None:
        self._done.update({name: float(epochs) for name, epochs in self.stages.items()})
        self.stage, self.doing = "", TASKS.get(str(event["name"]), str(event["name"]))

    def _on_metrics(self, event: Mapping[str, Any]) -> None:
        self.metrics = dict(event["metrics"])
        self.model, self.report = str(event.get("model") or ""), str(event.get("report") or "")

    def _on_end(self, event: Mapping[str, Any]) -> None:
        self.doing = "Done"


def is_weights_file(teacher: str) -> bool:
    """Whether a teacher, FILE or NAME=FILE, names a file of weights; a timm name may hold a dot, too."""
    file = teacher.rpartition("=")[2]
    return bool(file) and ("=" in teacher or Path(file).suffix in WEIGHTS or Path(file).is_file())


def options_of(text: str) -> dict[str, str]:
    """Entries of the recipe from lines KEY=VALUE.

    Raises:
        ValueError: a line is of another form; the text says which.
    """
    options = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        key, equals, value = (part.strip() for part in line.partition("="))
        if not (key and equals and value):
            raise ValueError(line)
        options[key] = value
    return options


def run_folder(data: str | Path, bundle: str) -> str:
    """A run folder beside the data: one where a training was interrupted, else one that holds none yet."""
    path = Path(data)
    images = path if path.is_dir() else path.parent
    for number in range(1, 1000):
        name = f"{images.name}-{bundle}" + (f"-{number}" if number > 1 else "")
        folder = str(images.parent / name)
        if not TrainingPlan(bundle, str(data), folder).finished:
            return folder
    return ""


def metric_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What each metric is on the validation and the test images, in percent with its 95 % interval."""
    rows = [("images", *(str(metrics.get(split, {}).get("n", "")) for split in ("val", "test")))]
    for key, title in (("balanced_accuracy", "balanced accuracy, %"), ("macro_auc", "macro AUC, %"), ("ece", "ECE, %")):
        rows.append((title, *(_interval(metrics.get(split, {}).get(key)) for split in ("val", "test"))))
    return rows


def doubt(metrics: Mapping[str, Any]) -> str:
    """A sentence where the test images do not show that the network learned anything; else empty."""
    test = metrics.get("test", {})
    classes = [one for one in test.get("per_class", {}).values() if one.get("n")]
    accuracy = test.get("balanced_accuracy") or {}
    if not classes or accuracy.get("value") is None:
        return "Nothing was measured on test images: what this model is worth is unknown."
    chance = 1 / len(classes)
    low = accuracy.get("low")  # None where they are too few for an interval
    if accuracy["value"] <= chance + 1e-9:
        return f"Not better than chance ({chance:.0%}) on the test images: do not use this model."
    if low is None or low <= chance + 1e-9:
        return f"On so few test images it cannot be told from chance ({chance:.0%}): do not rely on this model."
    return ""


def duration(seconds: float) -> str:
    """A time in rough words, such as "3 min"."""
    if seconds < 90:
        return f"{max(10, math.ceil(seconds / 10) * 10)} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _interval(value: Mapping[str, float | None] | None) -> str:
    parts = [value.get(name) for name in ("value", "low", "high")] if value else []
    numbers = [100 * part for part in parts if part is not None]
    if len(numbers) == 1:
        return f"{numbers[0]:.1f}"
    return "{:.1f} ({:.1f}–{:.1f})".format(*numbers) if len(numbers) == 3 else "–"
