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
from pathlib import Path
from typing import Any

import numpy as np
from accuracy.readouts import frozen, labels_of, pixels, readout
from sections import RESULTS, write_section

from MonaiSKD import __version__
from MonaiSKD.bundle import find_bundle
from MonaiSKD.datasets import DataList, load_datalist
from MonaiSKD.evaluation import classification_metrics

BUNDLES = {"chest_xray": "cxr", "lung_ct": "ct", "brain_mri": "mri"}
TEACHER = "vit_small_patch14_dinov2"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument(
        "--teacher", type=Path, help="weights of vit_small_patch14_dinov2; without it no second yardstick"
    )
    options = parser.parse_args()
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
    data = load_datalist(manifest, class_names=contract["class_names"])
    found = [row(bundle, "pixels 24 x 24 + logistic regression", "", regression(pixels(data, bundle), data))]
    if teacher is not None:
        cache = run.parent / f"{TEACHER}_{bundle}.npz"
        features = frozen(data, bundle, {"teacher": TEACHER}, teacher, cache)
        found.append(row(bundle, "frozen DINOv2 ViT-S + logistic regression", "22.06 M", regression(features, data)))
    size = f"{run_metrics['cost']['parameters'] / 1e6:.2f} M"
    return [*found, row(bundle, f"**{contract['student']}, the bundle's recipe**", size, run_metrics["test"])]


def regression(features: dict[str, np.ndarray], data: DataList) -> dict[str, Any]:
    logits, labels = readout(features, labels_of(data))["test"]
    return classification_metrics(logits.softmax(1).numpy(), labels.numpy(), list(data.class_names))


def row(bundle: str, name: str, size: str, metrics: dict[str, Any]) -> str:
    cells = []
    for key in ("balanced_accuracy", "macro_auc", "ece"):
        cells.append("{value:.1f} ({low:.1f} to {high:.1f})".format(**{k: 100 * v for k, v in metrics[key].items()}))
    return f"| {bundle} ({metrics['n']}) | {name} | {size} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
