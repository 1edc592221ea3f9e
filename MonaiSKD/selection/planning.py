"""Making selection plans: the rules of :mod:`.rules` applied to the layout that a backbone family declares."""

from __future__ import annotations

import timm
from torch import Tensor, nn

import MonaiSKD.models.students  # noqa: F401  (makes timm know the small students)
from MonaiSKD.errors import SKDError
from MonaiSKD.models.networks import check_known
from MonaiSKD.selection.families import CannotMap, family_of, nearest_pair
from MonaiSKD.selection.importance import activation_scores, weight_scores
from MonaiSKD.selection.layout import Layout, lay_out
from MonaiSKD.selection.plan import SelectionPlan
from MonaiSKD.selection.rules import DepthRule, HeadRule, Rule, WidthRule, choose

Network = str | nn.Module


def make_plan(
    teacher: Network,
    student: Network,
    *,
    depth: DepthRule = "first",
    width: WidthRule = "uniform",
    heads: HeadRule = "whole",
    phase: int = 0,
    seed: int = 0,
    images: Tensor | None = None,
) -> SelectionPlan:
    """Choose the entries of a teacher that a student starts from.

    `depth="first", width="uniform", heads="interleaved"` is the rule of Xu et al., "Initializing Models with Larger
    Ones", ICLR 2024, arXiv 2311.18823, on every tensor. The default differs by taking whole attention heads.

    Args:
        teacher: a timm name, or a timm network.
        student: a timm name, or a timm network of the same family, no wider and no deeper.
        depth: which blocks of each stage: `first`, `uniform` or `ends`.
        width: which entries of each axis: `uniform`, `consecutive`, `random`, `importance` or `shuffled`.
        heads: `whole` attention heads, or entries of several for one (`interleaved`).
        phase: 0, or p to choose among what phases 0 to p - 1 used least.
        seed: of `random` and `shuffled`.
        images: unlabeled images [n, 3, H, W], normalised as the teacher expects; with `importance` alone. Entries are
            then ranked by the teacher's activations on them, else by the norms of its weights.

    Returns:
        The plan. It covers every tensor of the student but the classifier's.

    Raises:
        SKDError: the pair does not map (with the nearest one that does), a rule or a name is unknown, or `importance`
            has only a name to go by.

    Example:
        >>> make_plan("tf_efficientnet_lite2", "tf_efficientnet_lite_xs", phase=1).spaces["stage0"]
        (1, 3, 5, 7, 9, 11, 13, 15)
    """
    rule = Rule(depth, width, heads, phase, seed)
    if images is not None and width != "importance":
        raise SKDError("images", f"the rule {width!r} does not look at any", "Leave them out, or choose 'importance'")
    if width == "importance" and isinstance(teacher, str):
        raise SKDError(teacher, "a name has no weights to rank", "Pass the loaded network")
    source, target = _network(teacher), _network(student)
    names = _name(source, teacher), _name(target, student)
    layout = _lay_out(source, target, rule, names)
    scores: dict[str, Tensor] = {}
    if width == "importance":
        scores = weight_scores(layout, source) if images is None else activation_scores(layout, source, images)
    spaces = {
        space: choose(space, total, keep, rule, scores.get(space)) for space, (total, keep) in layout.sizes.items()
    }
    spaces |= {product: _product(layout, product, spaces) for product in layout.products}
    return SelectionPlan(*names, rule, layout.blocks, spaces, layout.tensors)


def _network(network: Network) -> nn.Module:
    """Build a network from its name, without weights; take a network as it is."""
    if isinstance(network, nn.Module):
        return network
    check_known(network)
    model: nn.Module = timm.create_model(network, pretrained=False, num_classes=0)
    return model


def _name(model: nn.Module, given: Network) -> str:
    if isinstance(given, str):
        return given
    configuration = getattr(model, "pretrained_cfg", None) or {}
    return str(configuration.get("architecture") or type(model).__name__)


def _lay_out(teacher: nn.Module, student: nn.Module, rule: Rule, names: tuple[str, str]) -> Layout:
    try:
        family = family_of(teacher)
        if family_of(student) is not family:
            raise CannotMap(f"the teacher is of the family {family.name}, the student of {family_of(student).name}")
        return lay_out(family, teacher, student, rule)
    except CannotMap as error:
        near = " -> ".join(nearest_pair(teacher, student, names))
        raise SKDError(" -> ".join(names), str(error), f"The nearest pair that maps is {near}") from error


def _product(layout: Layout, product: str, spaces: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Combine the index lists of a product's factors, in row-major order."""
    indices = [0]
    for factor in layout.factors(product):
        total, _ = layout.sizes[factor]
        indices = [outer * total + inner for outer in indices for inner in spaces[factor]]
    return tuple(indices)
