"""From any stored orientation to axial slices as a radiologist looks at them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Plane = Literal["axial", "coronal", "sagittal"]

# Axes may lean this much from the body's. Beyond it, "anterior on top" is no longer true of the stored slices.
OBLIQUE_DEGREES = 30.0
# An axis this much coarser than both others is the one the slices were stacked along, wherever it is stored.
_SLICE_AXIS_RATIO = 1.5
# In-plane pixels of sides nearer than this are taken as square.
_SQUARE_TOLERANCE = 0.01

# No picture has as many pixels; beyond, a header's numbers may be infinitely far apart.
_MOST_TIMES_FINER = 1e9

# What index 0 -> n must run towards in RAS+: columns to the patient's left, rows to posterior, slices to superior.
_TOWARDS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True, eq=False)
class AxialView:
    """How the stored axes of a volume become axial slices.

    Slices run from feet to head, rows from anterior to posterior, columns from the patient's right to the left: in the
    picture anterior is on top and the patient's left on the right.

    Args:
        order: the stored axes that become (column, row, slice).
        flips: whether each of them is turned round.
        plane: how the volume was acquired.
        tilt: degrees between the stored axes and the body's, the largest of the three.
        affine: (4, 4), from (column, row, slice) index to millimetres right, anterior, superior.
        spacing: millimetres between columns, rows and slices.
    """

    order: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    plane: Plane
    tilt: float
    affine: npt.NDArray[np.float64]
    spacing: tuple[float, float, float]

    @property
    def is_oblique(self) -> bool:
        """Whether the axes lean too much: only resampling gives axial slices."""
        return self.tilt > OBLIQUE_DEGREES

    def slices(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The stored (X, Y, Z) array as (slice, row, column), without a copy."""
        column, row, through = self.order
        turned = values.transpose(through, row, column)
        steps = tuple(slice(None, None, -1 if flip else 1) for flip in reversed(self.flips))
        view: npt.NDArray[Any] = turned[steps]
        return view

    def picture(self, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """One stored (Y, X) slice of an axial volume as it is shown, without a copy."""
        upright = stored.T if self.order[0] == 1 else stored
        shown: npt.NDArray[Any] = upright[:: -1 if self.flips[1] else 1, :: -1 if self.flips[0] else 1]
        return shown

    def describe(self) -> tuple[str, ...]:
        """What was done to the slices, in words; nothing for slices that are stored as they are shown."""
        if self.plane != "axial":
            return (f"{self.plane} slices reformatted to axial",)
        if self.order != (0, 1, 2) or any(self.flips[:2]):
            return ("turned to the radiologist's orientation",)
        return ()


def axial_view(affine: npt.NDArray[np.float64], shape: tuple[int, int, int]) -> AxialView:
    """Decide which stored axis is which of the body, and which way it runs.

    Args:
        affine: (4, 4), from stored (i, j, k) index to millimetres right, anterior, superior (RAS+), invertible.
        shape: the number of entries along i, j and k.

    Example:
        A volume stored along right, anterior, superior is turned round in its plane:

        >>> view = axial_view(np.diag([1.0, 1.0, 3.0, 1.0]), (4, 5, 6))
        >>> view.plane, view.order, view.flips, view.affine[:3, 3].tolist()
        ('axial', (0, 1, 2), (True, True, False), [3.0, 4.0, 0.0])
    """
    columns = np.asarray(affine[:3, :3], dtype=np.float64)
    lengths = np.linalg.norm(columns, axis=0)
    cosines = _TOWARDS @ (columns / lengths)  # [body axis, stored axis]
    order = max(permutations(range(3)), key=lambda axes: sum(abs(cosines[body, axes[body]]) for body in range(3)))
    leaning = [cosines[body, order[body]] for body in range(3)]
    flips = tuple(bool(cosine < 0) for cosine in leaning)
    shown = np.eye(4)
    origin = np.asarray(affine[:3, 3], dtype=np.float64).copy()
    for target, (axis, flip) in enumerate(zip(order, flips, strict=True)):
        shown[:3, target] = -columns[:, axis] if flip else columns[:, axis]
        if flip:
            origin += columns[:, axis] * (shape[axis] - 1)
    shown[:3, 3] = origin
    spacing = tuple(float(lengths[axis]) for axis in order)
    planes: tuple[Plane, ...] = ("sagittal", "coronal", "axial")
    return AxialView(
        order=(order[0], order[1], order[2]),
        flips=(flips[0], flips[1], flips[2]),
        plane=planes[order.index(_slice_axis(lengths))],
        tilt=math.degrees(math.acos(min(1.0, min(abs(float(cosine)) for cosine in leaning)))),
        affine=shown,
        spacing=(spacing[0], spacing[1], spacing[2]),
    )


def _slice_axis(lengths: npt.NDArray[np.float64]) -> int:
    """The stored axis the slices were stacked along: the last, unless another is much coarser than the rest."""
    coarsest = int(np.argmax(lengths))
    others = np.delete(lengths, coarsest)
    return coarsest if lengths[coarsest] > _SLICE_AXIS_RATIO * others.max() else 2


def needs_squaring(view: AxialView) -> bool:
    """Whether reformatting put the slice axis into the picture, with another spacing than its neighbour's.

    Slices acquired as axial keep their pixels, square or not.
    """
    column, row, _ = view.spacing
    return view.plane != "axial" and max(column, row) / min(column, row) > 1 + _SQUARE_TOLERANCE


def squared_shape(shape: tuple[int, int], spacing: tuple[float, float]) -> tuple[int, int]:
    """Rows and columns of what :func:`square_pixels` makes of a picture.

    Example:
        >>> squared_shape((2, 2), (2.0, 1.0))
        (3, 2)
    """
    finer = [min(step / min(spacing), _MOST_TIMES_FINER) for step in spacing]
    rows, columns = (math.floor((n - 1) * times + 1e-6) + 1 for n, times in zip(shape, finer, strict=True))
    return rows, columns


def square_pixels(picture: npt.NDArray[np.float32], spacing: tuple[float, float]) -> npt.NDArray[np.float32]:
    """Interpolate linearly along the coarser axis, so that pixels become squares of the finer spacing.

    Args:
        picture: float32 (H, W).
        spacing: millimetres between rows and between columns.

    Returns:
        float32 (H', W'); the first row and the first column stay where they are.

    Example:
        >>> square_pixels(np.array([[0.0, 1.0], [4.0, 5.0]], dtype=np.float32), (2.0, 1.0)).tolist()
        [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    """
    axis = 0 if spacing[0] > spacing[1] else 1
    entries = picture.shape[axis]
    ratio = max(spacing) / min(spacing)
    places = np.arange(squared_shape((picture.shape[0], picture.shape[1]), spacing)[axis]) / ratio
    lower = np.minimum(places.astype(np.intp), max(entries - 2, 0))
    upper = np.minimum(lower + 1, entries - 1)
    share = (places - lower).astype(np.float32)
    share = share[:, None] if axis == 0 else share[None, :]
    squared: npt.NDArray[np.float32] = picture.take(lower, axis) * (1 - share) + picture.take(upper, axis) * share
    return squared


def positions_of(affine: npt.NDArray[np.float64], length: int) -> tuple[float, ...]:
    """Millimetres of each slice along the normal of the slices, from the affine of (column, row, slice) indices."""
    normal = np.cross(affine[:3, 1], affine[:3, 0])
    normal /= np.linalg.norm(normal)
    start, step = float(affine[:3, 3] @ normal), float(affine[:3, 2] @ normal)
    if step < 0:
        start, step = -start, -step
    return tuple(start + index * step for index in range(length))
