"""Two students side by side, as one module: one optimiser, one checkpoint, one distributed wrapper."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from MonaiSKD.models.classifier import Classifier, Output


class StudentPair(nn.Module):
    """The students of a dual initialisation and, for feature distillation, their linear layers to the teacher's width.

    Args:
        students: one :class:`Classifier` per plan (two; one for the single-student control).
        teacher_width: width of the teacher's tokens, None without feature distillation.

    Shapes:
        input: canonical images [N, 1, H, W].
        output: one :class:`Output` per student: logits [N, K] and tokens [N, T, teacher_width].
    """

    def __init__(self, students: list[Classifier], teacher_width: int | None = None) -> None:
        super().__init__()
        self.students = nn.ModuleList(students)
        self.projections = nn.ModuleList(
            [] if teacher_width is None else [nn.Linear(student.num_features, teacher_width) for student in students]
        )

    def __len__(self) -> int:
        return len(self.students)

    def forward(self, images: Tensor) -> list[Output]:
        """Run every student on the same images."""
        outputs = [student.forward_tokens(images) for student in self.students]  # type: ignore[operator]
        if not self.projections:
            return outputs
        return [
            Output(output.logits, projection(output.tokens))
            for output, projection in zip(outputs, self.projections, strict=True)
        ]

    def student(self, index: int) -> Classifier:
        """The `index`-th student."""
        module = self.students[index]
        assert isinstance(module, Classifier)
        return module

    def parameters_of(self, index: int) -> list[torch.nn.Parameter]:
        """All that trains with the `index`-th student: its own parameters and its projection's."""
        parts = [self.students[index], *([self.projections[index]] if self.projections else [])]
        return [parameter for part in parts for parameter in part.parameters()]
