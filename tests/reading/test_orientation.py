"""Which stored axis is which of the body."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from handmade import body

from MonaiSKD.reading.orientation import axial_view, needs_squaring, positions_of, square_pixels

LPS = np.diag([-1.0, -1.0, 1.0])


@pytest.mark.parametrize("order", permutations(range(3)))
@pytest.mark.parametrize("flips", product((False, True), repeat=3))
def test_each_of_the_48_orientations_gives_the_same_slices(
    order: tuple[int, int, int], flips: tuple[bool, bool, bool]
) -> None:
    # The body as [x, y, z] along left, posterior, superior; then its axes permuted and turned round.
    upright = body().transpose(2, 1, 0)
    stored = upright.transpose(order)
    affine = np.eye(4)
    affine[:3, :3] = LPS[:, list(order)]
    for axis, flip in enumerate(flips):
        if flip:
            stored = np.flip(stored, axis)
            affine[:3, 3] += affine[:3, axis] * (stored.shape[axis] - 1)
            affine[:3, axis] *= -1
    view = axial_view(affine, stored.shape)
    np.testing.assert_array_equal(view.slices(stored), body())
    np.testing.assert_allclose(view.affine, np.diag([-1, -1, 1, 1]), atol=1e-12)
    assert view.tilt == pytest.approx(0.0, abs=1e-5)
    assert not view.is_oblique
    assert view.plane == ("sagittal", "coronal", "axial")[order[2]]


def rotated(degrees: float, axes: tuple[int, int]) -> np.ndarray:
    angle, affine = np.radians(degrees), np.diag([-1.0, -1.0, 1.0, 1.0])
    turn = np.eye(4)
    first, second = axes
    turn[first, first] = turn[second, second] = np.cos(angle)
    turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
    return turn @ affine


@pytest.mark.parametrize("axes", [(0, 1), (1, 2), (0, 2)])
@pytest.mark.parametrize(("degrees", "oblique"), [(0, False), (15, False), (29.5, False), (30.5, True), (44, True)])
def test_axes_that_lean_by_more_than_30_degrees_are_oblique(
    axes: tuple[int, int], degrees: float, oblique: bool
) -> None:
    view = axial_view(rotated(degrees, axes), (4, 5, 6))
    assert view.tilt == pytest.approx(degrees, abs=1e-4)
    assert view.is_oblique is oblique
    assert view.plane == "axial"


def test_the_axis_that_is_much_coarser_is_the_one_of_the_slices() -> None:
    # A coronal scan of 5 mm slices that was stored along right, anterior, superior.
    view = axial_view(np.diag([1.0, 5.0, 1.0, 1.0]), (40, 8, 40))
    assert view.plane == "coronal"
    assert needs_squaring(view)
    assert view.describe() == ("coronal slices reformatted to axial",)


def test_axial_slices_are_never_squared() -> None:
    view = axial_view(np.diag([-1.0, -1.4, 3.0, 1.0]), (40, 8, 40))
    assert not needs_squaring(view)
    assert view.describe() == ()


@pytest.mark.parametrize(
    ("shape", "spacing", "expected"),
    [((3, 4), (2.0, 1.0), (5, 4)), ((3, 4), (0.9, 3.0), (3, 11)), ((1, 4), (2.0, 1.0), (1, 4))],
)
def test_squared_pixels_keep_a_ramp_a_ramp(
    shape: tuple[int, int], spacing: tuple[float, float], expected: tuple[int, int]
) -> None:
    rows, columns = np.indices(shape) * np.array(spacing)[:, None, None]
    squared = square_pixels((rows + 10 * columns).astype(np.float32), spacing)
    assert squared.shape == expected
    fine_rows, fine_columns = np.indices(expected) * min(spacing)
    if shape[0] > 1:
        np.testing.assert_allclose(squared, fine_rows + 10 * fine_columns, rtol=1e-6)


def test_positions_grow_from_feet_to_head_along_the_normal() -> None:
    assert positions_of(np.diag([-1.0, -1.0, 2.5, 1.0]), 3) == pytest.approx((0.0, 2.5, 5.0))
    leaning = axial_view(rotated(20, (1, 2)), (4, 5, 6)).affine
    assert np.diff(positions_of(leaning, 3)) == pytest.approx(1.0)
