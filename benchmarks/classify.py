"""What classifying costs: cold, warm, in batches, as a volume, and on the disk; beside MONAI's stock way and bare cost.

    python benchmarks/classify.py --chest RUN --lung RUN

Both are run folders of `monai-skd train` with their model.onnx. The light half runs in a fresh environment, made for
the purpose by `pip install` of this checkout; the training environment is that of this Python. Every ratio is formed
from neighbouring runs, so that a machine whose speed drifts does not distort it.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import classify_files
import classify_parts
from sections import BENCHMARKS, write_section

from MonaiSKD import __version__

ROOT = Path(__file__).parents[1]
PARTS = Path(__file__).with_name("classify_parts.py")
SLICES, SIDE = 300, 512
MEGABYTE = 2**20  # as du counts


@dataclass(frozen=True)
class Row:
    """A line of the table; `limit` is the target, below which (or above which, for `more`) the median shall lie."""

    name: str
    values: Sequence[float]
    unit: str = "x"
    limit: float | None = None
    more: bool = False

    def text(self) -> str:
        median, digits = statistics.median(self.values), 2 if self.unit == "x" else 0
        target = verdict = ""
        if self.limit is not None:
            target = f"at {'least' if self.more else 'most'} {self.limit:g} {self.unit}"
            verdict = "yes" if (median >= self.limit if self.more else median <= self.limit) else "**no**"
        spread = f"{min(self.values):.{digits}f} to {max(self.values):.{digits}f}" if len(self.values) > 1 else ""
        return f"| {self.name} | {median:.{digits}f} {self.unit} | {spread} | {target} | {verdict} |"


class Bench:
    """The machine, the files, and the two environments."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.repeats, self.folder = options.repeats, folder
        self.run = options.chest.resolve()
        self.chest, self.lung = self.run / "model.onnx", options.lung.resolve() / "model.onnx"
        self.light = self._light()

    def _light(self) -> Path:
        environment = self.folder / "light"
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        python = environment / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", ROOT], check=True, stderr=subprocess.DEVNULL)
        return python

    def child(self, python: Path | str, *arguments: object) -> Any:
        """Run a part; what it prints last, as JSON."""
        # Not from the checkout, so that each environment's own package is measured.
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [str(python), *map(str, arguments)]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{command[:4]} failed:\n{done.stderr}")
        return json.loads(done.stdout.strip().splitlines()[-1])

    def cold(self) -> list[Row]:
        file = classify_files.radiograph(self.folder / "large.dcm", 2000)
        ours = [self.light, "-m", "MonaiSKD", "classify", self.chest, file, "--json"]
        bare = [self.light, "-c", classify_parts.BARE, self.chest, file]
        eager = [sys.executable, PARTS, "eager", self.run, file, "student"]
        for command in (ours, bare, eager):
            self.child(*command)
        to_bare, to_eager = [], []
        for repeat in range(2 * self.repeats):
            seconds = self._seconds(ours)
            to_bare.append(seconds / self._seconds(bare))
            if repeat < self.repeats:
                to_eager.append(seconds / self._seconds(eager))
        return [
            Row("cold start / MONAI and eager PyTorch with the student", to_eager, limit=1 / 8),
            Row("cold start / bare cost", to_bare, limit=1.3),
        ]

    def _seconds(self, command: list[Any]) -> float:
        start = time.perf_counter()
        self.child(*command)
        return time.perf_counter() - start

    def warm(self) -> list[Row]:
        file = self.folder / "large.dcm"
        times = self.child(sys.executable, PARTS, "warm", self.run, file, 10 * self.repeats)

        def ratios(one: str, other: str) -> list[float]:
            return [a / b for a, b in zip(times[one], times[other], strict=True)]

        return [
            Row("warm with heat map / bare decoding and session.run", ratios("ours", "bare"), limit=1.5),
            Row("MONAI and eager PyTorch with the teacher / warm", ratios("teacher", "ours"), limit=4, more=True),
            Row("MONAI and eager PyTorch with the student / warm", ratios("student", "ours")),
        ]

    def batches(self) -> list[Row]:
        rows = []
        dicoms, pictures = classify_files.many(self.folder / "many", 1000, 50, 1000)
        for kind, paths in (("DICOM", dicoms), ("PNG and JPEG", pictures)):
            names = self.folder / "names.txt"
            names.write_text("\n".join(paths))
            found: dict[int, list[Any]] = {1: [], 2: []}
            for _ in range(self.repeats):
                for threads, entries in found.items():
                    entries.append(self.child(self.light, PARTS, "batch", self.chest, threads, names))
            pairs = list(zip(found[2], found[1], strict=True))
            two = found[2]
            rows += [
                self._scaling(f"1000 {kind}: 2 threads / 1", [a["rate"] / b["rate"] for a, b in pairs]),
                Row(f"1000 {kind}: peak memory", [x["peak"] / MEGABYTE for x in two], "MB", limit=400),
                Row(f"1000 {kind}: memory after 1000 / after 200", [x["late"] / x["early"] for x in two], limit=1.1),
                Row(f"1000 {kind}: files per second, 2 threads", [x["rate"] for x in two], "/s"),
            ]
        return rows

    def _scaling(self, name: str, ratios: list[float]) -> Row:
        if len(os.sched_getaffinity(0)) < 2:
            return Row(f"{name}, on one core only: says nothing of scaling", ratios)
        return Row(name, ratios, limit=1.7, more=True)

    def disk(self) -> list[Row]:
        packages = next(self.light.parents[1].glob("lib/python*/site-packages"))
        heavy = [name for name in ("torch", "monai", "timm", "SimpleITK", "scipy") if (packages / name).exists()]
        assert not heavy, heavy
        sizes = {entry.name: _disk_bytes(entry) / MEGABYTE for entry in packages.iterdir()}
        largest = sorted(sizes, key=lambda name: -sizes[name])[:6]
        told = ", ".join(f"{name} {sizes[name]:.0f}" for name in largest)
        name = f"light install: site-packages ({told}; no torch, no monai)"
        return [Row(name, [sum(sizes.values())], "MB", limit=300)]

    def volumes(self) -> list[Row]:
        folder, file = classify_files.series(self.folder / "ct", SLICES, SIDE)
        size = SLICES * SIDE * SIDE * 2
        rows = []
        for kind, path in (("DICOM folder", folder), (".nii", file)):
            found = [self.child(self.light, PARTS, "volume", self.lung, path, 2) for _ in range(self.repeats)]
            name = f"CT of {SLICES} slices, {kind}"
            rows += [
                Row(f"{name}: rise of memory / volume", [entry["rise"] / size for entry in found], limit=2),
                Row(f"{name}: slices per second, 2 threads", [entry["rate"] for entry in found], "/s"),
            ]
        return rows


