"""The backbone families that selection knows, one file each."""

from __future__ import annotations

import math

from torch import nn

from MonaiSKD.selection.families.base import CannotMap, Family, Readout
from MonaiSKD.selection.families.convnext import ConvNeXt
from MonaiSKD.selection.families.efficientnet import EfficientNet
from MonaiSKD.selection.families.vit import ViT

__all__ = ["FAMILIES", "CannotMap", "Family", "Readout", "family_of", "nearest_pair"]

FAMILIES: tuple[Family, ...] = (ViT(), ConvNeXt(), EfficientNet())


def family_of(model: nn.Module) -> Family:
    """Return the family of a timm network.

    Raises:
        CannotMap: it is of none that selection knows.
    """
    for family in FAMILIES:
        # Subclasses add parts of their own (a distillation token, say), of which the family knows nothing.
        if type(model) is family.model_type:
            return family
    known = ", ".join(family.name for family in FAMILIES)
    raise CannotMap(f"{type(model).__name__} is none of the families whose weights can be selected ({known})")


def nearest_pair(teacher: nn.Module, student: nn.Module, names: tuple[str, str]) -> tuple[str, str]:
    """Return the known pair nearest to one that does not map.

    Of the teacher's family, else the student's; then with one of the two names; then with a student of like size.

    Example:
        >>> import timm
        >>> nearest_pair(timm.create_model("resnet50"), timm.create_model("resnet18"), ("resnet50", "resnet18"))
        ('convnext_tiny', 'convnext_pico')
    """
    near: tuple[Family, ...] = FAMILIES
    for model in (student, teacher):
        near = tuple(family for family in FAMILIES if type(model) is family.model_type) or near
    millions = max(1e-3, sum(parameter.numel() for parameter in student.parameters()) / 1e6)
    pairs = {pair: size for family in near for pair, size in family.pairs.items()}

    def distance(pair: tuple[str, str]) -> tuple[bool, float]:
        return not set(pair) & set(names), abs(math.log(pairs[pair] / millions))

    return min(pairs, key=distance)
