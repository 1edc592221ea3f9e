"""A real PACS for tests and benchmarks: Orthanc with its DICOMweb plugin, in a network of its own."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
ROOT = Path(__file__).parents[2]
_CLONE_NEWNET = 0x40000000


def why_not() -> str | None:
    """Why there can be no Orthanc here; None where there can."""
    if shutil.which("Orthanc") is None or not PLUGIN.is_file():
        return "Orthanc and its DICOMweb plugin (Debian: orthanc orthanc-dicomweb) are not installed"
    if os.geteuid() != 0:
        return "a network namespace, which keeps Orthanc on loopback, needs root"
    return None


@contextmanager
def own_network() -> Iterator[None]:
    """This thread, and the threads and programs that it starts, in a network with loopback alone.

    Orthanc 1.10 listens on every address, whatever its configuration says.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(f"/proc/self/task/{threading_id()}/ns/net").open() as before:
        if libc.unshare(_CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        try:
            _loopback_up()
            yield
        finally:
            if libc.setns(before.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")


def threading_id() -> int:
    import threading

    return threading.get_native_id()


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        # SIOCSIFFLAGS: IFF_UP | IFF_RUNNING
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh", b"lo", 0x1 | 0x40))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], Any], seconds: float = 60, step: float = 0.1) -> Any:
    """The first true value of a condition."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing after {seconds} s: {getattr(condition, '__name__', condition)}")
        time.sleep(step)
    return value


class Orthanc:
    """A PACS with a login, started and killed at will; its storage stays."""

    user, password, title = "skd", "secret-of-the-test", "ORTHANC"

    def __init__(self, folder: Path, modalities: dict[str, list[Any]] | None = None, **changes: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.http, self.dicom = folder, free_port(), free_port()
        self.process: subprocess.Popen[bytes] | None = None
        settings = {
            "Name": "test",
            "StorageDirectory": str(folder / "db"),
            "IndexDirectory": str(folder / "db"),
            "Plugins": [str(PLUGIN)],
            "HttpPort": self.http,
            "DicomPort": self.dicom,
            "DicomAet": self.title,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {self.user: self.password},
            "DicomModalities": modalities or {},
            "OverwriteInstances": False,
            "DicomAlwaysAllowStore": True,
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
            **changes,
        }
        (folder / "orthanc.json").write_text(json.dumps(settings), encoding="utf-8")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http}/dicom-web"

    def start(self) -> None:
        log = (self.folder / "log.txt").open("ab")
        self.process = subprocess.Popen(
            ["Orthanc", str(self.folder / "orthanc.json")], stdout=log, stderr=subprocess.STDOUT
        )
        wait_for(self._is_up)

    def _is_up(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError((self.folder / "log.txt").read_text(errors="replace")[-2000:])
        try:
            return self.get("/system") is not None
        except requests.RequestException:
            return False

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def get(self, path: str, **options: Any) -> Any:
        answer = requests.get(
            f"http://127.0.0.1:{self.http}{path}", auth=(self.user, self.password), timeout=20, **options
        )
        answer.raise_for_status()
        return answer.json()

    def put(self, content: bytes) -> None:
        """Store an object."""
        answer = requests.post(
            f"http://127.0.0.1:{self.http}/instances", data=content, auth=(self.user, self.password), timeout=60
        )
        answer.raise_for_status()

    def file(self, instance: str) -> bytes:
        """A stored object by Orthanc's own name of it."""
        answer = requests.get(
            f"http://127.0.0.1:{self.http}/instances/{instance}/file", auth=(self.user, self.password), timeout=60
        )
        answer.raise_for_status()
        return answer.content

    def reports(self) -> dict[str, list[str]]:
        """Orthanc's names of the service's SR objects in each study, by Study Instance UID."""
        found: dict[str, list[str]] = {}
        for study in self.get("/studies?expand"):
            uid, names = study["MainDicomTags"]["StudyInstanceUID"], []
            for series in self.get(f"/studies/{study['ID']}/series?expand"):
                tags = series["MainDicomTags"]
                if tags.get("Modality") == "SR" and tags.get("Manufacturer") == "MonaiSKD":
                    names += series["Instances"]
            found[uid] = names
        return found


class Program:
    """`monai-skd pacs run` as a program of its own."""

    def __init__(self, config: Path, log: Path, environment: dict[str, str] | None = None) -> None:
        self.config, self.log = config, log
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PACS_PASSWORD": Orthanc.password,
            **(environment or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def command(self, action: str, *more: str) -> list[str]:
        return [sys.executable, "-m", "MonaiSKD", "pacs", action, str(self.config), *more]

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command("run"), stderr=log, stdout=log, env=self.environment, cwd=ROOT)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def terminate(self, seconds: float = 30) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(seconds)

    def run(self, action: str, *more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(action, *more), capture_output=True, text=True, env=self.environment, cwd=ROOT, timeout=300
        )

    def rows(self, *more: str) -> list[dict[str, Any]]:
        """What `list --json` says; nothing before there is a queue."""
        done = self.run("list", "--json", "--identify", *more)
        return [json.loads(line) for line in done.stdout.splitlines()] if done.returncode == 0 else []

    def events(self) -> list[dict[str, Any]]:
        """The lines of the log."""
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]
