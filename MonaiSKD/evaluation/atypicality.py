"""Fitting the judgement of whether an image is one that the model was made for.

A distance of the features from the training classes alone (Mahalanobis; Lee et al., arXiv 1807.03888) was measured and
does not do: see docs/benchmarks.md. Outlier exposure does: a small network on the same features learns to tell training
images from images made for the purpose, and its limit is set on validation images.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from MonaiSKD.errors import SKDError
from MonaiSKD.evaluation.outliers import outliers, typical_variants
from MonaiSKD.models.classifier import Classifier
from MonaiSKD.models.features import feature_maps
from MonaiSKD.models.typicality import Typicality
from MonaiSKD.reading import Modality

# At most so many training images are used: a thousand tell what images of this kind look like.
LARGEST_SAMPLE = 600
# The share of the validation images that stays below the limit, or more: with fewer than a hundred, all.
TYPICAL_SHARE = 0.99
_MARGIN = 0.01  # logits, so that the image that sets the limit stays below it whatever a model file's rounding is
_EPOCHS, _BATCH, _LEARNING_RATE, _WEIGHT_DECAY, _NOISE = 12, 128, 2e-3, 0.05, 0.1


def fit_typicality(
    classifier: Classifier,
    training: Sequence[Tensor],
    validation: Sequence[Tensor],
    modality: Modality,
    device: torch.device,
    seed: int = 0,
) -> Typicality:
    """Fit the typicality of a trained classifier.

    Args:
        classifier: trained; it is only read.
        training: canonical images [1, S, S] of S = `classifier.image_size`.
        validation: likewise; they set the limit alone.
        modality: of the images.
        device: where the features are computed.
        seed: of the generated images and of the fit.

    Returns:
        on the CPU, in evaluation mode; at least 99 % of the validation images lie below its limit, of fewer than 100
        all. Of further images like them about one in (images + 1) lies beyond, and of many 1 %.

    Raises:
        SKDError: there are fewer than two training images or no validation image.
    """
    if len(training) < 2 or not len(validation):
        raise SKDError("atypicality", "it needs training and validation images", "Add images to both splits")
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(training))[:LARGEST_SAMPLE]
    images = torch.stack([torch.as_tensor(training[k]) for k in chosen])
    typical = torch.cat([images, typical_variants(images, generator), typical_variants(images, generator)])
    atypical = torch.cat(list(outliers(images, modality, generator).values()))
    features = [_features(classifier, part, device) for part in (typical, atypical)]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        typicality = _fitted(*features)
    held_out = typicality.score(_features(classifier, torch.stack([torch.as_tensor(v) for v in validation]), device))
    limit = torch.quantile(held_out.detach(), TYPICAL_SHARE, interpolation="higher")
    typicality.limit.fill_(float(limit) + _MARGIN)
    return typicality.requires_grad_(False).eval()


@torch.no_grad()
def measure_atypicality(
    classifier: Classifier, typicality: Typicality, images: Sequence[Tensor], device: torch.device
) -> Tensor:
    """Atypicality [N] of canonical images [1, S, S] of one size; above 0.5 lies beyond the limit."""
    stacked = torch.stack([torch.as_tensor(image) for image in images])
    atypicality: Tensor = typicality(_features(classifier, stacked, device))
    return atypicality


@torch.no_grad()
def _features(classifier: Classifier, images: Tensor, device: torch.device) -> Tensor:
    classifier = classifier.to(device).eval()
    return torch.cat(
        [Typicality.coarse(feature_maps(classifier, part.to(device))).float().cpu() for part in images.split(64)]
    )


def _fitted(typical: Tensor, atypical: Tensor) -> Typicality:
    typicality = Typicality(typical.shape[1])
    features = torch.cat([typical, atypical])
    typicality.mean.copy_(typical.mean((0, 2, 3), keepdim=True))
    typicality.scale.copy_(features.std((0, 2, 3), keepdim=True) + 1e-6)
    inputs = typicality.standardise(features)
    targets = torch.cat([torch.zeros(len(typical)), torch.ones(len(atypical))])
    balance = torch.tensor(len(typical) / len(atypical))
    steps = _EPOCHS * -(-len(inputs) // _BATCH)
    optimiser = torch.optim.AdamW(typicality.head.parameters(), _LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _LEARNING_RATE, total_steps=steps)
    for _ in range(_EPOCHS):
        for batch in torch.randperm(len(inputs)).split(_BATCH):
            noisy = inputs[batch] + _NOISE * torch.randn_like(inputs[batch])
            loss = functional.binary_cross_entropy_with_logits(
                typicality.read(noisy), targets[batch], pos_weight=balance
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return typicality.requires_grad_(False).eval()
