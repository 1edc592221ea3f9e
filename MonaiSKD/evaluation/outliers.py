"""Images that a model was not made for, made without any data: they teach it to say so.

Source of the idea: Hendrycks et al., "Deep Anomaly Detection with Outlier Exposure", ICLR 2019, arXiv 1812.04606.
Half of them are training images with their anatomy broken (turned, upside down, negative, shuffled, a crop far too
close), half are no such images at all (phantoms of the other modalities, textures, shapes, noise, blanks).
"""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as PILImage
from PIL import ImageDraw
from torch import Tensor
from torch.nn import functional

from MonaiSKD.datasets.phantoms import PHANTOM_CLASSES, make_phantom
from MonaiSKD.models.classifier import resize
from MonaiSKD.reading import RULES, Modality, canonicalise

# What a typical image may differ in: a patient lies a little turned, nearer or further, off the centre.
_TILT_DEGREES, _SCALE, _SHIFT = 12.0, 0.1, 0.1
_PHANTOM_SIDE = 96
_ENOUGH = 300  # training images


def typical_variants(images: Tensor, generator: np.random.Generator) -> Tensor:
    """The images [N, 1, S, S], each turned by at most 12 degrees, scaled by 10 % and shifted by 5 % of the side."""
    count = len(images)
    angles = generator.uniform(-_TILT_DEGREES, _TILT_DEGREES, count)
    scales = generator.uniform(1 - _SCALE, 1 + _SCALE, count)
    return _moved(images, angles, scales, generator.uniform(-_SHIFT, _SHIFT, (count, 2)))


def outliers(images: Tensor, modality: Modality, generator: np.random.Generator) -> dict[str, Tensor]:
    """Atypical images by kind.

    Args:
        images: [N, 1, S, S], canonical training images.
        modality: theirs; phantoms of the other two are drawn.
        generator: the source of all variation.

    Returns:
        kind -> [M, 1, S, S] in [0, 1]. M grows with N; from 300 training images on, the number of those that are not
        made of training images stays the same.
    """
    side = images.shape[-1]

    def many(count: int) -> int:
        return max(8, round(count * min(1.0, len(images) / _ENOUGH)))

    turned = {
        f"turned {90 * k}": torch.rot90(typical_variants(images, generator), k, (2, 3)).contiguous() for k in (1, 2, 3)
    }
    broken = {
        **turned,
        "turned freely": _turned_freely(images, generator),
        "upside down": typical_variants(images, generator).flip(2),
        "negative": 1 - images[::2],
        "shuffled": _shuffled(images[::2], generator),
        "crop": _cropped(images[::4], generator),
    }
    others = [other for other in get_args(Modality) if other != modality]
    foreign = {f"phantom {other}": _phantoms(other, many(150), side, generator) for other in others}
    synthetic = {
        "noise": _noise(many(120), side, generator),
        "clouds": _clouds(many(200), side, generator),
        "shapes": _shapes(many(200), side, generator),
        "gradients": _gradients(many(60), side, generator),
        "flat": _as_tensor(generator.random((many(60), 1, 1, 1))).expand(-1, -1, side, side),
    }
    return {**broken, **foreign, **synthetic}


