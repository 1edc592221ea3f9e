"""Ignite handlers that the stages share: validation with a memory of the best, averages, clipping, means."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ignite.distributed as idist
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from monai.engines.utils import IterationEvents
from torch import Tensor, nn

from MonaiSKD import events
from MonaiSKD.distillation import EMATeachers
from MonaiSKD.engines.distributed import average_buffers


class KeepBest:
    """Validate networks after each epoch and remember the weights that scored best, by "val_auc".

    Equal scores go to the later epoch, which has seen more.

    After a validation the trainer's `state.metrics` holds the scores, as "val_auc/0", ...; after an epoch without one
    it holds none.

    Args:
        evaluator: MONAI evaluator; its `network` is replaced by each of `networks` in turn.
        networks: the candidates (EMA teachers).
        start: first epoch (from 1) to validate after; earlier the heads know no labels.
        interval: validate after every so many epochs, and after the last.
        initial: also validate before the first epoch, so that the stage cannot end worse than it began.

    Attributes:
        score: best value so far, -inf before the first validation.
        index: which network had it.
        epoch: after which epoch (0 = before the first).
        weights: its state dict, on the CPU.
        history: per validation {"epoch", "index", metric: value, ...}.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        networks: Sequence[nn.Module] | nn.ModuleList,
        start: int = 1,
        interval: int = 1,
        initial: bool = False,
    ) -> None:
        self.evaluator = evaluator
        self.networks = list(networks)
        self.start = start
        self.interval = interval
        self.initial = initial
        self.score = float("-inf")
        self.index = -1
        self.epoch = -1
        self.weights: dict[str, Tensor] = {}
        self.history: list[dict[str, float]] = []
        self._told: set[str] = set()

    def attach(self, engine: Engine) -> None:
        """Hook into the trainer; attach before the checkpoint, which saves what this remembers."""
        if self.initial:
            engine.add_event_handler(Events.STARTED, self._first)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def _first(self, engine: Engine) -> None:
        if engine.state.epoch == 0:
            self._validate(engine)

    def __call__(self, engine: Engine) -> None:
        """Validate and compare."""
        epoch, last = engine.state.epoch, engine.state.max_epochs
        for name in self._told:  # the log, events and TensorBoard would take them for this epoch's
            engine.state.metrics.pop(name, None)
        if epoch == last or (epoch >= self.start and (epoch - self.start) % self.interval == 0):
            self._validate(engine)

    def _validate(self, engine: Engine) -> None:
        for index, network in enumerate(self.networks):
            average_buffers(network)
            self.evaluator.network = network
            self.evaluator.run()
            metrics = {name: float(value) for name, value in self.evaluator.state.metrics.items()}
            told = {f"{name}/{index}": value for name, value in metrics.items()}
            engine.state.metrics.update(told)
            self._told.update(told)
            self.history.append({"epoch": engine.state.epoch, "index": index, **metrics})
            if metrics["val_auc"] >= self.score:
                self.score, self.index, self.epoch = metrics["val_auc"], index, engine.state.epoch
                self.weights = {key: value.detach().cpu().clone() for key, value in network.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know."""
        names = ("score", "index", "epoch", "weights", "history")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave."""
        for name in self.state_dict():
            setattr(self, name, state[name])


class FollowStudents:
    """Move the EMA teachers after every iteration of a trainer.

    Ignite's EMAHandler holds one network, warms up along a line and offers no forward pass of several; the students'
    averages here are modules of their own, which are trained against, validated and saved.
    """

    def __init__(self, ema: EMATeachers, students: Sequence[nn.Module] | nn.ModuleList) -> None:
        self.ema = ema
        self.students = students

    def attach(self, engine: Engine) -> None:
        """Hook into the trainer; attach before validation."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Update the averages."""
        self.ema.update(self.students, engine.state.iteration - 1)


class GradientClipping:
    """Clip the joint gradient norm of a network before the optimiser steps (for MONAI's SupervisedTrainer)."""

    def __init__(self, network: nn.Module, max_norm: float) -> None:
        self.network = network
        self.max_norm = max_norm

    def attach(self, engine: Engine) -> None:
        """Hook into the trainer between backward pass and step."""
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Clip; gradients that mixed precision has scaled are unscaled first."""
        if engine.scaler is not None:
            engine.scaler.unscale_(engine.optimizer)
        nn.utils.clip_grad_norm_(self.network.parameters(), self.max_norm)


class EpochMeans:
    """Means of the loss parts over each epoch and all ranks, kept for curves and written to the log.

    Args:
        stage: name that the log lines carry.
        parts: from the engine's output to {name: value}.

    Attributes:
        history: per epoch {"epoch", "seconds", name: mean, ...}; saved with the stage, so interrupted time counts.
    """

    def __init__(
        self, stage: str, parts: Callable[[Any], dict[str, float]] = lambda output: {"loss": output["loss"].item()}
    ) -> None:
        self.stage = stage
        self.parts = parts
        self.history: list[dict[str, float]] = []
        self._sums: dict[str, float] = {}
        self._count = 0
        self._started = 0.0

    def attach(self, engine: Engine) -> None:
        """Hook into the trainer; attach after validation so that the log line has both."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._add)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._finish)

    @property
    def seconds(self) -> float:
        """Time spent in finished epochs, validation included."""
        return sum(row["seconds"] for row in self.history)

    def _start(self) -> None:
        self._started = time.perf_counter()

    def _add(self, engine: Engine) -> None:
        for name, value in self.parts(engine.state.output).items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1

    def _finish(self, engine: Engine) -> None:
        # The ranks make the same number of steps, so the mean of their means is the mean.
        world = idist.get_world_size()
        means = {name: float(idist.all_reduce(value)) / (world * self._count) for name, value in self._sums.items()}
        self.history.append({"epoch": engine.state.epoch, "seconds": time.perf_counter() - self._started, **means})
        self._log(engine, means)
        engine.state.epoch_means = self.history[-1]
        self._sums, self._count = {}, 0

    def _log(self, engine: Engine, means: dict[str, float]) -> None:
        parts = ", ".join(f"{name} {value:.3f}" for name, value in mean_parts(means).items() if name != "loss")
        scores = [f"{value:.3f}" for name, value in engine.state.metrics.items() if name.startswith("val_auc/")]
        logging.getLogger("MonaiSKD").info(
            "%s epoch %d/%d: loss %.3f%s%s",
            self.stage,
            engine.state.epoch,
            engine.state.max_epochs,
            means["loss"],
            f" ({parts})" if parts else "",
            f", validation AUC {' and '.join(scores)}" if scores else "",
        )

    def state_dict(self) -> dict[str, Any]:
        """The history, so that a resumed run's curves are whole."""
        return {"history": self.history}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave."""
        self.history = state["history"]


def tell_epoch(stage: str, row: Mapping[str, float], val_auc: Sequence[float], epochs: int) -> None:
    """Tell a parent program, if one listens, of an epoch that is done.

    Args:
        stage: whose.
        row: of :attr:`EpochMeans.history`.
        val_auc: of each validated network; empty where the epoch was not followed by a validation.
        epochs: of the stage.
    """
    scores = {"val_auc": [float(value) for value in val_auc]} if val_auc else {}
    epoch, seconds = int(row["epoch"]), row["seconds"]
    events.emit("epoch", stage=stage, epoch=epoch, epochs=epochs, loss=row["loss"], seconds=seconds, **scores)


def mean_parts(row: Mapping[str, float]) -> dict[str, float]:
    """Loss parts of one epoch, each averaged over the students; the plain loss where there are no parts."""
    parts: dict[str, list[float]] = {}
    for name, value in row.items():
        if "/" in name:
            parts.setdefault(name.split("/")[1], []).append(value)
    if not parts:
        return {"loss": row["loss"]}
    return {name: sum(values) / len(values) for name, values in parts.items()}
