"""Doing one cell: data, training by the bundle's own configuration, and one look at the test images."""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock

from accuracy import readouts
from accuracy.subsets import write_subset
from accuracy.measure import Predictions, scores
from accuracy.plan import Cell, Row
from accuracy.records import circumstances
from MonaiSKD.bundle import find_bundle, prepare_training
from MonaiSKD.datasets import load_datalist
from MonaiSKD.engines import resolve_device
from MonaiSKD.engines.runfolder import save_model
from MonaiSKD.evaluation import count_parameters, multiply_adds
from MonaiSKD.evaluation.predict import predict
from MonaiSKD.files import atomic_path
from MonaiSKD.models import Classifier


@dataclass(frozen=True)
class Places:
    """Where things lie.

    Attributes:
        data: cxr/, ct/ and mri/ with a manifest.csv each.
        weights: the teachers that come as files.
        out: trained networks, checkpoints and caches.
        device: "auto", "cpu" or "cuda".
        threads: for PyTorch.
    """

    data: Path
    weights: Path | None
    out: Path
    device: str
    threads: int


def do(cell: Cell, places: Places) -> dict[str, Any]:
    """Train what the cell says and measure it; an interrupted cell goes on where it was.

    Returns:
        the record.
    """
    torch.set_num_threads(places.threads)
    logging.disable(logging.INFO)
    device = resolve_device(places.device)
    manifest = (places.data / cell.data / "manifest.csv").resolve()
    subset = places.out / "data" / f"{cell.data}-{cell.fraction}-{cell.seed}"
    with FileLock(places.out / f"{subset.name}.lock"):
        table, unlabeled = write_subset(manifest, cell.fraction, cell.seed, subset)
    names = find_bundle(cell.bundle).config["class_names"]
    started = time.perf_counter()
    if cell.row.kind in ("pixels", "frozen"):
        found = read_out(cell, places, table, names)
    else:
        found = train(cell, places, table, unlabeled if cell.row.unlabeled else None, names, device)
    return {
        "cell": cell.key, "digest": cell.digest, "row": cell.row.name, "data": cell.data, "fraction": cell.fraction,
        "seed": cell.seed, **found, "wall_seconds": round(time.perf_counter() - started, 1), **circumstances(device),
    }  # fmt: skip


def read_out(cell: Cell, places: Places, table: Path, names: list[str]) -> dict[str, Any]:
    data = load_datalist(table, class_names=names)
    if cell.row.kind == "pixels":
        features = readouts.pixels(data, cell.bundle)
    else:
        cache = places.out / "features" / f"{cell.row.family}-{cell.data}.npz"
        with FileLock(places.out / f"features-{cell.row.family}-{cell.data}.lock"):
            features = readouts.frozen(data, cell.bundle, cell.options, weights_file(cell, places), cache)
    predictions = readouts.readout(features, readouts.labels_of(data))
    keep(places.out / "runs" / cell.key, predictions)
    return {"images": len(data.of("train")), **scores(predictions, names)}


def train(
    cell: Cell, places: Places, table: Path, unlabeled: Path | None, names: list[str], device: torch.device
) -> dict[str, Any]:
    folder = places.out / "runs" / cell.key
    if cell.row.taught:
        lend_teacher(cell, places, table, unlabeled, names, device)
    workflow = prepare(cell, places, table, unlabeled, names)
    pipeline = workflow.parser.get_parsed_content("pipeline")
    if cell.row.kind == "teacher":
        stages = [pipeline.stages[0]]
        stages[0].run()
        network: Classifier = stages[0].checkpoint.objects["network"]
        network.load_state_dict(stages[0].best.weights)
    else:
        network = pipeline.learn()
        stages = pipeline.stages
    predictions = {split: predict(network, loader, device) for split, loader in pipeline.loaders.items()}
    keep(folder, predictions)
    save_model(folder, network)
    kept = {stage.name: {"epoch": stage.best.epoch, "index": stage.best.index} for stage in stages}
    seconds = {stage.name: round(stage.means.seconds, 1) for stage in stages}
    if cell.row.kind == "student":
        shutil.rmtree(folder / "checkpoints")
    shutil.rmtree(folder / "logs", ignore_errors=True)
    example = torch.zeros(1, 1, network.image_size, network.image_size, device=device)
    return {
        "images": len(pipeline.datalist.of("train")), **scores(predictions, names), "kept": kept, "seconds": seconds,
        "parameters": count_parameters(network), "multiply_adds": multiply_adds(network, example),
        "image_size": network.image_size,
    }  # fmt: skip


def prepare(cell: Cell, places: Places, table: Path, unlabeled: Path | None, names: list[str]) -> Any:
    """The bundle's own workflow with this cell's options, initialised."""
    weights = weights_file(cell, places)
    options = {
        **cell.options,
        "dataset_dir": str(table),
        "output_dir": str(places.out / "runs" / cell.key),
        "class_names": names,
        "device": f"$engines.resolve_device('{places.device}')",
        "unlabeled": None if unlabeled is None else str(unlabeled),
        **({} if weights is None else {"teacher_weights": str(weights)}),
    }
    workflow = prepare_training(find_bundle(cell.bundle), options)
    workflow.initialize()
    return workflow


def lend_teacher(
    cell: Cell, places: Places, table: Path, unlabeled: Path | None, names: list[str], device: torch.device
) -> None:
    """Fine-tune the large network once for all rows of a seed that learn from it; this run finds its checkpoint."""
    row = Row(f"teacher-{cell.row.family}", "", "teacher", cell.row.family, False, False, {}, {})
    teacher = replace(cell, row=row)
    source = places.out / "runs" / teacher.key
    with FileLock(places.out / f"{source.parent.name}-{source.name}.lock"):
        if not (source / "model.pt").exists():
            train(teacher, places, table, None, names, device)
    target = places.out / "runs" / cell.key / "checkpoints" / "teacher.pt"
    if not target.exists():
        with atomic_path(target) as beside:
            shutil.copyfile(source / "checkpoints" / "teacher.pt", beside)


def weights_file(cell: Cell, places: Places) -> Path | None:
    name = cell.family.get("weights")
    return None if name is None or places.weights is None else (places.weights / name).resolve()


def keep(folder: Path, predictions: Predictions) -> None:
    """Keep logits and labels beside the network."""
    arrays = {
        f"{split}_{name}": tensor.numpy()
        for split, pair in predictions.items()
        for name, tensor in zip(("logits", "labels"), pair, strict=True)
    }
    with atomic_path(folder / "predictions.npz") as beside:
        np.savez(beside, **arrays)
