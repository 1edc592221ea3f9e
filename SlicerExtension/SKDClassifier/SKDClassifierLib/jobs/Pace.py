"""Long work on the main thread in short slices, between which the application lives."""

from __future__ import annotations

import time
from collections.abc import Callable

import qt

_SECONDS, _PAUSE_MS = 0.012, 8


class Pace:
    """Calls a step again and again until there is nothing left to do.

    Args:
        step: does a little; says whether it did anything.
        on_idle: called when a step found nothing to do.
    """

    def __init__(self, step: Callable[[], bool], on_idle: Callable[[], None] = lambda: None) -> None:
        self._step, self._on_idle = step, on_idle
        self._timer = qt.QTimer()
        self._timer.setInterval(_PAUSE_MS)
        self._timer.connect("timeout()", self._tick)

    @property
    def running(self) -> bool:
        """Whether there may be something left to do."""
        return self._timer.active

    def start(self) -> None:
        """There is something to do."""
        if not self._timer.active:
            self._timer.start()

    def stop(self) -> None:
        """Leave the rest."""
        self._timer.stop()

    def _tick(self) -> None:
        until = time.monotonic() + _SECONDS
        while time.monotonic() < until:
            if not self._step():
                self._timer.stop()
                self._on_idle()
                return
