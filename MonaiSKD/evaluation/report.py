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


@dataclass(frozen=True)
class ReportData:
    """All that a report shows.

    Attributes:
        title: the headline.
        modality: such as `chest_xray`.
        class_names: K names.
        counts: split -> class name -> number of images.
        metrics: split -> result of :func:`MonaiSKD.evaluation.classification_metrics`.
        probabilities: [N, K], of the test split.
        labels: [N], of the test split.
        curves: panel title -> line name -> (epoch, value) points.
        examples: a few test images.
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
            curves=plots.to_data_uri(plots.curves_figure(report.curves)) if report.curves else None,
            test=plots.to_data_uri(_test_figure(report)),
            examples=(
                plots.to_data_uri(plots.examples_figure(report.examples, report.class_names))
                if report.examples
                else None
            ),
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
    figure = plots.new_figure(12.6, 4.1)
    confusion, roc, calibration = figure.subplots(1, 3)
    plots.draw_confusion(confusion, report.probabilities, report.labels, report.class_names)
    plots.draw_roc(roc, report.probabilities, report.labels, report.class_names)
    plots.draw_reliability(calibration, report.probabilities, report.labels)
    return figure


_OVERALL = {
    "balanced_accuracy": "Balanced accuracy",
    "macro_auc": "Macro AUC",
    "accuracy": "Accuracy",
    "ece": "Calibration error (ECE)",
}


def _overall_rows(metrics: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    return [(title, [_interval(of_split[key]) for of_split in metrics.values()]) for key, title in _OVERALL.items()]


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


def _interval(metric: Mapping[str, float | None]) -> str:
    """`0.912 (0.880 to 0.941)`; a dash for what is undefined."""
    value, low, high = metric["value"], metric["low"], metric["high"]
    if value is None:
        return "–"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f} to {high:.3f})"
