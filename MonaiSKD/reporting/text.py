"""Results for people at a terminal."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence

from MonaiSKD.reporting.sentences import (
    NOT_CLINICAL,
    Totals,
    answer,
    beside_threshold,
    cause,
    printable,
    sentence,
    unreliable,
)
from MonaiSKD.runtime.result import Failure, Result, Slices

_CELLS = 32
_FINE = " ▏▎▍▌▋▊▉█"  # a cell, filled by eighths
_MARK = "┊"
_BOLD, _RED, _DIM = "1", "1;31", "2"
_SHORT = 100  # characters of a warning, and
_FEW = 3  # warnings, that are shown unasked


def format_result(result: Result, explain: bool = False, colour: bool = False, encoding: str | None = None) -> str:
    """A result as a few lines of text, without a line end.

    Warnings are always shown: the first three, cut to 100 characters, or with `explain` all of them in full.

    Args:
        result: what to show.
        explain: add what reading did, which model answered and how long it took.
        colour: mark with ANSI codes; for terminals only.
        encoding: of the place it is written to; standard output's by default. Where it lacks block characters the bars
            are made of ASCII, and what else it lacks is shown as an escape.

    Example::

        scans/p01.png
          pneumonia, 0.87
            normal     ████        ┊                    0.13  from 0.35
            pneumonia  ████████████████┊███████████     0.87  from 0.52  *
    """
    encoding = encoding or _output_encoding()
    lines = [_paint(printable(result.input), _BOLD, colour), f"  {_headline(result, colour)}"]
    lines += [f"    {line}" for line in _bars(result, colour, _can(encoding))]
    if result.slices is not None:
        lines += [f"  {line}" for line in _slices(result.slices)]
    lines += [f"  {_paint('warning:', _BOLD, colour)} {text}" for text in _warnings(result.warnings, explain)]
    if explain:
        lines += _explanation(result)
    return _writable("\n".join(lines), encoding)


def format_failure(failure: Failure, colour: bool = False, encoding: str | None = None) -> str:
    """A failure as two or three lines of text: what, why, what to do.

    Example:
        >>> print(format_failure(Failure("a.dcm", "damaged", "a.dcm: it ends too early", "Copy it again")))
        a.dcm
          FAILED (damaged): it ends too early.
          Copy it again.
    """
    lines = [
        _paint(printable(failure.input), _BOLD, colour),
        f"  {_paint(f'FAILED ({failure.code}):', _RED, colour)} {sentence(cause(failure))}",
    ]
    if failure.remedy:
        lines.append(f"  {sentence(failure.remedy)}")
    return _writable("\n".join(lines), encoding or _output_encoding())


def format_totals(totals: Totals, encoding: str | None = None) -> str:
    """A batch in two lines.

    Example:
        >>> from collections import Counter
        >>> print(format_totals(Totals(failed=1, atypical=2, labels=Counter(normal=5, covid=3))))
        11 inputs: normal 5, covid 3, not reliable 2, failed 1.
        Research only, not for clinical use.
    """
    parts = [f"{printable(name)} {count}" for name, count in totals.labels.most_common()]
    parts += [
        f"{name} {count}" for name, count in (("not reliable", totals.atypical), ("failed", totals.failed)) if count
    ]
    counted = f"{totals.inputs} input{'' if totals.inputs == 1 else 's'}"
    line = f"{counted}: {', '.join(parts)}." if parts else f"{counted}."
    return _writable(f"{line}\n{NOT_CLINICAL}", encoding or _output_encoding())


def _headline(result: Result, colour: bool) -> str:
    warning = unreliable(result)
    if not warning:
        return _paint(answer(result), _BOLD, colour)
    # Only the warning is red; what the answer would be must not shout.
    return f"{_paint(warning + '.', _RED, colour)} Its answer would be: {answer(result)}"


def _bars(result: Result, colour: bool, blocks: bool) -> list[str]:
    names = {name: printable(name) for name in result.probabilities}
    width = max(_width(name) for name in names.values())
    lines = []
    for name, value in result.probabilities.items():
        limit = result.thresholds[name]
        shown, least = beside_threshold(value, limit)
        padded = names[name] + " " * (width - _width(names[name]))
        line = f"{padded}  {_bar(value, limit, blocks)}  {shown:>5}  from {least}"
        lines.append(_paint(f"{line}  *", _BOLD, colour) if value >= limit else _paint(line, _DIM, colour))
    return lines


def _bar(value: float, limit: float, blocks: bool) -> str:
    eighths = round(min(max(value, 0.0), 1.0) * _CELLS * 8)
    if blocks:
        cells = [_FINE[min(max(eighths - 8 * cell, 0), 8)] for cell in range(_CELLS)]
    else:
        cells = ["#" if eighths >= 8 * cell + 4 else "." for cell in range(_CELLS)]
    cells[min(int(min(max(limit, 0.0), 1.0) * _CELLS), _CELLS - 1)] = _MARK if blocks else "|"
    return "".join(cells)


def _slices(slices: Slices) -> list[str]:
    lines = [f"slices: {int(slices.used.sum())} of {len(slices.used)} used"]
    if slices.key:
        places = [
            f"{index + 1}" if slices.positions is None else f"{index + 1} ({slices.positions[index]:.1f} mm)"
            for index in slices.key
        ]
        lines.append(f"key slices: {', '.join(places)}")
    return lines


def _warnings(warnings: Sequence[str], explain: bool) -> list[str]:
    texts = [printable(text) for text in warnings]
    if explain:
        return texts
    short = [text if len(text) <= _SHORT else text[: _SHORT - 3].rstrip() + "..." for text in texts[:_FEW]]
    return [*short, f"and {len(texts) - _FEW} more"] if len(texts) > _FEW else short


def _explanation(result: Result) -> list[str]:
    model = result.model
    lines = [f"  done: {printable(step)}" for step in result.applied]
    lines.append(f"  model: {printable(model.name)} {printable(model.version)}, sha256 {printable(model.sha256)[:12]}")
    lines.append(f"  time: {result.milliseconds:.0f} ms")
    return [*lines, f"  {NOT_CLINICAL}"]


def _paint(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text


def _width(text: str) -> int:
    """Columns on a terminal: wide characters take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def _output_encoding() -> str:
    return getattr(sys.stdout, "encoding", None) or "utf-8"


def _can(encoding: str) -> bool:
    try:
        (_FINE + _MARK).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _writable(text: str, encoding: str) -> str:
    try:
        return text.encode(encoding, "backslashreplace").decode(encoding)
    except LookupError:
        return text.encode("ascii", "backslashreplace").decode("ascii")
