"""Augmentations that every modality shares: how an image may differ without its diagnosis changing."""

from __future__ import annotations

from collections.abc import Sequence

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
    strength: float | Sequence[float] = 1.0,
    erase: float = 0.0,
    first: tuple[MapTransform, ...] = (),
) -> Compose:
    """Geometry, then intensity; the result stays float32 [1, S, S] in [0, 1].

    Args:
        degrees: largest rotation either way.
        scale: largest relative change of height and of width, each by itself.
        translate: largest shift, down and to the side, as a share of the side.
        gamma: range of the exponent of a contrast curve.
        image_size: S in pixels.
        strength: factor on the ranges of rotation, size and shift; above 1 for images that are framed otherwise than
            those of training. Two: of rotation, height and shift down; of width and shift to the side. With 0 for the
            second, shear is along one axis, too.
        erase: probability that one rectangle, each side a fifth to a third of the image's, is blanked.
        first: transforms of the modality's own, applied before.
    """
    rows, columns = strength if isinstance(strength, Sequence) else (strength, strength)

    def along(of_rows: float, of_columns: float) -> tuple[float, ...]:
        """A range for either axis; for MONAI, one alone is that of the rows."""
        return (of_rows, of_columns) if columns else (of_rows,)

    side = max(1, round(image_size / 5)), max(2, round(image_size / 3))
    return Compose(
        [
            *first,
            RandAffined(
                keys="image",
                prob=1.0,
                rotate_range=rows * degrees * 3.14159265 / 180,
                scale_range=along(rows * scale, columns * scale),
                shear_range=along(0.05, 0.05),
                translate_range=along(rows * translate * image_size, columns * translate * image_size),
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
