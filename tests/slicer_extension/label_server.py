"""A MONAI Label server of a few lines: real HTTP on loopback, that answers what a test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

INFO = {
    "name": "app",
    "models": {
        "chest": {"type": "classification", "labels": ["normal", "pneumonia"]},
        "lung": {"type": "classification", "labels": {"a": 0, "b": 1}},
        "organs": {"type": "segmentation", "labels": ["liver"]},
    },
}
LINE = {
    "input": "image.nrrd",
    "label": "pneumonia",
    "probabilities": {"normal": 0.1, "pneumonia": 0.9},
    "decision": ["pneumonia"],
    "thresholds": {"normal": 0.5, "pneumonia": 0.4},
    "atypical": False,
    "atypicality": 0.1,
    "atypicality_threshold": 0.5,
    "slices": None,
    "heatmap": None,
    "model": {"name": "chest", "version": "1.0", "sha256": "0" * 64},
    "milliseconds": 5.0,
    "warnings": [],
}


class Behaviour:
    """What the server does, and what it was sent."""

    def __init__(self) -> None:
        self.info: tuple[int, bytes] = (200, json.dumps(INFO).encode())
        self.infer: tuple[int, bytes] = (200, json.dumps({"params": {"monai_skd": LINE}}).encode())
        self.cut = False
        self.go = threading.Event()
        self.go.set()
        self.seen: list[tuple[str, str, bytes]] = []
        self.url = ""


@pytest.fixture
def server() -> Iterator[Behaviour]:
    behaviour = Behaviour()

    class Handler(BaseHTTPRequestHandler):
        def answer(self, kind: str, status: int, content: bytes) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            behaviour.seen.append((kind, self.path, body))
            behaviour.go.wait(10)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content) + 10 * behaviour.cut))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self.answer("GET", *behaviour.info)

        def do_POST(self) -> None:
            self.answer("POST", *behaviour.infer)

        def log_message(self, *_: object) -> None:
            """Nothing on the test's output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        behaviour.url = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield behaviour
        http.shutdown()
        thread.join()
