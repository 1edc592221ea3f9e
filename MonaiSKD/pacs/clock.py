"""Time: what is waited for is measured by a clock that nobody sets; the time of day is only shown."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """What the service knows of time."""

    def monotonic(self) -> float:
        """Seconds since some moment; never jumps."""

    def now(self) -> datetime:
        """The time of day in this computer's zone; may jump when somebody sets the clock."""


class SystemClock:
    """The computer's own clocks."""

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def now(self) -> datetime:
        """The time of day with its zone."""
        return datetime.now().astimezone()


class Backoff:
    """How long to wait before the next attempt: doubled each time, up to a limit, and never the same for two studies.

    Args:
        first: seconds after the first failure.
        most: seconds at most.
        chance: uniform in [0, 1); so that a hundred studies do not all come back in the same second.

    Example:
        >>> [Backoff(2, 60, chance=lambda: 0.0).delay(attempt) for attempt in (1, 2, 3, 9)]
        [1.0, 2.0, 4.0, 30.0]
    """

    def __init__(self, first: float, most: float, chance: Callable[[], float] = random.random) -> None:
        self.first, self.most, self.chance = first, most, chance

    def delay(self, attempt: int) -> float:
        """Seconds to wait after that many failures: between half of the doubled time and all of it."""
        whole = min(self.most, self.first * 2.0 ** min(attempt - 1, 60))
        return whole * (0.5 + 0.5 * self.chance())


class Rate:
    """At most so many events a second, with a burst of one second's worth.

    Args:
        per_second: how many.
        clock: what measures.

    Example:
        >>> rate = Rate(2, SystemClock())
        >>> rate.take(), rate.take(), rate.take()
        (True, True, False)
    """

    def __init__(self, per_second: float, clock: Clock) -> None:
        self.per_second, self._clock = per_second, clock
        self._burst = max(1.0, per_second)
        self._left, self._at = self._burst, clock.monotonic()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take one if there is one."""
        return self._take() <= 0

    def wait(self, stop: threading.Event) -> None:
        """Take one, after waiting for it; a stop ends the wait."""
        while (missing := self._take()) > 0 and not stop.wait(missing):
            pass

    def _take(self) -> float:
        """Take one, or give the seconds until there is one."""
        with self._lock:
            now = self._clock.monotonic()
            self._left = min(self._burst, self._left + (now - self._at) * self.per_second)
            self._at = now
            if self._left >= 1:
                self._left -= 1
                return 0.0
            return (1 - self._left) / self.per_second
