"""The auxiliary teachers follow their students exactly, and share nothing with them."""

import pytest
import torch
from torch import nn

from MonaiSKD.distillation import EMATeachers, ema_decay


def student() -> nn.Module:
    return nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))


def test_decay_warms_up():
    assert [ema_decay(step, 0.99) for step in (0, 10, 10_000)] == [0.1, 0.55, 0.99]


def test_teacher_after_two_updates_by_hand():
    network = student()
    nn.init.constant_(network[0].weight, 0.0)
    ema = EMATeachers([network], decay=0.5)
    nn.init.constant_(network[0].weight, 1.0)
    ema.update([network], step=0)  # decay 0.1: 0.1 * 0 + 0.9 * 1
    ema.update([network], step=100)  # decay 0.5: 0.5 * 0.9 + 0.5 * 1
    assert ema.teachers[0][0].weight.item() == pytest.approx(0.95)


def test_batch_norm_statistics_are_averaged_and_never_aliased():
    network = student()
    ema = EMATeachers([network], decay=0.5)
    network.train()(torch.tensor([[1.0], [3.0]]))
    ema.update([network], step=0)
    kept = ema.teachers[0][1].running_mean.clone()
    assert torch.allclose(kept, network[1].running_mean * 0.9)
    assert ema.teachers[0][1].num_batches_tracked == 1
    network(torch.tensor([[10.0], [30.0]]))
    assert torch.equal(ema.teachers[0][1].running_mean, kept)


def test_teachers_stay_in_evaluation_mode_without_gradients():
    ema = EMATeachers([student(), student()]).train()
    assert not any(module.training for module in ema.modules())
    assert not any(parameter.requires_grad for parameter in ema.parameters())
    assert len(ema(torch.ones(1, 1))) == 2
