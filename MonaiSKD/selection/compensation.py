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

from collections.abc import Sequence
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
from MonaiSKD.selection.walk import OUTPUT, Walk, rows


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

    def describe(self) -> str:
        """Return a table for people."""
        width = max([len("read-out"), *(len(f"{error.block}.{error.readout}") for error in self.errors)])
        lines = [f"{'read-out':<{width}}  before   after"]
        lines += [f"{f'{e.block}.{e.readout}':<{width}}  {e.before:6.3f}  {e.after:6.3f}" for e in self.errors]
        return "\n".join(lines)


def compensate(
    teacher: nn.Module,
    student: nn.Module,
    plan: SelectionPlan,
    images: Tensor,
    *,
    ridge: float = 1e-2,
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
        ridge: strength of the pull towards the selected weights, relative to the variance of the layer's input.
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
    selected, mended = (_selected(teacher, student, plan) for _ in range(2))
    family = family_of(teacher)
    errors: list[ReadoutError] = []
    with torch.no_grad(), evaluating(teacher):
        models, batches = (teacher, selected, mended), torch.split(images, batch_size)
        walks = [Walk(model, family.trunk(model), batches) for model in models]
        for block, source in plan.blocks.items():
            for walk, name in zip(walks, (source, block, block), strict=True):
                walk.reach(name)
            readouts = family.readouts(mended.get_submodule(block))
            indices = [list(_stream_indices(plan, block, readout)) for readout in readouts]
            for readout, kept in zip(readouts, indices, strict=True):
                _refit(walks[0], walks[2], readout, kept, ridge)
            for readout, (before, after) in zip(readouts, _errors(walks, readouts, indices), strict=True):
                errors.append(ReadoutError(block, readout.linear, before, after))
    return dict(mended.state_dict()), CompensationReport(tuple(errors))


def _selected(teacher: nn.Module, student: nn.Module, plan: SelectionPlan) -> nn.Module:
    """Return a copy of the student with the selected weights, in evaluation mode."""
    if backbone_shapes(student) != {key: entry.result for key, entry in plan.tensors.items()}:
        raise SKDError(plan.student, "the student is not of the plan's shape", "Make the plan for this very student")
    copy = deepcopy(student).eval()
    copy.load_state_dict(plan.apply(teacher.state_dict()), strict=False)
    return copy


def _stream_indices(plan: SelectionPlan, block: str, readout: Readout) -> tuple[int, ...]:
    """Return the teacher's entries of the stream that a read-out writes into."""
    space = plan.tensors[f"{block}.{readout.linear}.weight"].axes[0]
    assert space is not None, "every read-out writes into a stream"
    return plan.spaces[space]


def _refit(teacher: Walk, student: Walk, readout: Readout, kept: list[int], ridge: float) -> None:
    """Refit one read-out of the student's next block."""
    block = student.block
    linear = block.get_submodule(readout.linear)
    assert isinstance(linear, (nn.Linear, nn.Conv2d))
    after = readout.after or OUTPUT
    sums = RidgeSums()
    for theirs, mine in zip(teacher.look([after]), student.look([readout.linear, after]), strict=True):
        wanted, stream = _targets(theirs[after], mine[after], kept)
        sums.add(rows(mine[readout.linear], linear), wanted - stream)
    free = readout.norm is not None or linear.bias is not None
    correction = sums.solve(ridge, intercept=free)
    if readout.norm is not None:
        norm = block.get_submodule(readout.norm)
        assert isinstance(norm, nn.BatchNorm2d)
        _write_through_norm(linear, norm, correction)
    else:
        gamma = dict(block.named_parameters()).get(readout.gamma or "")
        _write(linear, gamma, correction)


def _targets(teacher: Tensor, student: Tensor, kept: list[int]) -> tuple[Tensor, Tensor]:
    """Return the teacher's stream at the kept entries, and the student's, both [positions, entries]."""
    wanted, stream = rows(teacher)[:, kept], rows(student)
    if wanted.shape != stream.shape:
        cause = f"the teacher sees {len(wanted)} positions where the student sees {len(stream)}"
        raise SKDError("compensation", cause, "Create both for the same image and patch size")
    return wanted, stream


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


def _errors(
    walks: Sequence[Walk], readouts: Sequence[Readout], indices: Sequence[list[int]]
) -> list[tuple[float, float]]:
    """Go past the block and return |S - T| / |T| after each read-out, of the selected student and of the mended one."""
    places = [readout.after or OUTPUT for readout in readouts]
    squares = torch.zeros(len(readouts), 3, dtype=torch.float64)
    for teacher, *students in zip(*(walk.step(places) for walk in walks), strict=True):
        for number, (place, kept) in enumerate(zip(places, indices, strict=True)):
            for column, student in enumerate(students):
                wanted, stream = _targets(teacher[place], student[place], kept)
                squares[number, column] += (stream - wanted).double().square().sum().cpu()
            squares[number, 2] += wanted.double().square().sum().cpu()
    relative = (squares[:, :2] / squares[:, 2:].clamp_min(torch.finfo(torch.float64).tiny)).sqrt()
    return [(float(before), float(after)) for before, after in relative]
