"""Fitting the heat maps to what they claim: that blanking a place costs the class its evidence there.

Activation maps of the last stage (CAM, arXiv 1512.04150) were measured and do not do for small students on small
images: 3 x 3 to 5 x 5 cells, each of which sees the whole image (docs/benchmarks.md). Blanking the image piece by piece
does (Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", arXiv 1311.2901), but takes a hundred
passes. So it is done once, on training images, and a small head learns to predict it from the features of the one pass
that is made anyway; the idea of learning the explainer, and the sum over a region as its target, are those of Jethani
et al., "FastSHAP", ICLR 2022, arXiv 2107.07436.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from MonaiSKD.errors import SKDError
from MonaiSKD.models.classifier import Classifier
from MonaiSKD.models.evidence import Evidence, contrast
from MonaiSKD.models.features import feature_maps

_SAMPLE = 400
_REGIONS = 32  # per image
_MEASURED = 100  # images tell how faithful the maps are
_EPOCHS, _BATCH, _LEARNING_RATE, _WEIGHT_DECAY = 40, 32, 6e-3, 0.01


def fit_evidence(classifier: Classifier, training: Sequence[Tensor], device: torch.device, seed: int = 0) -> Evidence:
    """Fit the heat maps of a trained classifier.

    Args:
        classifier: trained and calibrated; it is only read.
        training: canonical images [1, S, S] of S = `classifier.image_size`; labels are not needed.
        device: where the passes are made.
        seed: of the sample, the regions and the fit.

    Returns:
        on the CPU, in evaluation mode.

    Raises:
        SKDError: there is no training image.
    """
    if not len(training):
        raise SKDError("heat maps", "there are no training images to fit them on", "Add images")
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(training))[:_SAMPLE]
    images = torch.stack([torch.as_tensor(training[k]) for k in chosen])
    features, regions, losses = _occluded(classifier, images, device, generator)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return _fitted(features, regions, losses)


def occlusion_r2(
    classifier: Classifier, evidence: Evidence, images: Sequence[Tensor], device: torch.device, seed: int = 1
) -> float | None:
    """Share of the variation in what blanked regions cost that the heat maps foretell, on images of any kind.

    Returns:
        1 for a perfect foresight, 0 for none, below 0 for worse than none; None where blanking changes nothing.
    """
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(images))[:_MEASURED]
    stack = torch.stack([torch.as_tensor(images[k]) for k in chosen])
    features, regions, losses = _occluded(classifier, stack, device, generator)
    with torch.no_grad():
        error = (_sums(evidence.read(evidence.standardise(features)), regions) - losses).square().sum()
    total = float(losses.square().sum())
    return 1 - float(error) / total if total > 0 else None


@torch.no_grad()
def _occluded(
    classifier: Classifier, images: Tensor, device: torch.device, generator: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Features [N, C, h, w], random regions [N, R, h, w], and what blanking each costs the logits [N, R, K]."""
    classifier = classifier.to(device).eval()
    features, whole = [], []
    for part in images.split(64):
        features.append(feature_maps(classifier, part.to(device)).float().cpu())
        whole.append(contrast(classifier(part.to(device)).float().cpu(), 1))
    maps, logits = torch.cat(features), torch.cat(whole)
    regions = _random_regions(len(images), maps.shape[-1], generator)
    losses = torch.empty(len(images), _REGIONS, logits.shape[1])
    for k in range(len(images)):
        blanked = functional.interpolate(regions[k][:, None], images.shape[-2:], mode="nearest")
        shown = images[k] * (1 - blanked) + images[k].mean() * blanked
        losses[k] = logits[k] - contrast(classifier(shown.to(device)).float().cpu(), 1)
    return maps, regions, losses


def _random_regions(count: int, side: int, generator: np.random.Generator) -> Tensor:
    """[count, R, side, side] of 0 and 1: one or two rectangles of up to a third of the side each."""
    regions = np.zeros((count, _REGIONS, side, side), dtype=np.float32)
    largest = max(1, side // 3)
    for region in regions.reshape(-1, side, side):
        for _ in range(int(generator.integers(1, 3))):
            height, width = generator.integers(1, largest + 1, 2)
            top, left = generator.integers(0, side - height + 1), generator.integers(0, side - width + 1)
            region[top : top + height, left : left + width] = 1
    return torch.from_numpy(regions)


def _sums(maps: Tensor, regions: Tensor) -> Tensor:
    """Evidence [N, K, h, w] within regions [N, R, h, w] -> [N, R, K]."""
    return torch.einsum("nkij,nrij->nrk", maps, regions)


def _fitted(features: Tensor, regions: Tensor, losses: Tensor) -> Evidence:
    evidence = Evidence(features.shape[1], losses.shape[-1])
    evidence.mean.copy_(features.mean((0, 2, 3), keepdim=True))
    evidence.scale.copy_(features.std((0, 2, 3), keepdim=True) + 1e-6)
    # Zero maps are where it starts, and where it stays when blanking changes nothing.
    last: Any = evidence.head[-1]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    size = losses.std()
    if size == 0:
        return evidence.requires_grad_(False).eval()
    standard = evidence.standardise(features)
    steps = _EPOCHS * -(-len(features) // _BATCH)
    optimiser = torch.optim.AdamW(evidence.head.parameters(), _LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _LEARNING_RATE, total_steps=steps)
    for _ in range(_EPOCHS):
        for batch in torch.randperm(len(features)).split(_BATCH):
            foretold = _sums(evidence.read(standard[batch]), regions[batch])
            loss = functional.mse_loss(foretold, losses[batch] / size)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    with torch.no_grad():
        last.weight.mul_(size)
        last.bias.mul_(size)
    return evidence.requires_grad_(False).eval()
