"""Objects that were sent here: on the disk whole or not at all, and gathered until a study is complete."""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from MonaiSKD.errors import SKDError
from MonaiSKD.pacs.clock import Clock
from MonaiSKD.pacs.routing import SeriesFacts
from MonaiSKD.pacs.trouble import Later, disk_trouble
from MonaiSKD.reading.dicom.dataset import open_header
from MonaiSKD.reading.dicom.header import text

if TYPE_CHECKING:
    from pydicom import Dataset

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_HEAD = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"]
_FACTS = ["Modality", "BodyPartExamined", "SeriesDescription", "SpecificCharacterSet"]


def is_uid(text: str) -> bool:
    """Whether a text is a UID, and so safe as a file's name.

    Example:
        >>> is_uid("1.2.840"), is_uid("../1"), is_uid("1..2")
        (True, False, False)
    """
    return len(text) <= 64 and _UID.fullmatch(text) is not None


class Incoming:
    """A folder `<study>/<series>/<instance>.dcm`.

    Args:
        folder: where; made when absent.
        free_bytes: what must stay free on the disk.
        clock: what measures quiet times.
    """

    def __init__(self, folder: Path, free_bytes: int, clock: Clock) -> None:
        self.folder, self._free, self._clock = folder, free_bytes, clock
        folder.mkdir(parents=True, exist_ok=True)
        self._started = clock.monotonic()
        self._last: dict[str, float] = {}
        self._lock = threading.Lock()

    def room(self, more: int) -> None:
        """Raise Later where the disk would have less than its reserve after so many bytes."""
        try:
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            raise disk_trouble(error) from error
        if free - more < self._free:
            raise Later("the disk of the data folder is full but for its reserve", "Free some space")

    def keep(self, content: bytes, instance: str) -> None:
        """Write an object so that it survives a loss of power, or raise.

        Args:
            content: a DICOM file.
            instance: the SOP Instance UID that the sender announced.

        Raises:
            Later: there is no room.
            SKDError: damaged: it is no such object; too_large: it inflates to more than is read.
        """
        study, series = _place(content, instance)
        self.room(len(content))
        folder = self.folder / study / series
        target = folder / f"{instance}.dcm"
        beside = folder / f".{instance}.{threading.get_ident()}.part"
        with self._lock:  # so that `take` does not remove the folder meanwhile
            self._last[study] = self._clock.monotonic()
            try:
                folder.mkdir(parents=True, exist_ok=True)
                try:
                    with beside.open("wb") as stream:
                        stream.write(content)
                        stream.flush()
                        os.fsync(stream.fileno())
                    os.replace(beside, target)
                finally:
                    beside.unlink(missing_ok=True)
                for one in (folder, folder.parent, self.folder):
                    sync(one)
            except OSError as error:
                raise disk_trouble(error) from error

    def complete(self, quiet: float) -> list[str]:
        """Studies for which nothing came for `quiet` seconds, nor since this service was started."""
        now = self._clock.monotonic()
        with self._lock:
            studies = [entry.name for entry in self.folder.iterdir() if entry.is_dir()]
            return sorted(study for study in studies if now - self._last.get(study, self._started) >= quiet)

    def series(self, study: str) -> list[SeriesFacts]:
        """What rules may ask of the series of a study that is here.

        Raises:
            SKDError: a series of which no object can be read.
        """
        return [fact for folder in _folders(self.folder / study) if (fact := _facts(folder)) is not None]

    def folders(self, study: str, series: tuple[str, ...]) -> list[Path]:
        """The folders of those of the series that are here."""
        return [folder for uid in series if (folder := self.folder / study / uid).is_dir()]

    def changed_since(self, study: str, moment: float) -> bool:
        """Whether an object of a study came after a moment of :meth:`now`."""
        with self._lock:
            return self._last.get(study, self._started) > moment

    def came(self, study: str) -> bool:
        """Whether an object of a study has come since the start; else all of it is of an earlier one."""
        with self._lock:
            return study in self._last

    def count(self, study: str) -> int:
        """How many objects of a study are here."""
        return sum(1 for _ in self.folder.glob(f"{study}/*/*.dcm"))

    def remove(self, study: str, unless_newer_than: float | None = None) -> None:
        """Remove a study's objects, unless some came after that moment."""
        with self._lock:
            if unless_newer_than is not None and self._last.get(study, self._started) > unless_newer_than:
                return
            self._last.pop(study, None)
            shutil.rmtree(self.folder / study, ignore_errors=True)

    def now(self) -> float:
        """This moment, for :meth:`remove`."""
        return self._clock.monotonic()


def _place(content: bytes, instance: str) -> tuple[str, str]:
    """Study and series of an object."""
    header = open_header(content, _HEAD)
    study, series, own, kind = (text(header, name) for name in _HEAD)
    if not all(map(is_uid, (study, series, own))) or own != instance or not is_uid(instance):
        cause = "its UIDs are absent, no UIDs, or others than announced"
        raise SKDError("an object", cause, "Mend it at its source", "damaged")
    if kind != str(header.file_meta.MediaStorageSOPClassUID):
        raise SKDError("an object", "is of another SOP class than announced", "Mend it at its source", "damaged")
    return study, series


def _folders(study: Path) -> Iterator[Path]:
    yield from sorted(entry for entry in study.iterdir() if entry.is_dir())


def _facts(folder: Path) -> SeriesFacts | None:
    files = sorted(folder.glob("*.dcm"))
    if not files:
        return None
    header = _first_header(files)
    modality, part, description = (text(header, name) for name in _FACTS[:3])
    return SeriesFacts(folder.name, modality.upper(), part.upper(), description, len(files))


def _first_header(files: Sequence[Path]) -> Dataset:
    """What the first that can be read says: all of a series are of one modality and, but for rare errors, one part."""
    for file in files[:-1]:
        with suppress(SKDError):  # classifying says what is wrong with this one
            return open_header(file, _FACTS)
    return open_header(files[-1], _FACTS)


def sync(path: Path) -> None:
    """Let a file or a folder survive a loss of power."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
