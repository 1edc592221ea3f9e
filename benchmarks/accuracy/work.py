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
from accuracy.measure import Predictions, scores
from accuracy.plan import Cell
from accuracy.records import circumstances
from accuracy.subsets import write_subset
from MonaiSKD.bundle import find_bundle, prepare_training
from MonaiSKD.datasets import load_datalist
from MonaiSKD.engines import resolve_device
from MonaiSKD.engines.runfolder import save_model
from MonaiSKD.engines.stages import chosen
from MonaiSKD.evaluation import count_parameters, multiply_adds
from MonaiSKD.evaluation.predict import predict
from MonaiSKD.files import atomic_path
from MonaiSKD.models import Classifier
from MonaiSKD.training import class_names_for

# What decides the students at the end of the stage "features"; rows that differ in other options share it.
_OF_THE_START = (
    "image_size", "students", "initialisation", "selection", "compensation_images", "feature_epochs", "similarities",
    "feature_learning_rate", "augmentation",
)  # fmt: skip


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
    table, unlabeled = images_of(cell, places)
    names = class_names_for(table, find_bundle(cell.bundle).config["class_names"])
    started = time.perf_counter()
    if cell.row.kind in ("pixels", "frozen"):
        found = read_out(cell, places, table, names)
    else:
        found = train(cell, places, table, unlabeled if cell.row.unlabeled else None, names, device)
    return {
        "cell": cell.key, "digest": cell.digest, "row": cell.row.name, "data": cell.data, "fraction": cell.fraction,
        "seed": cell.seed, **found, "wall_seconds": round(time.perf_counter() - started, 1), **circumstances(device),
    }  # fmt: skip


def images_of(cell: Cell, places: Places) -> tuple[Path, Path | None]:
    """The list of the cell's images, and the folder of the training images that it leaves out."""
    manifest = (places.data / cell.data / "manifest.csv").resolve()
    folder = places.out / "data" / f"{cell.data}-{cell.fraction}-{cell.seed}"
    with FileLock(places.out / f"{folder.name}.lock"):
        return write_subset(manifest, cell.fraction, cell.seed, folder)


def read_out(cell: Cell, places: Places, table: Path, names: list[str]) -> dict[str, Any]:
    data = load_datalist(table, class_names=names)
    if cell.row.kind == "pixels":
        features = readouts.pixels(data, cell.bundle)
    else:
        cache = places.out / "features" / f"{cell.row.family}-{cell.data}.npz"
        with FileLock(places.out / f"features-{cell.row.family}-{cell.data}.lock"):
            features = readouts.frozen(data, cell.bundle, cell.options, weights_file(cell, places), cache)
    predictions = readouts.readout(features, readouts.labels_of(data))
    keep(places.out / "runs" / cell.folder, predictions)
    return {"images": len(data.of("train")), **scores(predictions, names)}


def train(
    cell: Cell, places: Places, table: Path, unlabeled: Path | None, names: list[str], device: torch.device
) -> dict[str, Any]:
    folder = places.out / "runs" / cell.folder
    lent = []
    if cell.row.taught:
        lent.append(made_once(teacher_of(cell), "teacher", places, table, names, device))
    if cell.row.kind == "student" and cell.row.unlabeled and cell.options["feature_epochs"]:
        whole, _ = images_of(distilled_of(cell), places)
        lent.append(made_once(distilled_of(cell), "features", places, whole, names, device))
    workflow = prepare(cell, places, table, unlabeled, names)
    pipeline = workflow.parser.get_parsed_content("pipeline")
    pipeline.begin()  # it would refuse checkpoints of other runs, so they come after it
    for source in lent:
        lend(source, folder)
    if cell.row.kind in ("features", "teacher"):
        stages = [stage for stage in pipeline.stages if stage.name == cell.row.kind]
        stages[0].run()
        if cell.row.kind == "features":
            return {}
        network: Classifier = stages[0].checkpoint.objects["network"]
        network.load_state_dict(chosen(stages[0]).weights)
    else:
        network = pipeline.learn()
        stages = pipeline.stages
    predictions = {split: predict(network, loader, device) for split, loader in pipeline.loaders.items()}
    keep(folder, predictions)
    save_model(folder, network)
    kept = {stage.name: {"epoch": stage.best.epoch, "index": stage.best.index} for stage in stages if stage.best}
    seconds = {stage.name: round(stage.means.seconds, 1) for stage in stages}
    if cell.row.kind == "student":
        shutil.rmtree(folder / "checkpoints")
    shutil.rmtree(folder / "logs", ignore_errors=True)
    learned = chosen(next(stage for stage in reversed(stages) if stage.name in ("dual", "teacher")))
    curve = [round(row["val_auc"], 4) for row in learned.history if row["index"] == learned.index]
    example = torch.zeros(1, 1, network.image_size, network.image_size, device=device)
    return {
        "images": len(pipeline.datalist.of("train")), **scores(predictions, names), "kept": kept, "seconds": seconds,
        "validation_auc": curve, "parameters": count_parameters(network),
        "multiply_adds": multiply_adds(network, example), "image_size": network.image_size,
    }  # fmt: skip


def prepare(cell: Cell, places: Places, table: Path, unlabeled: Path | None, names: list[str]) -> Any:
    """The bundle's own workflow with this cell's options, initialised."""
    weights = weights_file(cell, places)
    options = {
        **cell.options,
        "dataset_dir": str(table),
        "output_dir": str(places.out / "runs" / cell.folder),
        "class_names": names,
        "device": f"$engines.resolve_device('{places.device}')",
        "unlabeled": None if unlabeled is None else str(unlabeled),
        **({} if weights is None else {"teacher_weights": str(weights)}),
    }
    workflow = prepare_training(find_bundle(cell.bundle), options)
    workflow.initialize()
    return workflow


def made_once(lender: Cell, stage: str, places: Places, table: Path, names: list[str], device: torch.device) -> Path:
    """Have another cell train a stage once for all rows that share it; its checkpoint."""
    source = places.out / "runs" / lender.folder / "checkpoints" / f"{stage}.pt"
    with FileLock(places.out / f"{lender.folder.replace('/', '-')}.lock"):
        if not (done := source.with_name("done")).exists():
            train(lender, places, table, None, names, device)
            done.touch()
    return source


def lend(source: Path, folder: Path) -> None:
    """Put the checkpoint of a stage where the run of a folder finds it as its own."""
    target = folder / "checkpoints" / source.name
    if not target.exists():
        with atomic_path(target) as beside:
            shutil.copyfile(source, beside)


def teacher_of(cell: Cell) -> Cell:
    """The cell that fine-tunes the large network on the same images."""
    size = cell.row.options.get("image_size")
    row = replace(
        cell.row,
        name=f"teacher-{cell.row.family}",
        kind="teacher", taught=False, unlabeled=False,
        budget={name: value for name, value in cell.row.budget.items() if name != "epochs"},
        options={} if size is None else {"image_size": size},
    )  # fmt: skip
    return replace(cell, row=row)


def distilled_of(cell: Cell) -> Cell:
    """The cell that distils the teacher's features into the students on all training images, without labels."""
    shared = {name: cell.options[name] for name in _OF_THE_START if name in cell.options}
    name = f"features-{cell.row.family}"
    row = replace(cell.row, name=name, kind="features", taught=False, unlabeled=False, budget={}, options=shared)
    return replace(cell, row=row, fraction=100)


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
