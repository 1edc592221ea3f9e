"""Classifying many cases: volumes of the scene one after the other, files in a child process. No Qt."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer

from SKDClassifierLib.batch import Cases
from SKDClassifierLib.batch.BatchTable import Row
from SKDClassifierLib.batch.StudyFiles import StudyFiles
from SKDClassifierLib.classify.Classification import Classification
from SKDClassifierLib.place.Place import KeptPlace

if TYPE_CHECKING:
    from MonaiSKD.runtime import Failure, Result
    from SKDClassifierLib.Models import ModelEntry
    from SKDClassifierLib.Protocols import Services
    from SKDClassifierLib.scene.ResultNodes import StoredResult


@dataclass(frozen=True)
class Listener:
    """Who hears of a batch.

    Args:
        total: told how many cases there are, once that is known.
        row: given each case.
        end: called once, with why it ended early; empty text where it did not.
    """

    total: Callable[[int], None]
    row: Callable[[Row], None]
    end: Callable[[str], None]


class SceneBatch:
    """Volumes of the scene; their results go into the scene, too. All are classified where the first one is.

    Args:
        services: what the module has.
        node_ids: of the volumes.
        entry: the model.
        listener: who hears of it.
    """

    def __init__(self, services: Services, node_ids: Sequence[str], entry: ModelEntry, listener: Listener) -> None:
        self._services = replace(services, server=KeptPlace(services.server))
        self._entry, self._listener = entry, listener
        self._waiting = [(one, slicer.mrmlScene.GetNodeByID(one).GetName()) for one in node_ids]
        self._running: Classification | None = None
        self._node_id, self._name, self._began = "", "", 0.0

    def start(self) -> None:
        """Begin."""
        self._listener.total(len(self._waiting))
        self._next()

    def cancel(self) -> None:
        """End now; nothing is called any more."""
        if self._running is not None:
            self._running.cancel()
        self._running, self._waiting = None, []

    def _next(self) -> None:
        while self._waiting:
            (self._node_id, self._name), self._began = self._waiting.pop(0), time.monotonic()
            node = slicer.mrmlScene.GetNodeByID(self._node_id)
            if node is None:
                self._tell(gone(self._name))
                continue
            try:
                self._running = Classification(
                    self._services, node, self._entry, lambda done, total: None, self._done, self._failed
                )
            except Exception as error:
                self._tell(failure(self._name, error))
                continue
            self._running.start()
            return
        self._listener.end("")

    def _done(self, stored: StoredResult) -> None:
        self._tell(replace(stored.result, milliseconds=(time.monotonic() - self._began) * 1e3))
        self._next()

    def _failed(self, error: Exception) -> None:
        self._tell(failure(self._name, error))
        self._next()

    def _tell(self, outcome: Any) -> None:
        self._running = None
        self._listener.row(Row(self._name, outcome, self._node_id))


class FileBatch:
    """Files and folders, in a process of their own.

    Args:
        services: what the module has.
        paths: what is classified; named DICOM files are gathered by series.
        entry: the model.
        listener: who hears of it.
        recursive: whether folders below the named ones are walked, too.
        studies: of the DICOM database, whose files the paths are.
    """

    def __init__(
        self,
        services: Services,
        paths: Sequence[str],
        entry: ModelEntry,
        listener: Listener,
        recursive: bool = False,
        studies: StudyFiles | None = None,
    ) -> None:
        self._listener, self._studies = listener, studies or StudyFiles()
        self._each_file_is_a_case = entry.modality == "chest_xray"
        self._answered: set[str] = set()
        self._folder = paths[0] if len(paths) == 1 else ""
        self._scratch = Path(tempfile.mkdtemp(prefix="skd-list-"))
        listing = self._scratch / "paths.txt"
        listing.write_text("\n".join(paths), encoding="utf-8", errors="surrogateescape")
        arguments = ["classify", str(entry.path), f"@{listing}", "--gather", "--events"]
        arguments += ["--recursive"] if recursive else []
        self._child = services.child(arguments, self._event, lambda line: None, self._ended)

    def start(self) -> None:
        """Begin."""
        self._child.start()

    def cancel(self) -> None:
        """End now; nothing is called any more."""
        self._child.abandon()
        self._clean()

    def _event(self, event: dict) -> None:
        from MonaiSKD.reporting import from_json

        if event["event"] == "total":
            self._listener.total(int(event["inputs"]))
        elif event["event"] == "answer":
            self._listener.row(self._row(from_json(event["answer"])))

    def _row(self, outcome: Result | Failure) -> Row:
        path = outcome.input
        file = Cases.file_of(path)
        # A folder of several series is answered after all of its files that are answered one by one.
        series = self._studies.series_of(file, self._answered)
        self._answered.add(file)
        if not series:
            return Row(self._name(path), outcome, path)
        name = self._studies.names[series] + path.removeprefix(file)
        by_file = self._studies.is_one_of_several(file) and self._is_one_image(outcome)
        return Row(name, outcome, path, "" if by_file else series)

    def _is_one_image(self, outcome: Result | Failure) -> bool:
        """Whether the model took one file for the case, not the series."""
        from MonaiSKD.runtime import Failure

        return self._each_file_is_a_case if isinstance(outcome, Failure) else outcome.slices is None

    def _name(self, path: str) -> str:
        try:
            return str(Path(path).relative_to(self._folder)) if self._folder else path
        except ValueError:
            return path

    def _ended(self, end: Any) -> None:
        self._clean()
        self._listener.end(end.text)

    def _clean(self) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)


def gone(name: str) -> Failure:
    """The outcome of a volume that was deleted before its turn came."""
    from MonaiSKD.runtime import Failure

    return Failure(name, "not_found", f"{name}: was deleted before it was classified", "Load it again")


def failure(name: str, error: Exception) -> Failure:
    """An exception as a case's outcome; a defect goes into the log, too."""
    from MonaiSKD.errors import SKDError
    from MonaiSKD.runtime import Failure

    if isinstance(error, SKDError):
        return Failure(name, error.code, f"{error.thing}: {error.cause}", error.remedy)
    logging.error("SKDClassifier: a case of a batch failed", exc_info=error)
    return Failure(name, "internal", f"internal error ({type(error).__name__})", "Report it with the log")
