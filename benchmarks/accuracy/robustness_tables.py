"""The tables of harmed images and hidden organs in docs/accuracy.md, means over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from sections import ACCURACY, table, write_section

from accuracy.corruptions import CORRUPTIONS
from accuracy.masks import REGIONS
from accuracy.plan import SETTINGS, TITLES, Cell, load_row
from MonaiSKD.bundle import find_bundle
from MonaiSKD.errors import SKDError

Records = list[dict[str, Any]]


def write(records: Records, fraction: int) -> None:
    """Write the section of networks trained on this share of the images, as their rows are configured now."""
    current = [record for record in records if record["fraction"] == fraction and is_current(record)]
    write_section(ACCURACY, "accuracy:robustness", section(current, fraction))


def is_current(record: dict[str, Any]) -> bool:
    """Whether the row of a record is still there and still configured as it was."""
    try:
        row = load_row(record["row"])
    except SKDError:
        return False
    cell = Cell(row, record["data"], record["fraction"], record["seed"])
    return bool(cell.digest == record["digest"])


def section(records: Records, fraction: int) -> str:
    """Origin, a table of corruptions for each data set, and one table of masks."""
    if not records:
        return "Not measured yet."
    rows = list(dict.fromkeys(record["row"] for record in records))
    parts = [origin(records, f"robustness {' '.join(rows)} --data DATA --out RUNS --fraction {fraction}")]
    of_data = {data: on_common_seeds([record for record in records if record["data"] == data]) for data in TITLES}
    for data, title in TITLES.items():
        if found := of_data[data]:
            parts += [
                f"**{title[0].upper()}{title[1:]}**, balanced accuracy: clean in %, below it the points lost",
                harmed(found, rows),
            ]
    return "\n\n".join([*parts, "**Organ hidden, and nothing but the organ shown**", hidden(of_data, rows)])


def on_common_seeds(records: Records) -> Records:
    """Those of the seeds that all rows have, so that rows compare; all where no seed is common to them."""
    seeds: dict[str, set[int]] = {}
    for record in records:
        seeds.setdefault(record["row"], set()).add(record["seed"])
    common = set.intersection(*seeds.values()) if seeds else set()
    return [record for record in records if record["seed"] in common] if common else records


def origin(records: Records, command: str) -> str:
    """The comment that says where the figures come from."""
    said = [
        f"python benchmarks/accuracy {command}",
        max(record["date"] for record in records),
        f"commits {', '.join(sorted({record['commit'] for record in records}))}",
        f"machines {', '.join(sorted({record['machine'] for record in records}))}",
    ]
    return f"<!-- {'; '.join(said)} -->"


def harmed(records: Records, rows: list[str]) -> str:
    """The table of one data set: what each corruption takes, mild / medium / strong, and all together."""
    lines = [["clean, % (seeds)", *(clean(of(records, row)) for row in rows)]]
    for name, corruption in CORRUPTIONS.items():
        title = f"{corruption.title} {' / '.join(f'{strength:g}' for strength in corruption.strengths)}"
        losses = [
            " / ".join(points(lost(of(records, row), [(name, strength)])) for strength in corruption.strengths)
            for row in rows
        ]
        lines.append([title, *losses])
    every = [(name, strength) for name, corruption in CORRUPTIONS.items() for strength in corruption.strengths]
    for metric, title in (("balanced_accuracy", "balanced accuracy"), ("macro_auc", "macro AUC"), ("ece", "ECE")):
        lines.append([f"mean of these 18: {title}", *(points(lost(of(records, row), every, metric)) for row in rows)])
    return table(["", *(load_row(row).title for row in rows)], lines)


def hidden(of_data: dict[str, Records], rows: list[str]) -> str:
    """What remains of balanced accuracy and macro AUC, in %, beside chance; the records of each data set."""
    lines = []
    for data, (organ, _) in REGIONS.items():
        classes = len(find_bundle(SETTINGS["data"][data]).config["class_names"])
        for condition, seen in (
            ("clean", "everything"),
            ("blanked", f"all but the {organ}"),
            ("only", f"{organ} only"),
        ):
            asked = [record for record in of_data[data] if record["corruption"] == condition]
            found = [of(asked, row) for row in rows]
            if any(found):
                lines.append([TITLES[data], seen, f"{100 / classes:.1f} / 50.0", *map(pair, found)])
    return table(["data", "seen", "chance", *(load_row(row).title for row in rows)], lines)


def of(records: Records, row: str) -> Records:
    return [record for record in records if record["row"] == row]


def clean(records: Records) -> str:
    values = [100 * record["balanced_accuracy"] for record in records if record["corruption"] == "clean"]
    return f"{fmean(values):.1f} ({len(values)})" if values else ""


def lost(records: Records, conditions: Sequence[tuple[str, float]], metric: str = "balanced_accuracy") -> float | None:
    """Mean change in points against the same network on clean images; None where a condition is not measured."""
    before = {record["cell"]: record[metric] for record in records if record["corruption"] == "clean"}
    changes: dict[tuple[str, float], list[float]] = {condition: [] for condition in conditions}
    for record in records:
        condition = record["corruption"], record["strength"]
        if condition in changes and record["cell"] in before:
            changes[condition].append(100 * (record[metric] - before[record["cell"]]))
    return fmean(map(fmean, changes.values())) if all(changes.values()) else None


def points(change: float | None) -> str:
    return "" if change is None else f"{change:+.1f}"


def pair(records: Records) -> str:
    """Balanced accuracy / macro AUC."""
    if not records:
        return ""
    names = ("balanced_accuracy", "macro_auc")
    return " / ".join(f"{100 * fmean(record[name] for record in records):.1f}" for name in names)
