"""Compensation: after selection, the student's linear read-outs are refitted in closed form against its teacher.

A selected block lacks the inputs that were left out, and so misses its share of what the teacher's block adds to the
residual stream. For each layer that writes into the stream (attention projection, second MLP or pointwise layer), in
the order of the network, ridge regression finds the change that brings the student's stream after it nearest to the
teacher's stream at the student's indices, on a few hundred unlabeled images:

    min over D, d:  | X D^T + d - (T[:, indices] - S) |^2 / n  +  ridge * mean variance of X * | D |^2

X is what the layer reads in the student as compensated so far, S the student's stream after it, T the teacher's. As S
carries the errors of the blocks before, each block also mends those. The reconstruction error as the criterion follows
structured pruning (He et al., "Channel Pruning", arXiv 1707.06168, eq. 1); drawing towards the selected weights and
the target of a whole stream are choices of this project.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from MonaiSKD.errors import SKDError
from MonaiSKD.selection.families import Readout, family_of
from MonaiSKD.selection.importance import evaluating
from MonaiSKD.selection.layout import backbone_shapes
from MonaiSKD.selection.least_squares import Correction, RidgeSums
from MonaiSKD.selection.plan import SelectionPlan
from MonaiSKD.selection.walk import Walk, rows


@dataclass(frozen=True)
class ReadoutError:
    """How far the student's stream after one read-out lies from the teacher's, as |S - T| / |T| over all images.

    Attributes:
        block: the student's block.
        readout: the linear layer in it.
        before: with the weights as selected, throughout the network.
        after: with all read-outs up to this one compensated.
    """

    block: str
    readout: str
    before: float
    after: float


@dataclass(frozen=True)
class CompensationReport:
    """The relative errors of the stream, read-out by read-out, in the order of the network."""

    errors: tuple[ReadoutError, ...]

    def to_dict(self) -> list[dict[str, str | float]]:
        """Return one record per read-out, as JSON can hold it."""
        return [asdict(error) for error in self.errors]


def compensate(
    teacher: nn.Module,
    student: nn.Module,
    plan: SelectionPlan,
    images: Tensor,
    *,
    ridge: float = 0.1,
    batch_size: int = 32,
) -> tuple[dict[str, Tensor], CompensationReport]:
    """Apply a plan and refit the read-outs of the selected student against its teacher.

    A LayerScale between a read-out and the stream is folded into the weights and set to one. A batch normalisation
    there is given the statistics that its input has on these images, so that it does the same in training mode.

    Args:
        teacher: with its pretrained weights; left as it is.
        student: of the plan's shape. Its classifier is kept; it is left as it is.
        plan: from this teacher to this student.
        images: unlabeled images [n, 3, H, W], normalised as the teacher expects.
        ridge: strength of the pull towards the selected weights, relative to the variance of the layer's input. A
            weaker one fits these images more closely, and on a few hundred of them unseen images less closely.
        batch_size: images per forward pass.

    Returns:
        The student's whole state (the classifier's included), and the errors before and after. Memory holds the stream
        of all images at one place of the teacher and of two students.

    Raises:
        SKDError: the student is not of the plan's shape, teacher and student see different numbers of positions, there
            are no images, or `ridge` is not positive.
    """
    if not ridge > 0 or images.ndim != 4 or not len(images):
        cause = f"it needs images [n, 3, H, W] and a ridge above 0, not {list(images.shape)} and {ridge}"
        raise SKDError("compensation", cause, "Pass a few hundred unlabeled images")
    family = family_of(teacher)
    selected, mended = (_selected(teacher, student, plan) for _ in range(2))
    errors: list[ReadoutError] = []
    with torch.no_grad(), evaluating(teacher):
        batches = torch.split(images, batch_size)
        walks = [Walk(model, family.trunk(model), batches) for model in (teacher, selected, mended)]
        for block, source in plan.blocks.items():
            for walk, name in zip(walks, (source, block, block), strict=True):
                walk.reach(name)
            readouts = family.readouts(mended.get_submodule(block))
            targets = _targets(walks[0], plan, block, readouts)
            for readout in readouts:
                _refit(walks[2], readout, targets[readout], ridge)
            before, after = (_errors(walk, targets) for walk in walks[1:])
            errors += [ReadoutError(block, readout.linear, before[readout], after[readout]) for readout in readouts]
    return dict(mended.state_dict()), CompensationReport(tuple(errors))


def _selected(teacher: nn.Module, student: nn.Module, plan: SelectionPlan) -> nn.Module:
    """Return a copy of the student with the selected weights, in evaluation mode."""
    if backbone_shapes(student) != {key: entry.result for key, entry in plan.tensors.items()}:
        raise SKDError(plan.student, "the student is not of the plan's shape", "Make the plan for this very student")
    copy = deepcopy(student).eval()
    copy.load_state_dict(plan.apply(teacher.state_dict()), strict=False)
    return copy


def _targets(
    teacher: Walk, plan: SelectionPlan, block: str, readouts: Sequence[Readout]
) -> dict[Readout, list[Tensor]]:
    """Go past the teacher's block; per read-out and batch return its stream at the student's indices, as rows."""
    targets: dict[Readout, list[Tensor]] = {readout: [] for readout in readouts}
    for seen in teacher.step([readout.after for readout in readouts]):
        for readout, batches in targets.items():
            space = plan.tensors[f"{block}.{readout.linear}.weight"].axes[0]
            assert space is not None, "a read-out writes into a stream"
            batches.append(rows(seen[readout.after])[:, list(plan.spaces[space])])
    return targets


def _refit(student: Walk, readout: Readout, targets: Sequence[Tensor], ridge: float) -> None:
    """Refit one read-out of the student's next block."""
    block = student.block
    linear = block.get_submodule(readout.linear)
    assert isinstance(linear, (nn.Linear, nn.Conv2d))
    sums = RidgeSums()
    for target, seen in zip(targets, student.look([readout.linear, readout.after]), strict=True):
        sums.add(rows(seen[readout.linear], linear), _missing(target, seen[readout.after]))
    free = readout.norm is not None or linear.bias is not None
    correction = sums.solve(ridge, intercept=free)
    if readout.norm is not None:
        norm = block.get_submodule(readout.norm)
        assert isinstance(norm, nn.BatchNorm2d)
        _write_through_norm(linear, norm, correction)
    else:
        gamma = dict(block.named_parameters()).get(readout.gamma or "")
        _write(linear, gamma, correction)


