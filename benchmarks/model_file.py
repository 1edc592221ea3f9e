"""Checks of exported model files on real test images: parity, precision, heat maps, atypicality.

    python benchmarks/model_file.py --data DATA --runs RUNS

DATA holds cxr, ct and mri with a manifest.csv each; RUNS holds the run folders chest_xray, lung_ct and brain_mri. The
tables go to docs/benchmarks.md; the rows of a run that is absent stay as they are.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import torch
from accuracy.plan import SETTINGS
from sections import BENCHMARKS, table, write_section
from sklearn.metrics import roc_auc_score
from torch.nn import functional

import MonaiSKD
from MonaiSKD import datasets
from MonaiSKD.engines import TrainedModel, load_run
from MonaiSKD.evaluation import resamples
from MonaiSKD.export import PRECISIONS, export
from MonaiSKD.models.classifier import resize
from MonaiSKD.reading import RULES, read_image
from MonaiSKD.reporting import heat_values
from MonaiSKD.runtime import HeatMap, ModelFile, open_model

FOLDERS = {bundle: folder for folder, bundle in SETTINGS["data"].items()}
# Large enough for every student; what is larger would only cost time.
SIDE = 224
SEED = 0


@dataclass(frozen=True)
class Case:
    """A run with its test images, as canonical pixels [1, 1, H, W] of their own size, and whose they are."""

    name: str
    run: Path
    model: TrainedModel
    images: list[np.ndarray]
    labels: np.ndarray
    patients: list[str]


def test_cases(data: Path, modality: str) -> list[datasets.Case]:
    return datasets.load_datalist(data / FOLDERS[modality] / "manifest.csv").of("test")


def load_case(data: Path, run: Path, modality: str) -> Case:
    model = load_run(run)
    cases = test_cases(data, modality)
    images = [read_image(case.path, RULES[modality]).pixels[None] for case in cases]
    labels = np.array([model.class_names.index(case.label) for case in cases])
    return Case(modality, run, model, images, labels, [case.sampled for case in cases])


def answers(model: ModelFile, images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Probabilities (N, K), heat maps (N, K, h, w), atypicality (N,) of images of any sizes."""
    columns = zip(*(model.run(image) for image in images), strict=True)
    return [np.concatenate(column) for column in columns]


def balanced_accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    right = probabilities.argmax(1) == labels
    return float(np.mean([right[labels == k].mean() for k in np.unique(labels)]))


def precision_rows(case: Case, folder: Path) -> Iterator[list[str]]:
    """Each precision against the training half's own PyTorch network."""
    size = case.model.network.image_size
    with torch.no_grad():
        inputs = [resize(torch.from_numpy(image), size) for image in case.images]
        truth = torch.cat([case.model.network(image).softmax(1) for image in inputs]).numpy()
    for precision in PRECISIONS:
        file = export(case.run, folder / f"{case.name}-{precision}.onnx", precision)
        found = answers(open_model(file), case.images)[0]
        yield [
            case.name,
            precision,
            f"{file.stat().st_size / 1e6:.2f}",
            f"{100 * (found.argmax(1) == truth.argmax(1)).mean():.1f}",
            f"{np.abs(found - truth).max():.1e}",
            f"{100 * balanced_accuracy(found, case.labels):.2f}",
            f"{100 * (balanced_accuracy(found, case.labels) - balanced_accuracy(truth, case.labels)):+.2f}",
        ]


