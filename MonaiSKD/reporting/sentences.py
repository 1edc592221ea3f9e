"""What a result says, in one plain sentence: the same words on the terminal, on the page, in DICOM and in Slicer."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from MonaiSKD.runtime.result import Failure, Result

NOT_CLINICAL = "Research only, not for clinical use."

# They change the direction of the text around them, so that a file name could show another suffix than it has.
_DIRECTIONS = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def describe(result: Result) -> str:
    """One sentence for a result, without a full stop; a warning comes first.

    Example:
        >>> from MonaiSKD.runtime.result import ModelIdentity
        >>> model = ModelIdentity("chest_xray", "1.0", "00")
        >>> p = {"normal": 0.13, "pneumonia": 0.87}
        >>> describe(Result("a.png", "pneumonia", p, {"normal": 0.5, "pneumonia": 0.5}, 0.2, 1.0, model, 20.0))
        'pneumonia, 0.87'
    """
    warning = unreliable(result)
    return f"{warning}. Its answer would be: {answer(result)}" if warning else answer(result)


def unreliable(result: Result) -> str:
    """Why the answer must not be relied on, without a full stop; empty text where nothing speaks against it."""
    if not result.atypical:
        return ""
    what = "image" if result.slices is None else "volume"
    value, limit = apart(result.atypicality, result.atypicality_threshold)
    return f"NOT RELIABLE: this {what} is unlike those the model was trained on (atypicality {value}, limit {limit})"


def answer(result: Result) -> str:
    """What the probabilities say at the model's thresholds, whether reliable or not."""
    decision = result.decision
    label, most = printable(result.label), probability(result.probabilities[result.label])
    if not decision:
        return f"no class reaches its threshold; most probable: {label}, {most}"
    if len(decision) == 1:
        text = f"{printable(decision[0])}, {probability(result.probabilities[decision[0]])}"
    else:
        values = [f"{printable(name)} ({probability(result.probabilities[name])})" for name in decision]
        text = f"{one_of(values)}: cannot be told apart at this model's thresholds"
    if result.label not in decision:  # thresholds differ, so the most probable class may be the one that misses its own
        text += f"; {label} is more probable ({most}) but does not reach its threshold"
    return text


def presence(result: Result, label: str) -> bool | None:
    """Whether a class is present; None where the model leaves it open.

    The classes exclude each other, and one of them holds. So several that are present would contradict each other, and
    so would all of them being absent: where not exactly one class reaches its threshold, those that may hold are open.
    """
    if result.decision == (label,):
        return True
    return False if result.decision and label not in result.decision else None


def one_of(words: Sequence[str]) -> str:
    """`a`, `a or b`, `a, b or c`; at least one word."""
    return " or ".join([*([", ".join(words[:-1])] if len(words) > 1 else []), words[-1]])


def probability(value: float) -> str:
    """Two digits, that never claim certainty.

    Example:
        >>> probability(0.874), probability(0.9991), probability(0.0002)
        ('0.87', '>0.99', '<0.01')
    """
    if 0.995 <= value < 1:
        return ">0.99"
    if 0 < value < 0.005:
        return "<0.01"
    return f"{value:.2f}"


def apart(value: float, limit: float, digits: int = 1) -> tuple[str, str]:
    """Two numbers with as many digits as it takes to see that they differ, `digits` at least.

    Example:
        >>> apart(3.12, 1.0), apart(1.004, 1.0)
        (('3.1', '1.0'), ('1.004', '1.000'))
    """
    for enough in range(digits, 8):
        texts = f"{value:.{enough}f}", f"{limit:.{enough}f}"
        if texts[0] != texts[1] or value == limit:
            break
    return texts


def beside_threshold(value: float, limit: float) -> tuple[str, str]:
    """A probability and its threshold in words that do not contradict the decision by rounding.

    Example:
        >>> beside_threshold(0.874, 0.52), beside_threshold(0.5199, 0.52)
        (('0.87', '0.52'), ('0.5199', '0.5200'))
    """
    if (round(value, 2) >= round(limit, 2)) != (value >= limit):
        return apart(value, limit, 2)
    return probability(value), f"{limit:.2f}"


def cause(failure: Failure) -> str:
    """Why an input failed, without the input, which every output names beside it.

    Example:
        >>> cause(Failure("a.dcm", "damaged", "a.dcm: it ends too early", "Copy it again"))
        'it ends too early'
    """
    return failure.message.removeprefix(f"{failure.input}: ")


def sentence(text: str) -> str:
    """`text`, safe to show, with one full stop."""
    text = printable(text).rstrip()
    return text if text.endswith((".", "!", "?")) or not text else text + "."


def printable(text: str) -> str:
    r"""`text` with what could deceive or break its reader shown as an escape.

    File names and DICOM headers are written by strangers: control characters would steer a terminal, line ends would
    forge a second row, direction marks would disguise a name, and halves of surrogate pairs cannot be written at all.

    Example:
        >>> print(printable("Röntgen 1\x1b[2J\n.png"))
        Röntgen 1\x1b[2J\n.png
    """
    return "".join(
        char.encode("unicode_escape").decode("ascii")
        if char in _DIRECTIONS or unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")
        else char
        for char in text
    )


@dataclass
class Totals:
    """How many inputs of a batch ended where; each is counted exactly once.

    Args:
        failed: inputs without an answer.
        atypical: answered, but unlike what the model was trained on.
        labels: most probable class -> number of the other inputs.
    """

    failed: int = 0
    atypical: int = 0
    labels: Counter[str] = field(default_factory=Counter)

    @property
    def inputs(self) -> int:
        """All that were counted."""
        return self.failed + self.answered

    @property
    def answered(self) -> int:
        """Those with an answer, reliable or not."""
        return self.atypical + self.labels.total()

    def add(self, row: Result | Failure) -> None:
        """Count one more."""
        if isinstance(row, Failure):
            self.failed += 1
        elif row.atypical:
            self.atypical += 1
        else:
            self.labels[row.label] += 1
