"""How models stand another framing of their validation images: centre crops, as in the tables of harmed images.

    monai-skd train brain_mri DATA/mri/manifest.csv --out ONE/brain_mri --set "augmentation=[1.0, 0.0]"  # and so on
    python benchmarks/framing.py --data DATA --models "one axis=ONE" "both axes=BOTH"

DATA holds cxr/, ct/ and mri/ with a manifest.csv each, the folders of models a run folder for each bundle. Validation
images, since the choice of a recipe may rest on them alone; intervals of differences to the first of the models are
drawn over patients where these are known.
"""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path

import numpy as np
import torch
from accuracy.corruptions import CORRUPTIONS, SIZE, corrupt
from accuracy.plan import SETTINGS, TITLES
from sections import RESULTS, table, write_section

from MonaiSKD import __version__
from MonaiSKD.datasets import load_datalist
from MonaiSKD.engines.runfolder import MODEL_FILE
from MonaiSKD.evaluation import classification_metrics, resamples
from MonaiSKD.models.classifier import resize
from MonaiSKD.reading import RULES, read_image
from MonaiSKD.runtime import open_model

FRAMINGS = (1.0, *CORRUPTIONS["crop"].strengths)
DRAWS = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", nargs="+", required=True, metavar="TITLE=DIR", help="run folders, named")
    options = parser.parse_args()
    models = {title: Path(folder) for title, folder in (text.split("=", 1) for text in options.models)}
    head = [
        "validation images",
        "model",
        *("whole" if share == 1 else f"crop to {100 * share:.0f} %" for share in FRAMINGS),
    ]
    lines = [line for data in TITLES for line in lines_of(data, options.data, models)]
    origin = "python benchmarks/framing.py --data DATA --models " + " ".join(f'"{title}=DIR"' for title in models)
    text = f"<!-- {origin}; MonaiSKD {__version__}; {datetime.date.today()} -->\n{table(head, lines)}"
    write_section(RESULTS, "framing", text)
    print(text)


def lines_of(data: str, folder: Path, models: dict[str, Path]) -> list[list[str]]:
    """Balanced accuracy / macro AUC in % of each model, then the differences to the first."""
    name = SETTINGS["data"][data]
    cases = load_datalist(folder / data / "manifest.csv").of("val")
    images = torch.stack([resize(torch.from_numpy(image(case.path, name))[None], SIZE)[0] for case in cases])
    patients = [case.sampled for case in cases]
    lines, right = [], {}
    for title, runs in models.items():
        model = open_model(runs / name / MODEL_FILE)
        names = list(model.contract.class_names)
        labels = np.array([names.index(case.label) for case in cases])
        cells = []
        for share in FRAMINGS:
            shown = images if share == 1 else corrupt(images, "crop", share)
            probabilities = np.concatenate([model.run(one[None].numpy()).probabilities for one in shown])
            metrics = classification_metrics(probabilities, labels, names, bootstrap=0)
            right[title, share] = probabilities.argmax(1) == labels
            cells.append(f"{percent(metrics, 'balanced_accuracy')} / {percent(metrics, 'macro_auc')}")
        lines.append([f"{TITLES[data]} ({len(cases)})", title, *cells])
    first, *others = models
    for title in others:
        differences = [gain(right[first, share], right[title, share], labels, patients) for share in FRAMINGS]
        lines.append([f"{TITLES[data]}, balanced accuracy, points", f"{title} over {first}", *differences])
    return lines


def image(path: str, modality: str) -> np.ndarray:
    return read_image(path, RULES[modality]).pixels


def percent(metrics: dict, name: str) -> str:
    return f"{100 * metrics[name]['value']:.1f}"


def gain(before: np.ndarray, after: np.ndarray, labels: np.ndarray, patients: list[str]) -> str:
    """Difference of the mean recalls with its 95 % bootstrap interval; what is drawn are patients."""
    weights = np.concatenate([np.ones((1, len(labels))), *resamples(patients, DRAWS)])
    change = after.astype(float) - before
    of_class = [(weights @ (change * (labels == k))) / (weights @ (labels == k)) for k in np.unique(labels)]
    value, *draws = 100 * np.mean(of_class, axis=0)
    low, high = np.percentile(draws, [2.5, 97.5])
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"


if __name__ == "__main__":
    main()
