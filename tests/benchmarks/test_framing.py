"""Differences of models on the framings of validation images."""

from __future__ import annotations

import re

import numpy as np
from framing import gain

_LABELS = np.array([0, 0, 0, 1])
_BEFORE = np.array([True, False, True, True])
_AFTER = np.array([True, True, True, False])


def test_a_gain_is_of_mean_recalls_whatever_the_sizes_of_the_classes() -> None:
    # A third of the one class is won, all of the other lost; one patient is drawn in every resample.
    assert gain(_BEFORE, _AFTER, _LABELS, ["p"] * 4) == "-33.3 (-33.3 to -33.3)"


def test_patients_are_drawn_with_all_their_images() -> None:
    labels = np.tile([0, 1], 40)
    before, after = np.zeros(80, bool), np.repeat([True, False], 40)
    widths = []
    for patients in ([str(n) for n in range(80)], [str(n // 8) for n in range(80)]):
        value, low, high = map(float, re.findall(r"[+-][\d.]+", gain(before, after, labels, patients)))
        assert low < value == 50 < high
        widths.append(high - low)
    # Ten patients of eight equal images each say as much as ten images: intervals are wider by about the root of 8.
    assert 2.2 < widths[1] / widths[0] < 3.6
