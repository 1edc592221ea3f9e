"""The three bundles' trained students beside two yardsticks, all measured on the same test images in one table.

    python benchmarks/yardsticks.py --data DATA --runs RUNS --teacher DINOV2.safetensors

DATA holds cxr/, ct/ and mri/ with a manifest.csv each, RUNS the folders chest_xray/, lung_ct/ and brain_mri/ that
`monai-skd train` left. The yardsticks: logistic regression on 24 x 24 pixels, and on the features of a frozen DINOv2
ViT-S at 224 pixels (class token and mean of the patch tokens); the strength C is chosen on the validation images.
"""

from __future__ import annotations

import argparse
import datetime
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sections import RESULTS, write_section
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from MonaiSKD import __version__
from MonaiSKD.bundle import find_bundle
from MonaiSKD.datasets import load_datalist
from MonaiSKD.engines.precision import autocast, resolve_precision
from MonaiSKD.evaluation import classification_metrics
from MonaiSKD.files import atomic_path
from MonaiSKD.models import Teacher, load_teacher
from MonaiSKD.models.classifier import resize
from MonaiSKD.transforms import ReadCanonicald

BUNDLES = {"chest_xray": "cxr", "lung_ct": "ct", "brain_mri": "mri"}
SPLITS = ("train", "val", "test")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument(
        "--teacher", type=Path, help="weights of vit_small_patch14_dinov2; without it no second yardstick"
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    head = [
        f"<!-- python benchmarks/yardsticks.py --data DATA --runs RUNS --teacher FILE; MonaiSKD {__version__}; "
        f"{datetime.date.today()} -->",
        "| data (test images) | classifier | parameters | balanced accuracy % | macro AUC % | ECE % |",
        "|---|---|---|---|---|---|",
    ]
    every = list(head)
    for bundle, folder in BUNDLES.items():
        found = rows(bundle, options.data / folder / "manifest.csv", options.runs / bundle, options.teacher)
        print("\n".join(found), flush=True)
        every += found
        document = find_bundle(bundle).folder / "docs" / "README.md"
        write_section(document, "performance", "\n".join(head + found))
    for document in (RESULTS, RESULTS.parents[1] / "README.md"):
        write_section(document, "performance", "\n".join(every))


def rows(bundle: str, manifest: Path, run: Path, teacher: Path | None) -> list[str]:
    run_metrics = json.loads((run / "metrics.json").read_text())
    contract = json.loads((run / "config.json").read_text())["contract"]
    images, labels = canonical_images(bundle, manifest, contract["class_names"])
    names = contract["class_names"]
    pixels = {split: resize(images[split], 24).flatten(1).numpy() for split in SPLITS}
    found = [row(bundle, "pixels 24 x 24 + logistic regression", "", regression(pixels, labels, names))]
    if teacher is not None:
        features = dinov2_features(images, teacher, run.parent / f"dinov2_{bundle}.npz")
        found.append(
            row(bundle, "frozen DINOv2 ViT-S + logistic regression", "22.06 M", regression(features, labels, names))
        )
    size = f"{run_metrics['cost']['parameters'] / 1e6:.2f} M"
    return [*found, row(bundle, f"**{contract['student']}, the bundle's recipe**", size, run_metrics["test"])]


def canonical_images(bundle: str, manifest: Path, names: list[str]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    data, read = load_datalist(manifest, class_names=names), ReadCanonicald("image", bundle, 224)
    items = {split: data.items(split) for split in SPLITS}
    images = {split: torch.stack([read(item)["image"] for item in items[split]]) for split in SPLITS}
    return images, {split: np.array([item["label"] for item in items[split]]) for split in SPLITS}


def dinov2_features(images: dict[str, torch.Tensor], weights: Path, cache: Path) -> dict[str, np.ndarray]:
    """Class token and mean patch token of every image, computed once and kept beside the runs."""
    if not cache.exists():
        teacher = load_teacher("vit_small_patch14_dinov2", weights, image_size=224)
        found = {split: extract(teacher, images[split]) for split in SPLITS}
        with atomic_path(cache) as beside:
            np.savez(beside, **found)
    with np.load(cache) as stored:
        return {split: stored[split] for split in SPLITS}


@torch.no_grad()
def extract(teacher: Teacher, images: torch.Tensor) -> np.ndarray:
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (teacher.mean, teacher.std))
    parts = []
    device = torch.device("cpu")
    dtype = resolve_precision("auto", device, teacher.module)
    for batch in images.split(32):
        with autocast(device, dtype):
            tokens = teacher.module.forward_features((batch.expand(-1, 3, -1, -1) - mean) / std).float()
        parts.append(torch.cat([tokens[:, 0], tokens[:, 1:].mean(1)], 1))
    return torch.cat(parts).numpy()


def regression(features: dict[str, np.ndarray], labels: dict[str, Any], names: list[str]) -> dict[str, Any]:
    models = [
        make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000)).fit(
            features["train"], labels["train"]
        )
        for strength in (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    ]
    for model in models:
        model.fit(features["train"], labels["train"])
    best = min(models, key=lambda model: log_loss(labels["val"], model.predict_proba(features["val"])))
    return classification_metrics(best.predict_proba(features["test"]), labels["test"], names)


def row(bundle: str, name: str, size: str, metrics: dict[str, Any]) -> str:
    cells = []
    for key in ("balanced_accuracy", "macro_auc", "ece"):
        cells.append("{value:.1f} ({low:.1f} to {high:.1f})".format(**{k: 100 * v for k, v in metrics[key].items()}))
    return f"| {bundle} ({metrics['n']}) | {name} | {size} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
