"""The report of a training run: one HTML page without any second file, and one summary picture."""

from __future__ import annotations

import importlib.resources
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jinja2
import numpy as np
import numpy.typing as npt

from MonaiSKD.evaluation import plots
from MonaiSKD.evaluation.plots import Curve, Example
from MonaiSKD.files import atomic_path
from MonaiSKD.reporting import overlay
from MonaiSKD.runtime.result import HeatMap


@dataclass(frozen=True)
class ReportData:
    """All that a report shows.

    Attributes:
        title: the headline.
        modality: such as `chest_xray`.
        class_names: K names.
        counts: split -> class name -> number of images.
        metrics: split -> result of :func:`MonaiSKD.evaluation.classification_metrics`; where they are known, with what
            :meth:`MonaiSKD.evaluation.Calibration.account` says, "atypical_share", "heatmap_r2", and "by_source" of
            :func:`MonaiSKD.evaluation.metrics_by_source`.
        probabilities: [N, K], of the test split.
        labels: [N], of the test split.
        curves: panel title -> line name -> (epoch, value) points.
        examples: a few test images.
        errors: the test images whose wrong class was given most confidently, the worst first.
        sensitivity: the share of a class's validation images that its threshold was to find.
        facts: what made this model: teacher, student, seed, parameters, versions, in order of appearance.
        config: the configuration of the run, shown as JSON.
    """

    title: str
    modality: str
    class_names: Sequence[str]
    counts: Mapping[str, Mapping[str, int]]
    metrics: Mapping[str, Mapping[str, Any]]
    probabilities: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]
    curves: Mapping[str, Mapping[str, Curve]] = field(default_factory=dict)
    examples: Sequence[Example] = ()
    errors: Sequence[Example] = ()
    sensitivity: float | None = None
    facts: Mapping[str, object] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)


def write_report(path: str | os.PathLike[str], report: ReportData) -> None:
    """Write the report as one HTML page, pictures and style inside.

    Args:
        path: of the page.
        report: its content.

    Raises:
        SKDError: the page cannot be written.
    """
    template = importlib.resources.files("MonaiSKD.evaluation").joinpath("report.html.j2").read_text(encoding="utf-8")
    page = (
        jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        .from_string(template)
        .render(
            report=report,
            overall=_overall_rows(report.metrics),
            per_class=_class_rows(report.metrics, report.class_names),
            thresholds=_threshold_rows(report.metrics, report.class_names),
            by_source=_source_rows(report.metrics),
            curves=plots.to_data_uri(plots.curves_figure(report.curves)) if report.curves else None,
            test=plots.to_data_uri(_test_figure(report)),
            wrong=int((report.probabilities.argmax(1) != report.labels).sum()),
            errors=[_case(example, report.class_names) for example in report.errors],
            examples=[_case(example, report.class_names) for example in report.examples],
            scale=_scale() if any(e.heat is not None for e in [*report.errors, *report.examples]) else None,
            config=json.dumps(report.config, indent=2, ensure_ascii=False, default=str),
        )
    )
    with atomic_path(path) as beside:
        beside.write_text(page, encoding="utf-8")


def plot_summary(path: str | os.PathLike[str], report: ReportData) -> None:
    """Write one picture: training curves above, confusion matrix and reliability, then example images.

    Args:
        path: of the picture; its suffix chooses the format.
        report: curves beyond the first two panels and examples beyond the first six are left out.

    Raises:
        SKDError: the picture cannot be written.
    """
    panels = list(report.curves.items())[:2]
    examples = report.examples[:6]
    figure = plots.new_figure(12.0, 3.6 + (2.6 if examples else 0.0))
    parts = figure.subfigures(2 if examples else 1, 1, height_ratios=[3.6, 2.4] if examples else [1], squeeze=False)
    above = parts[0, 0].subplots(1, len(panels) + 2)
    for axes, (title, lines) in zip(above, panels, strict=False):
        plots.draw_curves(axes, title, lines)
    plots.draw_confusion(above[-2], report.probabilities, report.labels, report.class_names)
    plots.draw_reliability(above[-1], report.probabilities, report.labels)
    if examples:
        below = parts[1, 0].subplots(1, 6)
        for axes in below[len(examples) :]:
            axes.set_axis_off()
        for axes, example in zip(below, examples, strict=False):
            plots.draw_example(axes, example, report.class_names)
    figure.suptitle(f"{report.title} (not for clinical use)", fontsize=12, fontweight="bold", x=0.012, ha="left")
    with atomic_path(path) as beside:
        figure.savefig(beside, dpi=110)


