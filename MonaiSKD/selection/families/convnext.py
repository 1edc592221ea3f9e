"""ConvNeXt (Liu et al., arXiv 2201.03545) and ConvNeXt-V2 (arXiv 2301.00808), each to its own kind.

Each stage has one space (`stage0` ... `stage3`); the stem writes into the first, a downsampling convolution leads from
one to the next, and the norm before the classifier reads the last. Each block has its own space of hidden units. The
small ones of timm hold their MLPs as 1x1 convolutions and the large ones as linear layers: a reshape tells them apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from timm.models.convnext import ConvNeXt as TimmConvNeXt
from torch import nn

from MonaiSKD.selection.families.base import Axes, Family, Readout

_STAGES = range(4)
_OUTSIDE: Mapping[str, Axes] = {
    "stem.0": ("stage0",),
    "stem.1": ("stage0",),
    **{f"stages.{stage}.downsample.0": (f"stage{stage - 1}",) for stage in _STAGES[1:]},
    **{f"stages.{stage}.downsample.1": (f"stage{stage}", f"stage{stage - 1}") for stage in _STAGES[1:]},
    "norm_pre": ("stage3",),
    "head.norm": ("stage3",),
}


class ConvNeXt(Family):
    """Networks of timm's `ConvNeXt` with the patch stem."""

    name: ClassVar[str] = "ConvNeXt"
    model_type: ClassVar[type[nn.Module]] = TimmConvNeXt
    pairs: ClassVar[Mapping[tuple[str, str], float]] = {
        ("convnext_tiny", "convnext_atto"): 3.7,
        ("convnext_tiny", "convnext_femto"): 5.2,
        ("convnext_tiny", "convnext_pico"): 9.1,
        ("convnext_tiny", "convnext_nano"): 15.6,
        ("convnext_small", "convnext_tiny"): 28.6,
        ("convnextv2_tiny", "convnextv2_femto"): 5.2,
    }

    def stages(self, model: nn.Module) -> dict[str, int]:
        """Return the four stages."""
        names = [f"stages.{stage}.blocks" for stage in _STAGES]
        return {name: len(list(model.get_submodule(name).children())) for name in names}

    def trunk(self, model: nn.Module) -> list[str]:
        """Return each stage's blocks, the downsampling that leads to it before them."""
        trunk: list[str] = []
        for stage, (name, count) in enumerate(self.stages(model).items()):
            trunk += [f"stages.{stage}.downsample"] if stage else []
            trunk += [f"{name}.{number}" for number in range(count)]
        return trunk

    def axes(self, model: nn.Module, block: str | None) -> Mapping[str, Axes]:
        """See :class:`Family`."""
        if block is None:
            return _OUTSIDE
        stream, hidden = f"stage{block.split('.')[1]}", f"{block}.mlp"
        return {
            "conv_dw": (stream,),
            "norm": (stream,),
            "mlp.fc1": (hidden, stream),
            "mlp.grn": (hidden,),
            "mlp.fc2": (stream, hidden),
            "gamma": (stream,),
        }

    def readouts(self, block: nn.Module) -> tuple[Readout, ...]:
        """Return the second pointwise layer."""
        return (Readout("mlp.fc2", gamma="gamma"),)
