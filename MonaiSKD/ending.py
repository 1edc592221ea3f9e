"""Ctrl-C and SIGTERM: a command that is told to stop puts things in order first, whatever else it is told meanwhile."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Whoever stops a program waits about as long before he kills it (`docker stop`: 10 s).
_SECONDS = 10.0


class Terminated(KeyboardInterrupt):
    """SIGTERM has come: the program ends as after Ctrl-C, but for its exit code."""


@contextmanager
def ending_in_order() -> Iterator[None]:
    """Let SIGTERM (`docker stop`, systemd, a batch queue) stop the block as Ctrl-C does, so that nothing is lost.

    While things are put in order, a further signal stops nothing, but for a second Ctrl-C, which somebody presses who
    does not want to wait. Outside the main thread, and where SIGTERM is ignored or has a handler, nothing changes.

    Raises:
        Terminated: within the block, when SIGTERM comes.
    """
    # Python's signals belong to the main thread.
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    stop = _Stop()
    # A program in the background of a shell ignores Ctrl-C, and goes on doing so.
    taken = [one for one in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(one) != signal.SIG_IGN]
    before, hook = {number: signal.signal(number, stop) for number in taken}, sys.unraisablehook
    sys.unraisablehook = stop.say_again
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


class _Stop:
    """The handler of both signals."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._began = -_SECONDS
        self._number = 0
        self._hook = sys.unraisablehook

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a worker process has nothing to put in order
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        now = time.monotonic()
        if now - self._began < _SECONDS and signal.SIGTERM in (number, self._number):
            return
        self._began, self._number = now, number
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    def say_again(self, unraisable: sys.UnraisableHookArgs) -> None:
        """Python drops what is raised within `__del__` or around a fork; the stop must not be lost with it."""
        if not isinstance(unraisable.exc_value, KeyboardInterrupt):
            self._hook(unraisable)
            return
        self._began = -_SECONDS
        # From a thread: in here it would be dropped as well.
        threading.Timer(0.05, os.kill, (self._process, self._number)).start()
