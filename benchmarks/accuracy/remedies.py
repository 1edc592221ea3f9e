"""What each remedy gave over the same row without it, on the seeds that both have: a section of docs/results.md."""

from __future__ import annotations

from collections.abc import Sequence

from sections import table

from accuracy.plan import HERE, SETTINGS, TITLES, Cell, Row, load_row
from accuracy.records import records_of
from accuracy.spread import Record, difference
from MonaiSKD.files import read_json

SHARES = {int(share): "all" if share == "100" else f"{share} %" for share in SETTINGS["budgets"]}
SPLITS = ("val", "test")


def section(records: Sequence[Record]) -> str:
    """The table as Markdown, one line per entry of remedies.json."""
    lines = []
    for entry in read_json(HERE / "remedies.json"):
        row, reference = load_row(entry["row"]), load_row(entry["reference"])
        lines.append([entry["title"], *(cell(row, reference, data, records) for data in TITLES), entry["kept"]])
    return table(["remedy", *TITLES.values(), "kept"], lines)


def cell(row: Row, reference: Row, data: str, records: Sequence[Record]) -> str:
    """Differences of the validation and of the test AUC in points, for each share of the images that both rows have."""
    found = []
    for share, title in SHARES.items():
        ours, others = (of_share(of, data, share, records) for of in (row, reference))
        ours = {seed: ours[seed] for seed in sorted(ours.keys() & others.keys())}
        if ours:
            said = " / ".join(points(ours, others, split) for split in SPLITS)
            found.append(f"{title}: {said} ({counted(ours, others)})")
    return "; ".join(found)


def counted(ours: dict[int, Record], others: dict[int, Record]) -> str:
    """How many seeds `ours` has, and of how many the two networks were trained on different processors."""
    mixed = sum(record["machine"] != others[seed]["machine"] for seed, record in ours.items())
    return f"{len(ours)}, {mixed} mixed" if mixed else f"{len(ours)}"


def of_share(row: Row, data: str, share: int, records: Sequence[Record]) -> dict[int, Record]:
    """A row's records by seed."""
    cells = [Cell(row, data, share, seed) for seed in {record["seed"] for record in records}]
    return {record["seed"]: record for record in records_of(cells, records).values()}


def points(ours: dict[int, Record], others: dict[int, Record], split: str) -> str:
    """A mean difference of AUC over the seeds of `ours`, bold where its interval leaves out 0."""
    values, references = ({seed: 100 * of[seed][split]["macro_auc"] for seed in ours} for of in (ours, others))
    found = difference(values, references)
    if found is None:  # one seed
        (seed,) = ours
        return f"{values[seed] - references[seed]:+.1f}"
    return f"**{found.mean:+.1f}**" if found.clear else f"{found.mean:+.1f}"
