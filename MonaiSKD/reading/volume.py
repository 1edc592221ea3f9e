"""A volume kept once in its stored numbers, and the axial slices that are made of it one by one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.canonical import CanonicalRule, canonicalise
from MonaiSKD.reading.image import Identity, Image, Series
from MonaiSKD.reading.orientation import AxialView, axial_view, needs_squaring, positions_of, square_pixels
from MonaiSKD.reading.volume_checks import check_values, refuse_giant_slices

# The stored numbers of one volume stay in memory; a chest CT of 600 slices has 315 MB.
LARGEST_BYTES = 768 * 2**20

# The warning about a file that has no orientation.
UNPLACED = "The file does not say how the patient lies in it (orientation unknown)."


@dataclass(frozen=True, eq=False)
class Volume:
    """One volume as a file stores it.

    Args:
        values: (X, Y, Z), in the stored type; never changed.
        affine: (4, 4), from (i, j, k) index to millimetres right, anterior, superior (RAS+).
        path: the file, or what the user would call it.
        slope: stored value * slope + intercept = value in the unit of the modality.
        intercept: see `slope`.
        applied: what was done on the way here, in words.
        warnings: what the file leaves open, in words.
        padding: (X, Y, Z), which entries are padding and no image; None where none is. They hold the darkest value of
            the image, so that interpolating next to them makes an edge like that of a body in air.

    Raises:
        SKDError: the affine is not finite or not invertible.
    """

    values: npt.NDArray[Any]
    affine: npt.NDArray[np.float64]
    path: str
    slope: float = 1.0
    intercept: float = 0.0
    applied: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    padding: npt.NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        matrix = self.affine[:3, :3]
        lengths = np.linalg.norm(matrix, axis=0)
        if not np.isfinite(self.affine).all() or lengths.min() <= 0 or abs(np.linalg.det(matrix / lengths)) < 1e-3:
            cause = "its orientation is not that of a body in space (the affine cannot be inverted)"
            raise SKDError(self.path, cause, "Export the volume again", code="damaged")

    @property
    def shape(self) -> tuple[int, int, int]:
        """The number of entries along i, j and k."""
        i, j, k = self.values.shape
        return i, j, k

    @property
    def is_one_slice(self) -> bool:
        """Whether at most two axes hold more than one entry."""
        return sum(length > 1 for length in self.shape) <= 2

    def scaled(self, stored: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Stored values in the unit of the modality, as float32."""
        if (self.slope, self.intercept) == (1.0, 0.0):
            return stored.astype(np.float32)
        return (stored.astype(np.float64) * self.slope + self.intercept).astype(np.float32)


def refuse_too_large(path: object, shape: tuple[int, ...], item_bytes: int) -> None:
    """Refuse a volume by its header, before memory is taken for it.

    Raises:
        SKDError: its stored values would take more than :data:`LARGEST_BYTES`.
    """
    size = item_bytes
    for length in shape:
        size *= int(length)
    if size > LARGEST_BYTES:
        cause = f"holds {size / 2**20:.0f} MB of values (shape {shape}), more than {LARGEST_BYTES // 2**20} MB"
        raise SKDError(path, cause, "Crop it, or store it with fewer bytes per value", code="too_large")


class Picture(NamedTuple):
    """The one slice of a volume.

    Attributes:
        values: float32 (H, W) in the unit of the modality.
        spacing: millimetres between rows and between columns.
        affine: (4, 4), from (column, row, slice) index of the picture to millimetres in RAS+.
    """

    values: npt.NDArray[np.float32]
    spacing: tuple[float, float]
    affine: npt.NDArray[np.float64]


def one_slice(volume: Volume) -> Picture:
    """The picture of a volume of one slice, in the radiologist's orientation.

    An axial slice comes with anterior on top and the patient's left on the right, a coronal one with the head on top
    and the patient's left on the right, a sagittal one with the head on top and anterior on the left.
    """
    upright = axial_view(volume.affine, volume.shape)
    values = upright.slices(volume.values)  # (superior, posterior, left)
    superior, posterior, left = values.shape
    column, row, through = upright.spacing
    if superior == 1:
        return Picture(volume.scaled(values[0]), (row, column), upright.affine)
    if posterior == 1:
        affine = _from_the_head(upright.affine, superior, (0, 2, 1))
        return Picture(volume.scaled(values[::-1, 0, :]), (through, column), affine)
    assert left == 1
    return Picture(
        volume.scaled(values[::-1, :, 0]), (through, row), _from_the_head(upright.affine, superior, (1, 2, 0))
    )


