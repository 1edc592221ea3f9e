"""Integers of at most 16 bits: what is done to each value is done once, on a table, and looked up for every pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# Pixels handled at a time: numpy widens indices to 8 bytes, and 2 MB of them stay within a processor's cache.
_CHUNK = 2**18
# Below this many pixels, all are counted at once; above it, every such pixel tells where the ends roughly lie.
_FEW = 2**18
_SAMPLE = 61


def as_indices(values: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]] | None:
    """Integers that lie close together as indices into a table of all values between the lowest and the highest.

    Args:
        values: of any shape.

    Returns:
        Unsigned integers of at most 16 bits and of the same shape, and increasing int64 (K,) with
        `table[indices] == values`; None for values that are floats, or spread over more than 65536 integers.

    Example:
        >>> indices, table = as_indices(np.array([[-1, 2]], dtype=np.int8))
        >>> indices.tolist(), table.tolist()
        ([[0, 3]], [-1, 0, 1, 2])
    """
    if values.dtype.kind not in "biu" or not values.size:
        return None
    native = values.view(np.uint8) if values.dtype.kind == "b" else values
    native = native.astype(native.dtype.newbyteorder("="), copy=False)
    low, high = int(native.min()), int(native.max())
    if high - low >= 2**16 or high >= 2**62 or low <= -(2**62):
        return None
    unsigned = np.dtype(f"u{min(native.dtype.itemsize, 2)}")
    if low >= 0 and native.dtype.itemsize <= 2:  # spares a copy
        return native.view(unsigned), np.arange(high + 1, dtype=np.int64)
    # Where the difference overflows the signed type, its bits are those of the unsigned one.
    return (native - native.dtype.type(low)).astype(unsigned), np.arange(low, high + 1, dtype=np.int64)


def histogram(indices: npt.NDArray[Any], size: int) -> npt.NDArray[np.int64]:
    """How often each of `size` indices occurs: int64 (size,).

    Example:
        >>> histogram(np.array([[0, 2], [2, 2]], dtype=np.uint8), 4).tolist()
        [1, 0, 3, 0]
    """
    flat = indices.ravel()
    counts = np.zeros(size, dtype=np.int64)
    for start in range(0, flat.size, _CHUNK):
        counts += np.bincount(flat[start : start + _CHUNK], minlength=size)
    return counts


def histogram_of_ends(indices: npt.NDArray[Any], size: int, share: float) -> npt.NDArray[np.int64]:
    """The histogram, exact where percentiles of both ends lie, in half the time on large images.

    What lies between the ends may be counted at one index there. The sum, the smallest and the largest index, and all
    percentiles below `share` and above 100 - `share` are those of :func:`histogram`.

    Args:
        indices: of any shape.
        size: all indices are below it.
        share: percent of the pixels, in [0, 50].

    Example:
        >>> histogram_of_ends(np.array([[0, 2], [2, 2]], dtype=np.uint8), 4, 1.0).tolist()
        [1, 0, 3, 0]
    """
    flat = indices.ravel()
    if flat.size < _FEW:
        return histogram(flat, size)
    few = np.cumsum(np.bincount(flat[::_SAMPLE], minlength=size))
    wide = 0.015 * share + 0.001  # of the sample; half as much again as is asked for
    low, high = (int(np.searchsorted(few, few[-1] * part, side="right")) for part in (wide, 1 - wide))
    if few[low] > 0.1 * few[-1] or few[-1] - few[high - 1] > 0.1 * few[-1] or high < low + 2:
        return histogram(flat, size)  # most pixels share few values
    pieces = (flat[start : start + _CHUNK] for start in range(0, flat.size, _CHUNK))
    counts = np.bincount(np.concatenate([piece[(piece <= low) | (piece >= high)] for piece in pieces]), minlength=size)
    needed = 0.01 * share * flat.size + 2
    if counts[: low + 1].sum() < needed or counts[high:].sum() < needed:
        return histogram(flat, size)
    counts[low + 1] += flat.size - counts.sum()
    return counts


def look_up(table: npt.NDArray[np.float32], indices: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """`table[indices]`, float32 of the shape of `indices`, which must lie within the table.

    Example:
        >>> look_up(np.array([0.0, 0.5], dtype=np.float32), np.array([[1, 0]], dtype=np.uint8)).tolist()
        [[0.5, 0.0]]
    """
    flat = indices.ravel()
    looked_up = np.empty(flat.size, dtype=np.float32)
    for start in range(0, flat.size, _CHUNK):
        # "clip" spares numpy a buffered copy of the output; no index is out of range.
        np.take(table, flat[start : start + _CHUNK], out=looked_up[start : start + _CHUNK], mode="clip")
    return looked_up.reshape(indices.shape)


def percentiles(
    values: npt.NDArray[Any], counts: npt.NDArray[np.int64] | None, wanted: tuple[float, ...]
) -> tuple[float, ...]:
    """Percentiles with linear interpolation, as `numpy.percentile` gives them.

    Args:
        values: pixels of any shape, or, with `counts`, increasing values (K,).
        counts: (K,) how many pixels have each value, each at least 1; None when `values` are the pixels themselves.
        wanted: percentiles in [0, 100].

    Example:
        >>> percentiles(np.array([1.0, 5.0]), np.array([3, 1]), (50.0, 100.0))
        (1.0, 5.0)
    """
    if counts is None:
        return tuple(float(value) for value in np.percentile(values, wanted))
    last = np.cumsum(counts)
    return tuple(_percentile(values, last, share / 100.0) for share in wanted)


def _percentile(values: npt.NDArray[Any], last: npt.NDArray[np.int64], share: float) -> float:
    position = share * float(last[-1] - 1)
    floor = int(position)
    below, above = (
        float(values[np.searchsorted(last, rank, side="right")]) for rank in (floor, min(floor + 1, int(last[-1]) - 1))
    )
    part = position - floor
    # From the nearer end, as numpy does it, so that both paths give the same number to the last bit.
    return below + (above - below) * part if part < 0.5 else above - (above - below) * (1.0 - part)
