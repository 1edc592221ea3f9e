"""Which part of the loss speaks when, and to whom."""

import math

import pytest
import torch
from torch import nn

from MonaiSKD.distillation import Objective, TeacherTargets
from MonaiSKD.models.classifier import Output

LABELS = torch.tensor([0, 1])


def output(seed: int) -> Output:
    generator = torch.Generator().manual_seed(seed)
    return Output(torch.randn(2, 3, generator=generator).requires_grad_(), torch.randn(2, 4, 6, generator=generator))


def test_without_labels_the_teacher_alone_is_followed():
    weights = {"features": 1.0, "teacher_logits": 0.5, "skd": 1.0}
    teacher, ema = output(9), torch.randn(2, 3)
    before, after = (Objective(torch.ones(3), label_start=start, **weights) for start in (math.inf, 0.0))
    assert set(before(output(0), LABELS, 0.0, ema, teacher)) == {"loss", "features", "teacher"}
    late = Objective(torch.ones(3), label_start=2, **weights)
    assert set(late(output(0), LABELS, 1.9, ema, teacher)) == {"loss", "features", "teacher"}
    assert set(late(output(0), LABELS, 2.0, ema, teacher)) == {"loss", "features", "teacher", "labels", "skd"}
    assert set(after(output(0), LABELS, 0.0, ema, teacher)) == {"loss", "features", "teacher", "labels", "skd"}


def test_labels_do_not_wait_where_no_teacher_speaks():
    alone = Objective(torch.ones(3), label_start=2, skd=1.0)
    assert set(alone(output(0), LABELS, 0.0, torch.randn(2, 3))) == {"loss", "labels", "skd"}
    assert alone.label_start == 0


def test_the_loss_is_the_sum_of_its_parts():
    with torch.no_grad():
        parts = Objective(torch.ones(3), features=0.3)(output(0), LABELS, 5.0, torch.randn(2, 3), output(9))
    assert float(parts.pop("loss")) == pytest.approx(sum(float(part) for part in parts.values()))


def test_the_loss_reaches_the_student_and_not_whom_it_follows():
    student, followed = output(0), output(1)
    Objective(torch.ones(3))(student, LABELS, 9.0, followed.logits)["loss"].backward()
    assert student.logits.grad is not None
    assert followed.logits.grad is None


def test_self_distillation_is_ramped():
    objective = Objective(torch.ones(3), ramp_epochs=10)
    ema = torch.randn(2, 3, generator=torch.Generator().manual_seed(5))
    start, middle, end = (objective(output(0), LABELS, epoch, ema)["skd"].item() for epoch in (0.0, 5.0, 10.0))
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
