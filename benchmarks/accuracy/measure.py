"""What a classifier is worth on validation and test images, after calibration on the former."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from sklearn.metrics import f1_score
from torch import Tensor

from MonaiSKD.evaluation import calibrate, classification_metrics

Predictions = Mapping[str, tuple[Tensor, Tensor]]

_SENSITIVITY = 0.9


def scores(predictions: Predictions, class_names: Sequence[str]) -> dict[str, Any]:
    """Temperature, and per split balanced accuracy, accuracy, macro AUC, ECE with and without it, and macro F1.

    Of two classes F1 is that of the first, which is the disease in the collection that has two.

    Args:
        predictions: "val" and "test" -> logits [N, K], labels [N].
        class_names: K names.
    """
    calibration = calibrate(*predictions["val"], _SENSITIVITY)
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
            "f1": round(float(f1), 6),
        }
    return found


def as_tensors(probabilities: Any, labels: Any) -> tuple[Tensor, Tensor]:
    """Probabilities [N, K] of another library as logits."""
    return torch.tensor(probabilities).clamp_min(1e-7).log(), torch.tensor(labels)
