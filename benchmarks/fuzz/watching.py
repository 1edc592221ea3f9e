"""The parent's side: a child process that is watched, killed and replaced."""

from __future__ import annotations

import multiprocessing
import time
from typing import Any

from fuzz.usage import SECONDS, memory, processor
from fuzz.worker import Outcome, work

_KILL_MEGABYTES = 6 * 1024.0
_KILL_WALL = 90.0  # on a busy machine; what counts is processor time


class Worker:
    """A child process that classifies with one model, and is started anew when it dies."""

    def __init__(self, *arguments: Any) -> None:
        self._arguments = arguments
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=work, args=(other, *self._arguments), daemon=True)
        self._process.start()
        other.close()
        self._baseline = self._pipe.recv()

    def run(self, number: int) -> tuple[str, str, Outcome] | Outcome:
        self._pipe.send(number)
        try:
            self._pipe.recv()  # the mutant lies ready
            pid = self._process.pid or 0
            used, start = processor(pid), time.monotonic()
            while not self._pipe.poll(0.2):
                megabytes = memory("VmRSS", pid) - self._baseline
                if megabytes > _KILL_MEGABYTES:
                    return self._again(Outcome("killed", megabytes=megabytes, findings=("memory",)))
                seconds = processor(pid) - used
                # A process that waits for ever uses no processor.
                if seconds > 2 * SECONDS or time.monotonic() - start > (_KILL_WALL if seconds > 0.5 else SECONDS):
                    return self._again(Outcome("hang", seconds=seconds, findings=("hang",)))
            return self._pipe.recv()
        except (EOFError, ConnectionResetError):
            self._process.join(10)
            return self._again(Outcome("crash", message=f"exit code {self._process.exitcode}", findings=("crash",)))

    def _again(self, outcome: Outcome) -> Outcome:
        self._process.kill()
        self._process.join()
        self._start()
        return outcome

    def stop(self) -> None:
        self._pipe.send(None)
        self._process.join(10)
        self._process.kill()
