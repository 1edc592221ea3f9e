"""What a job says: bytes become events and log lines; its end becomes a sentence. No Qt."""

from __future__ import annotations

import codecs
import json
import signal
from collections import deque
from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

_LOG_LINES, _LINE_CHARACTERS = 200, 2000
_INTERRUPTED = (130, 143)  # as by Ctrl-C, by SIGTERM
_KILL = 9  # SIGKILL, which Windows does not name


@dataclass(frozen=True)
class JobEnd:
    """How a job ended.

    Args:
        code: its exit code; None when it was killed, crashed or could not be started.
        error: its "error" event: message, and where the user can mend it thing, cause and remedy.
        stopped: whether it was asked to stop; it may have ended well all the same.
        log: the last lines that it wrote for people.
        text: one sentence for people when it did not end well; empty otherwise, also when it stopped in order.
    """

    code: int | None
    error: dict | None
    stopped: bool
    log: str
    text: str


class JobOutput:
    """Takes in the output of a job as it comes, and gives it out line by line."""

    def __init__(self) -> None:
        self._out, self._err = _Lines(), _Lines(progress_bars=True)
        self._waiting: deque[tuple[bool, str]] = deque()
        self._log: deque[str] = deque(maxlen=_LOG_LINES)
        self._started = False
        self._last: dict | None = None

    @property
    def waiting(self) -> bool:
        """Whether :meth:`next` has something."""
        return bool(self._waiting)

    def feed(self, out: bytes, err: bytes) -> None:
        """Take in bytes of standard output and standard error, however they are cut."""
        self._waiting.extend((True, line) for line in self._out.feed(out))
        self._waiting.extend((False, line) for line in self._err.feed(err))

    def close(self) -> None:
        """No more comes: what stands without a line end is a line, too."""
        self._waiting.extend((True, line) for line in self._out.rest())
        self._waiting.extend((False, line) for line in self._err.rest())

    def next(self) -> dict | str | None:
        """An event, a log line, or None when there is nothing now."""
        while self._waiting:
            is_event, line = self._waiting.popleft()
            event = _event(line) if is_event else None
            if event is not None:
                self._started |= event["event"] == "start"
                if event["event"] in ("end", "error"):
                    self._last = event
                return event
            if line.strip():
                line = line[:_LINE_CHARACTERS]
                self._log.append(line)
                return line
        return None

    def end(self, code: int, crashed: bool, stopped: bool = False, killed: bool = False, failed: str = "") -> JobEnd:
        """How it ended.

        Args:
            code: exit code, or the signal of a crash.
            crashed: whether a signal ended it.
            stopped: whether it was asked to stop.
            killed: whether it was killed because it did not.
            failed: why it could not be started; empty where it was.
        """
        error = self._last if self._last and self._last["event"] == "error" else None
        # Slicer's launcher turns the death of the Python behind it into an exit code; that no last event came tells.
        died = crashed or bool(failed) or (self._started and self._last is None)
        text = self._text(code, crashed, stopped, killed, failed)
        return JobEnd(None if died else code, error, stopped, "\n".join(self._log), text)

    def _text(self, code: int, crashed: bool, stopped: bool, killed: bool, failed: str) -> str:
        last = self._last
        if failed:
            return _("The job could not be started ({why}). Install Slicer or this extension again.").format(
                why=failed.rstrip(".")
            )
        if last is not None and last["event"] == "end":
            return ""
        if last is not None and last.get("code") not in _INTERRUPTED:
            return str(last.get("message") or "") or _("The job failed with code {code}. See its log.").format(
                code=code
            )
        if last is not None:
            again = _("The job was interrupted from outside. Start it again; a training goes on from its last epoch.")
            return "" if stopped else again
        if killed:
            return _("The job did not stop in time and was killed. A training goes on from its last epoch.")
        if stopped and not self._started:
            return ""
        if crashed and code not in (signal.SIGTERM, signal.SIGINT, _KILL):
            return _(
                "The job crashed (code {code}). Start it again; if that repeats, report the last lines of its log."
            ).format(code=code)
        if self._started or crashed:
            return _(
                "The job was killed (out of memory?). Close other programs and start it again; a training goes on from"
                " its last epoch. With smaller images or batches it begins anew, in another run folder."
            )
        return _(
            "The job ended before it began, with code {code} ({said}). See its log, and check what is installed."
        ).format(code=code, said=self._log[-1].rstrip(".") if self._log else _("it said nothing"))


class _Lines:
    """Cuts bytes into lines of text; a progress bar, drawn over and over after carriage returns, is its last state."""

    def __init__(self, progress_bars: bool = False) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._pending: list[str] = []
        self._bars = progress_bars

    def feed(self, data: bytes) -> list[str]:
        if not data:
            return []
        first, *others = self._decoder.decode(data).split("\n")
        self._pending.append(first)
        if not others:
            if self._bars:  # may be drawn for hours
                self._pending = [self._state("".join(self._pending))[-_LINE_CHARACTERS:]]
            return []
        lines = ["".join(self._pending), *others[:-1]]
        self._pending = [others[-1]]
        return [self._state(line).rstrip("\r") for line in lines]

    def rest(self) -> list[str]:
        line = "".join(self._pending) + self._decoder.decode(b"", final=True)
        self._pending = []
        return [self._state(line).rstrip("\r")] if line else []

    def _state(self, line: str) -> str:
        """Of a progress bar; a carriage return at the very end may belong to a line end of Windows."""
        if not self._bars:
            return line
        shown = line.rstrip("\r")
        return shown.rpartition("\r")[2] + line[len(shown) :]


def _event(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event.get("event"), str) else None
