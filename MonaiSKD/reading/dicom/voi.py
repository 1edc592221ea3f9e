"""What part of the modality values a radiograph's file wants shown (PS3.3 C.11.2): a lookup table or a window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from MonaiSKD.reading.dicom.header import entries, functional_group, items, words
from MonaiSKD.reading.dicom.lut import read_lut

if TYPE_CHECKING:
    from pydicom import Dataset

_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


@dataclass(frozen=True, eq=False)
class Display:
    """How modality values become brightness.

    Args:
        apply: modality values of any shape -> float64 of the same shape in [0, 1], before any inversion; None where
            the file asks for nothing usable.
        applied: what it does, in words.
        warnings: what is broken.
    """

    apply: Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]] | None
    applied: str = ""
    warnings: tuple[str, ...] = ()


def display(dataset: Dataset, frame: int = 0) -> Display:
    """The VOI lookup table if the file has a usable one, else its first usable window, else nothing.

    Of several windows, alternatives for one picture, the first one counts: so viewers do it.
    """
    warnings: tuple[str, ...] = ()
    tables = items(dataset, "VOILUTSequence")
    if tables:
        lut = read_lut(tables[0], dataset)
        if lut is not None:
            return Display(lambda values: lut.apply(values) / lut.highest, "VOI lookup table")
        warnings = ("the VOI lookup table is broken and was left out",)
    source = functional_group(dataset, frame, "FrameVOILUTSequence") or dataset
    function = (words(source, "VOILUTFunction") or ("LINEAR",))[0]
    if function not in _FUNCTIONS:
        warnings, function = (*warnings, "the VOI LUT function is unknown; a linear one was used"), "LINEAR"
    centres, widths = entries(source, "WindowCenter"), entries(source, "WindowWidth")
    for centre, width in zip(centres, widths, strict=False):
        if centre is not None and width is not None and (width >= 1 if function == "LINEAR" else width > 0):
            return Display(
                lambda values, c=centre, w=width: windowed(values, c, w, function),  # type: ignore[misc]
                f"window {centre:g} / {width:g} ({function})",
                warnings,
            )
    if centres or widths:
        warnings = (*warnings, "the window is broken and was left out")
    return Display(None, "", warnings)


def windowed(
    values: npt.NDArray[Any], centre: float, width: float, function: str = "LINEAR"
) -> npt.NDArray[np.float64]:
    """Brightness of modality values through a window, float64 in [0, 1].

    Args:
        values: of any shape.
        centre: modality units.
        width: modality units; at least 1 for "LINEAR", whose width counts whole values, and above 0 otherwise.
        function: "LINEAR" (C.11.2.1.2.1), "SIGMOID" (C.11.2.1.3.1) or "LINEAR_EXACT" (C.11.2.1.3.2).

    Example:
        >>> windowed(np.array([0.0, 1.5, 3.0]), 2.0, 4.0).tolist()
        [0.0, 0.5, 1.0]
    """
    exact = values.astype(np.float64)
    if function == "SIGMOID":
        with np.errstate(over="ignore"):
            return np.asarray(1.0 / (1.0 + np.exp(-4.0 * (exact - centre) / width)))
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1.0
    if width == 0.0:
        return (exact > centre).astype(np.float64)
    return np.clip((exact - centre) / width + 0.5, 0.0, 1.0)
