"""Charts as inline SVG, written by hand: the light half has no matplotlib, and a page needs no second file.

Every function returns one `<svg>` element. Its title and description say in words what it shows, for screen readers
and for those who cannot tell the colours apart; colours are from the palette of Okabe and Ito, and no meaning is
carried by colour alone. Presentation attributes are used instead of styles, which a strict page would block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby

import numpy as np
import numpy.typing as npt

from MonaiSKD.reporting.sentences import printable, probability
from MonaiSKD.runtime.result import Slices

_INK, _QUIET, _GRID, _TRACK = "#1f2d3a", "#5a6a78", "#d5dde3", "#e8edf1"
_PRESENT, _ABSENT, _ALARM = "#0072b2", "#9db4c4", "#d55e00"
_LINES = (
    ("#0072b2", ""),
    ("#e69f00", "7 3"),
    ("#009e73", "2 2"),
    ("#cc79a7", "9 3 2 3"),
    ("#56b4e9", "4 4"),
    ("#5a6a78", "1 3"),
)
_MOST_LINES = len(_LINES)
_BINS = 30


def probability_bars(probabilities: Mapping[str, float], thresholds: Mapping[str, float]) -> str:
    """One horizontal bar per class, dark where it reaches its threshold, which is a tick."""
    rows = []
    for index, (name, value) in enumerate(probabilities.items()):
        limit = thresholds[name]
        present = value >= limit
        tick = _place(limit, 120, 130)
        rows.append(
            _bar_row(index, name, value, probability(value), _PRESENT if present else _ABSENT, bold=present)
            + _line(tick, 20 * index + 3, tick, 20 * index + 17, _INK, 1.5)
        )
    words = "; ".join(
        f"{printable(name)} {probability(value)}, threshold {thresholds[name]:.2f}"
        for name, value in probabilities.items()
    )
    return _svg(304, 20 * len(rows), "Probability of each class", words, "".join(rows))


def count_bars(counts: Mapping[str, int]) -> str:
    """One horizontal bar per class: how many inputs it was the most probable class of."""
    most = max([1, *counts.values()])
    rows = [_bar_row(i, name, n / most, str(n), _PRESENT) for i, (name, n) in enumerate(counts.items())]
    words = "; ".join(f"{printable(name)} {count}" for name, count in counts.items())
    return _svg(292, 20 * max(1, len(rows)), "Inputs of each class", words, "".join(rows))


def slice_curves(slices: Slices, classes: Sequence[str], label: str) -> str:
    """The probability of each class along a volume.

    The label's line is the thick one, key slices are circles on it with their numbers, slices that were not used are
    shaded. At most six classes have a line: the label and those that rise highest.
    """
    left, right, top, bottom = 38, 590, 10, 150
    count = len(slices.used)
    xs = left + (np.arange(count) + 0.5) * (right - left) / count
    ys = bottom - np.nan_to_num(slices.probabilities.astype(np.float64)).clip(0, 1) * (bottom - top)
    chosen = _lines_shown(slices.probabilities, classes.index(label))
    parts = [_shading(slices.used, xs, top, bottom), _y_axis(left, right, top, bottom)]
    for rank in range(len(chosen) - 1, -1, -1):  # the label last, on top
        colour, dashes = _LINES[rank]
        parts.append(_polyline(xs, ys[:, chosen[rank]], colour, dashes, 2.4 if rank == 0 else 1.4))
    parts += _key_marks(slices.key, xs, ys[:, chosen[0]], top)
    parts += [_text(left, bottom + 15, "1", 11, _QUIET), _text(right, bottom + 15, str(count), 11, _QUIET, "end")]
    parts.append(_text((left + right) / 2, bottom + 15, _extent(slices), 11, _QUIET, "middle"))
    parts += _legend([classes[column] for column in chosen], right + 14, top)
    used = f"{int(slices.used.sum())} of {count} slices used"
    key = f"; key slices {', '.join(str(index + 1) for index in slices.key)}" if slices.key else ""
    return _svg(760, bottom + 22, f"Probability of {printable(label)} along the slices", used + key, "".join(parts))


def atypicality_histogram(values: Sequence[float], limit: float) -> str:
    """How many inputs have which atypicality; beyond the limit bars are orange. Far outliers share the last bar."""
    left, right, top, bottom = 38, 590, 16, 130
    known = np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    low, high = _range(known, limit)
    counts, edges = np.histogram(known.clip(low, high), bins=_edges(low, high, limit))
    most = max(1, int(counts.max()))
    across = (right - left) / (high - low)
    parts = [_line(left, bottom, right, bottom, _GRID), _text(left - 6, top + 4, str(most), 11, _QUIET, "end")]
    for count, start, end in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            height = max(2.0, float(count) / most * (bottom - top))
            colour = _ALARM if start >= limit else _PRESENT
            x = left + (start - low) * across
            parts.append(_rect(x + 0.5, bottom - height, max(1.0, (end - start) * across - 1), height, colour))
    x = left + (limit - low) * across
    parts.append(_line(x, top - 8, x, bottom, _INK, 1.5, "4 3"))
    side, anchor = (x + 5, "start") if x < (left + right) / 2 else (x - 5, "end")
    parts.append(_text(side, top, f"limit {limit:.2f}", 11, _INK, anchor, bold=True))
    above = int((known > limit).sum())
    last = f"{high:.2f}{' and more' if known.size and known.max() > high else ''}"
    parts += [_text(left, bottom + 15, f"{low:.2f}", 11, _QUIET), _text(right, bottom + 15, last, 11, _QUIET, "end")]
    parts.append(_text((left + right) / 2, bottom + 15, "atypicality", 11, _QUIET, "middle"))
    words = f"{above} of {len(known)} above the limit {limit:.2f}"
    return _svg(600, bottom + 22, "Atypicality of the inputs", words, "".join(parts))


def _range(known: npt.NDArray[np.float64], limit: float) -> tuple[float, float]:
    """From the smallest value or 0 to the largest, or to where outliers would squeeze the rest."""
    finite = known[np.isfinite(known)]
    low = min(0.0, limit, float(finite.min(initial=0.0)))
    far = limit + 3 * max(abs(limit - low), 1e-6)
    return low, min(max(limit + 0.1 * (limit - low) + 1e-6, float(known.max(initial=limit))), far)


def _edges(low: float, high: float, limit: float) -> npt.NDArray[np.float64]:
    """Bin edges, one of them at the limit, so that no bar lies on both sides."""
    below = int(np.clip(round(_BINS * (limit - low) / (high - low)), 1, _BINS - 1))
    if limit <= low:
        return np.linspace(low, high, _BINS + 1)
    edges = np.concatenate([np.linspace(low, limit, below + 1), np.linspace(limit, high, _BINS - below + 1)[1:]])
    edges[below] = np.nextafter(limit, np.inf)  # at the limit is not beyond it
    return edges


def _lines_shown(probabilities: npt.NDArray[np.float32], label: int) -> list[int]:
    rising = np.argsort(-np.nan_to_num(probabilities).max(axis=0, initial=0), kind="stable")
    return [label, *(int(column) for column in rising if column != label)][:_MOST_LINES]


def _shading(used: npt.NDArray[np.bool_], xs: npt.NDArray[np.float64], top: float, bottom: float) -> str:
    half = float(xs[1] - xs[0]) / 2 if len(xs) > 1 else 276.0
    runs = []
    for unused, run in groupby(range(len(used)), key=lambda index: not used[index]):
        if unused:
            indices = list(run)
            start, end = float(xs[indices[0]]) - half, float(xs[indices[-1]]) + half
            runs.append(_rect(start, top, end - start, bottom - top, _TRACK))
    return "".join(runs)


def _key_marks(key: Sequence[int], xs: npt.NDArray[np.float64], ys: npt.NDArray[np.float64], top: float) -> list[str]:
    marks, numbered = [], list[float]()
    for index in key:  # the strongest first, so that it is the weaker ones that go without a number where it is narrow
        x, y = float(xs[index]), float(ys[index])
        marks.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="#fff" stroke="{_LINES[0][0]}" stroke-width="2"/>'
        )
        if all(abs(x - other) > 18 for other in numbered):
            marks.append(_text(x, y - 9 if y > top + 18 else y + 19, str(index + 1), 11, _INK, "middle", bold=True))
            numbered.append(x)
    return marks


def _y_axis(left: float, right: float, top: float, bottom: float) -> str:
    marks = [(value, bottom - value * (bottom - top)) for value in (0, 0.5, 1)]
    return "".join(
        _line(left, y, right, y, _GRID) + _text(left - 6, y + 4, f"{value:g}", 11, _QUIET, "end") for value, y in marks
    )


def _extent(slices: Slices) -> str:
    text = "slice" if slices.used.all() else "slice (shaded: not used)"
    if slices.positions is None:
        return text
    return f"{text}, {slices.positions[0]:.0f} to {slices.positions[-1]:.0f} mm"


def _legend(names: Sequence[str], x: float, top: float) -> list[str]:
    parts = []
    for rank, name in enumerate(names):
        y = top + 6 + 19 * rank
        parts.append(_line(x, y, x + 22, y, _LINES[rank][0], 2.4 if rank == 0 else 1.4, _LINES[rank][1]))
        parts.append(_text(x + 28, y + 4, _cut(name, 17), 12, _INK, bold=rank == 0))
    return parts


def _bar_row(index: int, name: str, part: float, value: str, colour: str, bold: bool = False) -> str:
    y = 20 * index
    return (
        _text(112, y + 14, _cut(name, 16), 12, _INK, "end", bold)
        + _rect(120, y + 5, 130, 10, _TRACK)
        + _rect(120, y + 5, _place(part, 0, 130), 10, colour)
        + _text(258, y + 14, value, 12, _INK, bold=bold)
    )


def _place(part: float, start: float, length: float) -> float:
    return start + min(max(part, 0.0), 1.0) * length


def _cut(name: str, most: int) -> str:
    name = printable(name)
    return name if len(name) <= most else name[: most - 1].rstrip() + "…"


def _svg(width: int, height: int, title: str, words: str, body: str) -> str:
    return (
        f'<svg role="img" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f"<title>{escape(title)}</title><desc>{escape(words)}</desc>{body}</svg>"
    )


def _text(x: float, y: float, text: str, size: int, colour: str, anchor: str = "start", bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}"'
    return f"<text {place}{weight}>{escape(text)}</text>"


def _rect(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1, dashes: str = "") -> str:
    dash = f' stroke-dasharray="{dashes}"' if dashes else ""
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width:g}"{dash}/>'


def _polyline(xs: npt.NDArray[np.float64], ys: npt.NDArray[np.float64], colour: str, dashes: str, width: float) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
    dash = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width:g}"{dash}/>'
