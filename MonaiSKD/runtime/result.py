"""The answer for one input: a result, or an error that is a result too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from MonaiSKD.errors import Code
from MonaiSKD.reading.image import Identity, Instance


@dataclass(frozen=True)
class ModelIdentity:
    """Which model answered.

    Args:
        name: such as "chest_xray".
        version: of the model, as its bundle says.
        sha256: of the model file's content.
    """

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, eq=False)
class HeatMap:
    """Where the evidence for one class lies.

    Args:
        values: float32 (h, w), the class's evidence in logits against the mean of all classes; positive speaks for it.
        label: the class.
        slice: index of the slice it belongs to, from 0.
        pixels: float32 (H, W) in [0, 1], the canonical image that it explains.
        instance: the DICOM instance behind the slice, where there is one.
    """

    values: npt.NDArray[np.float32]
    label: str
    slice: int
    pixels: npt.NDArray[np.float32]
    instance: Instance | None = None


@dataclass(frozen=True, eq=False)
class Slices:
    """What a volume's slices say one by one.

    Args:
        probabilities: float32 (S, K).
        atypicality: float32 (S,).
        used: bool (S,), the slices that entered the study's probabilities.
        key: indices of the slices that speak most for the label, the strongest first.
        positions: millimetres along the normal, where known.
        heat: float32 (S, h, w), the label's evidence in every slice (see :class:`HeatMap`), where asked for.
    """

    probabilities: npt.NDArray[np.float32]
    atypicality: npt.NDArray[np.float32]
    used: npt.NDArray[np.bool_]
    key: tuple[int, ...]
    positions: tuple[float, ...] | None = None
    heat: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class Result:
    """The classification of one image or volume.

    Args:
        input: the path, as the user gave it or as it was found.
        label: the most probable class.
        probabilities: class -> calibrated probability, in the model's order; they sum to 1.
        thresholds: class -> the probability from which it counts as present (chosen on validation data for a
            stated sensitivity).
        atypicality: how far the image lies from what the model was trained on; above `atypicality_threshold` the model
            was not made for it.
        atypicality_threshold: set on validation data.
        model: which model answered.
        milliseconds: reading and inference of this input.
        slices: for volumes.
        heatmaps: of the label, for the image or the key slices; empty unless asked for.
        spacing: millimetres between rows and columns of the (first) slice, where known.
        instances: the DICOM instance behind each slice; empty for other files.
        identity: whose image it is, where the file says; written only when the user asks for it.
        applied: what reading did, in words.
        warnings: what reading found wrong or open, in words.
    """

    input: str
    label: str
    probabilities: Mapping[str, float]
    thresholds: Mapping[str, float]
    atypicality: float
    atypicality_threshold: float
    model: ModelIdentity
    milliseconds: float
    slices: Slices | None = None
    heatmaps: Sequence[HeatMap] = ()
    spacing: tuple[float, float] | None = None
    instances: tuple[Instance, ...] = ()
    identity: Identity | None = field(default=None, repr=False)
    applied: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def atypical(self) -> bool:
        """Whether the image is unlike those the model was trained on, so that its answer must not be relied on."""
        return not self.atypicality <= self.atypicality_threshold  # so that what is no number is atypical, too

    @property
    def decision(self) -> tuple[str, ...]:
        """The classes at or above their thresholds, the most probable first: none, one, or several undecided ones."""
        present = [name for name, value in self.probabilities.items() if value >= self.thresholds[name]]
        return tuple(sorted(present, key=lambda name: -self.probabilities[name]))

    def __str__(self) -> str:
        from MonaiSKD.reporting.text import format_result

        return format_result(self)


@dataclass(frozen=True)
class Failure:
    """An input that could not be answered, and why.

    Args:
        input: the path, as the user gave it or as it was found.
        code: see :data:`MonaiSKD.errors.CODES`.
        message: the thing and the cause, in words.
        remedy: what to do about it.
    """

    input: str
    code: Code
    message: str
    remedy: str

    def __str__(self) -> str:
        from MonaiSKD.reporting.text import format_failure

        return format_failure(self)
