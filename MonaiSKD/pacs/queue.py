"""The queue: what is known of every study, in one SQLite file that survives crashes.

One row per study and model. A row is `received`, then `working`, then `answered` for good or `unanswerable` with the
reason; `retrying` rows wait for another attempt. Nothing is decided by a time of day: rows are ordered by a counter,
and how long a row waits is known to the running service alone.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from MonaiSKD.errors import SKDError
from MonaiSKD.pacs.routing import SeriesFacts

State = Literal["received", "working", "retrying", "answered", "unanswerable"]
STATES: tuple[State, ...] = ("received", "working", "retrying", "answered", "unanswerable")
OPEN: tuple[State, ...] = ("received", "working", "retrying")
VERSION = 1
# `model` of a study that no rule fits.
NO_MODEL = ""

_TABLES = """
CREATE TABLE IF NOT EXISTS work (
    key TEXT PRIMARY KEY, study TEXT NOT NULL, model TEXT NOT NULL, state TEXT NOT NULL, series TEXT NOT NULL,
    images INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, code TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '', remedy TEXT NOT NULL DEFAULT '', answer TEXT NOT NULL DEFAULT '',
    report TEXT NOT NULL DEFAULT '', received TEXT NOT NULL, changed TEXT NOT NULL, step INTEGER NOT NULL,
    UNIQUE (study, model));
