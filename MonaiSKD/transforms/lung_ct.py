"""Lung CT slices: disease strikes either lung, so left and right may change places; patients lie straight."""

from __future__ import annotations

from collections.abc import Sequence

from monai.transforms import Compose, RandFlipd

from MonaiSKD.transforms.common import augmentation


def lung_ct_augmentation(image_size: int, strength: float | Sequence[float] = 1.0) -> Compose:
    """Augmentation of canonical lung CT slices under the key "image" (see :func:`~.common.augmentation`)."""
    return augmentation(
        degrees=12,
        scale=0.2,
        translate=0.08,
        gamma=(0.7, 1.5),
        image_size=image_size,
        strength=strength,
        erase=0.25,
        first=(RandFlipd(keys="image", prob=0.5, spatial_axis=1),),
    )
