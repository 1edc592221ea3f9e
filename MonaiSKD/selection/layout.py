"""The layout of a pair: which index spaces there are between teacher and student, and which tensors lie along them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from MonaiSKD.selection.families.base import Axes, CannotMap, Family, Readout
from MonaiSKD.selection.rules import Rule, choose_blocks
from MonaiSKD.selection.tensors import TensorMap, Transform

Shape = tuple[int, ...]

# The axes whose size a transform changes.
_RESAMPLED: Mapping[Transform, tuple[int, ...]] = {"patch_embed": (2, 3), "position_grid": (1,)}


@dataclass
class Layout:
    """What there is to choose, before anything is chosen.

    Attributes:
        blocks: student block -> teacher block.
        sizes: per independent space, the entries of teacher and student.
        products: a space that is the row-major product of others.
        tensors: student tensor -> where it comes from.
    """

    blocks: dict[str, str]
    sizes: dict[str, tuple[int, int]]
    products: dict[str, tuple[str, ...]]
    tensors: dict[str, TensorMap] = field(default_factory=dict)

    def factors(self, space: str) -> tuple[str, ...]:
        """Return the independent spaces that `space` is made of."""
        return self.products.get(space, (space,))

    def lay(self, space: str, teacher: int, student: int, key: str) -> None:
        """State the sizes of `space` along the tensor `key`.

        Raises:
            CannotMap: another tensor says otherwise, or the student has more entries than the teacher.
        """
        if space not in self.products:
            self.sizes.setdefault(space, (teacher, student))
        sizes = [self.sizes[factor] for factor in self.factors(space)]
        if (teacher, student) != tuple(math.prod(column) for column in zip(*sizes, strict=True)):
            raise CannotMap(f"{key} does not agree with the other tensors along {space}")
        for factor, (total, keep) in zip(self.factors(space), sizes, strict=True):
            if keep > total:
                raise CannotMap(f"the student has {keep} entries along {factor} and the teacher only {total}")


def lay_out(family: Family, teacher: nn.Module, student: nn.Module, rule: Rule) -> Layout:
    """Lay out a pair of one family.

    Raises:
        CannotMap: the student cannot be cut out of the teacher.
    """
    blocks = _match_blocks(family.stages(teacher), family.stages(student), rule)
    structure = family.structure(teacher, student, blocks, rule)
    layout = Layout(blocks, dict(structure.sizes), dict(structure.products))
    theirs, mine = backbone_shapes(teacher), backbone_shapes(student)
    pair = _Pair(family, teacher, student, theirs, mine, layout)
    layout.tensors.update({key: pair.entry(key) for key in mine})
    _refuse_losses(layout, family.stages(teacher), theirs)
    return layout


def backbone_shapes(model: nn.Module) -> dict[str, Shape]:
    """Return the shape of every tensor of a timm network except the classifier's, which timm itself points out."""
    classifier = model.get_classifier()  # type: ignore[operator]
    names = tuple(f"{name}." for name, module in model.named_modules() if module is classifier)
    return {key: tuple(tensor.shape) for key, tensor in model.state_dict().items() if not key.startswith(names)}


def _match_blocks(teacher: Mapping[str, int], student: Mapping[str, int], rule: Rule) -> dict[str, str]:
    if teacher.keys() != student.keys():
        raise CannotMap(f"the teacher has {len(teacher)} stages and the student {len(student)}")
    blocks: dict[str, str] = {}
    for stage, keep in student.items():
        if keep > teacher[stage]:
            raise CannotMap(f"the student has {keep} blocks in {stage} and the teacher only {teacher[stage]}")
        chosen = choose_blocks(teacher[stage], keep, rule.depth)
        blocks |= {f"{stage}.{mine}": f"{stage}.{theirs}" for mine, theirs in enumerate(chosen)}
    return blocks


def _refuse_losses(layout: Layout, stages: Mapping[str, int], theirs: Mapping[str, Shape]) -> None:
    """Refuse a student with no place for a tensor of a block it takes, or for one outside the blocks."""
    used = {name for entry in layout.tensors.values() for name in (entry.source, entry.scale)}
    every = {f"{stage}.{number}" for stage, count in stages.items() for number in range(count)}
    left_out = tuple(f"{block}." for block in every - set(layout.blocks.values()))
    for key in theirs:
        if key not in used and not key.startswith(left_out):
            raise CannotMap(f"the student has no place for the teacher's {key}")


@dataclass
class _Pair:
    """Teacher and student while their tensors are laid out, one by one."""

    family: Family
    teacher: nn.Module
    student: nn.Module
    theirs: Mapping[str, Shape]
    mine: Mapping[str, Shape]
    layout: Layout

    def entry(self, key: str) -> TensorMap:
        """Say where the student's tensor `key` comes from."""
        block = next((name for name in self.layout.blocks if key.startswith(f"{name}.")), None)
        tail = key if block is None else key.removeprefix(f"{block}.")
        source = self.family.source(key, self.theirs.keys())
        if block is not None:
            source = f"{self.layout.blocks[block]}.{tail}"
        if source not in self.theirs:
            if tail in {readout.gamma for readout in self._readouts(block)}:
                # A LayerScale of one is what the teacher has; the student's own starts near zero and mutes the block.
                return TensorMap(None, (), (), self.mine[key], "ones")
            raise CannotMap(f"the teacher has nothing for the student's {key}")
        shape, result = self.theirs[source], self.mine[key]
        transform, grids = self.family.resample(key, self.teacher, self.student)
        if len(shape) != len(result):
            transform = "reshape"
        axes = self._axes(key, block, tail, len(shape))
        self._lay(key, axes, shape, result, transform)
        return TensorMap(source, axes, shape, result, transform, self._scale(block, tail), grids)

    def _readouts(self, block: str | None) -> tuple[Readout, ...]:
        return () if block is None else self.family.readouts(self.student.get_submodule(block))

    def _axes(self, key: str, block: str | None, tail: str, count: int) -> Axes:
        table = self.family.axes(self.student, block)
        axes = table.get(tail, table.get(tail.rpartition(".")[0]))
        if axes is None:
            raise CannotMap(f"{key} is of a kind unknown in the family {self.family.name}")
        return (*axes, *[None] * count)[:count]

    def _lay(self, key: str, axes: Axes, shape: Shape, result: Shape, transform: Transform) -> None:
        """Lay the spaces along one tensor, and see that what is kept whole has one size in both."""
        shared = min(len(shape), len(result))
        if set(shape[shared:] + result[shared:]) - {1}:
            raise CannotMap(f"{key} has the shape {list(result)}, the teacher's {list(shape)}")
        for axis in range(shared):
            space = axes[axis]
            if space is not None:
                self.layout.lay(space, shape[axis], result[axis], key)
            elif shape[axis] != result[axis] and axis not in _RESAMPLED.get(transform, ()):
                raise CannotMap(f"axis {axis} of {key} has {result[axis]} entries, the teacher's {shape[axis]}")

    def _scale(self, block: str | None, tail: str) -> str | None:
        """Name the teacher's LayerScale that the student lacks, for a tensor of the read-out it is folded into."""
        for readout in self._readouts(block):
            if block is not None and readout.gamma is not None and tail.rpartition(".")[0] == readout.linear:
                theirs = f"{self.layout.blocks[block]}.{readout.gamma}"
                if theirs in self.theirs and f"{block}.{readout.gamma}" not in self.mine:
                    return theirs
        return None
