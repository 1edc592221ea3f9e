"""Brain MR slices: near mirror symmetry from left to right, heads tilt, intensity has no unit."""

from __future__ import annotations

from collections.abc import Sequence

from monai.transforms import Compose, RandFlipd

from MonaiSKD.transforms.common import augmentation


def brain_mri_augmentation(image_size: int, strength: float | Sequence[float] = 1.0) -> Compose:
    """Augmentation of canonical brain MR slices under the key "image" (see :func:`~.common.augmentation`)."""
    return augmentation(
        degrees=15,
        scale=0.15,
        translate=0.08,
        gamma=(0.6, 1.7),
        image_size=image_size,
        strength=strength,
        erase=0.25,
        first=(RandFlipd(keys="image", prob=0.5, spatial_axis=1),),
    )
