"""A clock that tests move."""

from datetime import datetime, timezone


class Clock:
    """Stands still until it is moved: `seconds` for what is waited for, `day` for the time of day."""

    def __init__(self) -> None:
        self.seconds, self.day = 1000.0, datetime(2026, 3, 1, 23, 59, tzinfo=timezone.utc)

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return self.day
