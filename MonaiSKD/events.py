"""What a parent program hears of a long command: one JSON object a line.

`monai-skd train|classify|check-data --events` runs the command as somebody else's job: standard output carries events
and nothing else, all words for people go to standard error, and the job ends in order when the parent says `stop` on
its standard input or closes it, also by dying. 3D Slicer trains and classifies folders this way.

Each object has an "event"; docs/events.md lists them. The last is "end" or "error", so a job that ends without one was
killed.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from MonaiSKD import __version__

_stream: TextIO | None = None
_writing = threading.Lock()


def listening() -> bool:
    """Whether a parent program listens."""
    return _stream is not None


def emit(event: str, **fields: Any) -> None:
    """Tell the parent program, if one listens. Numbers that JSON does not know become null.

    Args:
        event: what happened.
        fields: JSON data about it.

    Example:
        >>> emit("step", stage="dual", step=3, steps=10, loss=0.7)  # nobody listens
    """
    if _stream is None:
        return
    # MONAI and PyTorch give their own kinds of numbers.
    line = json.dumps({"event": event, **fields}, default=float)
    if "NaN" in line or "Infinity" in line:
        line = json.dumps(json.loads(line, parse_constant=lambda _: None))
    with _writing:
        _stream.write(line + "\n")
        _stream.flush()


@contextmanager
def telling(command: str) -> Iterator[None]:
    """Let a parent program listen while the block runs, and stop this program when it says so.

    Within the block `sys.stdout` is standard error. A stop raises KeyboardInterrupt in the main thread, as Ctrl-C does.

    Args:
        command: which command runs.
    """
    global _stream
    own = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", errors="backslashreplace", newline="\n")
    # Also for what libraries print below Python, and for child processes.
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    before = sys.stdout
    sys.stdout, _stream = sys.stderr, own
    try:
        _lead_a_group()
        emit("start", command=command, version=__version__, pid=os.getpid())
        _watch_standard_input()
        yield
    finally:
        sys.stdout, _stream = before, None
        os.dup2(kept, 1)
        os.close(kept)
        own.close()


def _lead_a_group() -> None:
    """So that whoever must end this program by force can end its worker processes with it."""
    if hasattr(os, "setpgid") and os.getpgrp() != os.getpid() and os.getsid(0) != os.getpid():
        os.setpgid(0, 0)


def _watch_standard_input() -> None:
    """Stop when the parent says so or is gone; but only where standard input is a parent's pipe."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:  # it is closed
        return
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return
    # A program started in the background of a shell ignores Ctrl-C; a job must not ignore its stop.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_stop_when_told, name="standard input", daemon=True).start()


def _stop_when_told() -> None:
    while True:
        try:
            said = os.read(0, 64)
        except OSError:
            said = b""
        if not said or b"stop" in said:
            break
    if _stream is None:  # it has ended meanwhile
        return
    if os.name == "posix":
        os.kill(os.getpid(), signal.SIGINT)
    else:
        import _thread

        _thread.interrupt_main()