def _test_figure(report: ReportData) -> Any:
    figure = plots.new_figure(10.0, 3.3)
    confusion, roc, calibration = figure.subplots(1, 3)
    plots.draw_confusion(confusion, report.probabilities, report.labels, report.class_names)
    thresholds = report.metrics["test"].get("thresholds")
    plots.draw_roc(roc, report.probabilities, report.labels, report.class_names, thresholds)
    plots.draw_reliability(calibration, report.probabilities, report.labels)
    return figure


_OVERALL = {
    "balanced_accuracy": "Balanced accuracy",
    "macro_auc": "Macro AUC",
    "accuracy": "Accuracy",
    "ece": "Calibration error (ECE)",
    "ece_before_calibration": "Calibration error before the temperature",
    "atypical_share": "Images called atypical",
    "heatmap_r2": "What blanking a region costs, foretold by the heat maps (R²)",
}


def _overall_rows(metrics: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """Title and one cell per split; what no split knows has no row."""
    return [
        (title, [_overall_cell(of_split, key) for of_split in metrics.values()])
        for key, title in _OVERALL.items()
        if any(key in of_split for of_split in metrics.values())
    ]


def _overall_cell(of_split: Mapping[str, Any], key: str) -> str:
    value = of_split.get(key)
    if key == "atypical_share" and value is not None:
        return f"{round(value * of_split['n'])} ({value:.1%})"
    return _interval(value) if isinstance(value, Mapping) else _number(value)


def _class_rows(
    metrics: Mapping[str, Mapping[str, Any]], class_names: Sequence[str]
) -> list[tuple[str, list[tuple[str, str]]]]:
    return [
        (
            name,
            [
                (_interval(of_split["per_class"][name]["auc"]), _interval(of_split["per_class"][name]["recall"]))
                for of_split in metrics.values()
            ],
        )
        for name in class_names
    ]


def _threshold_rows(
    metrics: Mapping[str, Mapping[str, Any]], class_names: Sequence[str]
) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Class, threshold, and what it reaches on each split; nothing where a split does not know."""
    accounts = [of_split["thresholds"] for of_split in metrics.values() if "thresholds" in of_split]
    if not accounts or len(accounts) < len(metrics):
        return []
    return [
        (
            name,
            _number(accounts[0][name]["threshold"]),
            [(_number(of[name]["sensitivity"]), _number(of[name]["specificity"])) for of in accounts],
        )
        for name in class_names
    ]


def _source_rows(metrics: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Source, or kind of label, and for each split its images and what is right; nothing where no split knows."""
    found = [of_split.get("by_source") for of_split in metrics.values()]
    sources = dict.fromkeys(source for of_split in found if of_split for source in of_split["sources"])
    rows = []
    for source in sources:
        of_source = [of_split["sources"].get(source) if of_split else None for of_split in found]
        rows.append(
            (source, [(str(of["n"]), _number(of["balanced_accuracy"])) if of else ("0", "") for of in of_source])
        )
    for kind in ("usual", "unusual") if sources else ():
        of_kind = [of_split[kind] if of_split else {"n": 0} for of_split in found]
        cells = [(str(of["n"]), _number(of["correct"] / of["n"]) if of["n"] else "") for of in of_kind]
        rows.append((f"label {kind} for its source (accuracy)", cells))
    return rows


def _case(example: Example, class_names: Sequence[str]) -> dict[str, Any]:
    """An example as the page shows it: addresses of its pictures and its words."""
    image = np.asarray(example.image, dtype=np.float32)
    pictures = [(overlay.data_uri(overlay.thumbnail(image)), f"Image of class {class_names[example.label]}")]
    if example.heat is not None:
        label = class_names[example.predicted]
        pixels = image.reshape(image.shape[-2:])
        blended = overlay.blend(HeatMap(example.heat, label, 0, pixels), overlay.small_shape(pixels.shape))
        pictures.append((overlay.data_uri(blended), f"Evidence for {label}"))
    return {
        "pictures": pictures,
        "predicted": class_names[example.predicted],
        "probability": f"{example.probabilities[example.predicted]:.0%}",
        "truly": None if example.right else class_names[example.label],
    }


def _scale() -> str:
    """The colours from no evidence to the most, on grey, as a picture."""
    rising = np.linspace(0, 1, 160, dtype=np.float32)[None]
    return overlay.data_uri(overlay.blend(HeatMap(rising, "", 0, np.full((1, 160), 0.4, np.float32)), (12, 160)))


def _number(value: float | None) -> str:
    return "–" if value is None or not np.isfinite(value) else f"{value:.3f}"


def _interval(metric: Mapping[str, float | None]) -> str:
    """`0.912 (0.880 to 0.941)`; a dash for what is undefined."""
    value, low, high = metric["value"], metric["low"], metric["high"]
    if value is None or low is None or high is None:
        return _number(value)
    return f"{value:.3f} ({low:.3f} to {high:.3f})"
