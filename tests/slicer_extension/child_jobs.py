"""A child job and all that it calls back, and the program or the model that a test gives it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from harness import wait_until
from tinymodel import write_tiny_model

# A program that speaks as a job does; {body} is what it then does.
PROGRAM = """
import json, os, subprocess, sys, time
def say(**event):
    print(json.dumps(event), flush=True)
{body}
"""


class Job:
    """A child job and all that it calls back."""

    def __init__(self, arguments: list[Any], **options: Any) -> None:
        from SKDClassifierLib.jobs.Jobs import ChildJob

        self.events: list[dict] = []
        self.log: list[str] = []
        self.ends: list[Any] = []
        self.child = ChildJob(
            [str(one) for one in arguments], self.events.append, self.log.append, self._end, **options
        )
        self.child.start()

    def _end(self, end: Any) -> None:
        assert not self.child.running
        self.ends.append(end)

    def ended(self, seconds: float = 60.0) -> Any:
        wait_until(lambda: self.ends, seconds)
        for _ in range(5):
            wait_until(lambda: True)
        assert len(self.ends) == 1
        return self.ends[0]

    def names(self) -> list[str]:
        return [event["event"] for event in self.events]

    def told(self, name: str) -> dict:
        wait_until(lambda: name in self.names(), 60)
        return self.events[self.names().index(name)]


@pytest.fixture
def program(tmp_path: Path) -> Any:
    """Starts a program of the given lines as a job."""

    def start(body: str, **options: Any) -> Job:
        file = tmp_path / "program.py"
        file.write_text(PROGRAM.format(body=body), encoding="utf-8")
        return Job([], command=[sys.executable, str(file)], **options)

    return start


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "model.onnx")
