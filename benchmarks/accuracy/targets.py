"""What the recipe was to reach, and what it has reached: the first section of docs/results.md.

Targets were set before anything was measured; they stay as they were set, whether they are met or not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import mean, median

from sections import table

from accuracy.cost import cost_key
from accuracy.plan import SETTINGS, TITLES, Row, load_row, load_table
from accuracy.plots import Costs
from accuracy.records import records_of
from accuracy.spread import Measured, Record, difference
from MonaiSKD.bundle import find_bundle

RECIPE, PUBLISHED, TEACHER = (load_row(name) for name in ("features-12-skd-lite", "uniform-lite", "teacher-lite"))
# With augmentation along both axes; those above are along one.
BOTH, PUBLISHED_BOTH = (load_row(name) for name in ("features-12-skd-both-lite", "uniform-both-lite"))
TABLES = ("recipe_lite", "augmentation_lite")
FROZEN = {"of its own teacher": load_row("frozen-lite"), "of DINOv2 ViT-S": load_row("frozen-vit")}
Found = Callable[[str], tuple[float, str] | None]


@dataclass(frozen=True)
class Target:
    """One line: a quantity, its limit for each data set, and how to read it off the records.

    Attributes:
        title: what is compared.
        limits: by data set; None where nothing was asked.
        at_least: whether the limit is the least that is right, else the most.
        found: the figure of a data set and what is said of it; None where it is not measured.
    """

    title: str
    limits: dict[str, float] | None
    at_least: bool
    found: Found

    def cells(self) -> list[str]:
        """Its line of the table."""
        cells = []
        for data in TITLES:
            known = self.found(data)
            cells.append("not measured" if known is None else f"{known[1]}{self.verdict(data, known[0])}")
        return [self.title, self.asked(), *cells]

    def asked(self) -> str:
        """The limits as the table says them."""
        if self.limits is None:
            return ""
        distinct = list(dict.fromkeys(f"{limit:g}" for limit in self.limits.values()))
        return f"at {'least' if self.at_least else 'most'} {' / '.join(distinct)}"

    def verdict(self, data: str, value: float) -> str:
        """Whether the limit is kept."""
        if self.limits is None:
            return ""
        met = value >= self.limits[data] if self.at_least else value <= self.limits[data]
        return ": yes" if met else ": **no**"


def section(records: Sequence[Record], costs: Costs) -> str:
    """The table as Markdown."""
    head = ["", "target", *TITLES.values()]
    return table(head, (target.cells() for target in targets(measured_of(records), costs)))


def measured_of(records: Sequence[Record]) -> Measured:
    """The records that targets are read off."""
    plans = [load_table(name) for name in TABLES]
    return Measured(plans[0], records_of((cell for plan in plans for cell in plan.cells()), records))


def targets(measured: Measured, costs: Costs) -> list[Target]:
    """All of them."""

    def over(row: Row, reference: Row, fraction: int, metric: str) -> Found:
        return partial(paired, measured, row, reference, fraction, metric)

    def same(limit: float) -> dict[str, float]:
        return dict.fromkeys(TITLES, limit)

    return [
        Target(
            "AUC over the fine-tuned teacher's, all images, augmented as in the bundle, points", same(-0.5), True,
            lambda data: paired(measured, bundles_row(data), TEACHER, 100, "macro_auc", data),
        ),
        Target(
            "the same by the recipe with the teacher's augmentation, along one axis", None, True,
            over(RECIPE, TEACHER, 100, "macro_auc"),
        ),
        Target(
            "the same by published selection, along one axis", None, True, over(PUBLISHED, TEACHER, 100, "macro_auc"),
        ),
        *(
            Target(
                f"AUC of the shipped model over frozen features {whose} (224 px) with logistic regression, points",
                same(0.0), True, partial(shipped_over, measured, row),
            )
            for whose, row in FROZEN.items()
        ),
        Target(
            "balanced accuracy over published selection, a quarter of the images, both along one axis, points",
            same(5.0), True,
            over(RECIPE, PUBLISHED, 25, "balanced_accuracy"),
        ),
        Target(
            "the same with all images", None, True, over(RECIPE, PUBLISHED, 100, "balanced_accuracy"),
        ),
        Target(
            "the same with all images, both along both axes", None, True,
            over(BOTH, PUBLISHED_BOTH, 100, "balanced_accuracy"),
        ),
        Target(
            "ECE of the shipped model on test images, %", {"cxr": 5.0, "ct": 6.0, "mri": 4.0}, False,
            partial(shipped_ece, measured),
        ),
        Target("parameters / teacher's", same(0.25), False, lambda data: size(costs, "parameters")),
        Target("multiply-adds / teacher's", same(0.25), False, lambda data: size(costs, "multiply_adds")),
        Target(
            "training seconds / plain fine-tuning's of as many epochs, all images", same(3.0), False,
            partial(seconds, measured),
        ),
    ]  # fmt: skip


def bundles_row(data: str) -> Row:
    """The recipe with the augmentation that the bundle has by default."""
    return RECIPE if find_bundle(SETTINGS["data"][data]).recipe["augmentation"] == [1.0, 0.0] else BOTH


def paired(
    measured: Measured, row: Row, reference: Row, fraction: int, metric: str, data: str
) -> tuple[float, str] | None:
    """Mean difference over the seeds that both rows have, in points."""
    values, others = (measured.values(of, data, fraction, metric) for of in (row, reference))
    found = difference(values, others)
    if found is None:
        return None
    count = len(values.keys() & others.keys())
    interval = "" if found.interval is None else "{:+.1f} to {:+.1f}, ".format(*found.interval)
    return round(found.mean, 1), f"{found.mean:+.1f} ({interval}{count} seeds)"


def shipped(data: str) -> dict[str, dict[str, float]]:
    """What the bundle says of its model on the test images."""
    metrics: dict[str, dict[str, float]] = find_bundle(SETTINGS["data"][data]).metadata["metrics"]["test"]
    return metrics


def shipped_over(measured: Measured, frozen: Row, data: str) -> tuple[float, str] | None:
    """AUC of the shipped model, and its distance to a row that no seed changes."""
    values = measured.values(frozen, data, 100, "macro_auc")
    if not values:
        return None
    own, reference = 100 * shipped(data)["macro_auc"]["value"], next(iter(values.values()))
    return own - reference, f"{own - reference:+.1f} ({own:.1f} against {reference:.1f})"


def shipped_ece(measured: Measured, data: str) -> tuple[float, str]:
    """ECE of the shipped model, beside what exact probabilities would get from as many images (the recipe's rows)."""
    value = 100 * shipped(data)["ece"]["value"]
    floors = measured.values(RECIPE, data, 100, "ece_floor").values()
    return value, f"{value:.1f}" + (f" (exact probabilities: {mean(floors):.1f})" if floors else "")


def size(costs: Costs, name: str) -> tuple[float, str]:
    """Ratio of student to teacher, with a head for the same classes each."""
    options = SETTINGS["families"]["lite"]["options"]
    student, teacher = (costs[cost_key(options[role], options["image_size"])][name] for role in ("student", "teacher"))
    return student / teacher, f"{student / teacher:.2f}"


def seconds(measured: Measured, data: str) -> tuple[float, str] | None:
    """Median over seeds of the ratio of seconds."""
    rows = [measured.records(row, data, 100) for row in (RECIPE, PUBLISHED)]
    ratios = [
        sum(rows[0][seed]["seconds"].values()) / sum(rows[1][seed]["seconds"].values())
        for seed in sorted(rows[0].keys() & rows[1].keys())
    ]
    return (median(ratios), f"{median(ratios):.1f} ({len(ratios)} seeds)") if ratios else None
