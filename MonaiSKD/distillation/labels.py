"""Class-weighted cross-entropy that lets unlabeled images pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from MonaiSKD.datasets.unlabeled import UNLABELED


def class_weights(counts: Sequence[int]) -> Tensor:
    """Weights inversely proportional to the class counts [K], scaled so that their mean over the IMAGES is 1.

    Example:
        >>> class_weights([30, 10])
        tensor([0.6667, 2.0000])
    """
    values = torch.tensor(counts, dtype=torch.float64)
    return (values.sum() / (len(counts) * values)).float()


def label_loss(logits: Tensor, labels: Tensor, weights: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of logits [N, K] against labels [N], where the label -1 means unlabeled and costs nothing.

    Labels may be shares of classes [N, K], too (see :class:`~MonaiSKD.distillation.Mixing`); then all count.

    The sum is divided by the number of labeled images, not by the sum of their weights as PyTorch does: so the mean
    over the ranks of a distributed run is the loss of the joint batch.
    """
    if labels.dim() == 2:
        return functional.cross_entropy(logits.float(), labels, weight=weights, label_smoothing=smoothing)
    per_image = functional.cross_entropy(
        logits.float(), labels, weight=weights, ignore_index=UNLABELED, label_smoothing=smoothing, reduction="none"
    )
    return per_image.sum() / (labels != UNLABELED).sum().clamp(min=1)
