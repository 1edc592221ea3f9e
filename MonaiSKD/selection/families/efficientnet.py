"""EfficientNet (Tan and Le, arXiv 1905.11946), with squeeze-and-excitation or without (Lite).

Each stage has one space (`stage0` ...), fed by `stem` and read by `head`, the last convolution before pooling. Inside a
block the expanded channels have a space of their own, which depthwise convolution, batch norms (running statistics
included) and squeeze-and-excitation share; the squeezed channels have another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from timm.models._efficientnet_blocks import DepthwiseSeparableConv, InvertedResidual
from timm.models.efficientnet import EfficientNet as TimmEfficientNet
from torch import nn

from MonaiSKD.selection.families.base import Axes, CannotMap, Family, Readout


class EfficientNet(Family):
    """Networks of timm's `EfficientNet` made of depthwise-separable and inverted-residual blocks."""

    name: ClassVar[str] = "EfficientNet"
    model_type: ClassVar[type[nn.Module]] = TimmEfficientNet
    pairs: ClassVar[Mapping[tuple[str, str], float]] = {
        ("tf_efficientnet_lite2", "tf_efficientnet_lite_xs"): 1.3,
        ("tf_efficientnet_lite2", "tf_efficientnet_lite0"): 3.4,
        ("efficientnet_b1", "efficientnet_b0"): 4.0,
    }

    def stages(self, model: nn.Module) -> dict[str, int]:
        """Return the stages, seven as a rule."""
        return {
            f"blocks.{name}": len(list(stage.children()))
            for name, stage in model.get_submodule("blocks").named_children()
        }

    def trunk(self, model: nn.Module) -> list[str]:
        """Return the blocks."""
        return [f"{stage}.{number}" for stage, count in self.stages(model).items() for number in range(count)]

    def axes(self, model: nn.Module, block: str | None) -> Mapping[str, Axes]:
        """See :class:`Family`."""
        if block is None:
            last = f"stage{len(self.stages(model)) - 1}"
            return {"conv_stem": ("stem",), "bn1": ("stem",), "conv_head": ("head", last), "bn2": ("head",)}
        module: Any = model.get_submodule(block)
        if type(module) not in (DepthwiseSeparableConv, InvertedResidual) or module.conv_dw.weight.shape[1] != 1:
            raise CannotMap(f"{block} is neither a depthwise-separable nor an inverted-residual block")
        if not isinstance(module.bn1, nn.BatchNorm2d):
            raise CannotMap(f"the norms of {block} are no batch normalisations")
        _, stage, number = block.split(".")
        stream = f"stage{stage}"
        source = stream if number != "0" else "stem" if stage == "0" else f"stage{int(stage) - 1}"
        squeezed = f"{block}.squeezed"
        if isinstance(module, InvertedResidual):
            wide = f"{block}.expanded"
            ends: dict[str, Axes] = {"conv_pw": (wide, source), "bn2": (wide,)}
            ends |= {"conv_pwl": (stream, wide), "bn3": (stream,)}
        else:
            wide = source
            ends = {"conv_pw": (stream, wide), "bn2": (stream,)}
        excitation: dict[str, Axes] = {"se.conv_reduce": (squeezed, wide), "se.conv_expand": (wide, squeezed)}
        return {"conv_dw": (wide,), "bn1": (wide,), **ends, **excitation}

    def readouts(self, block: nn.Module) -> tuple[Readout, ...]:
        """Return the last pointwise convolution, unless an activation stands between it and the stream."""
        if isinstance(block, InvertedResidual):
            return (Readout("conv_pwl", norm="bn3"),)
        return () if block.has_pw_act else (Readout("conv_pw", norm="bn2"),)
