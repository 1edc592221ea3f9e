"""What a backbone family declares: how its blocks are stacked, and along which index spaces its tensors lie."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from MonaiSKD.selection.rules import Rule
from MonaiSKD.selection.tensors import Grid, Transform

Axes = tuple[str | None, ...]


class CannotMap(ValueError):
    """Why a student cannot be cut out of a teacher; caught where the names of both are known."""


@dataclass(frozen=True)
class Readout:
    """A linear layer that writes into the residual stream, by the names of modules inside its block.

    Attributes:
        linear: the linear layer or 1x1 convolution.
        after: a module whose input is the stream after this read-out; empty where the block's output is.
        gamma: the LayerScale between the layer and the stream, where the block has one.
        norm: the batch normalisation between the layer and the stream.
    """

    linear: str
    after: str = ""
    gamma: str | None = None
    norm: str | None = None


@dataclass(frozen=True)
class Structure:
    """The spaces that shapes alone do not tell.

    Attributes:
        sizes: per independent space, the entries of teacher and student.
        products: a space that is the row-major product of others, such as `blocks.0.attn` = heads x entries per head.
    """

    sizes: Mapping[str, tuple[int, int]]
    products: Mapping[str, tuple[str, ...]]


class Family(ABC):
    """One backbone family of timm.

    Attributes:
        name: what messages call it.
        model_type: the timm class of its networks; subclasses are other families.
        learning_rate: peak that suits its students with AdamW, where the bundles' own is too high for them.
        pairs: teacher and student names that are known to map, with the student's parameters in millions.
    """

    name: ClassVar[str]
    model_type: ClassVar[type[nn.Module]]
    learning_rate: ClassVar[float | None] = None
    pairs: ClassVar[Mapping[tuple[str, str], float]]

    @abstractmethod
    def stages(self, model: nn.Module) -> dict[str, int]:
        """Name each sequence of blocks, with the number of its blocks; a block is called `<stage>.<number>`."""

    @abstractmethod
    def trunk(self, model: nn.Module) -> list[str]:
        """Name the modules that, called in turn, carry the stream from the first block to the last."""

    @abstractmethod
    def axes(self, model: nn.Module, block: str | None) -> Mapping[str, Axes]:
        """Map modules (or bare tensors) to the spaces along their tensors' axes, output first.

        A tensor with fewer axes takes the first ones (the bias of a layer lies along its output), one with more keeps
        the others whole.

        Args:
            model: the student.
            block: one of its blocks, to whose inside the names are relative; None: all that lies outside the blocks.
        """

    @abstractmethod
    def readouts(self, block: nn.Module) -> tuple[Readout, ...]:
        """Return the linear layers by which a block writes into the residual stream, in order."""

    def structure(self, teacher: nn.Module, student: nn.Module, blocks: Mapping[str, str], rule: Rule) -> Structure:
        """Return the spaces that shapes alone do not tell, for student blocks and the teacher blocks they come from."""
        return Structure({}, {})

    def source(self, key: str, teacher: Set[str]) -> str:
        """Name the tensor, among the teacher's, for one of the student that lies outside the blocks."""
        return key

    def resample(self, key: str, teacher: nn.Module, student: nn.Module) -> tuple[Transform, tuple[Grid, Grid] | None]:
        """Say how a tensor whose whole axes differ in size is brought to the student's, and between which grids."""
        return "select", None
