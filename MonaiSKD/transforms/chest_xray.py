"""Chest radiographs: patients stand upright and the heart lies on the left, so no flips and little rotation."""

from __future__ import annotations

from collections.abc import Sequence

from monai.transforms import Compose

from MonaiSKD.transforms.common import augmentation


def chest_xray_augmentation(image_size: int, strength: float | Sequence[float] = 1.0) -> Compose:
    """Augmentation of canonical chest radiographs under the key "image" (see :func:`~.common.augmentation`)."""
    return augmentation(
        degrees=10,
        scale=0.15,
        translate=0.08,
        gamma=(0.7, 1.5),
        image_size=image_size,
        strength=strength,
        erase=0.25,
    )
