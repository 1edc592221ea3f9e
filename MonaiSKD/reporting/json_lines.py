"""Results for programs: one JSON object per line, described by `result.schema.json`."""

from __future__ import annotations

import importlib.resources
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from MonaiSKD.reading.image import Identity
from MonaiSKD.reporting.sentences import cause
from MonaiSKD.runtime.result import Failure, ModelIdentity, Result, Slices

# Valid inside JSON strings, but lone surrogates cannot be written as UTF-8, and the others end a line for some readers
# (Python's splitlines among them). As escapes they mean the same and come back unchanged.
_ESCAPED = re.compile("[\ud800-\udfff\x7f-\x9f\u2028\u2029]")


def to_json(
    row: Result | Failure,
    identify: bool = False,
    explain: bool = False,
    heatmap: Sequence[str | os.PathLike[str]] | None = None,
) -> str:
    """One JSON object on one line, without the line end.

    Args:
        row: what to write.
        identify: add whose image it is.
        explain: add what reading did.
        heatmap: files that the heat maps were saved to.

    Raises:
        ValueError: a probability is not a finite number, which the runtime must not yield. An infinite atypicality
            becomes null.

    Example:
        >>> to_json(Failure("a.dcm", "damaged", "it ends too early", "Copy it again"))
        '{"input": "a.dcm", "error": {"code": "damaged", "message": "it ends too early", "remedy": "Copy it again"}}'
    """
    data = _failure(row) if isinstance(row, Failure) else _result(row, identify, explain, heatmap)
    text = json.dumps(data, ensure_ascii=False, allow_nan=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def from_json(line: str | Mapping[str, Any]) -> Result | Failure:
    """The answer behind a line that :func:`to_json` wrote, without heat maps and without the DICOM instances.

    Args:
        line: the text, or the JSON data in it.

    Raises:
        ValueError: it is no line of the schema.

    Example:
        >>> from_json('{"input": "a.dcm", "error": {"code": "damaged", "message": "ends", "remedy": "Copy it"}}')
        Failure(input='a.dcm', code='damaged', message='ends', remedy='Copy it')
    """
    try:
        data = json.loads(line) if isinstance(line, str) else line
        if "error" in data:
            return Failure(data["input"], *(str(data["error"][name]) for name in ("code", "message", "remedy")))  # type: ignore[arg-type]
        return _result_of(data)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"it is no answer of this package ({type(error).__name__}: {error})") from error


def _result_of(data: Mapping[str, Any]) -> Result:
    slices, model, identity = data["slices"], data["model"], data.get("identity")
    if data["label"] not in data["probabilities"] or set(data["thresholds"]) != set(data["probabilities"]):
        raise ValueError("its classes contradict each other")
    probabilities = {name: float(value) for name, value in data["probabilities"].items()}
    limit = _float(data["atypicality_threshold"])
    # The numbers were rounded after what they decide was decided.
    beyond = _on_its_side(_float(data["atypicality"]), math.nextafter(limit, math.inf), data["atypical"])
    decided = {name: name in data["decision"] for name in probabilities}
    return Result(
        input=str(data["input"]),
        label=data["label"],
        probabilities=probabilities,
        thresholds={
            name: -_on_its_side(-_float(value), -probabilities[name], decided[name])
            for name, value in data["thresholds"].items()
        },
        atypicality=beyond,
        atypicality_threshold=limit,
        model=ModelIdentity(str(model["name"]), str(model["version"]), str(model["sha256"])),
        milliseconds=_float(data["milliseconds"]),
        slices=None if slices is None else _slices_of(slices),
        identity=None if identity is None else Identity(**identity),
        applied=tuple(data.get("applied", ())),
        warnings=tuple(data["warnings"]),
    )


def _on_its_side(value: float, limit: float, reaches: bool) -> float:
    """`value`, moved by as little as it takes to be at least `limit`, or below it."""
    if reaches:
        return max(value, limit)
    return value if value < limit else math.nextafter(limit, -math.inf)


def _slices_of(data: Mapping[str, Any]) -> Slices:
    positions = data["positions_mm"]
    return Slices(
        probabilities=np.array(data["probabilities"], dtype=np.float32),
        atypicality=np.array([_float(value) for value in data["atypicality"]], dtype=np.float32),
        used=np.array(data["used"], dtype=bool),
        key=tuple(int(number) - 1 for number in data["key_slices"]),
        positions=None if positions is None else tuple(_float(value) for value in positions),
    )


def schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of every line: the contract with MONAI Label, Slicer and everyone else."""
    text = importlib.resources.files("MonaiSKD.reporting").joinpath("result.schema.json").read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    return data


def _failure(failure: Failure) -> dict[str, Any]:
    error = {"code": failure.code, "message": cause(failure), "remedy": failure.remedy}
    return {"input": failure.input, "error": error}


def _result(
    result: Result, identify: bool, explain: bool, heatmap: Sequence[str | os.PathLike[str]] | None
) -> dict[str, Any]:
    model = result.model
    data: dict[str, Any] = {
        "input": result.input,
        "label": result.label,
        "probabilities": {name: _probability(value) for name, value in result.probabilities.items()},
        "decision": list(result.decision),
        "thresholds": {name: _number(value) for name, value in result.thresholds.items()},
        "atypical": bool(result.atypical),
        "atypicality": _number(result.atypicality),
        "atypicality_threshold": _number(result.atypicality_threshold),
        "slices": None if result.slices is None else _slices(result.slices),
        "heatmap": None if heatmap is None else [os.fspath(path) for path in heatmap],
        "model": {"name": model.name, "version": model.version, "sha256": model.sha256},
        "milliseconds": _number(result.milliseconds, 1),
        "warnings": list(result.warnings),
    }
    if explain:
        data["applied"] = list(result.applied)
    if identify:
        data["identity"] = None if result.identity is None else _identity(result.identity)
    return data


def _slices(slices: Slices) -> dict[str, Any]:
    return {
        "count": len(slices.used),
        "used": [bool(used) for used in slices.used],
        "probabilities": [[_probability(value) for value in row] for row in slices.probabilities],
        "atypicality": [_number(value) for value in slices.atypicality],
        "key_slices": [int(index) + 1 for index in slices.key],
        "positions_mm": None if slices.positions is None else [_number(value, 3) for value in slices.positions],
    }


def _identity(identity: Identity) -> dict[str, str]:
    return {
        "patient_id": identity.patient_id,
        "patient_name": identity.patient_name,
        "study_uid": identity.study_uid,
        "series_uid": identity.series_uid,
    }


def _probability(value: float) -> float:
    number = _number(value)
    if number is None:
        raise ValueError(f"a probability is {value}")
    return number


def _float(value: float | None) -> float:
    """The number; infinity for null, which stands for what JSON has no number for and is never typical."""
    return math.inf if value is None else float(value)


def _number(value: float, digits: int = 6) -> float | None:
    """A plain float, rounded; None for what JSON has no number for."""
    return round(float(value), digits) if math.isfinite(value) else None
