"""Progress over a whole stage: a bar with loss parts, learning rate and time left; or events for a parent program."""

from __future__ import annotations

import time
from typing import Any

import torch
from ignite.engine import Engine, Events
from tqdm import tqdm

from MonaiSKD import events
from MonaiSKD.engines.distributed import rank
from MonaiSKD.engines.handlers import mean_parts, tell_epoch

# A parent program draws no faster than this.
_SECONDS_BETWEEN_EVENTS = 0.5


class Progress:
    """One bar over all iterations of a stage, on rank 0. (Ignite's starts anew each epoch, and so does its time left.)

    Where a parent program listens (see :mod:`MonaiSKD.events`), it gets events instead of the bar; those of epochs take
    what :class:`~MonaiSKD.engines.handlers.EpochMeans` left in `engine.state.epoch_means`.

    Args:
        stage: what the bar is called.
        quiet: show nothing.
    """

    def __init__(self, stage: str, quiet: bool = False) -> None:
        self.stage = stage
        self.quiet = quiet

    def attach(self, engine: Engine) -> None:
        """Hook into the trainer; attach last, so that an epoch that is told of lies in the checkpoint."""
        if rank() > 0:
            return
        if events.listening():
            self._last = 0.0
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._tell)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._tell_epoch)
            return
        if self.quiet:
            return
        engine.add_event_handler(Events.STARTED, self._open)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._advance)
        engine.add_event_handler(Events.COMPLETED, lambda: self._bar.close())

    def _open(self, engine: Engine) -> None:
        total = engine.state.max_epochs * engine.state.epoch_length
        self._bar = tqdm(total=total, initial=engine.state.iteration, desc=self.stage, unit="step", mininterval=1.0)

    def _advance(self, engine: Engine) -> None:
        shown = {**_shown(engine.state.output), "lr": engine.optimizer.param_groups[0]["lr"]}
        self._bar.set_postfix({name: f"{value:.3g}" for name, value in shown.items()}, refresh=False)
        self._bar.update()

    def _tell(self, engine: Engine) -> None:
        now = time.monotonic()
        if now - self._last >= _SECONDS_BETWEEN_EVENTS:
            self._last = now
            steps = engine.state.max_epochs * engine.state.epoch_length
            loss = _shown(engine.state.output)["loss"]
            events.emit("step", stage=self.stage, step=engine.state.iteration, steps=steps, loss=loss)

    def _tell_epoch(self, engine: Engine) -> None:
        state = engine.state
        scores = [value for name, value in state.metrics.items() if name.startswith("val_auc/")]
        tell_epoch(self.stage, state.epoch_means, scores, state.max_epochs)


def _shown(output: dict[str, Any]) -> dict[str, float]:
    """The loss and its parts, those of one name averaged over the students to keep the line short."""
    loss = torch.as_tensor(output["loss"]).item()
    parts = {name: value for name, value in output.items() if "/" in name}
    return {"loss": loss, **mean_parts({**parts, "loss": loss})}
