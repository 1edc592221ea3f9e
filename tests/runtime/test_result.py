"""Results and failures as values: what follows from the numbers, and what people read."""

from __future__ import annotations

import math

import pytest

from MonaiSKD.reading.image import Identity
from MonaiSKD.runtime import Failure, ModelIdentity, Result


def result(probabilities: dict[str, float], thresholds: dict[str, float] | None = None, **changes) -> Result:
    fields = {
        "input": "a.png",
        "label": max(probabilities, key=lambda name: probabilities[name]),
        "probabilities": probabilities,
        "thresholds": thresholds or dict.fromkeys(probabilities, 0.5),
        "atypicality": 0.1,
        "atypicality_threshold": 0.4,
        "model": ModelIdentity("tiny", "1.0", "00" * 32),
        "milliseconds": 5.0,
    }
    return Result(**{**fields, **changes})


@pytest.mark.parametrize(
    ("probabilities", "thresholds", "decision"),
    [
        ({"a": 0.2, "b": 0.8}, {"a": 0.5, "b": 0.5}, ("b",)),
        ({"a": 0.5, "b": 0.5}, {"a": 0.5, "b": 0.5}, ("a", "b")),  # at the threshold is present
        ({"a": 0.3, "b": 0.5, "c": 0.2}, {"a": 0.25, "b": 0.4, "c": 0.1}, ("b", "a", "c")),
        ({"a": 0.3, "b": 0.4, "c": 0.3}, {"a": 0.5, "b": 0.5, "c": 0.5}, ()),
        ({"a": 0.3, "b": 0.7}, {"a": 0.3, "b": 0.9}, ("a",)),
    ],
)
def test_the_decision_is_what_reaches_its_threshold_the_most_probable_first(probabilities, thresholds, decision):
    assert result(probabilities, thresholds).decision == decision


@pytest.mark.parametrize(
    ("atypicality", "atypical"),
    [(0.0, False), (0.4, False), (math.nextafter(0.4, 1), True), (math.inf, True), (math.nan, True)],
)
def test_at_the_limit_an_image_is_typical_and_beyond_or_unknown_it_is_not(atypicality, atypical):
    assert result({"a": 0.2, "b": 0.8}, atypicality=atypicality).atypical is atypical


def test_a_printed_result_holds_the_sentence():
    assert "a.png\n  b, 0.80\n" in str(result({"a": 0.2, "b": 0.8}))
    assert "no class reaches its threshold; most probable: b, 0.40" in str(result({"a": 0.3, "b": 0.4, "c": 0.3}))
    assert "b (0.50) or a (0.50)" in str(result({"b": 0.5, "a": 0.5}))
    assert "NOT RELIABLE: this image is unlike" in str(result({"a": 0.2, "b": 0.8}, atypicality=0.9))


def test_a_printed_failure_holds_cause_and_remedy():
    text = str(Failure("a.dcm", "damaged", "a.dcm: is cut off", "Replace the file"))
    assert text == "a.dcm\n  FAILED (damaged): is cut off.\n  Replace the file."


def test_neither_text_nor_repr_of_a_result_says_whose_it_is():
    named = result({"a": 0.2, "b": 0.8}, identity=Identity("17", "Secret^Person"))
    assert "Secret" not in str(named) + repr(named)
