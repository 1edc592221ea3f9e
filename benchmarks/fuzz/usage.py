"""What a process has used, as Linux tells it, and how much of it one input may use."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

SECONDS = 10.0
MEGABYTES = 1024.0


def memory(key: str, pid: int | str = "self") -> float:
    """VmRSS or VmHWM in megabytes."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status") as status:  # noqa: PTH123
        for line in status:
            if line.startswith(key):
                return int(line.split()[1]) / 1024
    return 0.0


def processor(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
