"""Distillation between logits: standardised, softened, Kullback-Leibler."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

Coupling = Literal["own", "cross", "mean"]

_EPSILON = 1e-7  # for rows whose logits are all alike


def standardise(logits: Tensor) -> Tensor:
    """Z-score of each row of logits [N, K].

    Sun et al., "Logit Standardization in Knowledge Distillation" (CVPR 2024, arXiv 2403.01427, equation 12): a small
    student need not match the magnitude of its teacher's logits, only their relations.

    Example:
        >>> standardise(torch.tensor([[0.0, 2.0]]))
        tensor([[-1.0000,  1.0000]])
    """
    logits = logits.float()
    return (logits - logits.mean(1, keepdim=True)) / (logits.std(1, keepdim=True, unbiased=False) + _EPSILON)


def logit_loss(student: Tensor, teacher: Tensor, temperature: float = 2.0, standardised: bool = True) -> Tensor:
    """Kullback-Leibler divergence tau^2 KL(softmax(teacher / tau) || softmax(student / tau)), mean over the images.

    Args:
        student: logits [N, K]; gradients flow here only.
        teacher: logits [N, K].
        temperature: tau > 0.
        standardised: compare z-scores instead of raw logits. With two classes a z-score is always +-1, which says
            which class and not how surely: then raw logits are compared whatever this says.

    Reference: Hinton et al., arXiv 1503.02531, section 2.
    """
    teacher = teacher.detach().float()
    student = student.float()
    if standardised and student.shape[1] > 2:
        student, teacher = standardise(student), standardise(teacher)
    return temperature**2 * functional.kl_div(
        functional.log_softmax(student / temperature, 1),
        functional.log_softmax(teacher / temperature, 1),
        reduction="batchmean",
        log_target=True,
    )


def couple(teachers: list[Tensor], coupling: Coupling) -> list[Tensor]:
    """Which EMA teacher's logits each student follows: its own, the other's, or the mean of all.

    Args:
        teachers: logits [N, K], one per student.

    Returns:
        target logits [N, K], one per student.
    """
    if coupling not in get_args(Coupling):
        raise ValueError(f"coupling is {coupling!r}; it must be one of {', '.join(get_args(Coupling))}")
    if coupling == "cross":
        return teachers[1:] + teachers[:1]
    if coupling == "mean":
        return [torch.stack(teachers).mean(0)] * len(teachers)
    return teachers
