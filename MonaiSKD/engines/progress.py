"""A progress bar over a whole stage: loss parts, learning rate, time left."""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Engine, Events
from ignite.handlers import ProgressBar

from MonaiSKD.engines.distributed import rank
from MonaiSKD.engines.handlers import mean_parts


class Progress:
    """Ignite's progress bar over all epochs of a stage, on rank 0.

    Args:
        stage: what the bar is called.
        quiet: show nothing.
    """

    def __init__(self, stage: str, quiet: bool = False) -> None:
        self.stage = stage
        self.quiet = quiet

    def attach(self, engine: Engine) -> None:
        """Hook into the trainer."""
        if self.quiet or rank() > 0:
            return
        bar = ProgressBar(persist=True, desc=self.stage, mininterval=1.0)
        bar.attach(
            engine,
            output_transform=lambda output: {**_shown(output), "lr": engine.optimizer.param_groups[0]["lr"]},
            event_name=Events.ITERATION_COMPLETED,
            closing_event_name=Events.COMPLETED,
        )


def _shown(output: dict[str, Any]) -> dict[str, float]:
    """The loss and its parts, those of one name averaged over the students to keep the line short."""
    loss = torch.as_tensor(output["loss"]).item()
    parts = {name: value for name, value in output.items() if "/" in name}
    return {"loss": loss, **mean_parts({**parts, "loss": loss})}