def _as_tensor(values: npt.NDArray[np.floating]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def _moved(
    images: Tensor,
    degrees: npt.NDArray[np.float64],
    scales: npt.NDArray[np.float64],
    shifts: npt.NDArray[np.float64],
) -> Tensor:
    angle, scale = _as_tensor(np.radians(degrees)), _as_tensor(scales)
    cosine, sine = angle.cos() / scale, angle.sin() / scale
    matrix = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
    grid = functional.affine_grid(
        torch.cat([matrix, _as_tensor(shifts)[:, :, None]], 2), list(images.shape), align_corners=False
    )
    return functional.grid_sample(images, grid, align_corners=False)


def _turned_freely(images: Tensor, generator: np.random.Generator) -> Tensor:
    count = len(images)
    return _moved(images, generator.uniform(45, 315, count), np.ones(count), np.zeros((count, 2)))


def _shuffled(images: Tensor, generator: np.random.Generator, cells: int = 4) -> Tensor:
    """Each image cut into 4 x 4 pieces, put together in another order."""
    side = images.shape[-1]
    square = resize(images, math.ceil(side / cells) * cells)
    pieces = functional.unfold(square, square.shape[-1] // cells, stride=square.shape[-1] // cells)
    mixed = torch.stack([piece[:, generator.permutation(cells * cells)] for piece in pieces])
    size = square.shape[-1]
    return resize(functional.fold(mixed, size, size // cells, stride=size // cells), side)


def _cropped(images: Tensor, generator: np.random.Generator) -> Tensor:
    """An eighth to a third of the side, blown up."""
    side = images.shape[-1]
    parts = []
    for image in images:
        size = int(generator.integers(side // 8, side // 3))
        top, left = generator.integers(0, side - size, 2)
        parts.append(resize(image[None, :, top : top + size, left : left + size], side)[0])
    return torch.stack(parts)


def _phantoms(modality: Modality, count: int, side: int, generator: np.random.Generator) -> Tensor:
    labels = PHANTOM_CLASSES[modality]
    drawn = (make_phantom(modality, labels[k % len(labels)], generator, size=_PHANTOM_SIDE) for k in range(count))
    images = torch.stack([_as_tensor(canonicalise(phantom.pixels, RULES[modality])) for phantom in drawn])
    return typical_variants(resize(images, side), generator)


def _noise(count: int, side: int, generator: np.random.Generator) -> Tensor:
    """Uniform and normal noise of any strength, from single pixels to blobs of a third of the side."""
    images = []
    for k in range(count):
        cells = side if k % 2 else int(generator.integers(3, 40))
        level, spread = generator.random(), generator.random()
        values = level + spread * (generator.random((1, 1, cells, cells)) - 0.5) * 2
        images.append(functional.interpolate(_as_tensor(values), (side, side), mode="bicubic")[0])
    return torch.stack(images).clamp(0, 1)


def _clouds(count: int, side: int, generator: np.random.Generator) -> Tensor:
    """Noise whose strength falls with a power of the frequency, as in photographs."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    frequency[0, 0] = 1 / side
    images = []
    for _ in range(count):
        spectrum = np.fft.fft2(generator.normal(size=(side, side))) / frequency ** generator.uniform(0.3, 2)
        values = np.fft.ifft2(spectrum).real
        low, high = np.percentile(values, [generator.uniform(0, 20), generator.uniform(80, 100)])
        images.append(np.clip((values - low) / (high - low), 0, 1)[None] * generator.uniform(0.3, 1))
    return _as_tensor(np.stack(images))


def _shapes(count: int, side: int, generator: np.random.Generator) -> Tensor:
    """One to twelve filled ellipses and rectangles on a plain ground."""
    images = []
    for _ in range(count):
        picture = PILImage.new("L", (side, side), int(generator.integers(256)))
        draw = ImageDraw.Draw(picture)
        for _ in range(int(generator.integers(1, 13))):
            (left, right), (top, bottom) = np.sort(generator.integers(0, side, (2, 2)), axis=1).tolist()
            paint = draw.ellipse if generator.random() < 0.5 else draw.rectangle
            paint((left, top, right + 1, bottom + 1), fill=int(generator.integers(256)))
        images.append(np.asarray(picture, dtype=np.float32)[None] / 255)
    return _as_tensor(np.stack(images))


def _gradients(count: int, side: int, generator: np.random.Generator) -> Tensor:
    down, across = np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side), indexing="ij")
    images = []
    for _ in range(count):
        angle, slope, start = generator.uniform(0, 2 * np.pi), generator.uniform(0, 1.5), generator.uniform(-0.2, 1)
        images.append(np.clip((np.cos(angle) * across + np.sin(angle) * down) * slope + start, 0, 1)[None])
    return _as_tensor(np.stack(images))
