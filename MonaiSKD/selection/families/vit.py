"""Vision transformers: plain (Dosovitskiy et al., arXiv 2010.11929; DeiT) and DINOv2's with LayerScale.

One space, `residual`, runs through the whole network. Each block has its own spaces for the hidden units of its MLP
and for its attention. With `heads="whole"` the attention space is heads x entries per head: queries, keys and values
are cut apart with the same heads, and so is the input of the projection, so that a student's head attends as the
teacher's head it was. With `heads="interleaved"` there are no heads, only entries; for the uniform rule the fused
[q | k | v] axis is even cut as one, as published.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any, ClassVar

from timm.models.vision_transformer import VisionTransformer
from torch import nn

from MonaiSKD.selection.families.base import Axes, CannotMap, Family, Readout, Structure
from MonaiSKD.selection.rules import Rule
from MonaiSKD.selection.tensors import Grid, Transform

_STREAM = "residual"
_OUTSIDE: Mapping[str, Axes] = {
    "cls_token": (None, None, _STREAM),
    "reg_token": (None, None, _STREAM),
    "pos_embed": (None, None, _STREAM),
    "patch_embed.proj": (_STREAM,),
    "patch_embed.norm": (_STREAM,),
    "norm_pre": (_STREAM,),
    "norm": (_STREAM,),
    "fc_norm": (_STREAM,),
}


class ViT(Family):
    """Vision transformers of timm's `VisionTransformer`."""

    name: ClassVar[str] = "ViT"
    model_type: ClassVar[type[nn.Module]] = VisionTransformer
    learning_rate: ClassVar[float | None] = 0.0002
    pairs: ClassVar[Mapping[tuple[str, str], float]] = {
        ("vit_small_patch14_dinov2", "vit_tiny_patch14_dinov2"): 5.5,
        ("vit_small_patch16_224", "vit_tiny_patch16_224"): 5.7,
        ("vit_base_patch14_dinov2", "vit_small_patch14_dinov2"): 22.1,
    }

    def stages(self, model: nn.Module) -> dict[str, int]:
        """Return the one sequence of blocks."""
        return {"blocks": len(list(model.get_submodule("blocks").children()))}

    def trunk(self, model: nn.Module) -> list[str]:
        """Return the blocks."""
        return [f"blocks.{number}" for number in range(self.stages(model)["blocks"])]

    def axes(self, model: nn.Module, block: str | None) -> Mapping[str, Axes]:
        """See :class:`Family`."""
        if block is None:
            return _OUTSIDE
        attention, hidden = f"{block}.attn", f"{block}.mlp"
        return {
            "norm1": (_STREAM,),
            "attn.qkv": (f"{block}.qkv", _STREAM),
            "attn.q_norm": (f"{block}.head_entries",),
            "attn.k_norm": (f"{block}.head_entries",),
            "attn.proj": (_STREAM, attention),
            "ls1": (_STREAM,),
            "norm2": (_STREAM,),
            "mlp.fc1": (hidden, _STREAM),
            "mlp.fc2": (_STREAM, hidden),
            "ls2": (_STREAM,),
        }

    def readouts(self, block: nn.Module) -> tuple[Readout, ...]:
        """Return the attention projection and the second layer of the MLP."""
        return Readout("attn.proj", after="norm2", gamma="ls1.gamma"), Readout("mlp.fc2", gamma="ls2.gamma")

    def structure(self, teacher: nn.Module, student: nn.Module, blocks: Mapping[str, str], rule: Rule) -> Structure:
        """Return the heads, or with `interleaved` what takes their place."""
        tokens = [(model.has_class_token, model.num_reg_tokens, model.no_embed_class) for model in (teacher, student)]
        if tokens[0] != tokens[1]:
            words = " and ".join(f"(class token {c}, {r} registers, class left out {n})" for c, r, n in tokens)
            raise CannotMap(f"the tokens before the patches differ between teacher and student: {words}")
        sizes: dict[str, tuple[int, int]] = {}
        products: dict[str, tuple[str, ...]] = {}
        if rule.fuses_heads:
            return Structure(sizes, products)
        sizes["q|k|v"] = (3, 3)
        for block, source in blocks.items():
            theirs: Any = teacher.get_submodule(f"{source}.attn")
            mine: Any = student.get_submodule(f"{block}.attn")
            heads, entries, attention = f"{block}.heads", f"{block}.head_entries", f"{block}.attn"
            if rule.heads == "whole":
                sizes[heads] = (theirs.num_heads, mine.num_heads)
                sizes[entries] = (theirs.head_dim, mine.head_dim)
                products[attention] = (heads, entries)
                products[f"{block}.qkv"] = ("q|k|v", heads, entries)
            else:
                sizes[attention] = (theirs.num_heads * theirs.head_dim, mine.num_heads * mine.head_dim)
                products[f"{block}.qkv"] = ("q|k|v", attention)
        return Structure(sizes, products)

    def source(self, key: str, teacher: Set[str]) -> str:
        """Let the last norm before pooling serve the one after it, and the other way round (timm names them apart)."""
        for mine, theirs in (("norm.", "fc_norm."), ("fc_norm.", "norm.")):
            if key.startswith(mine) and key not in teacher:
                return theirs + key.removeprefix(mine)
        return key

    def resample(self, key: str, teacher: nn.Module, student: nn.Module) -> tuple[Transform, tuple[Grid, Grid] | None]:
        """Resample patch embedding and position grid where patch or image sizes differ."""
        theirs, mine = (model.get_submodule("patch_embed") for model in (teacher, student))
        if key == "patch_embed.proj.weight" and theirs.patch_size != mine.patch_size:
            return "patch_embed", None
        if key == "pos_embed" and theirs.grid_size != mine.grid_size:
            return "position_grid", (_grid(theirs), _grid(mine))
        return "select", None


def _grid(patch_embed: Any) -> Grid:
    rows, columns = patch_embed.grid_size
    return int(rows), int(columns)
