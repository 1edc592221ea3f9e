"""Ridge regression of a correction to a linear layer, from running sums: memory does not grow with the rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Correction:
    """What to add to a linear layer, and the statistics of its input.

    Attributes:
        weight: [outputs, inputs].
        bias: [outputs].
        mean: of the input [inputs].
        covariance: of the input [inputs, inputs].
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    covariance: Tensor


class RidgeSums:
    """Sums from which a correction D, d of a linear layer follows: min |X D^T + d - E|^2 / n + lambda |D|^2.

    X [n, inputs] is what the layer reads and E [n, outputs] what its output lacks. The penalty is on the change, so
    the layer is drawn towards what it was, and the intercept d is free. All sums are in float64.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.gram = self.cross = self.inputs = self.errors = torch.zeros((), dtype=torch.float64)

    def add(self, inputs: Tensor, errors: Tensor) -> None:
        """Take in rows X [m, inputs] and E [m, outputs]."""
        x, e = inputs.double(), errors.double()
        self.rows += len(x)
        self.gram = self.gram + x.T @ x
        self.cross = self.cross + x.T @ e
        self.inputs = self.inputs + x.sum(0)
        self.errors = self.errors + e.sum(0)

    def solve(self, ridge: float, *, intercept: bool) -> Correction:
        """Return the minimiser.

        Args:
            ridge: lambda in units of the mean variance of the inputs, above 0.
            intercept: whether d may differ from zero.
        """
        mean, missing = self.inputs / self.rows, self.errors / self.rows
        covariance = self.gram / self.rows - torch.outer(mean, mean)
        scatter, cross = self.gram / self.rows, self.cross / self.rows
        if intercept:
            scatter, cross = covariance, cross - torch.outer(mean, missing)
        # An input that is zero throughout leaves nothing to solve; any positive penalty then returns no change.
        penalty = ridge * float(scatter.diagonal().mean()) or 1.0
        change = torch.linalg.solve(scatter + penalty * torch.eye(len(scatter)).to(scatter), cross)
        bias = missing - mean @ change if intercept else torch.zeros_like(missing)
        return Correction(change.T, bias, mean, covariance)
