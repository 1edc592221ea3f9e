"""One student tensor out of the teacher's: what is taken, and the few ways it is brought to the student's shape."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from timm.layers import resample_abs_pos_embed, resample_patch_embed
from torch import Tensor

from MonaiSKD.selection.rules import seed_of

Transform = Literal["select", "reshape", "patch_embed", "position_grid", "ones"]
Grid = tuple[int, int]
Spaces = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class TensorMap:
    """Where one tensor of the student comes from.

    Attributes:
        source: the teacher's tensor; None where the teacher has none and the student's is filled with ones.
        axes: per axis of the teacher's tensor the index space it lies along, None where the axis is kept whole.
        shape: the teacher tensor's shape.
        result: the student tensor's shape.
        transform: what follows the selection: nothing (`select`), a `reshape` between a linear layer and a 1x1
            convolution, resampling of a `patch_embed` [D, C, h, w] or of a `position_grid` [1, P + h*w, D]; or `ones`.
        scale: a LayerScale of the teacher, multiplied into axis 0 because the student has none.
        grids: rows and columns of the position grid, the teacher's and the student's.

    The meaning of `patch_embed`: pseudo-inverse resampling (Beyer et al., "FlexiViT", arXiv 2212.08013), by timm.
    """

    source: str | None
    axes: tuple[str | None, ...]
    shape: tuple[int, ...]
    result: tuple[int, ...]
    transform: Transform = "select"
    scale: str | None = None
    grids: tuple[Grid, Grid] | None = None

    def selected_shape(self, spaces: Spaces) -> tuple[int, ...]:
        """Shape after the selection and before the transform."""
        return tuple(
            size if space is None else len(spaces[space]) for size, space in zip(self.shape, self.axes, strict=True)
        )

    def check(self, spaces: Spaces) -> None:
        """Raise ValueError where the entry contradicts itself or `spaces`."""
        if self.transform not in get_args(Transform):
            raise ValueError(f"there is no transform {self.transform!r}")
        if (self.source is None) != (self.transform == "ones"):
            raise ValueError("a tensor has a source, or is filled with ones")
        for size, space in zip(self.shape, self.axes, strict=True):
            if space is not None and not all(0 <= index < size for index in spaces[space]):
                raise ValueError(f"an index of {space} lies outside 0..{size - 1}")
        if not self._fits(self.selected_shape(spaces)):
            raise ValueError(f"{self.selected_shape(spaces)} does not become {self.result} by {self.transform!r}")

    def _fits(self, selected: tuple[int, ...]) -> bool:
        if self.transform == "select":
            return selected == self.result
        if self.transform == "reshape":
            return math.prod(selected) == math.prod(self.result)
        if self.transform == "patch_embed":
            return len(selected) == len(self.result) == 4 and selected[:2] == self.result[:2]
        if self.transform == "position_grid":
            if self.grids is None or not len(selected) == len(self.result) == 3:
                return False
            old, new = (math.prod(grid) for grid in self.grids)
            return selected[1] - old == self.result[1] - new >= 0 and selected[2] == self.result[2]
        return selected == ()

    def make(self, tensor: Tensor | None, scale: Tensor | None, spaces: Spaces) -> Tensor:
        """Return the student's tensor as a fresh one.

        Args:
            tensor: the teacher's tensor [`shape`], None for `ones`.
            scale: the LayerScale [`shape`[0]] that `scale` names.
            spaces: index list per space.
        """
        if tensor is None:
            return torch.ones(self.result)
        result = tensor.detach()
        if scale is not None:
            result = result * scale.detach().reshape(-1, *[1] * (result.ndim - 1))
        for axis, space in enumerate(self.axes):
            if space is not None:
                result = result.index_select(axis, torch.tensor(spaces[space], device=result.device))
        if self.transform == "reshape":
            result = result.reshape(self.result)
        elif self.transform == "patch_embed":
            result = resample_patch_embed(result, list(self.result[2:]))
        elif self.grids is not None:
            old, new = self.grids
            prefix = self.result[1] - math.prod(new)
            result = resample_abs_pos_embed(result, list(new), list(old), num_prefix_tokens=prefix)
        return result.contiguous().clone()


def shuffle(tensor: Tensor, seed: int, key: str) -> Tensor:
    """Permute all elements of `tensor`, seeded by `seed` and the tensor's `key`."""
    generator = torch.Generator().manual_seed(seed_of(seed, key))
    order = torch.randperm(tensor.numel(), generator=generator).to(tensor.device)
    return tensor.flatten()[order].reshape(tensor.shape)
