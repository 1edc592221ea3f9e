"""Volumes whose slices are of known brightness, and everything of an answer that can be compared."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
from known_images import hounsfield

from MonaiSKD.runtime import Failure, Result

BRIGHTS = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]


def nifti(path: Path, brights: list[float]) -> Path:
    """A volume whose slices are of one Hounsfield value each, from feet to head."""
    values = np.empty((8, 8, len(brights)), dtype=np.int16)
    values[:] = [hounsfield(bright) for bright in brights]
    stored = nibabel.Nifti1Image(values, np.diag([-1.0, -1.0, 5.0, 1.0]))
    stored.header.set_xyzt_units("mm")
    nibabel.save(stored, path)
    return path


def summary(answer: Result | Failure) -> tuple:
    """Everything of an answer but its time."""
    if isinstance(answer, Failure):
        return answer.input, answer.code, answer.message, answer.remedy
    slices = answer.slices
    by_slice = None if slices is None else (slices.probabilities.tolist(), slices.used.tolist(), slices.key)
    maps = [(heat.slice, heat.label, heat.values.tolist()) for heat in answer.heatmaps]
    return answer.input, answer.probabilities, answer.atypicality, by_slice, maps, answer.applied, answer.warnings