def deletion_row(case: Case, model: ModelFile, rng: np.random.Generator) -> list[str]:
    """Fall of the predicted probability when a fifth of the pixels take the image's mean."""
    probabilities, evidence, _ = answers(model, case.images)
    labels = probabilities.argmax(1)
    names = case.model.class_names
    falls: dict[str, list[float]] = {"heat": [], "cells": [], "pixels": [], "other": []}
    for k, image in enumerate(case.images):
        shape = image.shape[2:]
        orders = {
            "heat": heat_of(evidence[k, labels[k]], names[labels[k]], image, shape),
            "cells": heat_of(rng.random(evidence.shape[2:]).astype(np.float32), "", image, shape),
            "pixels": rng.random(shape),
            "other": heat_of(evidence[rng.integers(len(evidence)), labels[k]], "", image, shape),
        }
        for kind, order in orders.items():
            deleted = image.copy().reshape(-1)
            deleted[np.argsort(-order.ravel(), kind="stable")[: deleted.size // 5]] = image.mean()
            after = model.run(deleted.reshape(image.shape)).probabilities[0, labels[k]]
            falls[kind].append(float(probabilities[k, labels[k]] - after))
    difference = np.array(falls["heat"]) - np.array(falls["cells"])
    drawn = np.concatenate(list(resamples(case.patients, 2000)))
    low, high = np.percentile(drawn @ difference / drawn.sum(1), [2.5, 97.5])
    means = [f"{np.mean(falls[kind]):.3f}" for kind in ("heat", "cells", "pixels", "other")]
    return [case.name, str(len(labels)), *means, f"{difference.mean():+.3f} ({low:+.3f} to {high:+.3f})"]


def heat_of(values: np.ndarray, label: str, image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return heat_values(HeatMap(values, label, 0, image[0, 0]), shape)


def photographs() -> list[np.ndarray]:
    """The pictures that come with scikit-image, in grey."""
    import skimage

    found = []
    for path in sorted((Path(skimage.__file__).parent / "data").iterdir()):
        if path.suffix in (".png", ".jpg"):
            found.append(read_image(path, RULES["chest_xray"]).pixels[None])
    return found


def noises(rng: np.random.Generator) -> list[np.ndarray]:
    shape = (1, 1, SIDE, SIDE)
    uniform = [rng.random(shape) for _ in range(20)]
    normal = [np.clip(rng.normal(0.5, 0.05 + 0.02 * k, shape), 0, 1) for k in range(20)]
    coarse = [torch.from_numpy(rng.random((1, 1, 4 + k, 4 + k))) for k in range(20)]
    blobs = [functional.interpolate(c, (SIDE, SIDE), mode="bicubic").clamp(0, 1).numpy() for c in coarse]
    return [values.astype(np.float32) for values in (*uniform, *normal, *blobs)]


def atypical_kinds(case: Case, data: Path, rng: np.random.Generator) -> dict[str, list[np.ndarray]]:
    kinds = {}
    for other in FOLDERS:
        if other != case.name:
            kinds[other] = [read_image(case.path, RULES[other]).pixels[None] for case in test_cases(data, other)]
    kinds["photographs"] = photographs()
    kinds["noise"] = noises(rng)
    kinds["blank"] = [np.full((1, 1, SIDE, SIDE), value, np.float32) for value in np.linspace(0, 1, 11)]
    for turns in (1, 2, 3):
        turned = [np.ascontiguousarray(np.rot90(image, turns, (2, 3))) for image in case.images]
        kinds[f"turned {90 * turns}"] = turned
    return kinds


def atypicality_rows(case: Case, model: ModelFile, data: Path, rng: np.random.Generator) -> Iterator[list[str]]:
    limit = model.contract.atypicality_threshold
    typical = answers(model, case.images)[2]
    found = {kind: answers(model, images)[2] for kind, images in atypical_kinds(case, data, rng).items()}
    yield [case.name, "its own test images", str(len(typical)), "", f"{100 * (typical > limit).mean():.1f}"]
    for kind, values in found.items():
        yield [
            case.name,
            kind,
            str(len(values)),
            f"{auroc(typical, values):.4f}",
            f"{100 * (values > limit).mean():.1f}",
        ]
    every = np.concatenate(list(found.values()))
    flagged = f"{100 * (every > limit).mean():.1f}"
    yield [case.name, "**all of these**", str(len(every)), f"**{auroc(typical, every):.4f}**", flagged]


def auroc(typical: np.ndarray, atypical: np.ndarray) -> float:
    truth = np.r_[np.zeros(len(typical)), np.ones(len(atypical))]
    return float(roc_auc_score(truth, np.r_[typical, atypical]))


def known_rows(document: str, tables: int) -> list[list[list[str]]]:
    """The rows that the section of the document has, table by table, head and rule left out."""
    found: list[list[list[str]]] = []
    for line in document.partition("<!-- model_file -->")[2].partition("<!-- /model_file -->")[0].splitlines():
        if line.startswith("| model "):
            found.append([])
        elif line.startswith("|") and not line.startswith("| ---"):
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
    return found or [[] for _ in range(tables)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    precision: list[list[str]] = []
    deletion: list[list[str]] = []
    atypical: list[list[str]] = []
    every, known = (precision, deletion, atypical), known_rows(BENCHMARKS.read_text(encoding="utf-8"), 3)
    with tempfile.TemporaryDirectory() as folder:
        for modality in FOLDERS:
            if not (options.runs / modality / "model.pt").is_file():
                print(f"{modality}: no run, its rows stay", file=sys.stderr)
                for rows, before in zip(every, known, strict=True):
                    rows += [row for row in before if row[0] == modality]
                continue
            rng = np.random.default_rng(SEED)
            case = load_case(options.data, options.runs / modality, modality)
            precision += precision_rows(case, Path(folder))
            model = open_model(Path(folder) / f"{modality}-float16.onnx")
            deletion.append(deletion_row(case, model, rng))
            atypical += atypicality_rows(case, model, options.data, rng)
            print(f"{modality}: done", file=sys.stderr)
    made = (
        f"<!-- python benchmarks/model_file.py --data DATA --runs RUNS; MonaiSKD {MonaiSKD.__version__}; seed {SEED}; "
        f"{date.today()} -->"
    )
    sections = [
        made,
        "Test images of the three collections, the file against the training half's PyTorch network:\n",
        table(
            ["model", "weights", "MB", "same label %", "largest difference of a probability", "balanced accuracy %",
             "against PyTorch, points"],
            precision,
        ),
        "\nFall of the predicted probability when a fifth of the image takes the image's mean: by heat, at random in "
        "cells of the heat map's size, at random pixel by pixel, and by another image's heat; last the difference heat "
        "- random cells with its 95 % bootstrap interval over patients:\n",
        table(["model", "images", "by heat", "random cells", "random pixels", "other image's heat", "difference"],
              deletion),
        "\nAtypicality (float16 file): AUROC against the model's own test images, and the share beyond the shipped "
        "limit:\n",
        table(["model", "images", "n", "AUROC", "called atypical %"], atypical),
    ]  # fmt: skip
    write_section(BENCHMARKS, "model_file", "\n".join(sections))


if __name__ == "__main__":
    main()
