"""How unlike its training images an image is, read off the features of the classifier itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_GRID = 8
_CHANNELS = 32
_HIDDEN = 32
_DROPOUT = 0.2
# What `limit` becomes: beyond it an image is atypical.
LIMIT = 0.5


class Typicality(nn.Module):
    """A small network on :func:`~MonaiSKD.models.features.feature_maps` that tells training images from others.

    It sees features of texture and anatomy with their places: the last features of a classifier know the classes and
    little else, and cannot tell an image from its upside-down copy. Fitted by
    :func:`MonaiSKD.evaluation.fit_typicality`.

    Args:
        channels: C, of the features.

    Shapes:
        input: [N, C, h, w].
        output: [N] in [0, 1]; above 0.5 the image lies beyond the limit set on validation images.

    Attributes:
        limit: the raw score that becomes 0.5.
    """

    mean: Tensor
    scale: Tensor
    limit: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("scale", torch.ones(1, channels, 1, 1))
        self.register_buffer("limit", torch.zeros(()))
        self.head = nn.Sequential(
            nn.Conv2d(channels, _CHANNELS, 1),
            nn.ReLU(),
            nn.Conv2d(_CHANNELS, _CHANNELS, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(_DROPOUT),
            nn.Linear(_CHANNELS * (_GRID // 2) ** 2, _HIDDEN),
            nn.ReLU(),
            nn.Dropout(_DROPOUT),
            nn.Linear(_HIDDEN, 1),
        )

    @staticmethod
    def coarse(features: Tensor) -> Tensor:
        """Features [N, C, h, w] -> [N, C, 8, 8], all that is looked at; coarse features stay as they are."""
        return functional.adaptive_avg_pool2d(features, _GRID)

    def standardise(self, features: Tensor) -> Tensor:
        """Coarse features -> zero mean and about unit variance per channel over the images of the fit."""
        return (features - self.mean) / self.scale

    def read(self, standard: Tensor) -> Tensor:
        """Standardised features -> raw scores [N], the higher the less typical."""
        scores: Tensor = self.head(standard)[:, 0]
        return scores

    def score(self, features: Tensor) -> Tensor:
        """Features -> raw scores [N]."""
        return self.read(self.standardise(self.coarse(features)))

    def forward(self, features: Tensor) -> Tensor:
        """Features -> atypicality [N]."""
        return (self.score(features) - self.limit).sigmoid()
