"""The accuracy tables as sections of docs/: targets, remedies, calibration, and one per file in tables/.

A section holds what results.jsonl has of the cells as they are configured now. Its place is marked by hand, once: a
new tables/NAME.json needs the lines `<!-- accuracy:NAME -->` and `<!-- /accuracy:NAME -->` in one of the pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median

from sections import DOCS, page_with, table, write_section

from accuracy import calibration, remedies, targets
from accuracy.cost import cost_key, read_costs
from accuracy.plan import HERE, TITLES, Cell, Row, load_table, table_names
from accuracy.plots import Costs, draw_latency, draw_learning
from accuracy.records import read_records, records_of
from accuracy.spread import Measured, Record, Spread, difference, spread
from MonaiSKD import __version__
from MonaiSKD.files import read_json

HEAD = (
    "data", "row", "seeds", "balanced accuracy %", "macro AUC %", "ECE %", "of it by chance %",
    "difference of balanced accuracy", "difference of AUC", "training seconds", "validation AUC %",
    "epochs to the reference's",
)  # fmt: skip
ORIGIN = f"<!-- python benchmarks/accuracy report; MonaiSKD {__version__} -->"
# The collection that outside references were measured on.
REFERRED = "ct"


def write_document() -> None:
    """Write every table and its pictures into the page that has its place."""
    records, costs = read_records(), read_costs()
    sections = {
        "accuracy:targets": f"{ORIGIN}\n{targets.section(records, costs)}",
        "accuracy:remedies": f"{ORIGIN}\n{remedies.section(records)}",
        "accuracy:calibration": f"{ORIGIN}\n{calibration.section(records)}",
    }
    for name in table_names():
        plan = load_table(name)
        measured = Measured(plan, records_of(plan.cells(), records))
        sections[f"accuracy:{name}"] = section(measured, costs, draw(measured, costs, DOCS / "images"))
    for name, text in sections.items():
        write_section(page_with(name), name, text)


def draw(measured: Measured, costs: Costs, folder: Path) -> dict[str, str]:
    """Draw the pictures that the records suffice for, and remove the others; their descriptions by file name."""
    name = f"accuracy_{measured.table.name}"
    curves, latency = folder / f"{name}_curves.png", folder / f"{name}_latency.png"
    drawn = {curves: measured.table.curves and draw_learning(measured, curves)}
    drawn[latency] = draw_latency(measured, costs, latency)
    said = {
        curves: "Balanced accuracy and AUC against the share of the training images",
        latency: "Balanced accuracy against time per image",
    }
    for path, done in drawn.items():
        if not done:
            path.unlink(missing_ok=True)
    return {path.name: said[path] for path, done in drawn.items() if done}


def section(measured: Measured, costs: Costs, pictures: dict[str, str]) -> str:
    """The whole section as Markdown."""
    plan = measured.table
    parts = [f"{circumstances(measured)}\n## {plan.title}"]
    parts += [f"![{description}](images/{name})" for name, description in pictures.items()]
    parts.append(f"Differences are to the row *{measured.reference.title}*, on the same seeds.")
    blocks = {fraction: block(measured, costs, fraction) for fraction in plan.fractions}
    parts += [part for found in blocks.values() for part in found]
    if empty := [f"{fraction} %" for fraction, found in blocks.items() if not found]:
        parts.append(f"No row has been measured on {', '.join(empty)} of the training images yet.")
    return "\n\n".join(parts)


def circumstances(measured: Measured) -> str:
    """The comment that says where the figures come from."""
    name, records = measured.table.name, list(measured.found.values())
    said = [f"python benchmarks/accuracy run {name} --data DATA --weights WEIGHTS; python benchmarks/accuracy report"]
    said.append(f"MonaiSKD {__version__}")
    if records:
        said.append(max(record["date"] for record in records))
        for title, key in (("commits", "commit"), ("machines", "machine"), ("seeds", "seed")):
            said.append(f"{title} {', '.join(map(str, sorted({record[key] for record in records})))}")
    return f"<!-- {'; '.join(said)} -->"


def block(measured: Measured, costs: Costs, fraction: int) -> list[str]:
    """Paragraphs of one share of the training images; none where nothing is measured."""
    plan = measured.table
    rows = {data: [row for row in plan.rows if measured.records(row, data, fraction)] for data in plan.data}
    parts = ["All training images:" if fraction == 100 else f"{fraction} % of the training images:"]
    if not any(rows.values()):
        return []
    parts.append(table(HEAD, (line(measured, row, data, fraction) for data in plan.data for row in rows[data])))
    parts.append(sizes(measured, costs, fraction))
    if missing := [
        f"{row.title} ({', '.join(absent)})"
        for row in plan.rows
        if (absent := [TITLES[data] for data in plan.data if row not in rows[data]])
    ]:
        parts.append(f"Not measured yet: {'; '.join(missing)}.")
    if plan.references and fraction == 100 and rows.get(REFERRED):
        parts += beside_references(measured, rows[REFERRED])
    return [part for part in parts if part]


def line(measured: Measured, row: Row, data: str, fraction: int) -> list[str]:
    """Cells of one row."""
    planned, records = len(measured.table.seeds), measured.records(row, data, fraction)

    def values(name: str, of: Row = row) -> dict[int, float]:
        return measured.values(of, data, fraction, name)

    names = ("balanced_accuracy", "macro_auc")
    differences = [compared(difference(values(name), values(name, measured.reference))) for name in names]
    if row == measured.reference:
        differences = ["reference"] * len(names)
    seconds = [sum(record["seconds"].values()) for record in records.values() if "seconds" in record]
    return [
        TITLES[data], row.title,
        f"{len(records)}" if len(records) == planned else f"{len(records)} of {planned}",
        *(mean(values(name).values()) for name in (*names, "ece", "ece_floor")),
        *differences,
        f"{fmean(seconds):.0f}" if seconds else "",
        mean(measured.values(row, data, fraction, "macro_auc", "val").values()),
        epochs_to(records, measured.records(measured.reference, data, fraction)),
    ]  # fmt: skip


def epochs_to(records: Mapping[int, Record], reference: Mapping[int, Record]) -> str:
    """Epochs with labels until the validation AUC that the reference has at best, seed by seed: their median.

    Where not all of the row's seeds get there and have a curve, the number of those that do stands beside the median.
    """
    curves = {
        seed: (record["validation_auc"], max(reference[seed]["validation_auc"]))
        for seed, record in records.items()
        if "validation_auc" in record and "validation_auc" in reference.get(seed, {})
    }
    needed = [
        next((epoch for epoch, value in enumerate(curve, 1) if value >= aim), None) for curve, aim in curves.values()
    ]
    reached = [epoch for epoch in needed if epoch is not None]
    if not reached:
        return f"none of {len(needed)}" if needed else ""
    text = f"{median(reached):g}"
    return text if len(reached) == len(records) else f"{text} ({len(reached)} of {len(needed)})"


def mean(values: Iterable[float]) -> str:
    """Mean and interval."""
    found = spread(list(values))
    return f"{found.mean:.1f}" + ("" if found.interval is None else " ({:.1f} to {:.1f})".format(*found.interval))


def compared(found: Spread | None) -> str:
    """A difference in points, bold where its interval leaves out 0; nothing where there is none."""
    if found is None:
        return ""
    text = f"{found.mean:+.1f}"
    if found.interval is not None:
        text += " ({:+.1f} to {:+.1f}), ".format(*found.interval)
        text += "p < 0.001" if found.p is not None and found.p < 0.001 else f"p = {found.p:.3f}"
    return f"**{text}**" if found.clear else text


def sizes(measured: Measured, costs: Costs, fraction: int) -> str:
    """Which networks the rows are: parameters, multiply-adds and time of the exported file."""
    titles: dict[str, dict[str, None]] = {}
    for row in measured.table.rows:
        for data in measured.table.data:
            for record in measured.records(row, data, fraction).values():
                if "parameters" in record:
                    size = f"{millions(record['parameters'])} parameters"
                    size += f", {record['multiply_adds'] / 1e9:.2g} G multiply-adds"
                    pixels = record["image_size"]
                    if cost := costs.get(cost_key(Cell(row, data, fraction, 0).network, pixels)):
                        size += f", {cost['milliseconds']:.1f} ms per image"
                    # Titles have commas in them. A row is named once.
                    titles.setdefault(f"{size} at {pixels} px", {})[f"*{row.title}*"] = None
    return "Sizes: " + "; ".join(f"{size}: {', '.join(rows)}" for size, rows in titles.items()) + "." if titles else ""


def beside_references(measured: Measured, rows: Sequence[Row]) -> list[str]:
    """Our rows on COVID-CT beside published ones, all trained on all training images."""
    names = ("accuracy", "f1", "macro_auc")
    lines = []
    for row in rows:
        parameters = next(iter(measured.records(row, REFERRED, 100).values())).get("parameters")
        figures = [mean(measured.values(row, REFERRED, 100, name).values()) for name in names]
        lines.append([row.title, millions(parameters), *figures])
    for entry in read_json(HERE / "references.json"):
        figures = ["" if entry[name] is None else f"{entry[name]}" for name in names]
        lines.append([f"*{entry['title']}; {entry['source']}*", millions(entry["parameters"]), *figures])
    return [
        "COVID-CT beside published figures on its official split:",
        table(("classifier", "parameters", "accuracy %", "F1 %", "macro AUC %"), lines),
    ]


def millions(parameters: float | None) -> str:
    """A number of parameters."""
    return "" if parameters is None else f"{parameters / 1e6:.2g} M"
