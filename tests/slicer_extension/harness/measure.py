"""Waiting for things and measuring them in a running event loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import qt
import vtk


def wait_until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    """Run Qt's event loop until `condition()` holds.

    Raises:
        AssertionError: it does not within `seconds`.
    """
    end = time.monotonic() + seconds
    loop = qt.QEventLoop()
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"nothing came of it within {seconds} s")
        qt.QTimer.singleShot(5, loop.quit)
        loop.exec()


class BlockTimer:
    """Measures for how long the event loop stands still.

    Example:
        with BlockTimer() as blocked:
            wait_until(lambda: not tab.running)
        assert blocked.longest < 100

    Args:
        clock: in seconds. With `time.thread_time` only the computing of the main thread counts, and not the time in
            which other programs had the processors.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.longest = 0.0  # milliseconds
        self._clock = clock
        self._timer = qt.QTimer()
        self._timer.setTimerType(qt.Qt.PreciseTimer)
        self._timer.setInterval(5)
        self._timer.connect("timeout()", self._beat)

    def __enter__(self) -> BlockTimer:
        self._last = self._clock()
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._beat()
        self._timer.stop()

    def _beat(self) -> None:
        now = self._clock()
        self.longest = max(self.longest, 1000 * (now - self._last))
        self._last = now


def observers(*objects: Any) -> int:
    """How many observers, from Python or C++, hang on a node; for a scene, on it and all of its nodes."""
    total = 0
    for one in objects:
        total += _count(one)
        if one.IsA("vtkMRMLScene"):
            total += sum(_count(one.GetNthNode(index)) for index in range(one.GetNumberOfNodes()))
    return total


def _count(one: vtk.vtkObject) -> int:
    """VTK numbers observers from 1 on and never again, and tells which number has a command."""
    tag = one.AddObserver("UserEvent", lambda *_: None)
    one.RemoveObserver(tag)
    return sum(one.GetCommand(number) is not None for number in range(1, tag))
