"""The models that the bundles ship beside two yardsticks, and what they do where source and label part.

    python benchmarks/yardsticks.py --data DATA --teacher DINOV2.safetensors

DATA holds cxr/, ct/ and mri/ with a manifest.csv each. The yardsticks: logistic regression on 24 x 24 pixels, and on
the features at 224 pixels of two frozen networks: the bundle's own teacher (mean over the image), whose weights come in
a package, and DINOv2 ViT-S (class token and mean of the patch tokens). The strength C is chosen and a temperature
fitted on the validation images, as those of the students are. Everything is measured on the same test images, whose
intervals are drawn over patients where these are known.
"""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path
from typing import Any

import numpy as np
from accuracy.measure import SENSITIVITY
from accuracy.plan import SETTINGS
from accuracy.readouts import FROZEN_SIZE, frozen, labels_of, pixels, readout
from sections import RESULTS, table, write_section

from MonaiSKD import __version__
from MonaiSKD.bundle import Bundle, list_bundles
from MonaiSKD.datasets import DataList, load_datalist
from MonaiSKD.evaluating import evaluate, in_percent
from MonaiSKD.evaluation import calibrate, classification_metrics, count_parameters
from MonaiSKD.models import Classifier, load_teacher
from MonaiSKD.runtime import find_model, open_model

FOLDERS = {bundle: folder for folder, bundle in SETTINGS["data"].items()}
TEACHER = "vit_small_patch14_dinov2"
HEAD = ["data (test images)", "classifier", "parameters", "balanced accuracy %", "macro AUC %", "ECE %"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, help=f"weights of {TEACHER}; without it no such yardstick")
    parser.add_argument("--cache", type=Path, default=Path("runs/yardsticks"), help="keeps the features of the teacher")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    every: list[list[str]] = []
    for bundle in list_bundles():
        manifest = options.data / FOLDERS[bundle.name] / "manifest.csv"
        metrics = {split: evaluate(bundle.name, manifest, split) for split in ("val", "test")}
        found = [*yardsticks(bundle, manifest, options), shipped(bundle, metrics["test"])]
        print("\n".join(map(str, found)), flush=True)
        every += found
        document = bundle.folder / "docs" / "README.md"
        write_section(document, "performance", said(HEAD, found))
        write_section(document, "decisions", decided(metrics))
        if "by_source" in metrics["test"]:
            write_section(document, "by_source", by_source(metrics))
    for document in (RESULTS, RESULTS.parents[1] / "README.md"):
        write_section(document, "performance", said(HEAD, every))


def said(head: list[str], lines: list[list[str]]) -> str:
    """A table under the comment that says where it comes from."""
    origin = f"python benchmarks/yardsticks.py --data DATA --teacher FILE; MonaiSKD {__version__}"
    return f"<!-- {origin}; {datetime.date.today()} -->\n{table(head, lines)}"


def yardsticks(bundle: Bundle, manifest: Path, options: argparse.Namespace) -> list[list[str]]:
    data = load_datalist(manifest, class_names=bundle.config["class_names"])

    def on_frozen(name: str, weights: Path | None) -> dict[str, Any]:
        cache = options.cache / f"{name}_{bundle.name}.npz"
        return regression(frozen(data, bundle.name, {"teacher": name}, weights, cache), data)

    own = bundle.recipe["teacher"]
    size = f"{count_parameters(load_teacher(own, image_size=FROZEN_SIZE).module) / 1e6:.2f} M"
    title = f"frozen {own} (its own teacher) + logistic regression"
    found = [
        row(bundle, "pixels 24 x 24 + logistic regression", "", regression(pixels(data, bundle.name), data)),
        row(bundle, title, size, on_frozen(own, None)),
    ]
    if options.teacher is not None:
        metrics = on_frozen(TEACHER, options.teacher)
        found.append(row(bundle, "frozen DINOv2 ViT-S + logistic regression", "22.06 M", metrics))
    return found


def shipped(bundle: Bundle, metrics: dict[str, Any]) -> list[str]:
    contract = open_model(find_model(bundle.name)).contract
    network = Classifier(contract.student, len(contract.class_names), contract.image_size)
    size = f"{count_parameters(network) / 1e6:.2f} M"
    return row(bundle, f"**{contract.student}, the bundle's recipe**", size, metrics)


def regression(features: dict[str, np.ndarray], data: DataList) -> dict[str, Any]:
    """Metrics of the test images, calibrated on those of validation."""
    predictions = readout(features, labels_of(data))
    logits, labels = predictions["test"]
    probabilities = calibrate(*predictions["val"], SENSITIVITY).probabilities(logits)
    patients = [case.sampled for case in data.of("test")]
    return classification_metrics(probabilities, labels.numpy(), list(data.class_names), groups=patients)


def row(bundle: Bundle, name: str, size: str, metrics: dict[str, Any]) -> list[str]:
    cells = [in_percent(metrics[key]) for key in ("balanced_accuracy", "macro_auc", "ece")]
    return [f"{bundle.name} ({metrics['n']})", name, size, *cells]


def decided(metrics: dict[str, dict[str, Any]]) -> str:
    """What the shipped model's thresholds reach, and how many images get a clear decision, in each split."""
    head = [
        "class",
        "threshold",
        *(f"{split}: {what} %" for split in metrics for what in ("sensitivity", "specificity")),
    ]
    lines = []
    for name, found in metrics["test"]["thresholds"].items():
        reached = [of_split["thresholds"][name] for of_split in metrics.values()]
        cells = [f"{100 * of[what]:.0f}" for of in reached for what in ("sensitivity", "specificity")]
        lines.append([name, f"{found['threshold']:.2f}", *cells])
    told = [
        f"{of_split['decisions']['one']} of {of_split['n']} {split} images reach the threshold of one class, "
        f"{of_split['decisions']['several']} of several, {of_split['decisions']['none']} of none."
        for split, of_split in metrics.items()
    ]
    return "\n".join([said(head, lines), "", *told])


def by_source(metrics: dict[str, dict[str, Any]]) -> str:
    """How many images whose label is usual, and unusual, for their source are told right, in each split."""
    what = ("images", "right %", "wrong, with a label usual there")
    head = ["label", *(f"{split}: {text}" for split in metrics for text in what)]
    lines = []
    for title in ("usual", "unusual"):
        found = [of_split["by_source"][title] for of_split in metrics.values()]
        cells = [(f"{of['n']}", f"{100 * of['correct'] / of['n']:.0f}", f"{of['taken_for_usual']}") for of in found]
        lines.append([f"{title} for its source", *(cell for three in cells for cell in three)])
    return said(head, lines)


if __name__ == "__main__":
    main()
