"""The canonical image: what every network of this package is fed, and the rule that makes it from stored values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from MonaiSKD.choices import Modality
from MonaiSKD.errors import SKDError
from MonaiSKD.reading.histogram import as_indices, histogram, look_up, percentiles

# The head is what stands above this share of the way from the darkest value to the 99th percentile. Air in a magnitude
# image is a few per cent of the signal, the darkest tissue (cerebrospinal fluid on T1) well above a tenth.
_HEAD_LEVEL = 0.1


@dataclass(frozen=True)
class CanonicalRule:
    """How stored values of one modality become the canonical image. Pure data: it travels inside the model file.

    Exactly one of `window` and `percentiles` is set.

    Args:
        modality: what the image shows; on "brain_mri" the percentiles are taken within the head.
        window: the stored values (Hounsfield units for CT) that become 0 and 1.
        percentiles: the percentiles, in [0, 100], of the stored values that become 0 and 1.

    Raises:
        SKDError: the modality is unknown, or the range is missing, doubled, empty or out of bounds.

    Example:
        >>> CanonicalRule.from_dict({"modality": "lung_ct", "window": [-1350, 150]}).window
        (-1350.0, 150.0)
    """

    modality: Modality
    window: tuple[float, float] | None = None
    percentiles: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.modality not in get_args(Modality):
            raise _bad_rule(f"the modality {self.modality!r} is unknown", f"Use one of {', '.join(get_args(Modality))}")
        if (self.window is None) == (self.percentiles is None):
            raise _bad_rule("it needs either a window or percentiles", "Give exactly one of the two")
        low, high = self.window or self.percentiles or (0.0, 0.0)
        if not (np.isfinite([low, high]).all() and low < high):
            raise _bad_rule(f"the range {low} to {high} is empty", "Give a lower and a higher finite number")
        if self.percentiles is not None and not (low >= 0 and high <= 100):
            raise _bad_rule(f"the percentiles {low} and {high} are out of bounds", "Keep them within 0 and 100")

    def to_dict(self) -> dict[str, Any]:
        """The rule as JSON data; :meth:`from_dict` is its inverse."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CanonicalRule:
        """The rule from the JSON data that :meth:`to_dict` gives.

        Raises:
            SKDError: a key is unknown or missing, or a value is not of its kind.
        """
        unknown = set(data) - {"modality", "window", "percentiles"}
        if unknown or "modality" not in data:
            raise _bad_rule(f"its keys are {sorted(data)}", "Give modality and one of window and percentiles")
        return cls(data["modality"], _pair(data.get("window")), _pair(data.get("percentiles")))


def _bad_rule(cause: str, remedy: str) -> SKDError:
    return SKDError("canonical image rule", cause, remedy)


def _pair(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    try:
        low, high = (float(entry) for entry in value)
    except (TypeError, ValueError) as error:
        raise _bad_rule(f"{value!r} is not a pair of numbers", "Give two numbers") from error
    return low, high


RULES: dict[str, CanonicalRule] = {
    "chest_xray": CanonicalRule("chest_xray", percentiles=(1.0, 99.0)),
    # The usual lung window: level -600 HU, width 1500 HU.
    "lung_ct": CanonicalRule("lung_ct", window=(-1350.0, 150.0)),
    "brain_mri": CanonicalRule("brain_mri", percentiles=(1.0, 99.5)),
}


def canonicalise(
    values: npt.NDArray[Any], rule: CanonicalRule, padding: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.float32]:
    """Bring stored values to the canonical image.

    An image of one single value becomes all zeros under percentiles: it shows nothing. Integers of at most 16 bits take
    the same way on a table of their values, which is several times faster.

    Args:
        values: (H, W), finite, in stored units (Hounsfield units for CT), bright = dense.
        rule: which stored values become 0 and 1; what lies outside is clipped.
        padding: (H, W), which pixels are none of the image: they take no part in percentiles and become 0.

    Returns:
        float32 (1, H, W) in [0, 1].

    Raises:
        ValueError: `values` is not two-dimensional, is empty, or holds NaN or infinity.

    Example:
        >>> canonicalise(np.array([[-1350.0, -600.0, 3000.0]]), RULES["lung_ct"]).tolist()
        [[[0.0, 0.5, 1.0]]]
    """
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"the canonical image is made from a filled (H, W) array, not from shape {values.shape}")
    if padding is not None and not padding.any():
        padding = None
    indexed = as_indices(values) if padding is None else None
    if indexed is not None:
        indices, table = indexed
        if rule.window is not None:
            return look_up(between(table, *rule.window), indices)[None]
        counts = histogram(indices, table.size)
        return look_up(between(table, *value_range(table, rule, counts)), indices)[None]
    if not np.isfinite(values).all():
        raise ValueError("the canonical image is made from finite values; these hold NaN or infinity")
    if padding is None:
        return between(values, *(rule.window or value_range(values, rule)))[None]
    inside = values[~padding]
    shown = between(values, *(rule.window or (value_range(inside, rule) if inside.size else (0.0, 0.0))))
    shown[padding] = 0.0
    return shown[None]


def value_range(
    values: npt.NDArray[Any], rule: CanonicalRule, counts: npt.NDArray[np.int64] | None = None
) -> tuple[float, float]:
    """The values that become 0 and 1 under a rule of percentiles.

    Args:
        values: finite pixels of any shape; or, with `counts`, values (K,) in any order.
        rule: percentiles, taken within the head on "brain_mri".
        counts: (K,) how many pixels have each value, not all 0; the outcome is that of the pixels themselves.

    Returns:
        The lower and the upper value; equal only where all pixels are.

    Example:
        >>> value_range(np.array([7, 5, 9]), CanonicalRule("chest_xray", percentiles=(0, 100)), np.array([2, 1, 0]))
        (5.0, 7.0)
    """
    if counts is not None:
        present = np.flatnonzero(counts)
        order = present[np.argsort(values[present], kind="stable")]
        values, counts = values[order], counts[order]
    head, of_head = _head(values, counts) if rule.modality == "brain_mri" else (values, counts)
    low, high = percentiles(head, of_head, rule.percentiles or (0.0, 100.0))
    if low == high:  # a few pixels on a flat ground: the percentiles miss them, the extremes do not
        low, high = float(values.min()), float(values.max())
    return low, high


def between(values: npt.NDArray[Any], low: float, high: float) -> npt.NDArray[np.float32]:
    """Values on the line from `low`, which becomes 0, to `high`, which becomes 1; clipped, float32, of the same shape.

    Nothing stands between equal ends: everything becomes 0.

    Example:
        >>> between(np.array([1, 2, 3, 9]), 1.0, 3.0).tolist()
        [0.0, 0.5, 1.0, 1.0]
    """
    if low == high:
        return np.zeros(values.shape, dtype=np.float32)
    # Single precision spares a copy of twice the size, where its range is wide enough for the differences.
    narrow = values.dtype == np.float32 and high - low > 1e-30 and max(abs(low), abs(high)) < 1e30
    scaled: npt.NDArray[Any] = values.astype(np.float32 if narrow else np.float64)
    with np.errstate(over="ignore"):
        scaled -= low
        scaled /= high - low
    return np.clip(scaled, 0.0, 1.0, out=scaled).astype(np.float32, copy=False)


def _head(
    values: npt.NDArray[Any], counts: npt.NDArray[np.int64] | None
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64] | None]:
    darkest = float(values.min())
    level = darkest + _HEAD_LEVEL * (percentiles(values, counts, (99.0,))[0] - darkest)
    inside = values > level
    if not inside.any():
        return values, counts
    return values[inside], None if counts is None else counts[inside]
