"""Logistic regression on what needs no training: small images, and the features of the frozen teacher."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from accuracy.measure import Predictions, as_tensors
from MonaiSKD.datasets import DataList
from MonaiSKD.files import atomic_path
from MonaiSKD.models import Classifier, load_teacher
from MonaiSKD.transforms import ReadCanonicald

PIXELS = 24
FROZEN_SIZE = 224
_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def readout(features: dict[str, np.ndarray], labels: dict[str, np.ndarray]) -> Predictions:
    """Fit on "train", choose the strength C by the log loss on "val"; predictions of "val" and "test"."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        models = [
            make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000)).fit(
                features["train"], labels["train"]
            )
            for strength in _STRENGTHS
        ]
    best = min(models, key=lambda model: log_loss(labels["val"], model.predict_proba(features["val"])))
    return {split: as_tensors(best.predict_proba(features[split]), labels[split]) for split in ("val", "test")}


def labels_of(data: DataList) -> dict[str, np.ndarray]:
    """Class numbers per split."""
    return {split: np.array([item["label"] for item in data.items(split)]) for split in ("train", "val", "test")}


def pixels(data: DataList, modality: str) -> dict[str, np.ndarray]:
    """Canonical images at 24 x 24 pixels, per split."""
    read = ReadCanonicald("image", modality, PIXELS)
    return {
        split: np.stack([read(item)["image"].flatten().numpy() for item in data.items(split)])
        for split in ("train", "val", "test")
    }


def frozen(data: DataList, modality: str, options: dict[str, Any], weights: Path | None, cache: Path) -> dict:
    """Features of the frozen teacher at 224 pixels per split: of a transformer the class token and the mean of the
    others, of a convolutional network the mean over the image. Computed once per image, kept in `cache`."""
    paths = [case.path for case in data.cases]
    known: dict[str, np.ndarray] = {}
    if cache.exists():
        with np.load(cache) as stored:
            known = dict(zip(stored["paths"].tolist(), stored["features"], strict=True))
    if missing := [path for path in paths if path not in known]:
        teacher = load_teacher(options["teacher"], weights, image_size=FROZEN_SIZE)
        network = Classifier(teacher.module, 2, FROZEN_SIZE).eval()
        read = ReadCanonicald("image", modality, FROZEN_SIZE)
        for start in range(0, len(missing), 32):
            batch = missing[start : start + 32]
            features = extract(network, torch.stack([read({"image": path})["image"] for path in batch]))
            known.update(zip(batch, features, strict=True))
        with atomic_path(cache) as beside:
            np.savez(beside, paths=list(known), features=np.stack(list(known.values())))
    return {split: np.stack([known[case.path] for case in data.of(split)]) for split in ("train", "val", "test")}


@torch.no_grad()
def extract(network: Classifier, images: torch.Tensor) -> np.ndarray:
    """Canonical images [N, 1, H, W] -> features [N, D]."""
    features = network.backbone.forward_features(network.prepare(images))
    if features.dim() == 4:
        return features.mean((2, 3)).numpy()
    return torch.cat([features[:, 0], features[:, 1:].mean(1)], 1).numpy()
