"""Results as JSON lines: one per cell, appended when it is done, so that a table grows over many sittings."""

from __future__ import annotations

import datetime
import json
import platform
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from accuracy.plan import HERE, Cell

RESULTS = HERE / "results.jsonl"


def read_records(path: Path = RESULTS) -> list[dict[str, Any]]:
    """All records; of one cell measured twice the later counts."""
    if not path.exists():
        return []
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        found[record["cell"], record["digest"]] = record
    return list(found.values())


def append_record(record: dict[str, Any], path: Path = RESULTS) -> None:
    """Add one record at the end of the file."""
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(record) + "\n")


def records_of(cells: Iterable[Cell], records: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The records of these cells as they are configured now, by key."""
    known = {(record["cell"], record["digest"]): record for record in records}
    return {cell.key: known[cell.key, cell.digest] for cell in cells if (cell.key, cell.digest) in known}


def circumstances(device: torch.device) -> dict[str, Any]:
    """Where, when and by what a cell was measured."""
    return {
        "date": str(datetime.date.today()),
        "commit": commit(),
        "machine": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "threads": torch.get_num_threads(),
        "versions": {name: metadata.version(name) for name in ("torch", "monai", "timm")},
    }


def commit() -> str:
    """The commit of this checkout, with a plus where more than the records has been changed since."""
    asked = [["rev-parse", "--short=12", "HEAD"], ["status", "--porcelain", "--", ":/", ":(exclude)*.jsonl"]]
    head, changed = (
        subprocess.run(["git", *words], cwd=HERE, capture_output=True, text=True, check=False).stdout.strip()
        for words in asked
    )
    return f"{head}{'+' if changed else ''}" if head else "unknown"


def processor() -> str:
    """The processor's name as the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