def _from_the_head(
    affine: npt.NDArray[np.float64], superior: int, order: tuple[int, int, int]
) -> npt.NDArray[np.float64]:
    """The affine of a picture whose rows run from head to feet; `order` are the axes of (column, row, slice)."""
    turned: npt.NDArray[np.float64] = np.eye(4)
    turned[:3, :3] = affine[:3, order]
    turned[:3, 1] *= -1
    turned[:3, 3] = affine[:3, 3] + affine[:3, 2] * (superior - 1)
    return turned


def volume_series(
    volume: Volume, rule: CanonicalRule, *, files: tuple[str, ...] = (), identity: Identity | None = None
) -> Series:
    """The axial slices of a volume, from feet to head.

    Coronal and sagittal volumes are reformatted; oblique ones are resampled by SimpleITK. Each slice is scaled and made
    canonical when it is read, so that the volume stays in memory once, in its stored type.

    Args:
        volume: with values in the unit of the modality once scaled (Hounsfield units for CT).
        rule: how they become [0, 1].
        files: the files it was read from.
        identity: whose it is.

    Raises:
        SKDError: it holds NaN or infinity, a mask, or values that are no Hounsfield units; a radiograph was asked
            for; it is oblique and SimpleITK is absent.
    """
    if rule.modality == "chest_xray" and not volume.is_one_slice:
        raise wrong_for_radiograph(volume.path)
    warnings = check_values(volume, rule)
    if volume.is_one_slice:
        return _one_slice_series(volume, rule, files, identity, warnings)
    view = axial_view(volume.affine, volume.shape)
    if view.is_oblique:
        from MonaiSKD.reading.itk import resample_axial

        volume = resample_axial(volume)
        view = axial_view(volume.affine, volume.shape)
    slices = view.slices(volume.values)
    paddings = None if volume.padding is None else view.slices(volume.padding)
    squared = needs_squaring(view)
    stored_spacing = (view.spacing[1], view.spacing[0])
    refuse_giant_slices(volume.path, slices.shape[1:], stored_spacing if squared else (1.0, 1.0))
    affine = _squared_affine(view) if squared else view.affine
    spacing = (float(np.linalg.norm(affine[:3, 1])), float(np.linalg.norm(affine[:3, 0])))
    how = how_canonical(rule)

    def read(index: int) -> Image:
        picture = volume.scaled(slices[index])
        padding = None if paddings is None else paddings[index]
        if squared:
            picture = square_pixels(picture, stored_spacing)
            # What is interpolated from padding is padding, too.
            padding = None if padding is None else square_pixels(padding.astype(np.float32), stored_spacing) > 0
        padded = ("padding to 0",) if padding is not None and padding.any() else ()
        return Image(canonicalise(picture, rule, padding), spacing, volume.path, (how, *padded))

    note = f"interpolated to square pixels of {spacing[0]:.3g} mm"
    return Series(
        path=volume.path,
        length=len(slices),
        read=read,
        positions=positions_of(affine, len(slices)),
        affine=affine,
        files=files,
        identity=identity,
        applied=(*volume.applied, *view.describe(), *((note,) if squared else ())),
        warnings=(*volume.warnings, *warnings),
    )


def _one_slice_series(
    volume: Volume, rule: CanonicalRule, files: tuple[str, ...], identity: Identity | None, warnings: tuple[str, ...]
) -> Series:
    picture = one_slice(volume)
    image = Image(
        canonicalise(picture.values, rule),
        picture.spacing,
        volume.path,
        ("turned to the radiologist's orientation", how_canonical(rule)),
    )
    image = replace(image, applied=(*volume.applied, *image.applied), warnings=(*volume.warnings, *warnings))
    return replace(one_image(image, files, identity), affine=picture.affine)


def one_image(image: Image, files: tuple[str, ...], identity: Identity | None = None) -> Series:
    """The series of one image that is read already."""
    return Series(
        image.path, 1, lambda _: image, files=files, identity=identity, applied=image.applied, warnings=image.warnings
    )


def wrong_for_radiograph(path: object) -> SKDError:
    """What is said of a volume that is given as a radiograph."""
    cause = "holds several slices; a radiograph is one picture"
    return SKDError(
        path, cause, "Give the radiograph itself, or choose the model of this modality", code="wrong_modality"
    )


def how_canonical(rule: CanonicalRule) -> str:
    """The rule's last step in words."""
    return f"window {rule.window}" if rule.window else f"percentiles {rule.percentiles}"


def _squared_affine(view: AxialView) -> npt.NDArray[np.float64]:
    affine: npt.NDArray[np.float64] = view.affine.copy()
    fine = min(view.spacing[:2])
    for axis in range(2):
        affine[:3, axis] *= fine / view.spacing[axis]
    return affine
