"""The selection plan: which entries of the teacher become which entries of the student, as pure data."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from torch import Tensor

from MonaiSKD.errors import SKDError
from MonaiSKD.files import write_json
from MonaiSKD.selection.rules import Rule
from MonaiSKD.selection.tensors import TensorMap, shuffle

_FORMAT = "monai-skd selection plan 1"
_SHOWN_INDICES = 4


@dataclass(frozen=True)
class SelectionPlan:
    """A selection from one teacher to one student. Two plans are equal when all their data are.

    Attributes:
        teacher: the teacher's timm name.
        student: the student's timm name.
        rule: how it was chosen.
        blocks: the student's blocks and the teacher blocks they come from, in the order of the network.
        spaces: index list per space. A space is chosen once and shared by every tensor along it: one per residual
            stream (`residual`; `stage0`, ...), one per block for the inner ones (`blocks.3.mlp`, `blocks.3.heads`).
        tensors: where each tensor of the student comes from, in the order of its state; the classifier has none.

    Raises:
        ValueError: the parts contradict one another.

    Example:
        >>> from MonaiSKD.selection import make_plan
        >>> plan = make_plan("vit_small_patch16_224", "vit_tiny_patch16_224")
        >>> plan.spaces["blocks.0.heads"], plan.spaces["residual"][:3]
        ((0, 2, 4), (0, 2, 4))
    """

    teacher: str
    student: str
    rule: Rule
    blocks: Mapping[str, str]
    spaces: Mapping[str, tuple[int, ...]]
    tensors: Mapping[str, TensorMap]

    def __post_init__(self) -> None:
        for name, indices in self.spaces.items():
            if not indices or any(here >= after for here, after in pairwise(indices)):
                raise ValueError(f"the indices of {name} do not ascend")
        for key, entry in self.tensors.items():
            try:
                entry.check(self.spaces)
            except (KeyError, ValueError) as error:
                raise ValueError(f"{key}: {error}") from error

    def __hash__(self) -> int:
        return hash(self.digest())

    def digest(self) -> str:
        """SHA-256 of the plan's canonical JSON: equal plans have equal digests, on every machine."""
        canonical = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def apply(self, teacher_state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the student's state: fresh tensors, the teacher's unchanged.

        Args:
            teacher_state: the teacher's `state_dict()`; entries that no tensor comes from are not looked at.

        Returns:
            One tensor per entry of `tensors`, in the teacher's dtype. The classifier is not among them: load them
            with `strict=False`, or beside the classifier's own.

        Raises:
            SKDError: a tensor is absent, or of another shape than the plan was made for.
        """
        state: dict[str, Tensor] = {}
        for key, entry in self.tensors.items():
            tensor = self._fetch(teacher_state, entry.source, entry.shape)
            scale = self._fetch(teacher_state, entry.scale, entry.shape[:1])
            made = entry.make(tensor, scale, self.spaces)
            state[key] = shuffle(made, self.rule.seed, key) if self.rule.width == "shuffled" else made
        return state

    def _fetch(self, state: Mapping[str, Tensor], key: str | None, shape: tuple[int, ...]) -> Tensor | None:
        if key is None:
            return None
        remedy = "Make the plan from the very network whose weights these are"
        if key not in state:
            raise SKDError(self.teacher, f"the weights have no tensor {key}", remedy)
        if tuple(state[key].shape) != shape:
            cause = f"{key} has the shape {list(state[key].shape)}, the plan was made for {list(shape)}"
            raise SKDError(self.teacher, cause, remedy)
        return state[key]

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as what JSON can hold."""
        return {
            "format": _FORMAT,
            "teacher": self.teacher,
            "student": self.student,
            "rule": asdict(self.rule),
            "blocks": dict(self.blocks),
            "spaces": {name: list(indices) for name, indices in self.spaces.items()},
            "tensors": {key: _entry_to_dict(entry) for key, entry in self.tensors.items()},
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plan as JSON.

        Raises:
            SKDError: the file cannot be written.
        """
        write_json(path, self.to_dict())

    def describe(self) -> str:
        """Return a table for people: each tensor of the student, the teacher's tensor, and what is kept per axis."""
        rows = [("tensor", "from", "axes kept"), *self._rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(2)]
        lines = [f"{name:<{widths[0]}}  {source:<{widths[1]}}  {kept}".rstrip() for name, source, kept in rows]
        rule = ", ".join(f"{key} {value}" for key, value in asdict(self.rule).items())
        return "\n".join([f"{self.teacher} -> {self.student} ({rule})", "", *lines])

    def _rows(self) -> Iterator[tuple[str, str, str]]:
        for key, entry in self.tensors.items():
            axes = [
                f"all {size}" if space is None else _kept(self.spaces[space], size)
                for size, space in zip(entry.shape, entry.axes, strict=True)
            ]
            source = entry.source or "ones"
            if entry.scale is not None:
                source += f" * {entry.scale}"
            resampled = f" -> {list(entry.result)}" if entry.transform in ("patch_embed", "position_grid") else ""
            yield key, source, " | ".join(axes) + resampled


def _kept(indices: Sequence[int], size: int) -> str:
    """Say what is kept of an axis; a long index list by its beginning, for the file holds it whole."""
    if len(indices) == size:
        return f"all {size}"
    shown = ", ".join(map(str, indices[:_SHOWN_INDICES]))
    return f"{len(indices)} of {size}: {shown}" + (", …" if len(indices) > _SHOWN_INDICES else "")


def _entry_to_dict(entry: TensorMap) -> dict[str, Any]:
    """Drop what is at its default: the file is read by people too."""
    data: dict[str, Any] = {"source": entry.source, "axes": list(entry.axes)}
    data |= {"shape": list(entry.shape), "result": list(entry.result)}
    if entry.transform != "select":
        data["transform"] = entry.transform
    if entry.scale is not None:
        data["scale"] = entry.scale
    if entry.grids is not None:
        data["grids"] = [list(grid) for grid in entry.grids]
    return data
