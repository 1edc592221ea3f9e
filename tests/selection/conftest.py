from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from timm.models._efficientnet_builder import decode_arch_def, round_channels
from timm.models.convnext import ConvNeXt
from timm.models.efficientnet import EfficientNet
from timm.models.vision_transformer import VisionTransformer
from torch import nn

Build = Callable[..., nn.Module]

torch.set_num_threads(1)


def randomise(model: nn.Module, seed: int) -> nn.Module:
    """Give every tensor, running statistics and scales included, values that tell it from every other."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                values = torch.rand(tensor.shape, generator=generator)
                centred = values if "running_var" in key or tensor.ndim < 2 else (values - 0.5) * 0.6
                tensor.copy_(centred + 0.2 if tensor.ndim < 2 else centred)
    return model.eval()


def _vit(seed: int = 0, **changes: Any) -> nn.Module:
    options = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 6, "num_classes": 5}
    return randomise(VisionTransformer(**(options | changes)), seed)


def _convnext(seed: int = 0, **changes: Any) -> nn.Module:
    options = {"depths": (1, 2, 3, 1), "dims": (8, 12, 16, 24), "num_classes": 5, "ls_init_value": 0.1}
    return randomise(ConvNeXt(**(options | changes)), seed)


def _efficientnet(
    seed: int = 0, *, width: int = 16, repeats: int = 2, expansion: int = 2, se: str = "", **changes: Any
) -> nn.Module:
    stages = [
        [f"ds_r1_k3_s1_e1_c{width // 2}{se}"],
        [f"ir_r{repeats}_k3_s2_e{expansion}_c{width}{se}"],
        [f"ir_r{repeats}_k5_s2_e{expansion}_c{2 * width}{se}"],
    ]
    options = {
        "block_args": decode_arch_def(stages),
        "num_features": 4 * width,
        "stem_size": width,
        "fix_stem": True,
        "round_chs_fn": partial(round_channels, multiplier=0.0),
        "num_classes": 5,
        "act_layer": nn.ReLU6,
    }
    return randomise(EfficientNet(**(options | changes)), seed)


@pytest.fixture
def vit() -> Build:
    """A small vision transformer with random weights: width 24, 6 heads, 3 blocks, 4x4 patches."""
    return _vit


@pytest.fixture
def convnext() -> Build:
    """A small ConvNeXt with random weights."""
    return _convnext


@pytest.fixture
def efficientnet() -> Build:
    """A small EfficientNet with random weights: one depthwise-separable stage, two of inverted residuals."""
    return _efficientnet
