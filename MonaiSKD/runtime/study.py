"""From what a volume's slices say one by one to what the volume says."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from MonaiSKD.runtime.result import Slices

Array = npt.NDArray[np.float32]

# A volume counts as typical when this share of its slices is at least as typical: a brain scan also shows neck and air.
_TYPICAL_SHARE = 0.2
_KEY_SLICES = 3
# Key slices lie at least this share of the volume apart, so that three of them do not show the same thing.
_APART = 0.05
_DISSENT = 0.1


def combine(
    probabilities: Array, atypicality: Array, limit: float, positions: tuple[float, ...] | None = None
) -> tuple[Array, float, Slices]:
    """The volume's probabilities, its atypicality, and the account of its slices.

    The probabilities are the mean over the slices that the model was made for; over all where it was made for none.
    No collection of labelled volumes was at hand, so this rule is plain rather than tuned: a small lesion in few
    slices moves a mean little, and the slices' own curve shows it.

    Args:
        probabilities: (S, K), of the slices in order.
        atypicality: (S,).
        limit: above it a slice is unlike the training images.
        positions: millimetres of each slice along the normal.

    Returns:
        probabilities (K,), atypicality, slices.

    Raises:
        ValueError: there is no slice.

    Example:
        >>> p = np.array([[0.9, 0.1], [0.7, 0.3], [0.0, 1.0]], dtype=np.float32)
        >>> mean, atypical, slices = combine(p, np.array([0.1, 0.2, 0.9], dtype=np.float32), 0.5)
        >>> [round(float(q), 2) for q in mean], round(atypical, 2), slices.used.tolist(), slices.key
        ([0.8, 0.2], 0.1, [True, True, False], (0, 1))
    """
    if not len(probabilities):
        raise ValueError("a volume has at least one slice")
    used = atypicality.astype(np.float64) <= limit  # as Result.atypical compares, not with the limit in float32
    if not used.any():
        used = np.ones_like(used)
    mean: Array = probabilities[used].mean(axis=0, dtype=np.float64).astype(np.float32)
    needed = math.ceil(_TYPICAL_SHARE * len(atypicality))
    of_volume = float(np.sort(atypicality)[needed - 1])
    key = _key_slices(probabilities[:, int(mean.argmax())], used)
    return mean, of_volume, Slices(probabilities, atypicality, used, key, positions)


def dissent(slices: Slices, class_names: Sequence[str], label: str) -> tuple[str, ...]:
    """A warning when a tenth or more of the slices in use speak most for another class than the volume's.

    A mean hides a finding that few slices show; this does not.

    Example:
        >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]], dtype=np.float32)
        >>> slices = Slices(p, np.zeros(3, dtype=np.float32), np.ones(3, dtype=bool), (0,))
        >>> dissent(slices, ["none", "lesion"], "none")
        ('1 of 3 slices in use speak more for another class: lesion 1',)
    """
    leading = Counter(class_names[k] for k in slices.probabilities[slices.used].argmax(axis=1))
    in_use = sum(leading.values())
    others = {name: count for name, count in leading.most_common() if name != label}
    count = sum(others.values())
    if count < _DISSENT * in_use:
        return ()
    names = ", ".join(f"{name} {number}" for name, number in others.items())
    return (f"{count} of {in_use} slices in use speak more for another class: {names}",)


def _key_slices(values: Array, used: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    """The slices in use that speak most for the label, the strongest first, at some distance from each other."""
    apart = max(1, round(_APART * len(values)))
    chosen: list[int] = []
    for index in np.argsort(-np.where(used, values, -1), kind="stable"):
        if used[index] and all(abs(int(index) - other) >= apart for other in chosen):
            chosen.append(int(index))
        if len(chosen) == _KEY_SLICES:
            break
    return tuple(chosen)
