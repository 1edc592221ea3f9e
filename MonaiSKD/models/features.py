"""Features of several depths of a student on one grid: what heat maps and typicality are read off."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from MonaiSKD.models.classifier import Classifier

# Cells of 8 pixels: the finest at which the features know more than edges.
_STRIDE = 8


def feature_maps(classifier: Classifier, images: Tensor) -> Tensor:
    """Features of several depths on one grid.

    Args:
        classifier: any student.
        images: [N, 1, H, W], canonical.

    Returns:
        [N, C, h, w]: for convolutional networks the stages of stride 4, 8 and 16 on the grid of stride 8; for
        transformers the tokens of the blocks at a third, two thirds and the end of the depth, on the grid of patches.
    """
    backbone: Any = classifier.backbone
    if hasattr(backbone, "cls_token"):
        depth = len(backbone.blocks)
        chosen: list[int] = [depth // 3 - 1, 2 * depth // 3 - 1, depth - 1]
        middle = 0
    else:
        reductions = [info["reduction"] for info in backbone.feature_info]
        chosen = [k for k, reduction in enumerate(reductions) if reduction in (_STRIDE // 2, _STRIDE, _STRIDE * 2)]
        middle = [reductions[k] for k in chosen].index(_STRIDE)
    maps = backbone.forward_intermediates(classifier.prepare(images), indices=chosen, intermediates_only=True)
    grid = maps[middle].shape[-2:]
    return torch.cat([_on_grid(part, grid) for part in maps], 1)


def _on_grid(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    if maps.shape[-1] > grid[1]:
        return functional.adaptive_avg_pool2d(maps, grid)
    if maps.shape[-1] < grid[1]:
        return functional.interpolate(maps, grid, mode="bilinear", align_corners=False)
    return maps
