"""The large teacher's answers, computed once per image and view."""

from __future__ import annotations

import torch
from torch import Tensor

from MonaiSKD.models.classifier import Classifier, Output


class TeacherTargets:
    """Outputs of the frozen large teacher, optionally remembered.

    When the views of the images repeat (see `distinct_epochs` of the training data), the teacher's answer to each is
    kept in float16 on the CPU and its forward pass is spared the second time.

    Args:
        teacher: the large network.
        remember: keep answers by (epoch, index). Only right when the same pair always means the same pixels.
    """

    def __init__(self, teacher: Classifier, remember: bool = False) -> None:
        self.teacher = teacher
        self.remember = remember
        self._memory: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def __call__(self, images: Tensor, epochs: Tensor, indices: Tensor) -> Output:
        """Teacher's output on canonical images [N, 1, H, W], the views of (epoch, index) [N], [N]."""
        if not self.remember:
            return self._forward(images)
        keys = list(zip(epochs.tolist(), indices.tolist(), strict=True))
        missing = [position for position, key in enumerate(keys) if key not in self._memory]
        if missing:
            output = self._forward(images[missing])
            for row, position in enumerate(missing):
                self._memory[keys[position]] = (output.logits[row].half().cpu(), output.tokens[row].half().cpu())
        logits, tokens = zip(*(self._memory[key] for key in keys), strict=True)
        return Output(
            torch.stack(logits).to(images.device, torch.float32), torch.stack(tokens).to(images.device, torch.float32)
        )

    @torch.no_grad()
    def _forward(self, images: Tensor) -> Output:
        self.teacher.eval()
        return self.teacher.forward_tokens(images)
