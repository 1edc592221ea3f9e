"""Augmentations that every modality shares: how an image may differ without its diagnosis changing."""

from __future__ import annotations

from monai.transforms import (
    Compose,
    MapTransform,
    RandAdjustContrastd,
    RandAffined,
    RandCoarseDropoutd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    ScaleIntensityRanged,
)


def augmentation(
    *,
    degrees: float,
    scale: float,
    translate: float,
    gamma: tuple[float, float],
    image_size: int,
    strength: float = 1.0,
    erase: float = 0.0,
    first: tuple[MapTransform, ...] = (),
) -> Compose:
    """Geometry, then intensity; the result stays float32 [1, S, S] in [0, 1].

    Args:
        degrees: largest rotation either way.
        scale: largest relative change of size.
        translate: largest shift as a share of the side.
        gamma: range of the exponent of a contrast curve.
        image_size: S in pixels.
        strength: factor on the ranges of rotation, size and shift; above 1 for images that are framed otherwise than
            those of training.
        erase: probability that one square of a fifth to a third of the side is blanked.
        first: transforms of the modality's own, applied before.
    """
    side = max(1, round(image_size / 5)), max(2, round(image_size / 3))
    return Compose(
        [
            *first,
            RandAffined(
                keys="image",
                prob=1.0,
                rotate_range=strength * degrees * 3.14159265 / 180,
                scale_range=strength * scale,
                shear_range=0.05,
                translate_range=strength * translate * image_size,
                padding_mode="zeros",
                spatial_size=(image_size, image_size),
                cache_grid=True,
            ),
            RandAdjustContrastd(keys="image", prob=0.5, gamma=gamma),
            RandGaussianSmoothd(keys="image", prob=0.2, sigma_x=(0.3, 1.0), sigma_y=(0.3, 1.0)),
            RandGaussianNoised(keys="image", prob=0.3, std=0.03),
            RandCoarseDropoutd(
                keys="image", prob=erase, holes=1, spatial_size=side[0], max_spatial_size=side[1], fill_value=0.0
            ),
            ScaleIntensityRanged(keys="image", a_min=0, a_max=1, b_min=0, b_max=1, clip=True),
        ]
    )
