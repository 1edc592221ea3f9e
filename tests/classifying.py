"""The job of classifying as its tests do it: everything that it says, and its JSON lines, which must be valid."""

from __future__ import annotations

import io
import json
from pathlib import Path

import jsonschema

from MonaiSKD.classification import Wishes, classify
from MonaiSKD.reporting import Totals, schema
from MonaiSKD.runtime import Classifier


def run(classifier: Classifier, *paths: Path, recursive: bool = False, **wishes: object) -> tuple[str, str, Totals]:
    """What went to standard output and to standard error, and the totals."""
    given = {key: str(value) if isinstance(value, Path) else value for key, value in wishes.items()}
    out, err = io.StringIO(), io.StringIO()
    totals = classify(classifier, [str(path) for path in paths], Wishes(**given), recursive=recursive, out=out, err=err)
    return out.getvalue(), err.getvalue(), totals


def lines_of(text: str) -> list[dict]:
    rows = [json.loads(line) for line in text.splitlines()]
    for row in rows:
        jsonschema.validate(row, schema(), cls=jsonschema.Draft202012Validator)
    return rows
