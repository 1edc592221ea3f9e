"""Pictures of a training run: curves, confusion, ROC, reliability, example images.

Each function draws one panel on given axes and returns nothing. Figures are made without pyplot, so nothing global
is touched and no display is needed; matplotlib is imported when the first figure is made.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve

from MonaiSKD.evaluation.calibration import expected_calibration_error, reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0b6e8f", "#d1603d", "#5b8c3a", "#8a4f9e", "#c79a1b", "#46566b", "#b03060", "#2f9e9e")
_INK, _FAINT = "#1f2d3a", "#dfe5ea"

Curve = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Example:
    """One image and what the classifier says of it.

    Attributes:
        image: [H, W] or [1, H, W], in [0, 1].
        label: index of its true class.
        probabilities: [K].
        heat: [h, w], the evidence for the predicted class in logits, where it is known.
    """

    image: npt.NDArray[np.float32]
    label: int
    probabilities: npt.NDArray[np.float64]
    heat: npt.NDArray[np.float32] | None = None

    @property
    def predicted(self) -> int:
        """Index of the most probable class."""
        return int(np.argmax(self.probabilities))

    @property
    def right(self) -> bool:
        """Whether that is the true class."""
        return self.predicted == self.label


def new_figure(width: float, height: float) -> Figure:
    """An empty figure in the style of the report; width and height in inches."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08, wspace=0.03, hspace=0.04)
    return Figure(figsize=(width, height), layout=layout, facecolor="white")


def to_data_uri(figure: Figure, dpi: int = 150) -> str:
    """The figure as a PNG inside a `data:` address, so that a page needs no second file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def draw_curves(axes: Axes, title: str, curves: Mapping[str, Curve]) -> None:
    """One line per name through its (epoch, value) points."""
    for colour, (name, points) in zip(_cycle(len(curves)), curves.items(), strict=True):
        if points:
            epochs, values = zip(*points, strict=True)
            mark = "o" if len(points) < 3 else None
            axes.plot(epochs, values, color=colour, label=name, linewidth=1.8, marker=mark)
    _style(axes, title, "epoch", "")
    axes.locator_params(axis="x", integer=True)
    if len(curves) > 1:
        axes.legend(frameon=False, fontsize=8)


def draw_confusion(axes: Axes, probabilities: npt.ArrayLike, labels: npt.ArrayLike, class_names: Sequence[str]) -> None:
    """Confusion matrix with counts, coloured by the share of each true class."""
    classes = range(len(class_names))
    counts = confusion_matrix(np.asarray(labels), np.asarray(probabilities).argmax(axis=1), labels=list(classes))
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="GnBu", vmin=0, vmax=1)
    for row in classes:
        for column in classes:
            colour = "white" if share[row, column] > 0.65 else _INK
            text = f"{counts[row, column]}\n{share[row, column]:.0%}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    short = [_shorten(name) for name in class_names]
    axes.set_xticks(list(classes), short, fontsize=8)
    if len("".join(short)) > 18:  # long names would run into each other
        for tick in axes.get_xticklabels():
            tick.set(rotation=25, ha="right", rotation_mode="anchor")
    axes.set_yticks(list(classes), short, fontsize=8)
    _style(axes, "Confusion", "predicted", "true")
    axes.grid(False)


def draw_roc(
    axes: Axes,
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    class_names: Sequence[str],
    thresholds: Mapping[str, Mapping[str, float | None]] | None = None,
) -> None:
    """One ROC curve per class against the rest, for the classes that have both kinds of cases.

    A dot on a curve marks the class's threshold: `thresholds` names its "sensitivity" and "specificity".
    """
    p, y = np.asarray(probabilities), np.asarray(labels)
    axes.plot([0, 1], [0, 1], color=_FAINT, linewidth=1.5)
    for k, (colour, name) in enumerate(zip(_cycle(len(class_names)), class_names, strict=True)):
        member = y == k
        if member.any() and not member.all():
            false_positive, true_positive, _ = roc_curve(member, p[:, k])
            label = f"{_shorten(name)}  {roc_auc_score(member, p[:, k]):.3f}"
            axes.plot(false_positive, true_positive, color=colour, linewidth=1.8, label=label)
            reached = (thresholds or {}).get(name, {})
            sensitivity, specificity = reached.get("sensitivity"), reached.get("specificity")
            if sensitivity is not None and specificity is not None:
                axes.plot(1 - specificity, sensitivity, "o", color=colour, markersize=7, markeredgecolor="white")
    _style(axes, "ROC, one against the rest", "1 - specificity", "sensitivity")
    axes.set_aspect("equal")
    if len(axes.lines) > 1:
        axes.legend(frameon=False, fontsize=8, loc="lower right", title="AUC", title_fontsize=8)


def draw_reliability(axes: Axes, probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> None:
    """Accuracy against confidence per bin; the bars' depth of colour follows the number of cases."""
    cases = reliability(probabilities, labels)
    accuracy, confidence = cases.mean_of(cases.correct), cases.mean_of(cases.confidence)
    width = cases.edges[1] - cases.edges[0]
    filled = cases.counts > 0
    opacity = 0.25 + 0.75 * cases.counts / cases.counts.max()
    axes.plot([0, 1], [0, 1], color=_INK, linewidth=1, linestyle=(0, (4, 3)))
    for left, height, alpha in zip(cases.edges[:-1][filled], accuracy[filled], opacity[filled], strict=True):
        axes.bar(left, height, width=width, align="edge", color=COLOURS[0], alpha=float(alpha), edgecolor="white")
    axes.plot(confidence[filled], accuracy[filled], "o", color=COLOURS[1], markersize=4)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    error = expected_calibration_error(probabilities, labels)
    _style(axes, f"Reliability (ECE {error:.3f})", "confidence", "accuracy")
    axes.set_aspect("equal")


def draw_example(axes: Axes, example: Example, class_names: Sequence[str]) -> None:
    """An image, the predicted class and its probability; the true class where the prediction is wrong."""
    axes.imshow(np.squeeze(example.image), cmap="gray", vmin=0, vmax=1)
    axes.set_axis_off()
    text = f"{_shorten(class_names[example.predicted])} {example.probabilities[example.predicted]:.0%}"
    if not example.right:
        text += f"\ntruly {_shorten(class_names[example.label])}"
    axes.set_title(text, fontsize=9, color=COLOURS[2] if example.right else COLOURS[1], loc="left")


def curves_figure(curves: Mapping[str, Mapping[str, Curve]]) -> Figure:
    """All panels of curves, at most three in a row."""
    columns = 2 if len(curves) in (2, 4) else min(3, len(curves))
    rows = -(-len(curves) // columns)
    figure = new_figure(10.0, 2.8 * rows)
    grid = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axes in grid[len(curves) :]:
        axes.set_axis_off()
    for axes, (title, lines) in zip(grid, curves.items(), strict=False):
        draw_curves(axes, title, lines)
    return figure


def _style(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=10, color=_INK, loc="left", fontweight="bold")
    axes.set_xlabel(x, fontsize=9, color=_INK)
    axes.set_ylabel(y, fontsize=9, color=_INK)
    axes.tick_params(labelsize=8, colors=_INK, length=0)
    axes.grid(True, color=_FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)


def _cycle(count: int) -> list[str]:
    return [COLOURS[k % len(COLOURS)] for k in range(count)]


def _shorten(name: str, length: int = 18) -> str:
    short = name if len(name) <= length else name[: length - 1] + "…"
    return short.replace("$", r"\$")  # matplotlib would read it as the start of a formula
