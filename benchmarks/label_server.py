"""A MONAI Label server with our app, as a process of its own on loopback, and its REST; for tests and benchmarks."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).parents[1]
START_SECONDS = 240.0
BRAIN, CHEST = "brain_mri_classification", "chest_xray_classification"


class Rest:
    """The server's REST.

    Args:
        url: of the server.
        home: where its app folder and its log lie.
    """

    def __init__(self, url: str, home: Path) -> None:
        self.url, self.home = url, home

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        return requests.request(method, self.url + path, timeout=300, **options)

    def get(self, path: str, **query: Any) -> Any:
        answer = self.ask("GET", path, params=query)
        answer.raise_for_status()
        return answer.json()

    def infer(self, model: str, file: Path | None = None, params: Mapping[str, Any] | None = None, **query: Any) -> Any:
        files = {} if file is None else {"file": (file.name, file.read_bytes())}
        data = {"params": json.dumps(params or {})}
        return self.ask("POST", f"/infer/{model}", params={"output": "json", **query}, files=files or None, data=data)

    def label(self, image: str, label: str, reader: str = "A", tag: str = "final") -> requests.Response:
        content = json.dumps({"label": label, "reader": reader, "time": "2026-01-31T12:00:00Z"})
        return self.ask(
            "PUT", "/datastore/label", params={"image": image, "tag": tag}, files={"label": ("label.json", content)}
        )

    def unlabel(self, image: str, tag: str = "final") -> None:
        self.ask("DELETE", "/datastore/label", params={"id": image, "tag": tag}).raise_for_status()

    def task(self, path: str) -> dict[str, Any]:
        """How a background task is."""
        return self.get(path)

    def finished(self, path: str, seconds: float = 900.0) -> dict[str, Any]:
        """A background task, once it has ended."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = self.task(path)
            if found["status"] not in ("SUBMITTED", "RUNNING"):
                return found
            time.sleep(0.5)
        raise TimeoutError(f"{path} has not ended: {found}")

    def log(self) -> str:
        return (self.home / "server.log").read_text(encoding="utf-8", errors="replace")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(home: Path, studies: Path, models: str, **conf: str) -> Iterator[Rest]:
    """A server for as long as the block runs; it ends by its process id, with what it has started.

    Args:
        home: a folder for the app and its log.
        studies: the folder of images.
        models: as `--conf models` takes them.
        conf: further configuration.
    """
    from MonaiSKD.label_app.folder import write_app

    app = write_app(home / "app").parent
    port = free_port()
    command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(app), "--studies", str(studies)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    for name, value in {"models": models, **conf}.items():
        command += ["--conf", name, value]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    sessions = {"MONAI_LABEL_SESSION_PATH": str(home / "sessions")}
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", **sessions}
    with (home / "server.log").open("wb") as log:
        # A group of its own: what it starts ends with it.
        child = subprocess.Popen(command, cwd=home, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            rest = Rest(f"http://127.0.0.1:{port}", home)
            _wait(rest, child)
            yield rest
        finally:
            child.terminate()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait(20)


def _wait(rest: Rest, child: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if child.poll() is not None:
            raise RuntimeError(f"the server ended with {child.returncode}:\n{rest.log()[-3000:]}")
        try:
            rest.get("/info/")
            return
        except requests.ConnectionError:
            time.sleep(0.3)
    raise TimeoutError(f"the server has not started:\n{rest.log()[-3000:]}")
