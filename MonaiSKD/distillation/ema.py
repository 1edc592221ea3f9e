"""The auxiliary teachers: exponential moving averages of the students."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from MonaiSKD.models.classifier import Classifier


def ema_decay(step: int, decay: float) -> float:
    """min(decay, (1 + step) / (10 + step)): an average that warms up, so a short run does not keep its random start.

    The ramp of Tarvainen & Valpola's mean teacher (arXiv 1703.01780) in the form TensorFlow made common.

    Example:
        >>> ema_decay(0, 0.99), ema_decay(10_000, 0.99)
        (0.1, 0.99)
    """
    return min(decay, (1 + step) / (10 + step))


class EMATeachers(nn.Module):
    """One averaged copy of each student: its auxiliary teacher, and the weights by which the student is judged.

    Floating-point buffers (BatchNorm statistics) are averaged like weights; counters are copied.

    Args:
        students: the modules to average.
        decay: final decay in [0, 1), see :func:`ema_decay`.
    """

    def __init__(self, students: list[Classifier], decay: float = 0.99) -> None:
        super().__init__()
        self.decay = decay
        self.teachers = nn.ModuleList(copy.deepcopy(student) for student in students)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> EMATeachers:
        """Stay in evaluation mode: a teacher's BatchNorm statistics come from the average alone."""
        return super().train(False)

    @torch.no_grad()
    def update(self, students: Iterable[nn.Module], step: int) -> None:
        """Move each teacher toward its student; `step` counts the updates from 0."""
        weight = 1 - ema_decay(step, self.decay)
        for teacher, student in zip(self.teachers, students, strict=True):
            targets: list[Tensor] = list(teacher.parameters())
            sources: list[Tensor] = list(student.parameters())
            for target, source in zip(teacher.buffers(), student.buffers(), strict=True):
                if target.is_floating_point():
                    targets.append(target)
                    sources.append(source)
                else:
                    target.copy_(source)
            torch._foreach_lerp_(targets, sources, weight)

    def restart(self, students: Iterable[nn.Module]) -> None:
        """Forget the average: every teacher is its student as it is now."""
        for teacher, student in zip(self.teachers, students, strict=True):
            teacher.load_state_dict(student.state_dict())

    @torch.no_grad()
    def forward(self, images: Tensor) -> list[Tensor]:
        """Canonical images [N, 1, H, W] -> one logits [N, K] per teacher."""
        return [teacher(images) for teacher in self.teachers]

    def teacher(self, index: int) -> Classifier:
        """The `index`-th auxiliary teacher."""
        module = self.teachers[index]
        assert isinstance(module, Classifier)
        return module
