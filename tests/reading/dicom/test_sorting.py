"""Slices in the order of the body, and what is said about uneven ones."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from MonaiSKD.reading.dicom.dataset import open_dataset
from MonaiSKD.reading.dicom.slices import Slice, slices_of
from MonaiSKD.reading.dicom.sorting import sort_stack, stack_affine
from MonaiSKD.reading.dicom.stacks import Stack, stacks_of

AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))


def stack(heights: list[float], directions=AXIAL, **fields) -> Stack:
    """Axial slices at these heights, numbered against them, in a random order."""
    row, column = directions
    slices = [
        Slice(f"z{height}", None, (5, 4), (0.0, 0.0, float(height)), row, column, (2.0, 1.0), 3.0, number=-k, **fields)
        for k, height in enumerate(heights)
    ]
    random.Random(0).shuffle(slices)
    return Stack(tuple(slices))


def heights(sorted_stack: Stack) -> list[float]:
    return [one.position[2] for one in sorted_stack.slices]


def test_position_decides_and_not_the_instance_number() -> None:
    ordered = sort_stack(stack([-5, 0, 5, 10, 15]))
    assert heights(ordered) == [-5, 0, 5, 10, 15]
    assert ordered.positions == (-5, 0, 5, 10, 15)
    assert ordered.warnings == ()


def test_slices_whose_normal_points_to_the_feet_run_from_feet_to_head_too() -> None:
    ordered = sort_stack(stack([0, 5, 10], ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0))))
    assert heights(ordered) == [0, 5, 10]


def test_duplicates_are_left_out_and_counted() -> None:
    ordered = sort_stack(stack([0, 0.001, 5, 10, 10, 10]))
    assert heights(ordered) == [0.001, 5, 10] or heights(ordered) == [0, 5, 10]
    assert ordered.warnings == ("3 slices lie where others do and were left out.",)
    assert sort_stack(stack([0, 5, 5, 10])).warnings == ("1 slice lies where another does and was left out.",)


def test_of_duplicates_the_lowest_number_is_kept() -> None:
    one = stack([0]).slices[0]
    slices = tuple(replace(one, path=f"p{number}", number=number) for number in (3, 1, 2))
    assert sort_stack(Stack(slices)).slices[0].path == "p1"


def test_gaps_are_told_with_their_place() -> None:
    ordered = sort_stack(stack([0, 5, 10, 20, 25, 27]))
    assert ordered.warnings == (
        "The slices are not evenly spaced: 10.00 mm between slices 3 and 4, 2.00 mm between slices 5 and 6, "
        "5.00 mm elsewhere.",
    )


def test_many_gaps_are_cut_short() -> None:
    warning = sort_stack(stack([0, 5, 10, 15, 20, 25, 30, 37, 44, 51, 58, 63, 68])).warnings[0]
    assert "and 1 more" in warning


def test_steps_within_a_tenth_of_the_usual_are_even() -> None:
    assert sort_stack(stack([0, 5, 10.3, 15.2, 20.1])).warnings == ()


@pytest.mark.parametrize(("degrees", "told"), [(0.5, False), (18.0, True)])
def test_a_tilted_gantry_is_told_in_degrees(degrees: float, told: bool) -> None:
    angle = np.radians(degrees)
    tilted = ((1.0, 0.0, 0.0), (0.0, float(np.cos(angle)), float(np.sin(angle))))
    ordered = sort_stack(stack([0, 5, 10], tilted))
    assert any(f"tilted by {degrees:.1f} degrees" in warning for warning in ordered.warnings) is told
    assert np.diff(ordered.positions) == pytest.approx(5 * np.cos(angle))


def test_without_positions_the_instance_number_decides_with_a_warning() -> None:
    slices = tuple(Slice(f"im{k}", None, (5, 4), number=number) for k, number in enumerate((3, 1, 2)))
    ordered = sort_stack(Stack(slices))
    assert [one.path for one in ordered.slices] == ["im1", "im2", "im0"]
    assert ordered.positions is None
    assert "order of their instance numbers" in ordered.warnings[0]


def test_without_numbers_names_decide_as_people_read_them() -> None:
    ordered = sort_stack(Stack(tuple(Slice(name, None, (5, 4)) for name in ("im10", "im2", "im1"))))
    assert [one.path for one in ordered.slices] == ["im1", "im2", "im10"]


def test_one_slice_needs_no_order() -> None:
    assert sort_stack(Stack((Slice("a", None, (5, 4)),))).warnings == ()


def test_the_affine_says_where_each_voxel_lies() -> None:
    affine = stack_affine(sort_stack(stack([10, 15, 20])))
    # Columns 1 mm to the left, rows 2 mm to the back, slices 5 mm to the head, in RAS.
    np.testing.assert_allclose(affine, [[-1, 0, 0, 0], [0, -2, 0, 0], [0, 0, 5, 10], [0, 0, 0, 1]])
    np.testing.assert_allclose(stack_affine(stack([10]))[:, 2], [0, 0, 3, 0])
    assert stack_affine(Stack((Slice("a", None, (5, 4)),))) is None


def test_localizers_are_left_out_where_there_is_anything_else() -> None:
    images, scouts = stack([0, 5, 10]).slices, stack([0, 1], is_localizer=True).slices
    (kept,) = stacks_of([*images, *scouts])
    assert len(kept.slices) == 3
    assert kept.warnings == ("2 localizers were left out.",)
    (alone,) = stacks_of(scouts)
    assert len(alone.slices) == 2


def test_sizes_orientations_and_frames_of_reference_are_taken_apart() -> None:
    images = stack([0, 5, 10]).slices
    others = [replace(one, size=(6, 4)) for one in images], [replace(one, reference="2") for one in images]
    turned = [replace(one, row=(0.0, 1.0, 0.0), column=(0.0, 0.0, -1.0)) for one in images]
    assert len(stacks_of([*images, *others[0], *others[1], *turned])) == 4


def test_rounded_directions_are_one_orientation() -> None:
    images = list(stack([0, 5, 10]).slices)
    images[0] = replace(images[0], row=(0.99999, 0.004, 0.0))
    assert len(stacks_of(images)) == 1


def test_spacings_are_taken_apart_unless_rounding_explains_them() -> None:
    images = stack([0, 5, 10, 15]).slices
    other, rounded, unknown = ((1.0, 0.5), (2.0, 1.001), None)
    found = stacks_of([*images[:2], *(replace(one, spacing=other) for one in images[2:])])
    assert [len(one.slices) for one in found] == [2, 2]
    assert "2 sizes, spacings or orientations" in found[0].warnings[0]
    for spacing in (rounded, unknown):
        assert len(stacks_of([*images[:2], *(replace(one, spacing=spacing) for one in images[2:])])) == 1


def test_two_things_that_vary_give_their_combinations() -> None:
    images = stack([0, 5, 10]).slices
    several = [replace(one, echo_time=e, acquisition=a) for one in images for e in "12" for a in "12"]
    found = stacks_of(several)
    assert [len(one.slices) for one in found] == [3, 3, 3, 3]


def test_acquisitions_of_different_places_stay_one_volume() -> None:
    images = [replace(one, acquisition=str(one.position[2] > 5)) for one in stack([0, 5, 10, 15]).slices]
    assert len(stacks_of(images)) == 1


def test_a_real_head_ct_is_tilted_and_uneven(shared: Path) -> None:
    files = sorted((shared / "data/dicom/ct_head_uneven_series").glob("*.dcm"))
    slices = [one for file in files for one in slices_of(open_dataset(file, pixels=False), str(file))]
    (found,) = stacks_of(reversed(slices))
    ordered = sort_stack(found)
    assert len(ordered.slices) == 12
    assert "not evenly spaced" in ordered.warnings[0]
    assert "tilted by" in ordered.warnings[1]