def _disk_bytes(path: Path) -> int:
    inner = (entry for entry in path.rglob("*") if not entry.is_symlink()) if path.is_dir() else ()
    return sum(512 * entry.lstat().st_blocks for entry in (path, *inner))


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown processor")
    return f"{name}, {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chest", type=Path, metavar="RUN", required=True)
    parser.add_argument("--lung", type=Path, metavar="RUN", required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=["cold", "warm", "batches", "disk", "volumes"])
    parser.add_argument("--note", default="", help="a sentence on the state of the machine")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, Path(folder))
        rows: list[Row] = []
        parts: dict[str, Callable[[], list[Row]]] = {
            **{"cold": bench.cold, "warm": bench.warm, "batches": bench.batches},
            **{"disk": bench.disk, "volumes": bench.volumes},
        }
        for name, part in parts.items():
            if options.only is None or name in options.only:
                found = part()
                print("\n".join(row.text() for row in found), flush=True)
                rows += found
    text = "\n".join(
        [
            f"<!-- python benchmarks/classify.py --chest RUN --lung RUN; MonaiSKD {__version__}; "
            f"{datetime.date.today()}; {_machine()} -->",
            f"Measured on {_machine()}. {options.note}".strip(),
            "",
            "| what | median | min to max | target | met |",
            "|---|---|---|---|---|",
            *(row.text() for row in rows),
        ]
    )
    if options.only is None:
        write_section(BENCHMARKS, "classify", text)


if __name__ == "__main__":
    main()
