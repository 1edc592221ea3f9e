"""What asking over MONAI Label costs: 8 clients, 400 requests, beside `monai-skd classify` on the same files.

    python benchmarks/label_app.py

Needs the environment of tests/label_app/requirements.txt. Server and command take turns, and each ratio is formed from
neighbours, so that a machine whose speed drifts does not distort it.
"""

from __future__ import annotations

import argparse
import datetime
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
from label_server import Rest, running
from sections import write_section

from MonaiSKD import __version__
from MonaiSKD.datasets.phantoms import write_phantoms

DOCUMENT = Path(__file__).parents[1] / "docs" / "label_app.md"
MODEL = "chest_xray"


def asked(server: Rest, files: list[Path], clients: int) -> tuple[float, list[float], int]:
    """Wall seconds, the seconds of each request, and how many failed."""
    sessions = [requests.Session() for _ in range(clients)]
    url = f"{server.url}/infer/{MODEL}_classification?output=json"

    def ask(client: int) -> list[tuple[float, bool]]:
        found = []
        for file in files[client::clients]:
            start = time.perf_counter()
            answer = sessions[client].post(url, files={"file": (file.name, file.read_bytes())}, timeout=120)
            good = answer.status_code == 200 and "probabilities" in answer.json()["monai_skd"]
            found.append((time.perf_counter() - start, good))
        return found

    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        rows = [row for part in pool.map(ask, range(clients)) for row in part]
    wall = time.perf_counter() - start
    return wall, [seconds for seconds, _ in rows], sum(not good for _, good in rows)


def commanded(files: list[Path], folder: Path) -> float:
    """Wall seconds of the command, its start included."""
    listed = folder / "files.txt"
    listed.write_text("\n".join(map(str, files)), encoding="utf-8")
    start = time.perf_counter()
    command = [sys.executable, "-m", "MonaiSKD", "classify", MODEL, f"@{listed}", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == len(files)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--note", default="", help="a sentence on the state of the machine")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_phantoms(folder / "images", MODEL, per_class=(options.requests // 4, 0, 0), size=512)
        images = sorted((folder / "images").glob("train/*/*.png"))
        files = (images * 2)[: options.requests]
        (folder / "studies").mkdir()
        walls, ratios, seconds, failed = [], [], [], 0
        with running(folder, folder / "studies", f"{MODEL}_classification") as server:
            asked(server, files[:16], options.clients)
            commanded(files[:16], folder)
            for _ in range(options.repeats):
                wall, each, bad = asked(server, files, options.clients)
                walls.append(wall)
                seconds += each
                failed += bad
                ratios.append(wall / commanded(files, folder))
    centiles = statistics.quantiles(seconds, n=100)
    machine = f"{len(os.sched_getaffinity(0))} cores"
    count = options.requests * options.repeats
    text = f"""<!-- python benchmarks/label_app.py; MonaiSKD {__version__}; {datetime.date.today()} -->
Measured on {machine}: {options.clients} clients, {options.requests} requests, {options.repeats} times; PNG of 512 x 512
pixels.{" " + options.note if options.note else ""}

| what | value |
|---|---|
| requests that failed | {failed} of {count} |
| median of a request | {1e3 * centiles[49]:.0f} ms |
| 99th percentile | {1e3 * centiles[98]:.0f} ms |
| requests per second | {options.requests / statistics.median(walls):.0f} |
| wall time / `monai-skd classify` on the same files, its start included | {statistics.median(ratios):.2f} \
({min(ratios):.2f} to {max(ratios):.2f}) |
"""
    print(text)
    write_section(DOCUMENT, "label-app", text)


if __name__ == "__main__":
    main()
