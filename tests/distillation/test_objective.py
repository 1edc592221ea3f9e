"""Which part of the loss speaks when, and to whom."""

import pytest
import torch
from torch import nn

from MonaiSKD.distillation import Objective, TeacherTargets
from MonaiSKD.models.classifier import Output

LABELS = torch.tensor([0, 1])


def output(seed: int) -> Output:
    generator = torch.Generator().manual_seed(seed)
    return Output(torch.randn(2, 3, generator=generator).requires_grad_(), torch.randn(2, 4, 6, generator=generator))


def test_labels_and_self_distillation_wait_for_the_features():
    objective = Objective(torch.ones(3), feature_epochs=2, features=1.0, teacher_logits=0.5, skd=1.0)
    teacher, ema = output(9), [torch.randn(2, 3), torch.randn(2, 3)]
    early = objective([output(0), output(1)], LABELS, 1.9, None, teacher)
    late = objective([output(0), output(1)], LABELS, 2.0, ema, teacher)
    assert [set(parts) for parts in early] == [{"loss", "features", "teacher"}] * 2
    assert [set(parts) for parts in late] == [{"loss", "features", "teacher", "labels", "skd"}] * 2


def test_the_loss_is_the_sum_of_its_parts():
    with torch.no_grad():
        parts = Objective(torch.ones(3), features=0.3)([output(0)], LABELS, 5.0, [torch.randn(2, 3)], output(9))[0]
    assert float(parts.pop("loss")) == pytest.approx(sum(float(part) for part in parts.values()))


def test_each_students_loss_reaches_that_student_alone():
    first, second = output(0), output(1)
    losses = Objective(torch.ones(3), coupling="mean")([first, second], LABELS, 9.0, [first.logits, second.logits])
    losses[0]["loss"].backward()
    assert first.logits.grad is not None
    assert second.logits.grad is None


def test_self_distillation_is_ramped():
    objective = Objective(torch.ones(3), ramp_epochs=10)
    ema = [torch.randn(2, 3, generator=torch.Generator().manual_seed(5))]
    start, middle, end = (float(objective([output(0)], LABELS, epoch, ema)[0]["skd"]) for epoch in (0.0, 5.0, 10.0))
    assert start < 0.01 * end
    assert start < middle < end


class Counting(nn.Module):
    """A teacher that says how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.images = 0

    def forward_tokens(self, images: torch.Tensor) -> Output:
        self.images += len(images)
        return Output(images.mean((1, 2, 3))[:, None], images.flatten(1)[:, None])


def test_remembered_answers_spare_the_teacher_and_are_the_same():
    teacher, images = Counting(), torch.rand(3, 1, 2, 2).half().float()
    targets = TeacherTargets(teacher, remember=True)
    epochs, indices = torch.tensor([0, 0, 1]), torch.tensor([4, 5, 4])
    first = targets(images, epochs, indices)
    again = targets(images.flip(0), epochs.flip(0), indices.flip(0))
    assert teacher.images == 3
    assert torch.equal(first.tokens.flip(0), again.tokens)
    assert torch.allclose(first.logits[:, 0], images.mean((1, 2, 3)), atol=1e-3)
