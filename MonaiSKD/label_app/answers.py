"""One image to one answer in JSON, the same as `monai-skd classify` gives; docs/label_contract.md describes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from MonaiSKD.errors import SKDError
from MonaiSKD.label_app.heatmaps import HeatFormat, save_picture, save_volume
from MonaiSKD.reading import Source, find_sources, read_series
from MonaiSKD.reporting import to_json
from MonaiSKD.runtime import Classifier, Failure, Result

ANSWER_KEY = "monai_skd"


class Answer(NamedTuple):
    """What a request gets.

    Attributes:
        params: JSON data: "monai_skd", and for a result "prediction".
        heatmap: the file that was asked for, where there is one.
    """

    params: dict[str, Any]
    heatmap: Path | None = None

    @property
    def line(self) -> Mapping[str, Any]:
        """The answer as a line of `result.schema.json`."""
        line: Mapping[str, Any] = self.params[ANSWER_KEY]
        return line


def answer(
    classifier: Classifier, path: str | Path, shown: str, heatmap: HeatFormat | None = None, folder: Path | None = None
) -> Answer:
    """Classify a file, or the one series in a folder; whatever goes wrong with it is an answer too.

    Args:
        classifier: the model.
        path: the file or folder.
        shown: what it is called in the answer; its place on the server is no one's business.
        heatmap: what to save the evidence as.
        folder: where to.

    Raises:
        SKDError: the heat map cannot be written.
    """
    source = _source(classifier, path)
    found = source if isinstance(source, Failure) else classifier.attempt(source, heatmaps=heatmap is not None)
    saved: Path | None = None
    if isinstance(found, Result) and isinstance(source, Source) and heatmap is not None:
        saved = _save(classifier, source, found, heatmap, folder or Path.cwd())
    line = json.loads(to_json(_renamed(found, str(path), shown)))
    params: dict[str, Any] = {ANSWER_KEY: line}
    if isinstance(found, Result):
        params["prediction"] = [
            {"idx": number, "label": name, "score": score}
            for number, (name, score) in enumerate(line["probabilities"].items())
        ]
    return Answer(params, saved)


def _source(classifier: Classifier, path: str | Path) -> Source | Failure:
    """What there is to classify, or why nothing can be."""
    sources = list(islice(find_sources([path], classifier.contract.rule), 2))
    if len(sources) == 1:
        return sources[0]
    if not sources:
        return Failure(str(path), "not_found", f"{path}: holds no image", "Send a file, or a folder with images")
    cause = f"{path}: holds several images or series"
    return Failure(str(path), "unsupported", cause, "Give each series a folder of its own")


def _save(classifier: Classifier, source: Source, result: Result, heatmap: HeatFormat, folder: Path) -> Path | None:
    if heatmap == "png" or (heatmap == "auto" and result.slices is None):
        return save_picture(result, folder / "heatmap.png") if result.heatmaps else None
    series = read_series(source, classifier.contract.rule)
    if result.slices is not None:  # evidence of every slice is computed only where it is asked for
        result = classifier.classify(series, heatmaps=False, every_slice=True)
    return save_volume(result, series, folder / "heatmap.nii.gz")


def _renamed(found: Result | Failure, path: str, shown: str) -> Result | Failure:
    if isinstance(found, Result):
        return replace(found, input=shown)
    return Failure(shown, found.code, found.message.replace(path, shown), found.remedy.replace(path, shown))


def status_of(error: SKDError) -> int:
    """The HTTP status of a problem that concerns a whole request."""
    return {"not_found": 404, "too_large": 413, "not_installed": 501}.get(error.code, 400)
