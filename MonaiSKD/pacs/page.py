"""What the status page says: queue, last results, troubles; as HTML and as JSON."""

from __future__ import annotations

import base64
import hashlib
import logging
import threading
from functools import cache
from typing import TYPE_CHECKING, Any

from MonaiSKD import __version__
from MonaiSKD.pacs.clock import Clock
from MonaiSKD.pacs.log import log
from MonaiSKD.pacs.queue import OPEN, Queue, Row
from MonaiSKD.pacs.trouble import Later

if TYPE_CHECKING:
    from jinja2 import Template

_SHOWN = 50
_DAY = 86400


class Status:
    """What is known of the running service.

    Args:
        queue: the rows.
        clock: since when it runs.
        identify: whether Study Instance UIDs are shown; names never are, for the queue does not know them.
    """

    def __init__(self, queue: Queue, clock: Clock, identify: bool) -> None:
        self._queue, self._clock, self._identify = queue, clock, identify
        self._started, self._since = clock.monotonic(), clock.now()
        self._troubles: dict[str, dict[str, str]] = {}
        self._lock = threading.Lock()

    def trouble(self, what: str, problem: Later) -> None:
        """Something that is done again and again fails; said once in the log for each new reason."""
        with self._lock:
            known = self._troubles.get(what)
            if known is not None and known["reason"] == problem.cause:
                return
            since = self._clock.now().isoformat(timespec="seconds")
            self._troubles[what] = {"what": what, "reason": problem.cause, "remedy": problem.remedy, "since": since}
        log("trouble", logging.WARNING, what=what, reason=problem.cause)

    def well(self, what: str) -> None:
        """It works again."""
        with self._lock:
            if self._troubles.pop(what, None) is not None:
                log("trouble over", what=what)

    def data(self) -> dict[str, Any]:
        """Everything as JSON data."""
        with self._lock:
            troubles = list(self._troubles.values())
        return {
            "version": __version__,
            "since": self._since.isoformat(timespec="seconds"),
            "seconds": round(self._clock.monotonic() - self._started, 1),
            "counts": self._queue.counts(),
            "troubles": troubles,
            "waiting": [self.line(row) for row in self._queue.rows(OPEN, last=_SHOWN)],
            "unanswerable": [self.line(row) for row in self._queue.rows(["unanswerable"], last=_SHOWN)],
            "answered": [self.line(row) for row in self._queue.rows(["answered"], last=_SHOWN)],
        }

    def line(self, row: Row) -> dict[str, Any]:
        """One row as JSON data."""
        return as_data(row, self._identify)

    def html(self) -> tuple[str, str]:
        """The page and its Content-Security-Policy."""
        template, style, policy = _template()
        return template.render(style=style, shown=_SHOWN, **self.data()), policy


@cache
def _template() -> tuple[Template, str, str]:
    """The template, its style, and the policy that allows this style and nothing else."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("MonaiSKD.pacs", "")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["span"] = span
    style = loader.get_source(environment, "page.css")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    rest = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return environment.get_template("page.html.j2"), style, f"default-src 'none'; style-src 'sha256-{digest}'; {rest}"


def as_data(row: Row, identify: bool) -> dict[str, Any]:
    """One row as JSON data, with the Study Instance UID only where it shall identify."""
    data: dict[str, Any] = {
        "key": row.key,
        "model": row.model or None,
        "state": row.state,
        "images": row.images,
        "received": row.received,
        "changed": row.changed,
    }
    if identify:
        data["study"] = row.study
    if row.state == "answered":
        data["answer"] = row.answer
    elif row.reason:
        data |= {"reason": row.reason, "remedy": row.remedy, "attempts": row.attempts}
        data |= {"code": row.code} if row.code else {}
    return data


def span(seconds: float) -> str:
    """A length of time in words.

    Example:
        >>> span(42), span(600), span(7300), span(200000)
        ('42 s', '10 min', '2 h 1 min', '2 d 7 h')
    """
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < _DAY:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // _DAY} d {whole % _DAY // 3600} h"
