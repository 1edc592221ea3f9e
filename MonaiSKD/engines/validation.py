"""Validation scores over all ranks, as Ignite metrics."""

from __future__ import annotations

from typing import Any, Literal

import torch
from ignite.metrics import Metric
from monai.utils import evenly_divisible_all_gather
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from torch import Tensor
from torch.nn import functional

from MonaiSKD.errors import SKDError

Statistic = Literal["auc", "balanced_accuracy", "log_likelihood"]


class ValidationScore(Metric):
    """One number about logits [N, K] and labels [N], larger is better, over the images of all ranks.

    Args:
        statistic: "auc" (macro, one against the rest, over the classes present), "balanced_accuracy", or
            "log_likelihood" (mean natural logarithm of the true class's probability).

    Example:
        >>> score = ValidationScore("balanced_accuracy")
        >>> score.update((torch.tensor([[2.0, 1.0], [2.0, 1.0], [0.0, 1.0]]), torch.tensor([0, 1, 1])))
        >>> score.compute()
        0.75
    """

    def __init__(self, statistic: Statistic) -> None:
        self.statistic = statistic
        super().__init__(output_transform=lambda output: (output["pred"], output["label"]))

    def reset(self) -> None:
        """Forget all images."""
        self._logits: list[Tensor] = []
        self._labels: list[Tensor] = []

    def update(self, output: Any) -> None:
        """Take in one batch: (logits [N, K], labels [N])."""
        self._logits.append(output[0].detach().float())
        self._labels.append(output[1].detach())

    def compute(self) -> float:
        """The statistic over everything taken in since the reset, on every rank alike.

        Raises:
            SKDError: the logits are not finite.
        """
        logits = evenly_divisible_all_gather(torch.cat(self._logits)).cpu()
        if not logits.isfinite().all():
            cause = "it diverged: the network's answers are no finite numbers"
            raise SKDError("training", cause, "Use a smaller learning rate, or precision=float32")
        labels = evenly_divisible_all_gather(torch.cat(self._labels)).cpu()
        return validation_score(logits, labels, self.statistic)


def validation_score(logits: Tensor, labels: Tensor, statistic: Statistic) -> float:
    """The statistic of :class:`ValidationScore` for logits [N, K] and labels [N]."""
    if statistic == "log_likelihood":
        return -float(functional.cross_entropy(logits, labels))
    if statistic == "balanced_accuracy":
        return float(balanced_accuracy_score(labels, logits.argmax(1)))
    probabilities = logits.softmax(1).numpy()
    present = labels.unique().tolist()
    if len(present) < 2:
        return 0.5
    return float(sum(roc_auc_score(labels == k, probabilities[:, k]) for k in present) / len(present))
