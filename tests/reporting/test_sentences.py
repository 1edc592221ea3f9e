from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from MonaiSKD.reporting.sentences import (
    NOT_CLINICAL,
    Totals,
    apart,
    describe,
    one_of,
    presence,
    printable,
    probability,
    sentence,
)


def test_the_research_notice_is_fixed() -> None:
    assert NOT_CLINICAL == "Research only, not for clinical use."


@pytest.mark.parametrize(
    ("probabilities", "words"),
    [
        ((0.11, 0.87, 0.02), "pneumonia, 0.87"),
        (
            (0.11, 0.48, 0.41),
            "pneumonia (0.48) or covid (0.41): cannot be told apart at this model's thresholds",
        ),
        ((0.34, 0.33, 0.33), "no class reaches its threshold; most probable: normal, 0.34"),
        ((0.15, 0.44, 0.41), "covid, 0.41; pneumonia is more probable (0.44) but does not reach its threshold"),
        ((0.0004, 0.9992, 0.0004), "pneumonia, >0.99"),
        ((0.35, 0.25, 0.40), "covid (0.40) or normal (0.35): cannot be told apart at this model's thresholds"),
    ],
)
def test_a_result_is_one_sentence(make_result, probabilities, words) -> None:
    assert describe(make_result(probabilities)) == words


@given(st.tuples(*[st.floats(0, 1)] * 3))
def test_classes_that_exclude_each_other_are_never_stated_to_contradict(make_result, probabilities) -> None:
    result = make_result(probabilities)
    found = [presence(result, name) for name in result.probabilities]
    assert found.count(True) <= 1
    assert True in found or None in found  # one of them holds
    for name, one in zip(result.probabilities, found, strict=True):
        assert one is not (name not in result.decision)


def test_the_warning_comes_first(make_result, volume) -> None:
    assert describe(make_result(atypicality=3.12)) == (
        "NOT RELIABLE: this image is unlike those the model was trained on (atypicality 3.1, limit 1.0). "
        "Its answer would be: pneumonia, 0.87"
    )
    far = dataclasses.replace(volume, atypicality=float("inf"))
    assert describe(far).startswith(
        "NOT RELIABLE: this volume is unlike those the model was trained on (atypicality inf"
    )


def test_a_limit_passed_by_little_is_seen_to_be_passed(make_result) -> None:
    assert "(atypicality 1.004, limit 1.000)" in describe(make_result(atypicality=1.004))
    assert apart(1.0, 1.0) == ("1.0", "1.0")


def test_class_names_cannot_steer_a_terminal(make_result) -> None:
    result = make_result()
    name = "\x1b[31mred"
    bad = dataclasses.replace(result, label=name, probabilities={name: 1.0}, thresholds={name: 0.5})
    assert describe(bad) == r"\x1b[31mred, 1.00"


@pytest.mark.parametrize(("value", "words"), [(1.0, "1.00"), (0.0, "0.00"), (0.9949, "0.99"), (0.995, ">0.99")])
def test_certainty_is_claimed_only_where_it_is_exact(value, words) -> None:
    assert probability(value) == words


def test_small_words() -> None:
    assert one_of(["a"]) == "a"
    assert one_of(["a", "b", "c"]) == "a, b or c"
    assert sentence("it ends") == sentence("it ends.") == "it ends."
    assert sentence("") == ""


def test_printable_keeps_words_and_escapes_tricks() -> None:
    assert printable("Röntgen 肺 1.png") == "Röntgen 肺 1.png"
    assert printable("a\nb\t\u202egnp.exe") == r"a\nb\t\u202egnp.exe"
    assert printable("\udcff") == r"\udcff"


@given(st.text())
def test_printable_is_one_line_that_can_be_written(text: str) -> None:
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert "\x1b" not in shown
    shown.encode("utf-8")


def test_totals_count_each_input_once(make_result, make_failure) -> None:
    totals = Totals()
    for row in (
        make_result(),
        make_result(),
        make_result((0.9, 0.05, 0.05)),
        make_result(atypicality=2),
        make_failure(),
    ):
        totals.add(row)
    assert (totals.inputs, totals.answered, totals.atypical, totals.failed) == (5, 4, 1, 1)
    assert totals.labels == {"pneumonia": 2, "normal": 1}
