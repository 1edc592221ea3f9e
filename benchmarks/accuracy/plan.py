"""What is measured: rows (one configuration file each), tables of rows, and the cells that a table consists of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from MonaiSKD.errors import SKDError
from MonaiSKD.files import read_json

HERE = Path(__file__).parent
SETTINGS: dict[str, Any] = read_json(HERE / "settings.json")
TITLES = {"cxr": "chest X-ray", "ct": "lung CT", "mri": "brain MRI"}

Kind = Literal["student", "features", "teacher", "frozen", "pixels"]


@dataclass(frozen=True)
class Row:
    """One way to make a classifier.

    Attributes:
        name: of its file in rows/ and of its family: "skd-lite".
        title: what tables call it; "{teacher}" in the file stands for the family's.
        kind: a trained student, the fine-tuned teacher, or logistic regression on the frozen teacher's features or on
            pixels. ("features" is no row of a table: students that have not seen labels yet, shared by several rows.)
        family: which teacher and student; None for pixels.
        taught: the students learn from the fine-tuned teacher, which is trained once for all rows of a seed.
        unlabeled: the training images beyond the fraction take part without their labels.
        budget: overrides of the budget that the fraction gives.
        options: options of the bundle's recipe beyond the family's.
    """

    name: str
    title: str
    kind: Kind
    family: str | None
    taught: bool
    unlabeled: bool
    budget: dict[str, Any]
    options: dict[str, Any]


def load_row(name: str) -> Row:
    """The row of a file in rows/, for a family: "skd-lite" is rows/skd.json for the family "lite".

    Raises:
        SKDError: there is no such file or family, or the file has an entry that is unknown.
    """
    stem, _, family = name.rpartition("-")
    if family not in SETTINGS["families"]:
        stem, family = name, None
    path = HERE / "rows" / f"{stem}.json"
    if not path.is_file():
        raise SKDError(f"row {name!r}", "it has no file in rows/", "Write one, or name a row and its family")
    entry = {
        "kind": "student", "family": family, "taught": False, "unlabeled": False, "budget": {}, "options": {},
        **read_json(path),
    }  # fmt: skip
    if family is not None:
        entry["title"] = entry["title"].format(**SETTINGS["families"][family]["options"])
    try:
        return Row(name=name, **entry)
    except TypeError as error:
        raise SKDError(path, str(error), "Compare with the other rows") from error


@dataclass(frozen=True)
class Cell:
    """One training and one look at the test images."""

    row: Row
    data: str
    fraction: int
    seed: int

    @property
    def bundle(self) -> str:
        """Short name of the bundle that trains it."""
        return str(SETTINGS["data"][self.data])

    @property
    def key(self) -> str:
        """Its name in the results."""
        return f"{self.row.name}/{self.data}-{self.fraction}-{self.seed}"

    @property
    def folder(self) -> str:
        """Where its run lies: another configuration never goes on with what this one has left."""
        return f"{self.key}-{self.digest}"

    @property
    def family(self) -> dict[str, Any]:
        """Teacher, student and image size."""
        family: dict[str, Any] = SETTINGS["families"][self.row.family]
        return family

    @property
    def network(self) -> str:
        """timm's name of the network that the cell trains."""
        return str(self.options["teacher" if self.row.kind == "teacher" else "student"])

    @property
    def options(self) -> dict[str, Any]:
        """Every option of the recipe that is not the bundle's own."""
        if self.row.family is None:
            return {}
        if self.row.kind == "frozen":
            return {"teacher": self.family["options"]["teacher"]}
        budget = {**SETTINGS["budgets"][str(self.fraction)], **self.row.budget}
        teacher_epochs = budget.pop("teacher_epochs")
        return {
            **SETTINGS["plain"], **self.family["options"], **budget, **self.row.options, "seed": self.seed,
            "teacher_epochs": teacher_epochs if self.row.taught or self.row.kind == "teacher" else 0,
        }  # fmt: skip

    @property
    def digest(self) -> str:
        """Changes with anything that the configuration says of this cell: results of another one do not count."""
        text = json.dumps([self.row.kind, self.row.unlabeled, self.options], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Table:
    """Rows on the same data, fractions and seeds.

    Attributes:
        name: of its file in tables/, and of its section in the document.
        title: headline.
        reference: name of the row that the others are compared with.
        references: published figures on COVID-CT stand beside ours.
        curves: its shares are meant to be compared, so learning curves are drawn.
    """

    name: str
    title: str
    rows: list[Row]
    reference: str
    data: Sequence[str]
    fractions: Sequence[int]
    seeds: Sequence[int]
    references: bool = False
    curves: bool = False

    def cells(self) -> Iterator[Cell]:
        """All cells, the first seed of every row before the second of any.

        Neighbours differ in their data, so that cells at work at the same time do not wait for a stage they share.
        """
        for seed in self.seeds:
            for fraction in self.fractions:
                for row in self.rows:
                    for data in self.data:
                        yield Cell(row, data, fraction, seed)


def load_table(name: str) -> Table:
    """The table of a file in tables/.

    Raises:
        SKDError: there is no such file.
    """
    path = HERE / "tables" / f"{name}.json"
    if not path.is_file():
        known = ", ".join(table_names())
        raise SKDError(f"table {name!r}", "it has no file in tables/", f"Use one of: {known}")
    entry = read_json(path)
    return Table(name=name, **{**entry, "rows": [load_row(row) for row in entry["rows"]]})


def table_names() -> list[str]:
    """The tables that there are."""
    return sorted(path.stem for path in (HERE / "tables").glob("*.json"))
