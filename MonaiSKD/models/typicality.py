"""How unlike its training images an image is, read off the features of the classifier itself."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from MonaiSKD.models.classifier import Classifier

_GRID = 4
_PROJECTION = 64
_HIDDEN = 32
LIMIT = 0.5


def typicality_features(classifier: Classifier, images: Tensor) -> Tensor:
    """Features of the middle of the network on a coarse grid: texture and anatomy, and where in the image they lie.

    The last features know the classes and little else; they cannot tell an image from its upside-down copy.

    Args:
        classifier: any student.
        images: [N, 1, H, W], canonical.

    Returns:
        [N, D]: for convolutional networks the stages of stride 8 and 16, for transformers the block at two thirds of
        the depth, averaged to 4 x 4 cells.
    """
    inputs = classifier.prepare(images)
    backbone: Any = classifier.backbone
    if hasattr(backbone, "cls_token"):
        chosen: list[int] = [2 * len(backbone.blocks) // 3]
    else:
        chosen = [k for k, info in enumerate(backbone.feature_info) if info["reduction"] in (8, 16)]
    maps = backbone.forward_intermediates(inputs, indices=chosen, intermediates_only=True)
    return torch.cat([functional.adaptive_avg_pool2d(part, _GRID).flatten(1) for part in maps], 1)


class Typicality(nn.Module):
    """A small network on :func:`typicality_features` that tells training images from others.

    Fitted by :func:`MonaiSKD.evaluation.fit_typicality`.

    Args:
        features: D, the number of features.

    Shapes:
        input: [N, D].
        output: [N] in [0, 1]; above 0.5 the image lies beyond the limit set on validation images.

    Attributes:
        limit: the raw score that becomes 0.5.
    """

    mean: Tensor
    scale: Tensor
    projection: Tensor
    limit: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.register_buffer("projection", torch.zeros(features, _PROJECTION))
        self.register_buffer("limit", torch.zeros(()))
        self.head = nn.Sequential(nn.Linear(_PROJECTION, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, 1))

    def project(self, features: Tensor) -> Tensor:
        """Features [N, D] -> their standardised leading components [N, P]."""
        return (features - self.mean) / self.scale @ self.projection

    def score(self, features: Tensor) -> Tensor:
        """Features [N, D] -> raw scores [N], the higher the less typical."""
        scores: Tensor = self.head(self.project(features))[:, 0]
        return scores

    def forward(self, features: Tensor) -> Tensor:
        """Features [N, D] -> atypicality [N]."""
        return (self.score(features) - self.limit).sigmoid()
