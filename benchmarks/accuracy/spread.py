"""What the seeds of a row say together: mean, interval, and the difference to another row on the same seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from scipy.stats import ttest_1samp, ttest_rel

from accuracy.plan import Cell, Row, Table

Record = dict[str, Any]

CONFIDENCE = 0.95
FEWEST = 3  # values of an interval: that of two is 25 standard errors wide and reaches beyond 0 and 100 %


@dataclass(frozen=True)
class Spread:
    """A mean over seeds.

    Attributes:
        mean: of the values.
        interval: its 95 % t interval; None of fewer than three values, or where they do not vary.
        p: of the t test that the mean is 0; None with the interval, and where it is not asked.
    """

    mean: float
    interval: tuple[float, float] | None
    p: float | None = None

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]


def spread(values: Sequence[float]) -> Spread:
    """Mean and 95 % t interval of at least one value."""
    if not testable(values):
        return Spread(fmean(values), None)
    interval = ttest_1samp(values, 0.0).confidence_interval(CONFIDENCE)
    return Spread(fmean(values), (float(interval.low), float(interval.high)))


def difference(values: Mapping[int, float], reference: Mapping[int, float]) -> Spread | None:
    """Mean of values - reference over the seeds that both have, paired; None where these are fewer than 2."""
    seeds = sorted(values.keys() & reference.keys())
    if len(seeds) < 2:
        return None
    pairs = [values[seed] for seed in seeds], [reference[seed] for seed in seeds]
    differences = [value - other for value, other in zip(*pairs, strict=True)]
    if not testable(differences):
        return Spread(fmean(differences), None)
    test = ttest_rel(*pairs)
    interval = test.confidence_interval(CONFIDENCE)
    return Spread(fmean(differences), (float(interval.low), float(interval.high)), float(test.pvalue))


def testable(values: Sequence[float]) -> bool:
    """Whether there are enough that differ by more than rounding: equal ones (a row no seed changes) are no sample."""
    return len(values) >= FEWEST and max(values) - min(values) > 1e-9


@dataclass(frozen=True)
class Measured:
    """The records of one table, by the key of their cell."""

    table: Table
    found: Mapping[str, Record]

    @property
    def reference(self) -> Row:
        """The row that the others are compared with."""
        return next(row for row in self.table.rows if row.name == self.table.reference)

    def records(self, row: Row, data: str, fraction: int) -> dict[int, Record]:
        """Those of one row on one share of the data, by seed."""
        keys = {seed: Cell(row, data, fraction, seed).key for seed in self.table.seeds}
        return {seed: self.found[key] for seed, key in keys.items() if key in self.found}

    def values(self, row: Row, data: str, fraction: int, name: str, split: str = "test") -> dict[int, float]:
        """One metric of these records in percent, by seed."""
        return {seed: 100 * record[split][name] for seed, record in self.records(row, data, fraction).items()}
