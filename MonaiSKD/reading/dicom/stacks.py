"""The slices of one DICOM series divided into volumes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from MonaiSKD.reading.dicom.slices import Slice

# Rounded cosines differ by less, another orientation by far more.
_SAME_ORIENTATION_DEGREES = 1.0
# Rounded spacings differ by less, in parts of each other.
_SAME_SPACING = 0.01
# What tells the volumes of one series apart, by the first that does: attribute of the slice -> its name in a sentence.
_DISTINGUISHING = {
    "echo_time": "echo times",
    "time_point": "time points",
    "b_value": "diffusion weightings",
    "acquisition": "acquisitions",
    "kind": "kinds of image",
}


@dataclass(frozen=True)
class Stack:
    """Slices that make up one volume.

    Args:
        slices: in the order they were given, or sorted (see :func:`sort_stack`).
        positions: millimetres along the normal, increasing; None where unknown or not sorted yet.
        warnings: what was left out, split or uneven, as sentences.
    """

    slices: tuple[Slice, ...]
    positions: tuple[float, ...] | None = None
    warnings: tuple[str, ...] = ()


def stacks_of(slices: Iterable[Slice]) -> list[Stack]:
    """Divide the slices of one series into volumes.

    Patients and studies are never mixed, though their series bear one number. Localizers are left out where there is
    anything else. What remains is divided by frame of reference, size, spacing and orientation; and where most places
    hold several slices, by what tells those apart (echo time, time point, ...).

    Returns:
        The volumes, in the order of their first slices.
    """
    owners = _by_owner(list(slices))
    told = f"The series holds slices of {len(owners)} patients or studies; each is read as a series of its own."
    notes = (told,) if len(owners) > 1 else ()
    stacks = [stack for owned in owners for stack in _of_one_owner(owned)]
    return [replace(stack, warnings=(*notes, *stack.warnings)) for stack in stacks]


def _by_owner(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Divide by patient and study where these contradict each other.

    What is not stated contradicts nothing: it belongs to those with which it can be, unless these are several.
    """
    groups: list[list[Slice]] = []
    alike = _split(slices, lambda one: (one.patient, one.name, one.study))
    for members in sorted(alike, key=lambda part: [part[0].patient, part[0].name, part[0].study].count("")):
        fitting = [group for group in groups if all(_may_be_one(members[0], one) for one in group)]
        if len(fitting) == 1:
            fitting[0] += members
        else:
            groups.append(list(members))
    places = {id(one): place for place, one in enumerate(slices)}
    ordered = [sorted(group, key=lambda one: places[id(one)]) for group in groups]
    return sorted(ordered, key=lambda group: places[id(group[0])])


def _may_be_one(one: Slice, other: Slice) -> bool:
    """Whether two slices can be of one patient and study.

    Where both have a PatientID, names do not matter. A number on one side and a name on the other are two patients.
    """
    ids, names = (one.patient, other.patient), (one.name, other.name)
    whose = ids if all(ids) else names if all(names) else (one.patient or one.name, other.patient or other.name)
    return all(len({*pair} - {""}) < 2 for pair in (whose, (one.study, other.study)))


def _of_one_owner(given: list[Slice]) -> list[Stack]:
    images = [one for one in given if not one.is_localizer] or given
    warnings: list[str] = []
    if len(images) < len(given):
        warnings.append(f"{_count(len(given) - len(images), 'localizer was', 'localizers were')} left out.")
    alike = _split(images, lambda one: (one.reference, one.size))
    alike = [part for group in alike for part in _by_grid(group)]
    if len(alike) > 1:
        kinds = f"{len(alike)} sizes, spacings or orientations"
        warnings.append(f"The series holds slices of {kinds}; each is read as a series of its own.")
    return [Stack(stack.slices, None, (*warnings, *stack.warnings)) for group in alike for stack in _by_content(group)]


def _by_grid(slices: Sequence[Slice]) -> list[list[Slice]]:
    groups: list[list[Slice]] = []
    for one in slices:
        for group in groups:
            if _same_orientation(group[0], one) and _same_spacing(group[0], one):
                group.append(one)
                break
        else:
            groups.append([one])
    return groups


def _same_orientation(one: Slice, other: Slice) -> bool:
    if one.row is None or one.column is None or other.row is None or other.column is None:
        return one.row is other.row and one.column is other.column
    least = math.cos(math.radians(_SAME_ORIENTATION_DEGREES))
    return float(np.dot(one.row, other.row)) >= least and float(np.dot(one.column, other.column)) >= least


def _same_spacing(one: Slice, other: Slice) -> bool:
    if one.spacing is None or other.spacing is None:
        return True  # nothing contradicts
    return all(math.isclose(*pair, rel_tol=_SAME_SPACING) for pair in zip(one.spacing, other.spacing, strict=True))


def _by_content(slices: Sequence[Slice], tried: frozenset[str] = frozenset()) -> list[Stack]:
    if not _mostly_repeated(slices):
        return [Stack(tuple(slices))]
    for attribute, name in _DISTINGUISHING.items():
        if attribute in tried:
            continue
        parts = _split(slices, lambda one, attribute=attribute: getattr(one, attribute))  # type: ignore[misc]
        if len(parts) > 1 and sum(map(_repeats, parts)) < _repeats(slices):
            note = f"The series holds {len(parts)} volumes (several {name}); each is read as a series of its own."
            stacks = [stack for part in parts for stack in _by_content(part, tried | {attribute})]
            return [Stack(stack.slices, None, (note, *stack.warnings)) for stack in stacks]
    return [Stack(tuple(slices))]


def _places(slices: Sequence[Slice]) -> Counter[tuple[float, ...] | None]:
    return Counter(None if one.position is None else tuple(round(x, 2) for x in one.position) for one in slices)


def _repeats(slices: Sequence[Slice]) -> int:
    places = _places(slices)
    return len(slices) - len(places) if None not in places else 0


def _mostly_repeated(slices: Sequence[Slice]) -> bool:
    """Whether at least half of the places hold several slices: several volumes, not a file that was sent twice."""
    places = _places(slices)
    return None not in places and sum(count > 1 for count in places.values()) * 2 >= len(places)


def _split(slices: Sequence[Slice], key: Callable[[Slice], Hashable]) -> list[list[Slice]]:
    groups: dict[Hashable, list[Slice]] = {}
    for one in slices:
        groups.setdefault(key(one), []).append(one)
    return list(groups.values())


def _count(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"
