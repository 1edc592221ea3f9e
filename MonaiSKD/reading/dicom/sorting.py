"""The slices of one volume put into the order of the body, and what is uneven about them."""

from __future__ import annotations

import math
import re

import numpy as np
import numpy.typing as npt

from MonaiSKD.reading.dicom.slices import Slice
from MonaiSKD.reading.dicom.stacks import Stack

# Slices nearer than this are one place.
_SAME_PLACE_MM = 0.01
_UNEVEN_SHARE = 0.1
_TILT_DEGREES = 1.0
_REPORTED_GAPS = 3

_LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])


def sort_stack(stack: Stack) -> Stack:
    """Put the slices of one volume in order, by where they lie and not by their numbers.

    The order is along the normal, turned so that it runs from feet to head (posterior to anterior for coronal slices,
    right to left for sagittal ones). Of several slices at one place the one of the lowest instance number is kept.
    Without positions the order is that of the instance numbers, or of the names.

    Returns:
        The sorted stack; its warnings name duplicates, uneven gaps and a tilted gantry, with millimetres and degrees.

    Example:
        >>> from dataclasses import replace
        >>> lower = Slice("a", None, (4, 4), (0.0, 0.0, 10.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
        >>> upper = replace(lower, path="b", position=(0.0, 0.0, 15.0))
        >>> [one.path for one in sort_stack(Stack((upper, lower))).slices]
        ['a', 'b']
    """
    normal = _upward_normal(stack.slices)
    if normal is None:
        return _by_number(stack)
    placed = sorted(
        ((float(np.dot(one.position or (0, 0, 0), normal)), one) for one in stack.slices),
        key=lambda pair: (round(pair[0], 2), *_number_and_name(pair[1])),
    )
    kept: list[tuple[float, Slice]] = []
    for position, one in placed:
        if not kept or position - kept[-1][0] > _SAME_PLACE_MM:
            kept.append((position, one))
    warnings = list(stack.warnings)
    dropped = len(placed) - len(kept)
    if dropped:
        told = (
            "1 slice lies where another does and was"
            if dropped == 1
            else f"{dropped} slices lie where others do and were"
        )
        warnings.append(f"{told} left out.")
    positions = tuple(position for position, _ in kept)
    slices = tuple(one for _, one in kept)
    warnings += [*_uneven(positions), *_tilted(slices, normal)]
    return Stack(slices, positions, tuple(warnings))


def stack_affine(stack: Stack) -> npt.NDArray[np.float64] | None:
    """From stored (column, row, slice) index to millimetres right, anterior, superior (RAS+); None where unknown.

    The step between slices is the mean one, so that a tilted gantry gives a sheared volume. Where only the spacing is
    unknown, 1 mm is put: the directions still hold.
    """
    first, last = stack.slices[0], stack.slices[-1]
    normal = _upward_normal(stack.slices)
    if normal is None or first.position is None or last.position is None or first.row is None or first.column is None:
        return None
    rows, columns = first.spacing or (1.0, 1.0)
    if len(stack.slices) > 1:
        step = np.subtract(last.position, first.position) / (len(stack.slices) - 1)
    else:
        step = normal * (first.thickness or 1.0)
    affine = np.eye(4)
    affine[:3, 0] = np.multiply(first.row, columns) * _LPS_TO_RAS
    affine[:3, 1] = np.multiply(first.column, rows) * _LPS_TO_RAS
    affine[:3, 2] = step * _LPS_TO_RAS
    affine[:3, 3] = np.multiply(first.position, _LPS_TO_RAS)
    return affine


def _upward_normal(slices: tuple[Slice, ...]) -> npt.NDArray[np.float64] | None:
    """The slices' normal in LPS, turned towards the head, the front or the left; None unless all slices are placed."""
    normal = slices[0].normal
    if normal is None or any(one.position is None for one in slices):
        return None
    main = int(np.argmax(np.abs(normal)))
    # LPS grows to the back: the front is at its negative end.
    upward = normal[main] * (-1.0 if main == 1 else 1.0) > 0
    return normal if upward else -normal


def _by_number(stack: Stack) -> Stack:
    if len(stack.slices) == 1:
        return stack
    told = "The slices have no positions; they are in the order of their instance numbers"
    if stack.slices[0].frame is not None:
        told = "The frames have no positions; they are in the order they are stored"
    return Stack(tuple(sorted(stack.slices, key=_number_and_name)), None, (*stack.warnings, f"{told}."))


def _number_and_name(one: Slice) -> tuple[float, int, list[tuple[int, str]]]:
    """The instance number, the frame, and the name with its digits read as numbers (im2 before im10)."""
    pieces = [(int(piece) if piece.isdecimal() else -1, piece) for piece in re.split(r"(\d+)", one.path)]
    return math.inf if one.number is None else one.number, one.frame or 0, pieces


def _uneven(positions: tuple[float, ...]) -> list[str]:
    steps = np.diff(positions)
    if len(steps) < 2:
        return []
    usual = float(np.median(steps))
    places = np.flatnonzero(np.abs(steps - usual) > _UNEVEN_SHARE * usual)
    if not len(places):
        return []
    named = [f"{steps[k]:.2f} mm between slices {k + 1} and {k + 2}" for k in places[:_REPORTED_GAPS]]
    more = f" and {len(places) - len(named)} more" if len(places) > len(named) else ""
    return [f"The slices are not evenly spaced: {', '.join(named)}{more}, {usual:.2f} mm elsewhere."]


def _tilted(slices: tuple[Slice, ...], normal: npt.NDArray[np.float64]) -> list[str]:
    if len(slices) < 2:
        return []
    way = np.subtract(slices[-1].position, slices[0].position)  # type: ignore[arg-type]
    angle = math.degrees(math.acos(min(1.0, float(way @ normal) / float(np.linalg.norm(way)))))
    if angle <= _TILT_DEGREES:
        return []
    return [f"The slices are tilted by {angle:.1f} degrees against the way they are stacked (gantry tilt)."]
