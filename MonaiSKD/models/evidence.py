"""Where in the image the evidence for each class lies, read off the features of the classifier itself."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from MonaiSKD.models.classifier import Classifier

_HIDDEN = 32
# Cells of 8 pixels: the finest at which the features know more than edges.
_STRIDE = 8


def evidence_features(classifier: Classifier, images: Tensor) -> Tensor:
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


class Evidence(nn.Module):
    """Class heat maps: a small convolution on :func:`evidence_features`.

    Fitted by :func:`MonaiSKD.evaluation.fit_evidence` so that the evidence within any region adds up to what the
    network's logits lose when that region is blanked.

    Args:
        channels: C, of the features.
        num_classes: K.

    Shapes:
        input: [N, C, h, w].
        output: [N, K, h, w], in logits against the mean of all classes: positive speaks for a class.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("scale", torch.ones(1, channels, 1, 1))
        self.head = nn.Sequential(
            nn.Conv2d(channels, _HIDDEN, 3, padding=1), nn.ReLU(), nn.Conv2d(_HIDDEN, num_classes, 1)
        )

    def standardise(self, features: Tensor) -> Tensor:
        """Features [N, C, h, w] -> zero mean and unit variance per channel over the training images."""
        return (features - self.mean) / self.scale

    def read(self, standard: Tensor) -> Tensor:
        """Standardised features [N, C, h, w] -> evidence [N, K, h, w]."""
        # The softmax does not see what all logits share.
        return contrast(self.head(standard), 1)

    def forward(self, features: Tensor) -> Tensor:
        """Features [N, C, h, w] -> evidence [N, K, h, w]."""
        return self.read(self.standardise(features))


def contrast(values: Tensor, axis: int) -> Tensor:
    """Values less their mean over the classes, which lie along `axis`."""
    return values - values.mean(axis, keepdim=True)
