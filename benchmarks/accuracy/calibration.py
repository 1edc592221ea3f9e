"""Calibration error before and after the temperature, which is fitted on validation images: a section of results.md."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from sections import table

from accuracy.plan import TITLES, Row, load_row
from accuracy.remedies import SHARES, of_share
from accuracy.spread import Record

ROWS = ("uniform-lite", "compensated-lite", "skd-lite", "features-12-skd-lite", "teacher-lite")
MEASURED = {25: SHARES[25], 100: SHARES[100]}
SPLITS = ("val", "test")


def section(records: Sequence[Record]) -> str:
    """The table as Markdown, one line per row and share of the training images."""
    lines = []
    for share, title in MEASURED.items():
        for row in map(load_row, ROWS):
            if any(cells := [cell(row, data, share, records) for data in TITLES]):
                lines.append([title, row.title, *cells])
    return table(["images", "row", *TITLES.values()], lines)


def cell(row: Row, data: str, share: int, records: Sequence[Record]) -> str:
    """Mean ECE in percent before and after the temperature, on validation / on test images, and the number of seeds."""
    found = of_share(row, data, share, records).values()
    if not found:
        return ""
    means = [
        " → ".join(f"{100 * fmean(record[split][name] for record in found):.1f}" for name in ("ece_before", "ece"))
        for split in SPLITS
    ]
    return f"{' / '.join(means)} ({len(found)})"
