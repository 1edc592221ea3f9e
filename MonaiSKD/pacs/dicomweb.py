"""The PACS over DICOMweb (PS3.18): search by QIDO-RS, retrieve by WADO-RS, store by STOW-RS."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import requests
import urllib3
from requests.auth import HTTPBasicAuth

from MonaiSKD.pacs import multipart
from MonaiSKD.pacs.clock import Rate
from MonaiSKD.pacs.routing import SeriesFacts
from MonaiSKD.pacs.settings import DicomWeb, Limits
from MonaiSKD.pacs.tls import client_context
from MonaiSKD.pacs.trouble import DUPLICATE, Later, disk_trouble, not_stored, too_large

_JSON = "application/dicom+json"
_PIECE = 1 << 16
_MOST_JSON = 64 * 2**20
_PAGE = 500
_NO_REASON = 0x0110  # "processing failure" stands for a reason that is not given
# Of a server that is busy or of a login that somebody must mend: no fault of the study.
_NOT_THE_STUDY = (401, 403, 407, 408, 429, 502, 503, 504)


class Room(Protocol):
    """Tells whether there is room on the disk."""

    def __call__(self, more: int) -> None:
        """Raise Later where so many bytes do not fit."""


@dataclass(frozen=True)
class Taken:
    """How much of a study was retrieved until now."""

    images: int = 0
    size: int = 0


class Client:
    """A DICOMweb server.

    May be used from several threads at once.

    Args:
        settings: where it is and how to log in.
        limits: of what it may send.
        rate: of requests.
        stop: ends waiting.

    Raises:
        SKDError: the files of TLS are wrong.
    """

    def __init__(self, settings: DicomWeb, limits: Limits, rate: Rate, stop: threading.Event) -> None:
        self._settings, self._limits, self._rate, self._stop = settings, limits, rate, stop
        self._here = threading.local()
        client_context(settings.tls)  # requests reads the files when it connects, and does not say that they are wrong

    def studies(self, filters: Mapping[str, str]) -> Iterator[tuple[str, int]]:
        """Studies that fit, each with the number of its instances (-1 where the server does not say)."""
        for study in self._search("/studies", {**filters, "includefield": "00201208"}, "0020000D"):
            if uid := _first(study, "0020000D"):
                yield uid, _count(study, "00201208", -1)

    def series(self, study: str) -> list[SeriesFacts]:
        """The series of a study."""
        query = {"includefield": ["00180015", "0008103E", "00201209"]}
        return [
            SeriesFacts(
                uid=_first(one, "0020000E"),
                modality=_first(one, "00080060").upper(),
                body_part=_first(one, "00180015").upper(),
                description=_first(one, "0008103E"),
                images=_count(one, "00201209", 1),
            )
            for one in self._search(f"/studies/{study}/series", query, "0020000E")
        ]

    def holds(self, study: str, series: str, instance: str) -> bool:
        """Whether the server has an object."""
        query = {"SOPInstanceUID": instance}
        return any(
            _first(one, "00080018") == instance
            for one in self._json(f"/studies/{study}/series/{series}/instances", query, absent_ok=True)
        )

    def retrieve(self, study: str, series: str, folder: Path, room: Room, taken: Taken = Taken()) -> Taken:
        """Retrieve a series into a folder, one file per object.

        Args:
            study: its UID.
            series: its UID.
            folder: where to; made when absent. Files are numbered.
            room: raises where the disk has none.
            taken: what of the study came before.

        Returns:
            what of it came until now.

        Raises:
            Later: the server does not answer in full, or the disk is full.
            SKDError: too_large.
        """
        accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        deadline = time.monotonic() + self._limits.study_seconds
        with self._answer("GET", f"/studies/{study}/series/{series}", headers={"Accept": accept}) as answer:
            if answer.status_code != 200:
                raise _refused(answer.status_code, "retrieving")
            try:
                folder.mkdir(parents=True, exist_ok=True)
                boundary = multipart.boundary_of(answer.headers.get("Content-Type", ""))
                pieces = _before(deadline, _pieces(answer))
                for number, part in enumerate(multipart.parts(pieces, boundary)):
                    if taken.images >= self._limits.study_images:
                        raise too_large(f"has more than {self._limits.study_images} images", "study_images")
                    size = self._write(folder / f"{number:06d}.dcm", part, taken.size, room)
                    taken = Taken(taken.images + 1, size)
            except multipart.Malformed as error:
                cause = f"the PACS sent no whole multipart answer ({error})"
                raise Later(cause, "Look into the PACS's log", counts=True) from None
            except OSError as error:
                if isinstance(error, requests.RequestException):
                    raise
                raise disk_trouble(error) from error
        return taken

    def _write(self, file: Path, part: Iterator[bytes], taken: int, room: Room) -> int:
        size = 0
        with file.open("wb") as stream:
            for piece in part:
                size += len(piece)
                if size > self._limits.object_bytes:
                    raise too_large(f"has an object of more than {self._limits.object_bytes} bytes", "object_bytes")
                if taken + size > self._limits.study_bytes:
                    raise too_large(f"has more than {self._limits.study_bytes} bytes", "study_bytes")
                room(len(piece))
                stream.write(piece)
        return taken + size

    def store(self, files: Sequence[Path]) -> None:
        """Store objects; one that the server has already counts as stored.

        Raises:
            Later: the server does not take them now.
            SKDError: it refuses them.
        """
        kind, pieces = multipart.body(files)
        headers = {"Content-Type": kind, "Accept": _JSON}
        with self._answer("POST", "/studies", headers=headers, data=pieces) as answer:
            content = b"".join(_limited(_pieces(answer)))
            if answer.status_code not in (200, 202, 409):
                raise _refused(answer.status_code, "storing")
        failures = [not_stored(reason) for reason in _failure_reasons(content) if reason != DUPLICATE]
        if failures:  # what passes is waited for; what does not is still there then
            raise next((failure for failure in failures if isinstance(failure, Later)), failures[0])

    def _search(self, path: str, query: Mapping[str, str | list[str]], tag: str) -> Iterator[dict[str, Any]]:
        """All that a search finds, each once by its UID in `tag`.

        A server may give fewer at once than it is asked for (PS3.18 8.3.4.4), so that a short page is not the last one:
        an empty one is. One that knows no offset answers the same for ever: there, nothing new is the end.
        """
        known: set[str] = set()
        offset, fresh = 0, True
        while fresh:
            fresh = False
            page = {"limit": str(_PAGE)} | ({"offset": str(offset)} if offset else {})
            found = self._json(path, {**query, **page})
            for one in found:
                if (uid := _first(one, tag)) not in known:
                    known.add(uid)
                    fresh = True
                    yield one
            offset += len(found)

    def _json(self, path: str, query: Mapping[str, str | list[str]], absent_ok: bool = False) -> list[dict[str, Any]]:
        with self._answer("GET", path, headers={"Accept": _JSON}, params=dict(query)) as answer:
            if answer.status_code == 204 or (absent_ok and answer.status_code == 404):
                return []
            if answer.status_code != 200:
                raise _refused(answer.status_code, "searching")
            try:
                # One value of a false character set or with a control character must not hide all others.
                found = json.loads(b"".join(_limited(_pieces(answer))).decode(errors="replace") or "[]", strict=False)
            except (ValueError, RecursionError):
                raise Later("the PACS answers a search with something else than JSON", "Check the url") from None
        if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
            raise Later("the PACS answers a search with another JSON than QIDO-RS", "Check the url")
        return found

    @contextmanager
    def _answer(self, method: str, path: str, **request: Any) -> Iterator[requests.Response]:
        self._rate.wait(self._stop)
        try:
            with self._session().request(
                method,
                self._settings.url + path,
                timeout=self._settings.timeout,
                stream=True,
                allow_redirects=False,  # a redirection could take the login elsewhere
                **request,
            ) as answer:
                yield answer
        except requests.exceptions.SSLError:
            raise Later("the TLS connection to the PACS fails", "Check ca, certificate and key in [dicomweb]") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            # Its text quotes the address, which holds UIDs.
            cause = f"the PACS cannot be reached by DICOMweb ({type(error).__name__})"
            raise Later(cause, "Check that it runs, and the url in [dicomweb]") from None

    def _session(self) -> requests.Session:
        session = getattr(self._here, "session", None)
        if session is None:
            session = self._here.session = requests.Session()
            session.trust_env = False  # no proxy and no netrc: the file says everything
            login, tls = self._settings.login, self._settings.tls
            if login is not None and login.token is not None:
                session.headers["Authorization"] = f"Bearer {login.token.reveal()}"
            elif login is not None and login.password is not None:
                session.auth = HTTPBasicAuth(login.user.encode(), login.password.reveal().encode())
            session.verify = str(tls.ca) if tls.ca else True
            session.cert = (str(tls.certificate), str(tls.key)) if tls.certificate else None
        return session


def _refused(status: int, doing: str) -> Later:
    cause = f"the PACS answers {doing} with HTTP status {status}"
    remedy = "Check the login in [dicomweb]" if status in (401, 403) else "Look into the PACS's log"
    return Later(cause, remedy, counts=status not in _NOT_THE_STUDY)


def _first(entry: Mapping[str, Any], tag: str) -> str:
    """The first value of an element of DICOM JSON as text; empty where there is none."""
    element = entry.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return str(values[0]).strip() if isinstance(values, list) and values and values[0] is not None else ""


def _count(entry: Mapping[str, Any], tag: str, unknown: int) -> int:
    """A number of instances; what is no such number is not known."""
    text = _first(entry, tag)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else unknown


def _failure_reasons(content: bytes) -> list[int]:
    """The reasons in a STOW-RS answer, one for each object that was not stored."""
    try:
        data = json.loads(content or b"{}")
        entry = data[0] if isinstance(data, list) and data else data
        items = entry.get("00081198", {}).get("Value", [])
        return [int(_first(item, "00081197") or _NO_REASON) for item in items]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Later("the PACS answers storing with something else than DICOM JSON", "Check the url") from None


def _limited(pieces: Iterator[bytes]) -> Iterator[bytes]:
    taken = 0
    for piece in _before(time.monotonic() + 300, pieces):
        taken += len(piece)
        if taken > _MOST_JSON:
            raise Later(f"the PACS answers with more than {_MOST_JSON} bytes of JSON", "Narrow the query in [poll]")
        yield piece


def _pieces(answer: requests.Response) -> Iterator[bytes]:
    """The body as it comes; `iter_content` would wait until a piece is full, however slowly it comes."""
    while piece := answer.raw.read1(_PIECE, decode_content=True):
        yield piece


def _before(deadline: float, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces, as long as there is time: a server that drips must not hold a worker for ever."""
    for piece in pieces:
        if time.monotonic() > deadline:
            raise Later("the PACS sends too slowly", "Raise study_seconds in [limits]", counts=True)
        yield piece
