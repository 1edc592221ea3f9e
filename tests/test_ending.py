"""How a command ends that is told to stop: real signals to real child processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Each says "ready", is told to stop, and says how it ended.
BEGIN = """
import os, signal, sys, time
from MonaiSKD.ending import Terminated, ending_in_order

def ready():
    print("ready", flush=True)
    time.sleep(30)

try:
    with ending_in_order():
"""
END = """
except KeyboardInterrupt as stopped:
    print(type(stopped).__name__)
"""
# Putting in order takes a while, in which it is told again.
IN_ORDER = """
        try:
            ready()
        finally:
            print("ordering", flush=True)
            time.sleep(0.5)
            print("in order", flush=True)
"""
# Python drops what is raised while an object is deleted.
DROPPED = """
        class Busy:
            def __del__(self):
                ready()

        Busy()
        print("deleted", flush=True)
        time.sleep(30)
"""


def told(program: str, *numbers: signal.Signals) -> list[str]:
    """Start a program, send it the first signal when it is ready and the others when it puts things in order."""
    code = BEGIN + program + END
    child = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, text=True, stdout=-1, stderr=subprocess.STDOUT)
    try:
        said = []
        for number in numbers:
            said.append(child.stdout.readline().strip())
            child.send_signal(number)
        out, _ = child.communicate(timeout=20)
    finally:
        child.kill()
    assert said[0] == "ready"
    return [*said[1:], *out.splitlines()]


def test_sigterm_is_a_ctrl_c_with_a_name_of_its_own():
    assert told(IN_ORDER, signal.SIGTERM) == ["ordering", "in order", "Terminated"]
    assert told(IN_ORDER, signal.SIGINT) == ["ordering", "in order", "KeyboardInterrupt"]


@pytest.mark.parametrize(
    ("first", "then", "end"),
    [
        (signal.SIGTERM, signal.SIGTERM, "Terminated"),
        (signal.SIGTERM, signal.SIGINT, "Terminated"),
        (signal.SIGINT, signal.SIGTERM, "KeyboardInterrupt"),
    ],
)
def test_what_is_being_put_in_order_is_not_stopped_by_another_signal(first, then, end):
    assert told(IN_ORDER, first, then) == ["ordering", "in order", end]


def test_a_second_ctrl_c_does_not_wait():
    assert told(IN_ORDER, signal.SIGINT, signal.SIGINT) == ["ordering", "KeyboardInterrupt"]


@pytest.mark.parametrize(("number", "end"), [(signal.SIGTERM, "Terminated"), (signal.SIGINT, "KeyboardInterrupt")])
def test_a_stop_that_python_drops_comes_again(number, end):
    assert told(DROPPED, number)[-1] == end


def test_a_program_that_ignores_ctrl_c_goes_on_doing_so():
    program = "        print(signal.getsignal(signal.SIGINT) == signal.SIG_IGN)"
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)" + BEGIN + program + END
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, timeout=20)
    assert done.stdout == "True\n"