def _errors(student: Walk, targets: Mapping[Readout, Sequence[Tensor]]) -> dict[Readout, float]:
    """Go past the student's block and return |S - T| / |T| after each of its read-outs."""
    missing, whole = dict.fromkeys(targets, 0.0), dict.fromkeys(targets, 0.0)
    for number, seen in enumerate(student.step([readout.after for readout in targets])):
        for readout, batches in targets.items():
            missing[readout] += float(_missing(batches[number], seen[readout.after]).double().square().sum())
            whole[readout] += float(batches[number].double().square().sum())
    return {readout: math.sqrt(missing[readout] / (whole[readout] or 1.0)) for readout in targets}


def _missing(target: Tensor, stream: Tensor) -> Tensor:
    """Return what a student's stream lacks of its target, as rows."""
    found = rows(stream)
    if target.shape != found.shape:
        cause = f"the teacher sees {len(target)} positions where the student sees {len(found)}"
        raise SKDError("compensation", cause, "Create both for the same image and patch size")
    return target.to(found.device) - found


def _write(linear: nn.Linear | nn.Conv2d, gamma: Tensor | None, correction: Correction) -> None:
    """Add the correction to a layer, its LayerScale folded in: a scale near zero could not be divided out."""
    weight = linear.weight
    scale = torch.ones_like(correction.bias) if gamma is None else gamma.double()
    weight.copy_((weight.flatten(1) * scale[:, None] + correction.weight).reshape(weight.shape))
    if linear.bias is not None:
        linear.bias.copy_(linear.bias * scale + correction.bias)
    if gamma is not None:
        gamma.fill_(1.0)


def _write_through_norm(linear: nn.Linear | nn.Conv2d, norm: nn.BatchNorm2d, correction: Correction) -> None:
    """Add the correction to a convolution without bias, before a batch normalisation in evaluation mode.

    The normalisation is folded in and then written anew, with the mean and variance that the corrected convolution has
    on the images, so that evaluation and training mode agree on them.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / (norm.running_var.double() + norm.eps).sqrt()
    kernel = linear.weight.flatten(1) * scale[:, None] + correction.weight
    offset = norm.bias - scale * norm.running_mean + correction.bias
    new_mean = kernel @ correction.mean
    new_variance = ((kernel @ correction.covariance) * kernel).sum(1).clamp_min(0.0)
    linear.weight.copy_(kernel.reshape(linear.weight.shape))
    norm.running_mean.copy_(new_mean)
    norm.running_var.copy_(new_variance)
    norm.weight.copy_((new_variance + norm.eps).sqrt())
    norm.bias.copy_(offset + new_mean)
