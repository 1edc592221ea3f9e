"""What a killed stage needs to go on as if nothing had happened."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import nn

from MonaiSKD.engines.distributed import average_buffers, rank
from MonaiSKD.errors import SKDError
from MonaiSKD.files import atomic_path


def save_state(path: str | Path, state: Mapping[str, Any]) -> None:
    """Write a state dict whole or not at all.

    Raises:
        SKDError: it cannot be written. (PyTorch's own writer hides a full disk behind an internal error.)
    """
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    with atomic_path(path) as beside:
        beside.write_bytes(buffer.getbuffer())


class StageCheckpoint:
    """Save the state of a stage after every epoch, whole or not at all, under one name; load it again.

    The engine's counters, its gradient scaler and PyTorch's random state are always part of it. Views and order of the
    images need no state: they depend on the seed and the epoch alone (see :mod:`MonaiSKD.engines.data`).

    Args:
        path: the file.
        objects: by name, whatever has `state_dict` and `load_state_dict`: students, EMA, optimiser, schedule,
            the memory of the best.
    """

    def __init__(self, path: str | Path, objects: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.objects = dict(objects)
        self._scaler: dict[str, Any] = {}

    def attach(self, engine: Engine) -> None:
        """Hook into the trainer; attach last, so that what is saved is final for the epoch."""
        engine.add_event_handler(Events.STARTED, self._restore_scaler)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Save (on rank 0) what all ranks have alike."""
        for thing in self.objects.values():
            if isinstance(thing, nn.Module):
                average_buffers(thing)
        if rank() > 0:
            return
        state = {name: thing.state_dict() for name, thing in self.objects.items()}
        state["engine"] = dict(engine.state_dict())
        scaler, device = getattr(engine, "scaler", None), engine.state.device
        state["scaler"] = {} if scaler is None else scaler.state_dict()
        # Of the training's GPU alone: the computer where it goes on may have fewer of them.
        cuda = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
        state["rng"] = {"cpu": torch.get_rng_state(), "cuda": cuda}
        save_state(self.path, state)

    def resume(self, engine: Engine) -> bool:
        """Load the file into the objects and the engine; False when there is none.

        Raises:
            SKDError: the file is damaged or belongs to another configuration.
        """
        if not self.path.exists():
            return False
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            # Before the objects, so that a checkpoint of a longer run is refused while nothing has changed.
            length = engine.state.max_epochs
            if state["engine"]["max_epochs"] != length:
                raise ValueError(f"it plans {state['engine']['max_epochs']} epochs, this run {length}")
            for name, thing in self.objects.items():
                thing.load_state_dict(state[name])
            engine.load_state_dict(state["engine"])
        except Exception as error:
            raise SKDError(
                self.path, f"does not fit this run ({error})", "Use the same options again, or another --out folder"
            ) from error
        self._scaler = state.get("scaler", {})
        torch.set_rng_state(state["rng"]["cpu"])
        if engine.state.device.type == "cuda" and state["rng"]["cuda"]:
            torch.cuda.set_rng_state(state["rng"]["cuda"][0], engine.state.device)
        return True

    def _restore_scaler(self, engine: Engine) -> None:
        """Only now: a trainer makes its scaler when it starts; one in another number format has none."""
        if self._scaler and engine.scaler is not None:
            engine.scaler.load_state_dict(self._scaler)
