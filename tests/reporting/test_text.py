from __future__ import annotations

import dataclasses
from collections import Counter

from MonaiSKD.reporting.sentences import Totals
from MonaiSKD.reporting.text import format_failure, format_result, format_totals


def test_an_image_in_full(make_result) -> None:
    assert format_result(make_result((0.25, 0.5, 0.25)), encoding="utf-8").splitlines() == [
        "a/p01.png",
        "  pneumonia, 0.50",
        "    normal     ████████   ┊" + " " * 23 + "0.25  from 0.35",
        "    pneumonia  ██████████████┊█" + " " * 19 + "0.50  from 0.45  *",
        "    covid      ████████    ┊" + " " * 22 + "0.25  from 0.40",
    ]


def test_ascii_where_blocks_cannot_be_written(make_result) -> None:
    lines = format_result(make_result((0.25, 0.5, 0.25), input="Röntgen.png"), encoding="ascii").splitlines()
    assert lines[0] == r"R\xf6ntgen.png"
    assert lines[3] == "    pneumonia  ##############|#................   0.50  from 0.45  *"
    assert "#" in format_result(make_result(), encoding="no such encoding")
    assert "┊" in format_result(make_result(), encoding="utf-8")


def test_rounding_never_contradicts_the_mark(make_result) -> None:
    lines = format_result(make_result((0.1, 0.4499, 0.4501)), encoding="utf-8").splitlines()
    assert lines[3].endswith(" 0.4499  from 0.4500")
    assert lines[4].endswith("0.45  from 0.40  *")


def test_a_volume_says_which_slices(volume) -> None:
    lines = format_result(volume, encoding="utf-8").splitlines()
    assert lines[5:] == [
        "  slices: 3 of 4 used",
        "  key slices: 3 (-5.0 mm), 2 (-7.5 mm)",
        "  warning: gantry tilt of 3.1 degrees",
    ]
    unplaced = dataclasses.replace(volume, slices=dataclasses.replace(volume.slices, positions=None))
    assert "  key slices: 3, 2" in format_result(unplaced, encoding="utf-8").splitlines()


def test_explain_adds_how_it_was_done(volume) -> None:
    assert format_result(volume, explain=True, encoding="utf-8").splitlines()[8:] == [
        "  done: sorted by position",
        "  done: window -1350 to 150 HU",
        "  model: chest_xray 1.2.0, sha256 0123456789ab",
        "  time: 41 ms",
        "  Research only, not for clinical use.",
    ]


def test_warnings_are_always_shown_but_short_unless_explained(make_result) -> None:
    result = make_result(warnings=("x" * 150, "two", "three", "four", "five"))
    short = [line for line in format_result(result).splitlines() if "warning:" in line]
    assert short == [
        f"  warning: {'x' * 97}...",
        "  warning: two",
        "  warning: three",
        "  warning: and 2 more",
    ]
    explained = format_result(result, explain=True)
    assert "x" * 150 in explained
    assert "warning: five" in explained


def test_colour_marks_the_warning_red_and_only_on_request(make_result) -> None:
    far = make_result(atypicality=3.1)
    assert "\x1b" not in format_result(far)
    line = format_result(far, colour=True).splitlines()[1]
    assert line == (
        "  \x1b[1;31mNOT RELIABLE: this image is unlike those the model was trained on (atypicality 3.1, limit 1.0)."
        "\x1b[0m Its answer would be: pneumonia, 0.87"
    )
    assert "1;31" not in format_result(make_result(), colour=True)


def test_strangers_texts_cannot_steer_the_terminal(make_result, make_failure) -> None:
    text = format_result(make_result(input="\x1b[2Ja\n.png", warnings=("\x1b]0;hi\x07",)), explain=True)
    assert "\x1b" not in text
    assert text.splitlines()[0] == r"\x1b[2Ja\n.png"
    assert "\x1b" not in format_failure(make_failure("\x1b[2J.dcm"))


def test_wide_class_names_keep_the_bars_aligned(make_result) -> None:
    p = {"正常": 0.5, "肺炎 x": 0.5}
    result = dataclasses.replace(make_result(), label="正常", probabilities=p, thresholds=dict.fromkeys(p, 0.5))
    first, second = format_result(result, encoding="utf-8").splitlines()[2:4]
    assert first.startswith("    正常    █")  # four columns and two more
    assert second.startswith("    肺炎 x  █")  # six columns


def test_failure_says_what_and_what_to_do(make_failure) -> None:
    assert format_failure(make_failure()).splitlines() == [
        "b.dcm",
        "  FAILED (damaged): its pixel data end too early.",
        "  Export it again.",
    ]
    assert "\x1b[1;31mFAILED (damaged):\x1b[0m" in format_failure(make_failure(), colour=True)


def test_totals() -> None:
    assert format_totals(Totals()) == "0 inputs.\nResearch only, not for clinical use."
    assert format_totals(Totals(labels=Counter(normal=1))).startswith("1 input: normal 1.\n")
    full = Totals(failed=1, atypical=2, labels=Counter(normal=5, covid=3))
    assert format_totals(full).startswith("11 inputs: normal 5, covid 3, not reliable 2, failed 1.\n")
