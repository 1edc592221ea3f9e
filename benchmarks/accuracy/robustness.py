"""What trained networks lose on harmed images, and what remains of them when the organ is hidden.

Every test image is brought to 224 pixels, harmed there, and resized by the network as any other image is. So the
reference is the clean image by the same way, which is not quite the figure of the accuracy tables.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from accuracy import robustness_tables
from accuracy.corruptions import CORRUPTIONS, SIZE, corrupt
from accuracy.masks import blank, regions
from accuracy.plan import HERE, SETTINGS, Cell, load_row
from accuracy.records import append_record, circumstances, read_records, records_of
from MonaiSKD.bundle import find_bundle
from MonaiSKD.datasets import load_datalist
from MonaiSKD.engines import resolve_device
from MonaiSKD.engines.runfolder import MODEL, load_weights
from MonaiSKD.errors import SKDError
from MonaiSKD.evaluation import classification_metrics
from MonaiSKD.models import Classifier
from MonaiSKD.transforms import ReadCanonicald

RECORDS = HERE / "robustness.jsonl"

Condition = tuple[str, float | None]
"""What is done to the images, and how strongly where that can be chosen."""

Identity = tuple[str, str, str, float | None]
"""Cell, digest and condition."""

CONDITIONS: list[Condition] = [
    ("clean", None),
    *((name, strength) for name, corruption in CORRUPTIONS.items() for strength in corruption.strengths),
    ("blanked", None),
    ("only", None),
]


@dataclass(frozen=True)
class Trained:
    """A network of results.jsonl.

    Attributes:
        cell: what it is.
        temperature: of its calibration on validation images.
        missing: the conditions that it has not been under.
    """

    cell: Cell
    temperature: float
    missing: list[Condition]

    def weights(self, out: Path) -> Path:
        """Where its weights lie below `out`, if it was trained there."""
        return out / "runs" / self.cell.folder / MODEL

    def load(self, out: Path, device: torch.device) -> Classifier:
        """The calibrated network from its run folder below `out`."""
        classes = find_bundle(self.cell.bundle).config["class_names"]
        network = Classifier(self.cell.network, len(classes), self.cell.options["image_size"])
        load_weights(network, self.weights(out))
        network.temperature.fill_(self.temperature)
        return network.to(device).eval()


def measure(options: argparse.Namespace) -> None:
    """Measure what robustness.jsonl does not have yet, then write the section of the document."""
    device = resolve_device(options.device)
    done = {identity(record) for record in read_lines(RECORDS)}
    for data in SETTINGS["data"]:
        networks = at_hand(find_trained(options.rows, data, options.fraction, options.seeds, done), options.out)
        for record in look(data, networks, options.data, options.out, device):
            append_record({**record, **circumstances(device)}, RECORDS)
    robustness_tables.write(read_lines(RECORDS), options.fraction)


def at_hand(networks: list[Trained], out: Path) -> list[Trained]:
    """Those whose weights lie below `out`: a table grows over several sittings, and perhaps machines."""
    for trained in networks:
        if trained.missing and not trained.weights(out).exists():
            print(f"left out: {trained.cell.key}, which was not trained in {out}", flush=True)
    return [trained for trained in networks if trained.weights(out).exists()]


def find_trained(
    rows: list[str], data: str, fraction: int, seeds: list[int] | None, done: set[Identity]
) -> list[Trained]:
    """The networks of these rows that results.jsonl has, as the rows are configured now.

    Raises:
        SKDError: a row is no network.
    """
    records = [
        record
        for record in read_records()
        if (record["data"], record["fraction"]) == (data, fraction) and (not seeds or record["seed"] in seeds)
    ]
    found = []
    for row in map(load_row, rows):
        if row.kind not in ("student", "teacher"):
            raise SKDError(f"row {row.name}", "it is a logistic regression", "Name rows of trained networks")
        cells = {seed: Cell(row, data, fraction, seed) for seed in sorted({record["seed"] for record in records})}
        known = records_of(cells.values(), records)
        for cell in cells.values():
            if cell.key in known:
                missing = [which for which in CONDITIONS if (cell.key, cell.digest, *which) not in done]
                found.append(Trained(cell, known[cell.key]["temperature"], missing))
    return found


def look(data: str, networks: list[Trained], source: Path, out: Path, device: torch.device) -> Iterator[dict[str, Any]]:
    """One record for each network and each condition that it has not been under."""
    loaded = [(trained, trained.load(out, device)) for trained in networks if trained.missing]
    if not loaded:
        return
    images, labels, names = read_test(source, data)
    masks = regions(images, data)
    for condition in CONDITIONS:
        concerned = [(trained.cell, network) for trained, network in loaded if condition in trained.missing]
        if not concerned:
            continue
        harmed = under(condition, images, masks)
        for cell, network in concerned:
            metrics = classification_metrics(classify(network, harmed), labels, names, bootstrap=0)
            yield {
                "cell": cell.key, "digest": cell.digest, "row": cell.row.name, "data": data, "fraction": cell.fraction,
                "seed": cell.seed, "corruption": condition[0], "strength": condition[1], "images": len(labels),
                **{name: round(metrics[name]["value"], 6) for name in ("balanced_accuracy", "macro_auc", "ece")},
            }  # fmt: skip
        print(f"{data}, {condition[0]} {condition[1] or ''}: {len(concerned)} networks", flush=True)


def read_test(source: Path, data: str) -> tuple[Tensor, list[int], list[str]]:
    """Canonical test images [N, 1, S, S] at :data:`~accuracy.corruptions.SIZE`, labels [N] and class names."""
    bundle = str(SETTINGS["data"][data])
    names = list(find_bundle(bundle).config["class_names"])
    items = load_datalist(source / data / "manifest.csv", class_names=names).items("test")
    read = ReadCanonicald("image", bundle, SIZE)
    return (
        torch.stack([read({"image": item["image"]})["image"] for item in items]),
        [item["label"] for item in items],
        names,
    )


def under(condition: Condition, images: Tensor, masks: Tensor) -> Tensor:
    """Images [N, 1, S, S] under a condition: harmed, without the organ, or with nothing but it (`masks`)."""
    name, strength = condition
    if strength is not None:
        return corrupt(images, name, strength)
    return {"clean": images, "blanked": blank(images, masks), "only": blank(images, ~masks)}[name]


@torch.no_grad()
def classify(network: Classifier, images: Tensor) -> Any:
    """Probabilities [N, K] of canonical images [N, 1, H, W]."""
    device = network.temperature.device
    logits = torch.cat([network(batch.to(device)).double().cpu() for batch in images.split(64)])
    return logits.softmax(1).numpy()


def identity(record: dict[str, Any]) -> Identity:
    """What a record is known by."""
    return record["cell"], record["digest"], record["corruption"], record["strength"]


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All records of a file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
