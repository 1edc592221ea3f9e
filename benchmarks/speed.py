"""Training images per second of a single student, against a plain timm and PyTorch loop that trains the same.

    python benchmarks/speed.py

Both stages are built from the bundle's configuration with all their handlers. The plain loop has the same network,
batch size, cached images, augmentations, optimiser, clipping, number format and layout; it keeps no averaged weights
and writes no log. Two ways are timed one after the other, epoch by epoch, each first every second time, and the ratio
is formed pair by pair, so that a machine whose speed drifts does not distort it. An epoch counts from its start to the
end of its last step: validation and checkpoints are left out. Memory is the peak of a process that does nothing else.
"""

from __future__ import annotations

import argparse
import datetime
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from accuracy.records import processor
from classify import MEGABYTE, Row
from classify_parts import memory
from dual_step import waiting
from monai.data import set_track_meta
from sections import BENCHMARKS, write_section
from speed_ways import BATCH, CLASSES, SIZE, STUDENT, Epoch, Ways, contiguous, without_thread

from MonaiSKD import __version__
from MonaiSKD.datasets.phantoms import write_phantoms
from MonaiSKD.evaluation import peak_memory_bytes


@dataclass(frozen=True)
class Pair:
    """A ratio to be measured: the speed of `one` over that of `other`."""

    name: str
    one: str
    other: str
    limit: float | None = None


def pairs(workers: int, precision: str, has_bfloat16: bool) -> list[Pair]:
    many = f"{workers} workers"
    found = [
        Pair("dual stage / plain loop, each with its own default loader", "dual", "plain", 0.95),
        Pair("supervised stage / plain loop, likewise", "supervised", "plain", 0.95),
        Pair(f"dual stage / plain loop, {workers} worker processes each", f"dual, {many}", f"plain, {many}", 0.95),
        Pair("supervised stage / plain loop, likewise", f"supervised, {many}", f"plain, {many}", 0.95),
        Pair("channels_last / contiguous layout", "dual", "contiguous"),
        Pair("fused AdamW / not fused", "dual", "not fused"),
        Pair("a thread that draws the views / none", "dual", "no thread"),
        Pair("1 worker process / that thread", "dual, 1 worker", "dual"),
        Pair(f"{workers} worker processes / that thread", f"dual, {many}", "dual"),
    ]
    if has_bfloat16:
        other = ("dual", "float32") if precision == "bfloat16" else ("bfloat16", "dual")
        found.append(Pair("bfloat16 / float32", *other))
    return found


def ways(build: Ways, workers: int) -> dict[str, Epoch]:
    """What the pairs name; "dual" has the bundle's settings."""
    many = {"num_workers": workers}
    epochs = {
        "dual": build.ours(),
        "supervised": build.ours("finetune"),
        "plain": build.plain(),
        f"dual, {workers} workers": build.ours(**many),
        f"supervised, {workers} workers": build.ours("finetune", **many),
        f"plain, {workers} workers": build.plain(**many),
        "contiguous": build.timed(contiguous(build.trainer())),
        "not fused": build.ours(**{"train#optimizer#fused": False}),
        "no thread": build.timed(without_thread(build.trainer())),
        "dual, 1 worker": build.ours(num_workers=1),
    }
    if build.has_bfloat16:
        other = "float32" if build.precision == "bfloat16" else "bfloat16"
        epochs[other] = build.ours(precision=other)
    return epochs


def speeds(build: Ways, workers: int, rounds: int) -> Iterator[Row]:
    """One round of all pairs comes first and is not counted."""
    epochs = ways(build, workers)
    wanted = pairs(workers, build.precision, build.has_bfloat16)
    rates: dict[str, list[float]] = defaultdict(list)
    ratios: list[list[float]] = [[] for _ in wanted]
    for number in range(rounds + 1):
        for pair, values in zip(wanted, ratios, strict=True):
            names = (pair.one, pair.other) if number % 2 else (pair.other, pair.one)
            found = {name: epochs[name]() for name in names}
            if number:
                values.append(found[pair.one] / found[pair.other])
                for name, rate in found.items():
                    rates[name].append(rate)
    for pair, values in zip(wanted, ratios, strict=True):
        yield Row(pair.name, values, limit=pair.limit, more=True)
    for name in ("dual", "supervised", "plain"):
        yield Row(f"images per second: {name}", rates[name], "/s")
        yield Row(f"images per second: {name}, {workers} workers", rates[f"{name}, {workers} workers"], "/s")


def peak(folder: Path, device: torch.device, way: str) -> float:
    """Megabytes that this process needs at most while it trains for two epochs."""
    set_track_meta(False)
    build = Ways(folder, device)
    epoch = build.plain() if way == "plain" else build.ours({"dual": "dual", "supervised": "finetune"}[way])
    for _ in range(2):
        epoch()
    # Of this process itself: what `getrusage` tells, a child inherits from its parent.
    return (memory("VmHWM") if device.type == "cpu" else peak_memory_bytes(device) or 0) / MEGABYTE


def peaks(folder: Path, device: torch.device) -> Iterator[Row]:
    for way in ("dual", "supervised", "plain"):
        with ProcessPoolExecutor(1, get_context("spawn")) as child:
            yield Row(f"peak memory: {way}", [child.submit(peak, folder, device, way).result()], "MB")


def measure(build: Ways, options: argparse.Namespace) -> str:
    """The table of one device."""
    device = build.device
    rows = list(speeds(build, options.workers, options.rounds))
    for name, stage in (("dual", "dual"), ("supervised", "finetune")):
        share = waiting(build.trainer(stage, epochs=2, finetune_epochs=2))
        rows.append(Row(f"waiting for data after the first epoch: {name}", [100 * share], "%"))
    rows += peaks(build.folder, device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    lines = [
        f"{STUDENT}, batch {BATCH} at {SIZE} px, {build.precision}, on {name} ({len(os.sched_getaffinity(0))} cores, "
        f"{torch.get_num_threads()} threads of PyTorch); {options.rounds} pairs of {-(-options.images // BATCH)} steps."
        + ("" if build.has_bfloat16 else " It has no unit for bfloat16, so that format was not tried."),
        "",
        "| what | median | min to max | target | met |",
        "|---|---|---|---|---|",
        *(row.text() for row in rows),
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=288, help="in an epoch; a multiple of 96 makes full batches")
    parser.add_argument("--workers", type=int, default=min(8, max(2, len(os.sched_getaffinity(0)))))
    parser.add_argument("--document", type=Path, default=BENCHMARKS, help="where the table is written")
    options = parser.parse_args()
    set_track_meta(False)
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    with tempfile.TemporaryDirectory() as folder:
        write_phantoms(folder, "brain_mri", per_class=(options.images // len(CLASSES), 2, 2), size=128)
        tables = [measure(Ways(Path(folder), torch.device(device)), options) for device in devices]
    head = f"<!-- python benchmarks/speed.py; MonaiSKD {__version__}; {datetime.date.today()} -->\n"
    text = head + "\n\n".join(tables)
    print(text)
    write_section(options.document, "speed", text)


if __name__ == "__main__":
    main()
