"""Pictures of the accuracy tables: learning curves, and accuracy against latency. Drawn without a display."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from accuracy.cost import cost_key
from accuracy.plan import TITLES, Cell, Row
from accuracy.spread import FEWEST, Measured, Spread, spread
from MonaiSKD.files import atomic_path

# Okabe and Ito's colours without the yellow, which is faint on white. No meaning is carried by colour alone.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", "*", "h")
METRICS = {"balanced_accuracy": "balanced accuracy (%)", "macro_auc": "macro AUC (%)"}
WIDTH, DPI = 10.0, 100
# Of a label beside the axes, in inches.
LINE = 0.21
# Between the places of two networks that take the same time.
BESIDE = 1.02
# Letters on a line of it.
NAME = 48

Point = tuple[Row, float, Spread, float]
Costs = Mapping[str, Mapping[str, float]]
"""What costs.json says of each network."""


def draw_learning(measured: Measured, path: Path) -> bool:
    """Mean with interval against the share of the training images; False where no row has two shares.

    One column per collection, one line of panels per metric.
    """
    plan = measured.table
    shares = {(row.name, data): shares_of(measured, row, data) for row in plan.rows for data in plan.data}
    rows = [row for row in plan.rows if any(len(shares[row.name, data]) > 1 for data in plan.data)]
    if not rows:
        return False
    # Two columns of names where they fit beside each other.
    columns = 2 if max(len(row.title) for row in rows) <= 60 else 1
    figure = Figure((WIDTH, 5.6 + LINE * len(rows) / columns), layout="constrained")
    panels = figure.subplots(len(METRICS), len(plan.data), squeeze=False, sharex=True)
    for line, name in zip(panels, METRICS, strict=True):
        for axes, data in zip(line, plan.data, strict=True):
            for row in rows:
                draw_curve(axes, measured, row, data, shares[row.name, data], name)
            axes.set_xscale("log")
            axes.set_xticks(sorted(plan.fractions), map(str, sorted(plan.fractions)))
            axes.minorticks_off()
            axes.grid(color="#dfe5ea")
            axes.spines[["top", "right"]].set_visible(False)
        line[0].set_ylabel(METRICS[name])
    for axes, data in zip(panels[0], plan.data, strict=True):
        axes.set_title(TITLES[data])
    for axes in panels[-1]:
        axes.set_xlabel("share of the training images (%)")
    figure.suptitle(f"{plan.title}\nmean over the seeds that a row has at all shares shown, band = 95 % interval")
    entries = [Line2D([], [], label=row.title, **look(measured, row)) for row in rows]
    figure.legend(handles=entries, loc="outside lower center", ncols=columns, frameon=False)
    save(figure, path)
    return True


def shares_of(measured: Measured, row: Row, data: str) -> list[int]:
    """Shares that a row is measured at, rising: those with enough seeds for an interval, where there are any.

    One share with a single seed would else leave its whole curve that seed.
    """
    seeds = {share: len(measured.records(row, data, share)) for share in sorted(measured.table.fractions)}
    least = FEWEST if max(seeds.values()) >= FEWEST else 1
    return [share for share, count in seeds.items() if count >= least]


def draw_curve(axes: Axes, measured: Measured, row: Row, data: str, shares: Sequence[int], name: str) -> None:
    """One row on one collection, over the seeds that it has at all of these shares."""
    found = [measured.values(row, data, share, name) for share in shares]
    seeds = set.intersection(*map(set, found)) if found else set()
    if not seeds:
        return
    points = [spread([values[seed] for seed in sorted(seeds)]) for values in found]
    means, style = [point.mean for point in points], look(measured, row)
    axes.plot(shares, means, linewidth=1.8, markersize=6, **style)
    lows, highs = zip(*(point.interval or (point.mean, point.mean) for point in points), strict=True)
    axes.fill_between(shares, lows, highs, color=style["color"], alpha=0.12, linewidth=0)


def draw_latency(measured: Measured, costs: Costs, path: Path) -> bool:
    """Balanced accuracy against time per image, at the largest share measured; False without two times to compare.

    One panel per collection, one above the other, with the names of the rows in a column beside it.
    """
    shares = [fraction for fraction in measured.table.fractions if compared(measured, costs, fraction)]
    if not shares:
        return False
    points = compared(measured, costs, max(shares))
    line = LINE * max(
        1 + network_name(row, parameters).count("\n") for found in points.values() for row, _, _, parameters in found
    )
    height = 1.0 + max(10 * LINE, line * max(map(len, points.values())))
    figure = Figure((WIDTH, 0.7 + height * len(points)), layout="constrained")
    for axes, (data, found) in zip(figure.subplots(len(points), squeeze=False)[:, 0], points.items(), strict=True):
        for (row, _, value, _), place in zip(found, side_by_side(found), strict=True):
            style = {**look(measured, row), "linestyle": "", "markeredgecolor": "white", "markeredgewidth": 0.5}
            axes.plot(place, value.mean, markersize=10, **style)
            if value.interval is not None:
                axes.vlines(place, *value.interval, color=style["color"], linewidth=1.5, alpha=0.6, zorder=1)
        axes.set_xscale("log")
        axes.margins(0.12, 0.1)
        ticks = {f"{cost:.2g}": cost for _, cost, _, _ in found}
        axes.set_xticks(list(ticks.values()), list(ticks))
        axes.minorticks_off()
        axes.grid(color="#dfe5ea")
        axes.spines[["top", "right"]].set_visible(False)
        axes.set(title=TITLES[data], ylabel=METRICS["balanced_accuracy"])
        label(axes, measured, found, line / (height - 0.9))
    axes.set_xlabel("milliseconds per image, exported file, one thread")
    share = f"{max(shares)} % of the training images"
    figure.suptitle(
        f"{measured.table.title}\nmean over common seeds, line = 95 % interval, {share}; parameters in brackets"
    )
    save(figure, path)
    return True


def compared(measured: Measured, costs: Costs, fraction: int) -> dict[str, list[Point]]:
    """The collections on which networks of at least two latencies are measured, with their points."""
    points = {data: latencies(measured, costs, data, fraction) for data in measured.table.data}
    return {data: found for data, found in points.items() if len({f"{cost:.2g}" for _, cost, _, _ in found}) > 1}


def latencies(measured: Measured, costs: Costs, data: str, fraction: int) -> list[Point]:
    """Row, milliseconds per image, mean balanced accuracy in percent, million parameters.

    Of networks, over the seeds that all of them have: means over different seeds would not be comparable in a picture.
    A network that shares no seed with the reference is left out.
    """
    reference = set(measured.records(measured.reference, data, fraction))
    networks = [row for row in measured.table.rows if row.kind in ("student", "teacher")]
    measures = [(row, measured.values(row, data, fraction, "balanced_accuracy")) for row in networks]
    comparable = [(row, values) for row, values in measures if reference & values.keys()]
    seeds = reference.intersection(*(values for _, values in comparable))
    found = []
    for row, values in comparable:
        cell = Cell(row, data, fraction, 0)
        cost = costs.get(cost_key(cell.network, cell.options["image_size"]))
        if cost is not None and seeds:
            value = spread([values[seed] for seed in sorted(seeds)])
            found.append((row, cost["milliseconds"], value, cost["parameters"] / 1e6))
    return found


def label(axes: Axes, measured: Measured, points: Sequence[Point], gap: float) -> None:
    """Names in a column right of the axes, in the order of their points and tied to them; `gap` in axes heights."""
    low, high = axes.get_ylim()
    ordered = sorted(zip(points, side_by_side(points), strict=True), key=lambda pair: pair[0][2].mean)
    heights = apart([(value.mean - low) / (high - low) for (_, _, value, _), _ in ordered], gap)
    for ((row, _, value, parameters), place), height in zip(ordered, heights, strict=True):
        tie = {"arrowstyle": "-", "color": look(measured, row)["color"], "linewidth": 0.8, "alpha": 0.7}
        tie |= {"shrinkA": 0, "shrinkB": 4, "relpos": (0, 0.5)}
        axes.annotate(
            network_name(row, parameters), (place, value.mean), (1.04, height),
            textcoords="axes fraction", va="center", fontsize=10, arrowprops=tie,
        )  # fmt: skip


def side_by_side(points: Sequence[Point]) -> list[float]:
    """Where points lie on the axis of times: those of one network beside each other, or their intervals would cover."""
    shown = [f"{cost:.2g}" for _, cost, _, _ in points]
    return [
        cost * BESIDE ** (shown[:number].count(shown[number]) - (shown.count(shown[number]) - 1) / 2)
        for number, (_, cost, _, _) in enumerate(points)
    ]


def network_name(row: Row, parameters: float) -> str:
    """A network beside the axes: title and million parameters, on two lines where they are long."""
    return textwrap.fill(f"{row.title} ({parameters:.2g}\u00a0M)", NAME)


def apart(places: Sequence[float], gap: float) -> list[float]:
    """Rising places in [0, 1] moved as little as keeps neighbours `gap` apart and the last at most at 1."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap) if moved else place)
    return [min(place, 1 - gap * (len(moved) - 1 - number)) for number, place in enumerate(moved)]


def look(measured: Measured, row: Row) -> dict[str, Any]:
    """Colour, marker and line of a row, the same in every picture of a table."""
    number = [other.name for other in measured.table.rows].index(row.name)
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": ("-", "--", ":")[number // len(COLOURS) % 3],
    }


def save(figure: Figure, path: Path) -> None:
    with atomic_path(path) as beside:
        figure.savefig(beside, dpi=DPI, facecolor="white")
