from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from MonaiSKD.errors import SKDError
from MonaiSKD.selection import make_plan

Build = Callable[..., nn.Module]


def test_weights_rank_the_hidden_units_by_hand(vit: Build) -> None:
    teacher = vit(depth=1)
    state = teacher.state_dict()
    for key in ("mlp.fc1.weight", "mlp.fc1.bias", "mlp.fc2.weight"):
        state[f"blocks.0.{key}"].zero_()
    # Norms 3 (in the first layer), 2 + 2 (in two layers) and 1.
    state["blocks.0.mlp.fc1.weight"][5, :9] = 1.0
    state["blocks.0.mlp.fc1.weight"][11, 0] = 2.0
    state["blocks.0.mlp.fc2.weight"][0, 11] = -2.0
    state["blocks.0.mlp.fc1.bias"][70] = 1.0
    student = vit(depth=1, mlp_ratio=2 / 24)
    assert make_plan(teacher, student, width="importance").spaces["blocks.0.mlp"] == (5, 11)
    assert make_plan(teacher, student, width="importance", phase=1).spaces["blocks.0.mlp"] == (0, 70)


def test_weights_rank_whole_heads(vit: Build) -> None:
    teacher = vit(depth=1)
    for head, factor in ((1, 3.0), (4, 4.0), (5, 2.0)):
        teacher.state_dict()["blocks.0.attn.proj.weight"][:, 4 * head : 4 * head + 4] *= factor
    plan = make_plan(teacher, vit(depth=1, embed_dim=12, num_heads=3), width="importance")
    assert plan.spaces["blocks.0.heads"] == (1, 4, 5)


def test_activations_rank_what_the_images_excite(vit: Build, efficientnet: Build) -> None:
    images = torch.randn(5, 3, 32, 32)
    teacher = vit(depth=1)
    teacher.state_dict()["blocks.0.mlp.fc1.bias"][[3, 40]] = 50.0
    teacher.train()
    student = vit(depth=1, mlp_ratio=2 / 24)
    assert make_plan(teacher, student, width="importance", images=images).spaces["blocks.0.mlp"] == (3, 40)
    assert all(module.training for module in teacher.modules())

    teacher = efficientnet()
    # The last features, which only the classifier reads, and the stream of one stage.
    teacher.state_dict()["bn2.weight"][:] = 0.1
    teacher.state_dict()["bn2.bias"][:] = 2.0
    teacher.state_dict()["bn2.bias"][:32] = -50.0
    teacher.state_dict()["blocks.1.0.bn3.bias"][::2] = 30.0
    plan = make_plan(teacher, efficientnet(width=8), width="importance", images=images)
    assert plan.spaces["head"] == tuple(range(32, 64))
    assert plan.spaces["stage1"] == tuple(range(0, 16, 2))


def test_importance_needs_weights_and_other_rules_no_images(vit: Build) -> None:
    with pytest.raises(SKDError, match="a name has no weights to rank"):
        make_plan("vit_small_patch16_224", "vit_tiny_patch16_224", width="importance")
    with pytest.raises(SKDError, match="does not look at any"):
        make_plan(vit(), vit(), images=torch.zeros(1, 3, 32, 32))
