"""Where in the image the evidence for each class lies, read off the features of the classifier itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_HIDDEN = 32


class Evidence(nn.Module):
    """Class heat maps: a small convolution on :func:`~MonaiSKD.models.features.feature_maps`.

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
