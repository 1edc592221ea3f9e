"""Chest radiographs from a collection that no training image came from: train on all the others, test on it.

Only collections that hold at least two classes can be asked. All their images are test images then; balanced accuracy
and macro AUC are over the classes that they hold.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from statistics import fmean
from typing import Any

import torch
from sections import ACCURACY, table, write_section

from accuracy.plan import HERE, Cell, load_row
from accuracy.records import append_record, circumstances, read_records
from accuracy.robustness_tables import is_current, origin
from accuracy.subsets import write_list
from accuracy.work import Places, read_out, train
from MonaiSKD.bundle import find_bundle
from MonaiSKD.datasets import DataList, load_datalist
from MonaiSKD.engines import resolve_device

RECORDS = HERE / "sources.jsonl"
DATA = "cxr"
"""The one data set whose classes are mixed within its collections."""


def measure(options: argparse.Namespace) -> None:
    """Do the trainings that sources.jsonl does not have yet, then write the section of the document."""
    threads = max(1, (os.cpu_count() or 1) // options.jobs)
    # Read by the libraries when a child starts.
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)
    places = Places(options.data, options.weights, options.out.resolve(), options.device, threads)
    done = {(record["cell"], record["digest"]) for record in read_records(RECORDS)}
    cells = [Cell(row, DATA, 100, seed) for seed in options.seeds or [0] for row in map(load_row, options.rows)]
    tasks = [
        (source, cell)
        for cell in cells
        for source in mixed(load_datalist(options.data / DATA / "manifest.csv"))
        if (name(source, cell), cell.digest) not in done
    ]
    print(f"{len(tasks)} trainings are to do", flush=True)
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool:
        for future in as_completed([pool.submit(do, source, cell, places) for source, cell in tasks]):
            record = future.result()
            append_record(record, RECORDS)
            print(f"{record['cell']}: AUC {record['test']['macro_auc']:.3f}", flush=True)
    write_section(ACCURACY, "accuracy:sources", section(read_records(RECORDS)))


def mixed(data: DataList) -> list[str]:
    """The collections that hold at least two classes."""
    found: dict[str, set[str]] = {}
    for case in data.cases:
        found.setdefault(case.source or "", set()).add(case.label)
    return sorted(source for source, labels in found.items() if len(labels) > 1)


def without(data: DataList, source: str) -> DataList:
    """Training and validation images of all other collections, and every image of this one as a test image."""
    others = tuple(case for case in data.cases if case.source != source and case.split != "test")
    asked = tuple(replace(case, split="test") for case in data.cases if case.source == source)
    return DataList((*others, *asked), data.class_names)


def do(source: str, cell: Cell, places: Places) -> dict[str, Any]:
    """Train without one collection and test on it; an interrupted training goes on where it was."""
    torch.set_num_threads(places.threads)
    logging.disable(logging.INFO)
    device = resolve_device(places.device)
    places = replace(places, out=places.out / "sources" / short(source).replace("/", "_"))
    names = find_bundle(cell.bundle).config["class_names"]
    data = without(load_datalist(places.data / cell.data / "manifest.csv", class_names=names), source)
    listed = write_list(data, places.out / "data.csv")
    started = time.perf_counter()
    if cell.row.kind in ("pixels", "frozen"):
        found = read_out(cell, places, listed, names)
    else:
        # Rows with unlabeled images would distil on all images there are, those of this collection among them.
        alone = replace(cell, row=replace(cell.row, unlabeled=False))
        found = train(alone, places, listed, None, names, device)
    return {
        "cell": name(source, cell), "digest": cell.digest, "row": cell.row.name, "data": cell.data,
        "fraction": cell.fraction, "seed": cell.seed, "source": source, "tested": data.class_counts("test"), **found,
        "wall_seconds": round(time.perf_counter() - started, 1), **circumstances(device),
    }  # fmt: skip


def name(source: str, cell: Cell) -> str:
    return f"{cell.key} without {short(source)}"


def short(source: str) -> str:
    """Owner and name of a collection, without what the manifest adds in brackets."""
    return source.partition(" (")[0]


def section(records: list[dict[str, Any]]) -> str:
    """Balanced accuracy and macro AUC on each collection that took no part in training, means over seeds."""
    current = [record for record in records if is_current(record)]
    if not current:
        return "Not measured yet."
    rows = list(dict.fromkeys(record["row"] for record in current))
    lines = []
    for source in dict.fromkeys(record["source"] for record in current):
        asked = [record for record in current if record["source"] == source]
        counts = ", ".join(f"{count} {label}" for label, count in asked[0]["tested"].items() if count)
        lines.append([short(source), counts, *(scores([r for r in asked if r["row"] == row]) for row in rows)])
    command = origin(current, f"sources {' '.join(rows)} --data DATA --weights WEIGHTS --out RUNS")
    head = ["collection left out", "its images", *(load_row(row).title for row in rows)]
    return f"{command}\n\n{table(head, lines)}"


def scores(records: list[dict[str, Any]]) -> str:
    if not records:
        return ""
    means = [100 * fmean(record["test"][metric] for record in records) for metric in ("balanced_accuracy", "macro_auc")]
    return f"{means[0]:.1f} / {means[1]:.1f} ({len(records)})"
