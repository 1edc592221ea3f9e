"""Everything that the configuration file may say, as plain data; docs/pacs.md explains it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from MonaiSKD.choices import HeatMaps
from MonaiSKD.pacs.routing import Route


class Secret:
    """A password or token that does not show itself in messages, logs and debuggers.

    Example:
        >>> Secret("x"), Secret("x").reveal()
        (Secret(***), 'x')
    """

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "Secret(***)"

    def reveal(self) -> str:
        """The secret itself."""
        return self._value


@dataclass(frozen=True)
class Login:
    """Basic authentication by user and password, or bearer authentication by a token."""

    user: str = ""
    password: Secret | None = None
    token: Secret | None = None


@dataclass(frozen=True)
class Tls:
    """Files of a TLS connection, PEM.

    Args:
        certificate: our own, with `key`.
        key: its private key.
        ca: whom we believe; a server with it demands a certificate of its clients.
    """

    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None


@dataclass(frozen=True)
class DicomWeb:
    """How the PACS is reached by DICOMweb."""

    url: str
    login: Login | None = None
    tls: Tls = Tls()
    timeout: float = 30.0
    per_second: float = 50.0


@dataclass(frozen=True)
class Poll:
    """Intake by asking the PACS; `everything`: also for modalities that no rule names, so that these are listed."""

    every: float = 30.0
    quiet: float = 60.0
    days: int = 2
    everything: bool = False
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Listen:
    """Intake by C-STORE."""

    allow: tuple[str, ...]
    address: str = "127.0.0.1"
    port: int = 11112
    ae_title: str = "MONAISKD"
    quiet: float = 60.0
    associations: int = 8
    timeout: float = 30.0
    per_second: float = 200.0
    tls: Tls | None = None


@dataclass(frozen=True)
class Peer:
    """A DICOM node that answers are sent to by C-STORE."""

    host: str
    port: int
    ae_title: str
    calling: str = "MONAISKD"
    timeout: float = 30.0
    tls: Tls | None = None


@dataclass(frozen=True)
class Answer:
    """How answers go back: by STOW-RS to the DICOMweb server where `peer` is None."""

    peer: Peer | None = None
    heat_maps: HeatMaps = "none"


@dataclass(frozen=True)
class Limits:
    """What is refused before it can do harm. Bytes, numbers, seconds."""

    object_bytes: int = 512 * 2**20
    study_bytes: int = 2 * 2**30
    study_images: int = 4000
    study_seconds: float = 600.0
    free_bytes: int = 2**30
    attempts: int = 12


@dataclass(frozen=True)
class Page:
    """The status page."""

    address: str = "127.0.0.1"
    port: int = 8105
    login: Login | None = None
    tls: Tls | None = None
    identify: bool = False
    per_second: float = 20.0


@dataclass(frozen=True)
class Settings:
    """The whole configuration.

    Args:
        data: folder of the queue and of images under way.
        routes: which series go to which model.
        answer: how answers go back.
        workers: studies at once.
        retry: seconds before the second attempt, and at most.
    """

    data: Path
    routes: tuple[Route, ...]
    answer: Answer
    dicomweb: DicomWeb | None = None
    poll: Poll | None = None
    listen: Listen | None = None
    page: Page | None = None
    limits: Limits = Limits()
    workers: int = 1
    retry: tuple[float, float] = (5.0, 300.0)
