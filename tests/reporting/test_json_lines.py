from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from MonaiSKD.errors import Code
from MonaiSKD.reporting.json_lines import from_json, schema, to_json
from MonaiSKD.runtime.result import Failure

ANYTHING = st.text(st.characters(), max_size=30)  # lone surrogates and control characters among them


def parsed(line: str) -> dict:
    """The object on a line, which must follow the schema, be one line, and be writable."""
    assert len(line.splitlines()) == 1
    data = json.loads(line.encode("utf-8"), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    Draft202012Validator(schema()).validate(data)
    return data


def test_the_schema_is_a_schema_and_knows_every_code() -> None:
    Draft202012Validator.check_schema(schema())
    error = schema()["$defs"]["failure"]["properties"]["error"]
    assert error["properties"]["code"]["enum"] == list(get_args(Code))


def test_an_image_has_exactly_these_keys(make_result) -> None:
    assert parsed(to_json(make_result((1 / 3, 2 / 3, 0.0), warnings=("no spacing",)))) == {
        "input": "a/p01.png",
        "label": "pneumonia",
        "probabilities": {"normal": 0.333333, "pneumonia": 0.666667, "covid": 0.0},
        "decision": ["pneumonia"],
        "thresholds": {"normal": 0.35, "pneumonia": 0.45, "covid": 0.4},
        "atypical": False,
        "atypicality": 0.25,
        "atypicality_threshold": 1.0,
        "slices": None,
        "heatmap": None,
        "model": {"name": "chest_xray", "version": "1.2.0", "sha256": "0123456789abcdef" * 4},
        "milliseconds": 41.3,
        "warnings": ["no spacing"],
    }


def test_a_volume_numbers_its_key_slices_from_one(volume) -> None:
    data = parsed(to_json(volume, heatmap=[Path("o/1.png"), "o/2.png"]))
    assert data["slices"] == {
        "count": 4,
        "used": [False, True, True, True],
        "probabilities": [[0.8, 0.1, 0.1], [0.6, 0.1, 0.3], [0.4, 0.1, 0.5], [0.2, 0.1, 0.7]],
        "atypicality": [0.5, 0.5, 0.5, 0.5],
        "key_slices": [3, 2],
        "positions_mm": [-10.0, -7.5, -5.0, -2.5],
    }
    assert data["heatmap"] == [str(Path("o/1.png")), "o/2.png"]


def test_identity_and_steps_only_on_request(volume, make_result) -> None:
    plain = to_json(volume)
    assert "identity" not in json.loads(plain)
    assert "applied" not in json.loads(plain)
    assert "Müller" not in plain
    full = parsed(to_json(volume, identify=True, explain=True))
    assert full["identity"] == {
        "patient_id": "4711",
        "patient_name": "Müller^Hans",
        "study_uid": "1.2.3",
        "series_uid": "1.2.3.4",
    }
    assert full["applied"] == ["sorted by position", "window -1350 to 150 HU"]
    assert parsed(to_json(make_result(), identify=True))["identity"] is None


def test_a_failure(make_failure) -> None:
    assert parsed(to_json(make_failure(), identify=True, explain=True)) == {
        "input": "b.dcm",
        "error": {"code": "damaged", "message": "its pixel data end too early", "remedy": "Export it again"},
    }


def test_numpy_numbers_and_what_json_cannot_say(make_result) -> None:
    odd = make_result(
        (np.float32(0.1), np.float32(0.9), np.float32(0)), atypicality=float("inf"), milliseconds=np.float64(2)
    )
    data = parsed(to_json(odd))
    assert data["atypical"] is True
    assert data["atypicality"] is None
    assert data["probabilities"]["pneumonia"] == 0.9
    with pytest.raises(ValueError, match="probability"):
        to_json(make_result((float("nan"), 0.5, 0.5), label="covid"))


def test_letters_are_kept_and_broken_names_survive(make_result) -> None:
    name = "Röntgen-\udcff-肺.png"
    line = to_json(make_result(input=name))
    assert r"Röntgen-\udcff-肺.png" in line
    assert parsed(line)["input"] == name


@given(name=ANYTHING, warning=ANYTHING, patient=ANYTHING)
def test_any_text_comes_back_from_a_result(make_result, make_identity, name: str, warning: str, patient: str) -> None:
    identity = make_identity(patient)
    data = parsed(to_json(make_result(input=name, warnings=(warning,), identity=identity), identify=True))
    assert (data["input"], data["warnings"], data["identity"]["patient_name"]) == (name, [warning], patient)


@given(ANYTHING, ANYTHING, st.sampled_from(get_args(Code)))
def test_any_text_comes_back_from_a_failure(name: str, message: str, code: Code) -> None:
    data = parsed(to_json(Failure(name, code, f"{name}: {message}", "")))
    assert (data["input"], data["error"]["message"], data["error"]["code"]) == (name, message, code)


@given(ANYTHING, st.floats(min_value=0), st.booleans())
def test_a_line_comes_back_as_the_same_line(make_result, make_slices, name, atypicality, volume) -> None:
    result = make_result(
        input=name, atypicality=atypicality, slices=make_slices() if volume else None, warnings=(name,), applied=("x",)
    )
    line = to_json(result, identify=True, explain=True)
    back = from_json(line)
    assert to_json(back, identify=True, explain=True) == line
    assert from_json(json.loads(line)).decision == back.decision


@pytest.mark.parametrize("step", [-1e-8, 0.0, 1e-8])
def test_rounding_turns_no_decision(make_result, step) -> None:
    result = make_result((0.55 - step, 0.45 + step, 0.0), atypicality=1.0 + step)
    back = from_json(to_json(result))
    assert (back.decision, back.atypical) == (result.decision, result.atypical)
    assert back.thresholds == pytest.approx(result.thresholds)


def test_an_atypicality_that_json_has_no_number_for_is_atypical(make_result) -> None:
    back = from_json(to_json(make_result(atypicality=float("inf"))))
    assert back.atypical


@pytest.mark.parametrize("line", ["", "[]", "{}", "null", '{"input": "a"}', '{"input": "a", "error": {}}', "nonsense"])
def test_other_lines_are_refused(line) -> None:
    with pytest.raises(ValueError, match="no answer of this package"):
        from_json(line)
