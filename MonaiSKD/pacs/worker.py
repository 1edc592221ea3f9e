"""One study from received to answered, in steps that may be interrupted anywhere."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from MonaiSKD.choices import HeatMaps
from MonaiSKD.errors import SKDError
from MonaiSKD.pacs.answers import Prepared, prepare, prepared
from MonaiSKD.pacs.clock import Backoff, Clock
from MonaiSKD.pacs.dicomweb import Client, Taken
from MonaiSKD.pacs.incoming import Incoming
from MonaiSKD.pacs.intake import routed_series
from MonaiSKD.pacs.log import log
from MonaiSKD.pacs.queue import Queue, Row
from MonaiSKD.pacs.routing import Route
from MonaiSKD.pacs.sender import Sender
from MonaiSKD.pacs.settings import Limits
from MonaiSKD.pacs.trouble import Later, disk_trouble, too_large
from MonaiSKD.runtime import Classifier


class Worker:
    """Answers rows of the queue. May be used from several threads, for different rows.

    Args:
        queue: where rows are.
        routes: the rules.
        incoming: images that were sent here.
        data: folder for images and answers under way.
        client: the PACS over DICOMweb, where there is one.
        sender: how answers go back.
        limits: of attempts.
        heat_maps: what is sent beside reports.
        backoff: how long failures wait.
        clock: what measures that.
    """

    def __init__(
        self,
        queue: Queue,
        routes: Sequence[Route],
        incoming: Incoming,
        data: Path,
        client: Client | None,
        sender: Sender,
        limits: Limits,
        heat_maps: HeatMaps,
        backoff: Backoff,
        clock: Clock,
    ) -> None:
        self.queue, self.routes, self.incoming = queue, routes, incoming
        self.client, self.sender, self.limits, self.heat_maps = client, sender, limits, heat_maps
        self.backoff, self.clock = backoff, clock
        self._images, self._answers = data / "work", data / "outbox"
        # Keys and moments of the monotonic clock; after a start every row is due.
        self._due: dict[str, float] = {}
        self._failures: dict[str, int] = {}

    def sweep(self) -> None:
        """Remove what a process that was killed has left; before any work begins."""
        keys = {key for key, _ in self.queue.waiting()}
        shutil.rmtree(self._images, ignore_errors=True)
        for folder in self._answers.glob("*"):
            if folder.name not in keys:
                shutil.rmtree(folder, ignore_errors=True)

    def is_due(self, key: str) -> bool:
        """Whether a row has waited long enough."""
        return self.clock.monotonic() >= self._due.get(key, float("-inf"))

    def work(self, row: Row, classifiers: Mapping[str, Classifier]) -> None:
        """Answer one row, or note why not. Whatever happens, the row is not lost.

        Args:
            row: as it was when it was chosen; when it is not open any more, nothing is done.
            classifiers: opened models by the name that the configuration gives them, for this thread alone: a
                classifier that several share takes their volumes one after the other.
        """
        start = self.clock.monotonic()
        try:
            # Where the disk was too full to note how an attempt ended, the row is still of one who works on it.
            now = self.queue.working(row.key, tried=row.key in self._failures)
            if now is None:
                return
            row = now
            if row.attempts >= self.limits.attempts:  # a study that kills the service must not do so for ever
                cause = f"given up after {row.attempts} attempts: the service ended while it worked on it"
                raise SKDError("the study", cause, "Look into the system's log for why", "internal")
            answer = self._answer(row, classifiers)
            self.queue.answered(row.key, answer.text, answer.report)
            self._clean(row)
            log("answered", study=row.key, model=row.model, seconds=round(self.clock.monotonic() - start, 3))
            now = self.queue.row(row.key)
            if now is not None and answer.images is not None and now.images > answer.images:
                log("ignored", study=row.key, reason="images came after its answer was made")
        except Later as problem:
            self._later(row, problem)
        except SKDError as error:
            if error.code == "invalid" and isinstance(error.__cause__, OSError):  # the answer could not be written
                self._later(row, disk_trouble(error.__cause__))
            else:
                self._never(row, error)
        except sqlite3.Error as error:
            # The row stays as it was; it is taken up again.
            self._wait(row)
            log("queue trouble", logging.ERROR, study=row.key, reason=type(error).__name__)
        except OSError as error:
            self._later(row, disk_trouble(error))
        except Exception as error:
            # A defect of ours; its text may quote the file.
            self._later(row, Later(f"internal error ({type(error).__name__})", "Report it", counts=True))

    def _answer(self, row: Row, classifiers: Mapping[str, Classifier]) -> Prepared:
        out = self._answers / row.key
        # What was made before a crash is sent as it is.
        answer = prepared(out)
        if answer is None:
            classifier = classifiers.get(row.model)
            if classifier is None:
                cause = "no rule names its model any more"
                raise SKDError("the study", cause, "Name the model in a [[route]], then retry", "model")
            self.incoming.room(0)
            out.parent.mkdir(parents=True, exist_ok=True)
            try:
                answer = prepare(classifier, row.study, self._fetch(row), out, self.heat_maps)
            finally:  # they would take the disk while the row waits
                shutil.rmtree(self._images / row.key, ignore_errors=True)
        if not self._is_there(answer):
            self.sender.send(answer.files)
            if self.client is not None and not self._is_there(answer):
                raise Later("the PACS took the report but does not show it", "Look into its log", counts=True)
        return answer

    def _is_there(self, answer: Prepared) -> bool:
        """Whether the PACS has the report; never where it cannot be asked, and its UID must do."""
        return self.client is not None and self.client.holds(answer.study, answer.series, answer.report)

    def _fetch(self, row: Row) -> list[Path]:
        """The folders of the row's series, whole: sent here, or else retrieved."""
        folders = self.incoming.folders(row.study, row.series)
        sizes = _sizes(folders)
        if len(folders) == len(row.series) and len(sizes) >= row.images:
            if len(sizes) > self.limits.study_images:
                raise too_large(f"has more than {self.limits.study_images} images", "study_images")
            if sum(sizes) > self.limits.study_bytes:
                raise too_large(f"has more than {self.limits.study_bytes} bytes", "study_bytes")
            return folders
        if self.client is None:
            raise SKDError("the study", "its images are not here any more", "Send them again", "not_found")
        row, taken = self._as_listed(row, self.client), Taken()
        folders = [self._images / row.key / str(number) for number in range(len(row.series))]
        for series, folder in zip(row.series, folders, strict=True):
            taken = self.client.retrieve(row.study, series, folder, self.incoming.room, taken)
        if taken.images < row.images:
            raise Later(f"the PACS sent {taken.images} of its {row.images} images", "Look into its log", counts=True)
        return folders

    def _as_listed(self, row: Row, client: Client) -> Row:
        """The row with what the PACS has now: since it was made, images may be gone, or other series be there."""
        series = routed_series(self.routes, client.series(row.study)).get(row.model)
        if not series:
            cause = "the PACS has no series for this model any more"
            raise SKDError("the study", cause, "Look there for what became of it", "not_found")
        return self.queue.chosen(row, series)

    def _clean(self, row: Row) -> None:
        """Remove what the row alone needed; images that were sent here may be another model's, too."""
        shutil.rmtree(self._answers / row.key, ignore_errors=True)
        self._due.pop(row.key, None)
        self._failures.pop(row.key, None)

    def _never(self, row: Row, error: SKDError) -> None:
        try:
            self.queue.unanswerable(row.key, error.code, error.cause, error.remedy)
            self._clean(row)
        except sqlite3.Error:
            self._wait(row)
        log("unanswerable", logging.WARNING, study=row.key, model=row.model, code=error.code, reason=error.cause)

    def _later(self, row: Row, problem: Later) -> None:
        attempts = row.attempts + problem.counts
        if attempts >= self.limits.attempts:
            cause = f"given up after {attempts} attempts: {problem.cause}"
            self._never(row, SKDError("the study", cause, problem.remedy, "internal"))
            return
        seconds = self._wait(row)
        try:
            self.queue.retrying(row.key, problem.cause, problem.remedy, attempts)
        except sqlite3.Error as error:
            log("queue trouble", logging.ERROR, study=row.key, reason=type(error).__name__)
        fields = {"study": row.key, "model": row.model, "reason": problem.cause, "seconds": round(seconds, 1)}
        log("retrying", logging.WARNING, **fields)

    def _wait(self, row: Row) -> float:
        """Let the row wait, the longer the more often in this run."""
        self._failures[row.key] = self._failures.get(row.key, 0) + 1
        seconds = self.backoff.delay(self._failures[row.key])
        self._due[row.key] = self.clock.monotonic() + seconds
        return seconds


def _sizes(folders: Sequence[Path]) -> list[int]:
    """Of each image in them."""
    return [file.stat().st_size for folder in folders for file in folder.glob("*.dcm")]
