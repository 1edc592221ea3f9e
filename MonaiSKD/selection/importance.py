"""How much each entry of an index space matters, by the teacher's weights or by its activations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from MonaiSKD.selection.layout import Layout

_BATCH = 32


def weight_scores(layout: Layout, teacher: nn.Module) -> dict[str, Tensor]:
    """Score each entry of each space by the L2 norms of its slices, summed over the parameters along the space.

    Returns:
        Per independent space that is to be narrowed, a tensor [entries of the teacher], float64.
    """
    scores = _no_scores(layout)
    parameters = dict(teacher.named_parameters())
    for entry in layout.tensors.values():
        if entry.source not in parameters:
            continue
        squares = parameters[entry.source].detach().double().square().cpu()
        for axis, space in enumerate(entry.axes):
            if space is not None:
                others = [other for other in range(squares.ndim) if other != axis]
                for factor, sums in _per_factor(layout, space, squares.sum(others) if others else squares):
                    scores[factor] += sums.sqrt()
    return scores


def activation_scores(layout: Layout, teacher: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Score each entry of each space by its mean absolute activation over unlabeled images.

    It is measured where linear layers and convolutions read the space; for one that only the classifier reads, behind
    the batch normalisation that writes it. Each place counts alike: its activations are divided by their mean.

    Args:
        layout: of the pair.
        teacher: with its pretrained weights.
        images: normalised as the teacher expects [n, 3, H, W].

    Returns:
        Per independent space that is to be narrowed, a tensor [entries of the teacher], float64.
    """
    scores = _no_scores(layout)
    means: dict[str, Tensor] = {}
    probes = _probes(layout, teacher)
    device = next(teacher.parameters()).device
    with evaluating(teacher), torch.no_grad(), ExitStack() as hooks:
        for name, (_, reads) in probes.items():
            hooks.enter_context(_watching(teacher.get_submodule(name), name, reads, means))
        for batch in torch.split(images, _BATCH):
            teacher(batch.to(device))
    for name, (space, _) in probes.items():
        for factor, sums in _per_factor(layout, space, means[name]):
            scores[factor] += sums / sums.mean().clamp_min(torch.finfo(sums.dtype).tiny)
    return scores


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, and each of its modules back into its own mode afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _no_scores(layout: Layout) -> dict[str, Tensor]:
    """Return zeros for every independent space of which something is left out: elsewhere there is no choice."""
    sizes = layout.sizes.items()
    return {space: torch.zeros(total, dtype=torch.float64) for space, (total, keep) in sizes if keep < total}


def _per_factor(layout: Layout, space: str, values: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Sum `values` [entries of `space`] over all but one of the space's factors, for each that is narrowed."""
    factors = layout.factors(space)
    grid = values.reshape([layout.sizes[factor][0] for factor in factors])
    for axis, factor in enumerate(factors):
        total, keep = layout.sizes[factor]
        if keep < total:
            yield factor, grid.movedim(axis, 0).reshape(total, -1).sum(1)


def _probes(layout: Layout, teacher: nn.Module) -> dict[str, tuple[str, bool]]:
    """Map teacher modules to the space that is seen there, and whether at the input (True) or the output."""
    reading: dict[str, tuple[str, bool]] = {}
    writing: dict[str, tuple[str, bool]] = {}
    for entry in layout.tensors.values():
        name, _, leaf = (entry.source or "").rpartition(".")
        if leaf != "weight":
            continue
        module, space = teacher.get_submodule(name), entry.axes[:2][-1]
        if isinstance(module, (nn.Linear, nn.Conv2d)) and space is not None:
            reading[name] = (space, True)
        if isinstance(module, nn.BatchNorm2d) and space is not None:
            writing[name] = (space, False)
    seen = {factor for space, _ in reading.values() for factor in layout.factors(space)}
    unseen = _no_scores(layout).keys() - seen
    return reading | {name: at for name, at in writing.items() if unseen & set(layout.factors(at[0]))}


@contextmanager
def _watching(module: nn.Module, name: str, reads: bool, means: dict[str, Tensor]) -> Iterator[None]:
    """Add the mean absolute activation per channel, over images and positions, to `means[name]`."""
    channels = -1 if isinstance(module, nn.Linear) else 1

    def note(_: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        values = (inputs[0] if reads else output).detach().abs().double().movedim(channels, -1).flatten(0, -2)
        means[name] = means.get(name, 0.0) + values.sum(0).cpu()

    handle = module.register_forward_hook(note)
    try:
        yield
    finally:
        handle.remove()
