"""The default of the published release, written down here a second time, against the plans on every tensor."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import timm
import torch
from timm.models.convnext import ConvNeXt
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from MonaiSKD.selection import make_plan


def published(tensor: Tensor, shape: torch.Size) -> Tensor:
    for axis, keep in enumerate(shape):
        total = tensor.shape[axis]
        if total % keep == 0:
            indices = torch.arange(keep) * (total // keep)
        else:
            indices = torch.round(torch.linspace(0, total - 1, keep)).long()
        tensor = torch.index_select(tensor, axis, indices)
    return tensor


def femto() -> nn.Module:
    """ConvNeXt-Femto with linear layers, as the teacher has them."""
    model: nn.Module = ConvNeXt(depths=(2, 2, 6, 2), dims=(48, 96, 192, 384), num_classes=0)
    return model


PAIRS: dict[str, Callable[[], tuple[nn.Module, nn.Module]]] = {
    "vit": lambda: (timm.create_model("vit_small_patch16_224"), timm.create_model("vit_tiny_patch16_224")),
    "vit, ratio not whole": lambda: (
        VisionTransformer(img_size=32, patch_size=8, embed_dim=96, depth=4, num_heads=6, num_classes=0),
        VisionTransformer(img_size=32, patch_size=8, embed_dim=60, depth=3, num_heads=5, num_classes=0),
    ),
    "convnext": lambda: (timm.create_model("convnext_tiny", num_classes=0), femto()),
    "convnext, convolutions for linear layers": lambda: (
        timm.create_model("convnext_tiny", num_classes=0),
        timm.create_model("convnext_femto", num_classes=0),
    ),
    "efficientnet": lambda: (timm.create_model("tf_efficientnet_lite2"), timm.create_model("tf_efficientnet_lite0")),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_uniform_interleaved_first_is_the_published_rule(pair: str) -> None:
    teacher, student = PAIRS[pair]()
    state = teacher.state_dict()
    for tensor in state.values():
        # Each element its own value, so that equality means the same element.
        tensor.copy_(torch.arange(tensor.numel()).reshape(tensor.shape))
    plan = make_plan(teacher, student, depth="first", width="uniform", heads="interleaved")
    made = plan.apply(state)
    wanted = {
        key: tensor
        for key, tensor in student.state_dict().items()
        if not key.startswith(("head.w", "head.b", "head.fc", "classifier"))
    }
    assert made.keys() == wanted.keys()
    for key, tensor in wanted.items():
        squeezed = tensor.shape[: state[key].ndim]
        assert torch.equal(made[key], published(state[key], squeezed).reshape(tensor.shape)), key


def test_interleaved_heads_of_other_rules_keep_queries_keys_and_values_aligned() -> None:
    teacher = VisionTransformer(img_size=32, patch_size=8, embed_dim=96, depth=1, num_heads=6, num_classes=0)
    student = VisionTransformer(img_size=32, patch_size=8, embed_dim=60, depth=1, num_heads=5, num_classes=0)
    spaces = make_plan(teacher, student, width="random", heads="interleaved").spaces
    attention = spaces["blocks.0.attn"]
    assert spaces["blocks.0.qkv"] == tuple(part * 96 + index for part in range(3) for index in attention)
