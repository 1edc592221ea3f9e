"""One image as read: canonical pixels, and what is known of where they come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Image:
    """One canonical image.

    Args:
        pixels: float32 (1, H, W) in [0, 1], bright = dense.
        spacing: millimetres between rows and between columns; None where the file does not say.
        path: the file it was read from.
        applied: what was done to the stored values, in order, in words.
    """

    pixels: npt.NDArray[np.float32]
    spacing: tuple[float, float] | None
    path: str
    applied: tuple[str, ...]
