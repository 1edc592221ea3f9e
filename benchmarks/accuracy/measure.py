"""What a classifier is worth on validation and test images, after calibration on the former."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.metrics import f1_score
from torch import Tensor

from MonaiSKD.evaluation import calibrate, classification_metrics
from MonaiSKD.evaluation.calibration import expected_calibration_error

Predictions = Mapping[str, tuple[Tensor, Tensor]]

SENSITIVITY = 0.9
_DRAWS = 200


def scores(predictions: Predictions, class_names: Sequence[str]) -> dict[str, Any]:
    """Temperature, and per split balanced accuracy, accuracy, macro AUC, macro F1, ECE with and without it, and
    the ECE that as many images would give on average if these probabilities were exactly right.

    Of two classes F1 is that of the first, which is the disease in the collection that has two.

    Args:
        predictions: "val" and "test" -> logits [N, K], labels [N].
        class_names: K names.
    """
    calibration = calibrate(*predictions["val"], SENSITIVITY)
    found: dict[str, Any] = {"temperature": calibration.temperature}
    for split, (logits, labels) in predictions.items():
        probabilities = calibration.probabilities(logits)
        metrics = classification_metrics(probabilities, labels.numpy(), list(class_names), bootstrap=0)
        raw = classification_metrics(logits.double().softmax(1).numpy(), labels.numpy(), list(class_names), bootstrap=0)
        chosen = probabilities.argmax(1)
        binary = len(class_names) == 2
        f1 = f1_score(labels.numpy(), chosen, **({"pos_label": 0} if binary else {"average": "macro"}))
        names = ("balanced_accuracy", "accuracy", "macro_auc", "ece")
        found[split] = {
            **{name: round(metrics[name]["value"], 6) for name in names},
            "ece_before": round(raw["ece"]["value"], 6),
            "ece_floor": round(ece_floor(probabilities), 6),
            "f1": round(float(f1), 6),
        }
    return found


def ece_floor(probabilities: np.ndarray, seed: int = 0) -> float:
    """Mean ECE of perfectly calibrated answers [N, K]: labels are drawn from the probabilities themselves.

    ECE in bins is biased upwards, the more the fewer the images: even a perfect forecaster does not reach 0. (Roelofs
    et al., "Mitigating bias in calibration error estimation", AISTATS 2022, arXiv 2012.08668.)
    """
    generator = np.random.default_rng(seed)
    cumulative = probabilities.cumsum(1)
    cumulative[:, -1] = 1.0
    draws = generator.random((_DRAWS, len(probabilities), 1))
    labels = (draws > cumulative).sum(2)
    return float(np.mean([expected_calibration_error(probabilities, drawn) for drawn in labels]))


def as_tensors(probabilities: Any, labels: Any) -> tuple[Tensor, Tensor]:
    """Probabilities [N, K] of another library as logits."""
    return torch.tensor(probabilities).clamp_min(1e-7).log(), torch.tensor(labels)
