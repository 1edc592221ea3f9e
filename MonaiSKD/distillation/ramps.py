"""Weights that grow while training settles."""

from __future__ import annotations

import math


def sigmoid_ramp(step: float, length: float) -> float:
    """Rise from exp(-5) to 1 over `length` steps: exp(-5 (1 - t)^2), t = step / length.

    The ramp of Laine & Aila, "Temporal Ensembling for Semi-Supervised Learning" (arXiv 1610.02242, section 3): the
    self-teacher knows nothing at the start, so listening to it must wait.

    Example:
        >>> sigmoid_ramp(10, 10), round(sigmoid_ramp(0, 10), 4)
        (1.0, 0.0067)
    """
    if length <= 0 or step >= length:
        return 1.0
    return math.exp(-5.0 * (1.0 - max(step, 0.0) / length) ** 2)
