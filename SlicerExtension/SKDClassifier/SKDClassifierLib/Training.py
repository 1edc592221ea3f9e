"""A training as the user plans it, and as its events tell it. No Qt."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# What the stages and tasks of a training are called; see docs/events.md of the package.
STAGES = {"teacher": "Teaching the large network", "dual": "Training two students", "finetune": "Fine-tuning the best"}
TASKS = {
    "calibrate": "Calibrating",
    "explain": "Fitting heat maps",
    "report": "Writing the report",
    "export": "Exporting",
}


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
        return True, ""

    @property
    def resumes(self) -> bool:
        """Whether an interrupted run lies in the run folder."""
        return any(Path(self.out).glob("checkpoints/*.pt")) if self.out else False

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
            (self.val_auc, max(event.get("val_auc") or [], default=None)),
        ):
            if value is not None:
                epochs, values = curves.setdefault(stage, ([], []))
                if epoch not in epochs:
                    epochs.append(epoch)
                    values.append(float(value))

    def _on_task(self, event: Mapping[str, Any]) -> None:
        self._done.update({name: float(epochs) for name, epochs in self.stages.items()})
        self.doing = TASKS.get(str(event["name"]), str(event["name"]))

    def _on_metrics(self, event: Mapping[str, Any]) -> None:
        self.metrics = dict(event["metrics"])
        self.model, self.report = str(event.get("model") or ""), str(event.get("report") or "")

    def _on_end(self, event: Mapping[str, Any]) -> None:
        self.doing = "Done"
