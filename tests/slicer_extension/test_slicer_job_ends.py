"""How child jobs end: stopped, killed, crashed, abandoned, left behind; real processes, real deaths."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from child_jobs import Job
from harness import wait_until
from PIL import Image as PILImage

# All of these need the application's event loop.
pytestmark = pytest.mark.usefixtures("app")
POSIX = pytest.mark.skipif(os.name != "posix", reason="process groups and signals are POSIX")
LEADER = """
if os.getpgrp() != os.getpid():
    os.setpgid(0, 0)
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
say(event="start", pid=os.getpid())
say(event="worker", pid=worker.pid)
while True:
    time.sleep(0.1)
"""


@pytest.fixture
def many(tmp_path: Path) -> str:
    """A list of so many images that no test waits for its end."""
    PILImage.new("L", (64, 64), 50).save(tmp_path / "0.png")
    (tmp_path / "paths.txt").write_text(f"{tmp_path / '0.png'}\n" * 20_000)
    return f"@{tmp_path / 'paths.txt'}"


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.is_file() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_stop_ends_a_batch_in_order(model, many):
    job = Job(["classify", model, many, "--threads", 1, "--events"])
    job.told("answer")
    job.child.stop()
    job.child.stop()  # as an impatient user does
    end = job.ended(20)
    assert (end.code, end.stopped, end.text) == (130, True, "")
    assert job.names()[-1] == "error"


@POSIX
def test_a_job_that_was_ended_from_outside_in_order_says_so(model, many):
    job = Job(["classify", model, many, "--threads", 1, "--events"])
    leader = job.told("start")["pid"]
    job.told("answer")
    os.kill(leader, signal.SIGTERM)
    end = job.ended(20)
    assert (end.code, end.stopped) == (143, False)
    assert end.text.startswith("The job was interrupted from outside.")


@POSIX
def test_a_job_killed_from_outside_is_told_from_one_that_failed(model, many):
    job = Job(["classify", model, many, "--threads", 1, "--events"])
    os.kill(job.told("start")["pid"], signal.SIGKILL)
    end = job.ended(20)
    assert (end.code, end.error, end.stopped) == (None, None, False)
    assert "killed (out of memory?)" in end.text


@POSIX
def test_a_job_that_does_not_stop_is_killed_with_its_workers(program):
    job = program(LEADER, grace=0.3)
    leader, worker = job.told("start")["pid"], job.told("worker")["pid"]
    assert alive(worker)
    asked = time.monotonic()
    job.child.stop()
    end = job.ended(10)
    assert time.monotonic() - asked >= 0.28  # Qt's coarse timers end up to 5 % early
    assert end.code is None
    assert end.stopped
    assert "did not stop in time" in end.text
    wait_until(lambda: not alive(leader) and not alive(worker), 5)


@POSIX
def test_workers_of_a_killed_job_do_not_stay(program):
    job = program(LEADER)
    worker = job.told("worker")["pid"]
    os.kill(job.told("start")["pid"], signal.SIGKILL)
    assert "killed" in job.ended(10).text
    wait_until(lambda: not alive(worker), 5)


@POSIX
def test_behind_a_launcher_a_death_is_still_a_death(program):
    """Slicer's Python is started by a launcher, which ends with a code of its own."""
    job = program("say(event='start', pid=os.getpid())\nsys.exit(9)")
    end = job.ended(10)
    assert end.code is None
    assert "killed" in end.text


@POSIX
def test_a_crash_is_called_a_crash(program):
    end = program("say(event='start', pid=1)\nos.abort()").ended(10)
    assert end.code is None
    assert "crashed (code 6)" in end.text


def test_an_abandoned_job_ends_and_says_nothing(model, many):
    job = Job(["classify", model, many, "--threads", 1, "--events"])
    pid = job.told("answer") and job.told("start")["pid"]
    heard = len(job.events), len(job.log)
    job.child.abandon()
    wait_until(lambda: not job.child.running, 60)
    assert not alive(pid)
    assert (len(job.events), len(job.log)) == heard
    assert job.ends == []


@POSIX
def test_a_job_ends_when_the_application_dies(tmp_path, model, many):
    """A real parent with a real job, killed as by the system."""
    note = tmp_path / "pid"
    code = f"""
import sys
sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}
import harness
harness.install()
import qt
application = qt.QCoreApplication([])
from SKDClassifierLib.jobs.Jobs import ChildJob
def hear(event):
    if event["event"] == "answer" and len(pid) == 1:
        open({str(note)!r}, "w").write(str(pid[0]))
        pid.append(0)
    elif event["event"] == "start":
        pid.append(event["pid"])
pid = []
job = ChildJob(["classify", {str(model)!r}, {many!r}, "--threads", "1", "--events"], hear, len, print)
job.start()
application.exec()
"""
    parent = subprocess.Popen([sys.executable, "-c", code])
    try:
        wait_until(lambda: note.is_file() and note.read_text(), 60)
        child = int(note.read_text())
        assert alive(child)
    finally:
        parent.kill()
        parent.wait(timeout=10)
    wait_until(lambda: not alive(child), 60)
