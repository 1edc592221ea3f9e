"""Harm that images come to: the same at every look, at three named strengths each.

Strengths are severities 1, 3 and 5 of published scales: noise, JPEG and contrast of MedMNIST-C's ChestMNIST (Di Salvo
et al. 2024, arXiv 2406.17536), blur of ImageNet-C (Hendrycks and Dietterich 2019, arXiv 1903.12261). Rotation and crop
are in neither; theirs are our choice: the first rotation lies within what augmentation shows the networks, the last far
outside. A crop is shown in no training that stretches images along one axis only (`augmentation` of [1, 0]).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

SIZE = 224
"""Side in pixels at which images are harmed, whatever the network's own size: the published scales are made for it."""


@dataclass(frozen=True)
class Corruption:
    """One kind of harm.

    Attributes:
        title: what tables call it, with the unit of its strengths.
        strengths: mild, medium, strong.
        apply: image [1, S, S] in [0, 1], strength, number of the image -> image in [0, 1], not always of size S.
    """

    title: str
    strengths: tuple[float, float, float]
    apply: Callable[[Tensor, float, int], Tensor]


def noise(image: Tensor, deviation: float, number: int) -> Tensor:
    """Add white Gaussian noise and clip; the number of the image is the seed."""
    drawn = torch.randn(image.shape, generator=torch.Generator().manual_seed(number))
    noisy: Tensor = (image + deviation * drawn).clamp(0, 1)
    return noisy


def blur(image: Tensor, deviation: float, number: int) -> Tensor:
    """Smooth by a Gaussian of `deviation` pixels."""
    # Much faster than torchvision's, which does not take rows and columns apart.
    return torch.from_numpy(gaussian_filter(image.numpy(), (0, deviation, deviation)))


def jpeg(image: Tensor, quality: float, number: int) -> Tensor:
    """Store as 8-bit JPEG and read again."""
    stored = F.jpeg(F.to_dtype(image, torch.uint8, scale=True), round(quality))
    read: Tensor = F.to_dtype(stored, torch.float32, scale=True)
    return read


def contrast(image: Tensor, factor: float, number: int) -> Tensor:
    """Draw all values towards the mean of the image."""
    flatter: Tensor = F.adjust_contrast(image, factor)
    return flatter


def rotation(image: Tensor, degrees: float, number: int) -> Tensor:
    """Turn about the centre, every other image the other way; corners become black, as in augmentation."""
    turned: Tensor = F.rotate(image, degrees if number % 2 else -degrees, InterpolationMode.BILINEAR)
    return turned


def crop(image: Tensor, share: float, number: int) -> Tensor:
    """Keep the middle `share` of each side; networks stretch what is left to their size."""
    middle: Tensor = F.center_crop(image, [round(side * share) for side in image.shape[-2:]])
    return middle


CORRUPTIONS = {
    "noise": Corruption("Gaussian noise, standard deviation", (0.04, 0.12, 0.26), noise),
    "blur": Corruption("Gaussian blur, standard deviation in pixels", (1, 3, 6), blur),
    "jpeg": Corruption("JPEG, quality", (50, 15, 7), jpeg),
    "contrast": Corruption("contrast, factor", (0.9, 0.7, 0.4), contrast),
    "rotation": Corruption("rotation, degrees", (5, 15, 30), rotation),
    "crop": Corruption("centre crop, share of the side kept", (0.9, 0.75, 0.6), crop),
}


def corrupt(images: Tensor, name: str, strength: float) -> Tensor:
    """Harm canonical images [N, 1, S, S] in [0, 1]; the result [N, 1, T, T] has T < S after a crop.

    What is random depends on the position of an image alone, so that all networks see the same pixels.
    """
    apply = CORRUPTIONS[name].apply
    return torch.stack([apply(image, strength, number) for number, image in enumerate(images)])
