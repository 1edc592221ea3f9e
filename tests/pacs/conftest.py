"""Servers, models and configurations for the tests of the PACS side."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tinymodel import write_tiny_model

if TYPE_CHECKING:  # they need the extra `pacs`, without which the tests are skipped one by one
    from pacs_servers import Orthanc, Program

    from MonaiSKD.pacs.incoming import Incoming
    from MonaiSKD.pacs.listener import Listener
    from MonaiSKD.pacs.settings import Limits


@pytest.fixture(scope="module")
def network() -> Iterator[None]:
    """A network with loopback alone for all of a module."""
    from pacs_servers import own_network, why_not

    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with own_network():
        yield


@pytest.fixture
def orthanc(network, tmp_path) -> Iterator[Orthanc]:
    """A PACS that runs; it knows the service as the modality "skd"."""
    from pacs_servers import Orthanc

    server = Orthanc(tmp_path / "orthanc")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def program(tmp_path) -> Iterator[Callable[[str], Program]]:
    """Makes the service for a configuration, beside the models cxr.onnx, ct.onnx and mr.onnx."""
    from pacs_servers import Program

    for name, rule in (("cxr", "chest_xray"), ("ct", "lung_ct"), ("mr", "brain_mri")):
        write_tiny_model(tmp_path / f"{name}.onnx", rule)
    made: list[Program] = []

    def make(config: str) -> Program:
        path = tmp_path / "pacs.toml"
        path.write_text(config, encoding="utf-8")
        made.append(Program(path, tmp_path / "log.jsonl"))
        return made[-1]

    yield make
    for one in made:
        if one.process is not None and one.process.poll() is None:
            one.kill()


@pytest.fixture
def listener(tmp_path) -> Iterator[Callable[..., tuple[Listener, Incoming]]]:
    """Starts a storage SCP in this process: AE title SKD, for SENDER alone."""
    from MonaiSKD.pacs.clock import Rate, SystemClock
    from MonaiSKD.pacs.incoming import Incoming
    from MonaiSKD.pacs.listener import Listener
    from MonaiSKD.pacs.settings import Limits, Listen

    opened: list[Listener] = []

    def start(folder: Path | None = None, limits: Limits | None = None, **changes) -> tuple[Listener, Incoming]:
        limits = limits or Limits(free_bytes=0)
        clock = SystemClock()
        incoming = Incoming(folder or tmp_path / "incoming", limits.free_bytes, clock)
        settings = Listen(**{"allow": ("SENDER",), "ae_title": "SKD", "port": 0, "timeout": 2.0, **changes})
        made = Listener(settings, limits, incoming, Rate(settings.per_second, clock), threading.Event())
        opened.append(made)
        return made, incoming

    yield start
    for one in opened:
        one.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory) -> tuple[Path, Path]:
    """A certificate of localhost, which is its own authority, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "own.pem")]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "own.pem", folder / "key.pem"


@pytest.fixture
def quiet_libraries() -> None:
    """The libraries log as in the service."""
    from MonaiSKD.pacs.log import quieten

    quieten()