CREATE INDEX IF NOT EXISTS work_state ON work (state, step);
CREATE INDEX IF NOT EXISTS work_step ON work (step);
CREATE TABLE IF NOT EXISTS seen (study TEXT PRIMARY KEY, instances INTEGER NOT NULL);
"""
_NEW = "key, study, model, state, series, images, code, reason, remedy, step, received, changed"


@dataclass(frozen=True)
class Row:
    """A study and what became of it for one model.

    Args:
        key: names the row in logs and on the page; derived from study and model.
        study: Study Instance UID.
        model: as the configuration names it; empty where no rule fits.
        state: see the module.
        series: UIDs of the series that the rules chose.
        images: how many images these had when they were chosen.
        attempts: failed ones that may be the study's own fault.
        code: of :data:`MonaiSKD.errors.CODES`; empty while it is not unanswerable.
        reason: why it is not answered.
        remedy: what to do about it.
        answer: in words.
        report: SOP Instance UID of the SR.
        received: when the row was made, ISO 8601.
        changed: when its state changed last.
        step: counter of changes; the higher, the later.
    """

    key: str
    study: str
    model: str
    state: State
    series: tuple[str, ...]
    images: int
    attempts: int
    code: str
    reason: str
    remedy: str
    answer: str
    report: str
    received: str
    changed: str
    step: int


def key_of(study: str, model: str) -> str:
    """The name of a row.

    Example:
        >>> key_of("1.2.3", "chest_xray")
        '4c06994a98f7'
    """
    return hashlib.sha256(f"{study}\0{model}".encode()).hexdigest()[:12]


class Queue:
    """The queue in a file.

    It may be used from several threads; another process may read it meanwhile.

    Args:
        path: the file; made when absent.
        now: the time of day, for people to read.
        read_only: for looking only; then it must exist.

    Raises:
        SKDError: it cannot be opened, or is of another version.
    """

    def __init__(self, path: Path, now: Callable[[], datetime], read_only: bool = False) -> None:
        self._now, self._lock = now, threading.RLock()
        try:
            where = f"{path.resolve().as_uri()}?mode={'ro' if read_only else 'rwc'}"
            self._base = sqlite3.connect(where, uri=True, check_same_thread=False, isolation_level=None, timeout=10)
            if not read_only:
                self._base.execute("PRAGMA journal_mode=WAL")
                self._base.execute("PRAGMA synchronous=FULL")
            version = self._base.execute("PRAGMA user_version").fetchone()[0]
            if version == 0 and not read_only:
                self._base.executescript(f"BEGIN; {_TABLES} PRAGMA user_version={VERSION}; COMMIT;")
            elif version != VERSION:
                raise SKDError(path, f"is a queue of version {version}, not {VERSION}", "Move it away, or update")
        except sqlite3.Error as error:
            raise SKDError(path, f"cannot be opened ({error})", "Check the folder and its free space") from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._base.close()

    def seen(self, study: str) -> int | None:
        """How many instances a study had when it was last offered; None where it never was."""
        with self._lock:
            found = self._base.execute("SELECT instances FROM seen WHERE study = ?", (study,)).fetchone()
        return None if found is None else int(found[0])

    def offer(
        self,
        study: str,
        instances: int,
        routed: Mapping[str, Sequence[SeriesFacts]],
        why_not: str,
        remedy: str = "Add a [[route]] for it, or let it be",
        anew: bool = False,
    ) -> Mapping[str, State]:
        """Take in what the rules made of a study, all of it or nothing.

        What is known already stays as it is, so a study may be offered any number of times. But an unanswerable row is
        received once more where images came anew, where others are chosen than before, or where it had none here; and
        a row that is not answered yet takes the series that are chosen now where they have more images.

        Args:
            study: Study Instance UID.
            instances: how many it has now.
            routed: the series for each model.
            why_not: the reason where there is no model at all.
            remedy: what to do about that.
            anew: whether images came since it was offered last, be they as many as before.

        Returns:
            the rows that are new or received once more, by their key.
        """
        wanted = {**routed} or {NO_MODEL: ()}
        with self._change() as step:
            if routed:
                self._base.execute("DELETE FROM work WHERE study = ? AND model = ?", (study, NO_MODEL))
            elif self._base.execute("SELECT 1 FROM work WHERE study = ? AND model != ''", (study,)).fetchone():
                wanted = {}
            taken = {model: self._take(step, study, model, wanted[model], why_not, remedy, anew) for model in wanted}
            self._base.execute("INSERT OR REPLACE INTO seen VALUES (?, ?)", (study, instances))
        return {key_of(study, model): state for model, state in taken.items() if state is not None}

    def _take(
        self, step: int, study: str, model: str, series: Sequence[SeriesFacts], why_not: str, remedy: str, anew: bool
    ) -> State | None:
        """Offer one row; gives its state where it is new or received once more."""
        key, (uids, images) = key_of(study, model), _chosen(series)
        state: State = "received" if model else "unanswerable"
        stored, row = json.dumps(uids), self.row(key)
        if row is None:
            reason = ("", "", "") if model else ("unsupported", why_not, remedy)
            values = (key, study, model, state, stored, images, *reason, step, self._time(), self._time())
            self._base.execute(f"INSERT INTO work ({_NEW}) VALUES ({', '.join('?' * len(values))})", values)
            return state
        others = (uids, images) != (row.series, row.images)
        if not model:
            if row.reason != why_not:
                self._set(key, step, reason=why_not, remedy=remedy)
        elif row.state in OPEN and images > row.images:
            self._set(key, step, series=stored, images=images)
        elif row.state == "unanswerable" and (anew or others or row.code == "not_found"):
            self._set(key, step, state=state, series=stored, images=images, attempts=0, code="", reason="", remedy="")
            return state
        return None

    def working(self, key: str, tried: bool = False) -> Row | None:
        """Somebody works on it; `tried`: not for the first time in this process, which knows how that ended.

        Returns:
            the row as it is now; None, and nothing is changed, where it is not open any more. Where another process
            worked on it, that attempt ended with that process and counts as a failed one.
        """
        with self._change() as step:
            row = self.row(key)
            if row is None or row.state not in OPEN:
                return None
            row = replace(row, state="working", attempts=row.attempts + (row.state == "working" and not tried))
            self._set(key, step, state=row.state, attempts=row.attempts)
        return row

    def chosen(self, row: Row, series: Sequence[SeriesFacts]) -> Row:
        """The row, which is of these series now."""
        uids, images = _chosen(series)
        if (uids, images) != (row.series, row.images):
            self._move(row.key, series=json.dumps(uids), images=images)
        return replace(row, series=uids, images=images)

    def answered(self, key: str, answer: str, report: str) -> None:
        """Its SR is in the PACS."""
        self._move(key, state="answered", answer=answer, report=report, code="", reason="", remedy="")

    def unanswerable(self, key: str, code: str, reason: str, remedy: str) -> None:
        """It will not be answered."""
        self._move(key, state="unanswerable", code=code, reason=reason, remedy=remedy)

    def retrying(self, key: str, reason: str, remedy: str, attempts: int) -> None:
        """It is tried again later."""
        self._move(key, state="retrying", reason=reason, remedy=remedy, attempts=attempts)

    def again(self, key: str) -> bool:
        """Receive an unanswerable row once more; False where it is none, or no rule fits."""
        with self._change() as step:
            found = self._base.execute("SELECT state, model FROM work WHERE key = ?", (key,)).fetchone()
            if found is None or found[0] != "unanswerable" or found[1] == NO_MODEL:
                return False
            self._set(key, step, state="received", attempts=0, code="", reason="", remedy="")
        return True

    def rows(self, states: Sequence[State] = STATES, last: int | None = None) -> list[Row]:
        """Rows in some states: all, the longest waiting first; or only the `last` changed, the newest first."""
        order = "step" if last is None else f"step DESC LIMIT {int(last)}"
        marks = ", ".join("?" * len(states))
        with self._lock:
            query = f"SELECT * FROM work WHERE state IN ({marks}) ORDER BY {order}"
            found = self._base.execute(query, tuple(states)).fetchall()
        return [_row(row) for row in found]

    def waiting(self) -> list[tuple[str, str]]:
        """Key and study of each open row, the longest waiting first: what is asked often, of many rows."""
        with self._lock:
            return self._base.execute(f"SELECT key, study FROM work WHERE state IN {OPEN} ORDER BY step").fetchall()

    def row(self, key: str) -> Row | None:
        """One row."""
        with self._lock:
            found = self._base.execute("SELECT * FROM work WHERE key = ?", (key,)).fetchone()
        return None if found is None else _row(found)

    def counts(self) -> dict[State, int]:
        """How many rows are in each state."""
        with self._lock:
            found = dict(self._base.execute("SELECT state, COUNT(*) FROM work GROUP BY state").fetchall())
        return {state: int(found.get(state, 0)) for state in STATES}

    def _move(self, key: str, **values: object) -> None:
        with self._change() as step:
            self._set(key, step, **values)

    def _set(self, key: str, step: int, **values: object) -> None:
        values = {**values, "changed": self._time(), "step": step}
        names = ", ".join(f"{name} = ?" for name in values)
        # An answer is for good, whatever comes late.
        query = f"UPDATE work SET {names} WHERE key = ? AND state != 'answered'"
        self._base.execute(query, (*values.values(), key))

    def _time(self) -> str:
        return self._now().isoformat(timespec="seconds")

    @contextmanager
    def _change(self) -> Iterator[int]:
        """One transaction; yields the number of this change."""
        with self._lock:
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield 1 + int(self._base.execute("SELECT COALESCE(MAX(step), 0) FROM work").fetchone()[0])
                self._base.execute("COMMIT")
            except BaseException:
                if self._base.in_transaction:
                    self._base.execute("ROLLBACK")
                raise


def _chosen(series: Sequence[SeriesFacts]) -> tuple[tuple[str, ...], int]:
    """The UIDs of series, and how many images they have."""
    return tuple(one.uid for one in series), sum(one.images for one in series)


def _row(values: Sequence[Any]) -> Row:
    named = dict(zip((one.name for one in fields(Row)), values, strict=True))
    return Row(**{**named, "series": tuple(json.loads(named["series"]))})
