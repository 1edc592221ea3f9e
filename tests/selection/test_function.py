"""What a selected student computes, not only what it holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from MonaiSKD.selection import SelectionPlan, make_plan

Build = Callable[..., nn.Module]


def load(student: nn.Module, plan: SelectionPlan, teacher: nn.Module) -> None:
    student.load_state_dict(plan.apply(teacher.state_dict()), strict=False)
    student.eval()


@pytest.mark.parametrize("family", ["vit", "convnext", "efficientnet"])
@pytest.mark.parametrize("width", ["uniform", "consecutive", "random", "importance"])
@pytest.mark.parametrize("heads", ["whole", "interleaved"])
def test_a_student_of_the_teachers_size_is_the_teacher(
    request: pytest.FixtureRequest, family: str, width: str, heads: str
) -> None:
    build: Build = request.getfixturevalue(family)
    teacher, student = build(num_classes=0), build(seed=1, num_classes=0)
    load(student, make_plan(teacher, student, width=width, heads=heads, phase=1), teacher)  # type: ignore[arg-type]
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(student(images), teacher(images))


@pytest.mark.parametrize("width", ["uniform", "random", "importance"])
@pytest.mark.parametrize("excitation", ["", "_se0.25"])
@pytest.mark.parametrize("phase", [0, 1])
def test_efficientnet_students_of_teachers_with_inert_other_channels_agree(
    efficientnet: Build, width: str, excitation: str, phase: int
) -> None:
    """Channels that are zero after each normalisation carry nothing: without them the output is the same."""
    teacher, student = (
        efficientnet(se=excitation, num_classes=0),
        efficientnet(1, width=10, se=excitation, num_classes=0),
    )
    plan = make_plan(teacher, student, width=width, phase=phase)  # type: ignore[arg-type]
    silence_others(teacher, plan)
    load(student, plan, teacher)
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        wanted, got = teacher.forward_features(images), student.forward_features(images)  # type: ignore[operator]
    kept = list(plan.spaces["head"])
    assert wanted[:, kept].abs().amax() > 0.1
    torch.testing.assert_close(got, wanted[:, kept], rtol=1e-5, atol=1e-5)
    assert set(wanted.abs().amax((0, 2, 3)).nonzero().flatten().tolist()) <= set(kept)


def silence_others(teacher: nn.Module, plan: SelectionPlan) -> None:
    state = teacher.state_dict()
    for entry in plan.tensors.values():
        assert entry.source is not None
        name = entry.source
        # Scale and shift of every normalisation, and all that writes the squeezed channels.
        if entry.axes and entry.axes[0] and (".bn" in f".{name}" or "conv_reduce" in name) and "running" not in name:
            others = sorted(set(range(entry.shape[0])) - set(plan.spaces[entry.axes[0]]))
            state[name][others] = 0.0


@pytest.mark.parametrize("width", ["uniform", "random"])
@pytest.mark.parametrize("phase", [0, 1])
def test_a_whole_head_attends_as_the_teachers_head_did(vit: Build, width: str, phase: int) -> None:
    """On a stream that is zero outside the student's entries, each student head has its teacher head's pattern."""
    teacher, student = vit(depth=1), vit(seed=1, depth=1, embed_dim=12, num_heads=3)
    plan = make_plan(teacher, student, width=width, phase=phase)  # type: ignore[arg-type]
    load(student, plan, teacher)
    stream = torch.randn(2, 17, 12)
    wide = torch.zeros(2, 17, 24)
    wide[..., list(plan.spaces["residual"])] = stream
    heads = list(plan.spaces["blocks.0.heads"])
    torch.testing.assert_close(attention(student, stream), attention(teacher, wide)[:, heads])


def test_interleaved_heads_attend_as_no_head_of_the_teacher(vit: Build) -> None:
    """The published rule, for contrast: the property above is one of whole heads, not of any selection."""
    teacher, student = vit(depth=1), vit(seed=1, depth=1, embed_dim=12, num_heads=3)
    plan = make_plan(teacher, student, heads="interleaved")
    load(student, plan, teacher)
    stream = torch.randn(2, 17, 12)
    wide = torch.zeros(2, 17, 24)
    wide[..., list(plan.spaces["residual"])] = stream
    theirs, mine = attention(teacher, wide), attention(student, stream)
    distances = (mine[:, :, None] - theirs[:, None]).abs().amax(dim=(0, 3, 4))
    assert distances.min() > 0.01


def attention(model: nn.Module, stream: torch.Tensor) -> torch.Tensor:
    module: Any = model.get_submodule("blocks.0.attn")
    batch, tokens, _ = stream.shape
    with torch.inference_mode():
        fused = module.qkv(stream).reshape(batch, tokens, 3, module.num_heads, module.head_dim)
        queries, keys, _ = fused.permute(2, 0, 3, 1, 4)
        pattern: torch.Tensor = (module.scale * queries @ keys.transpose(-2, -1)).softmax(-1)
    return pattern
