"""Results for spreadsheets and statistics: one CSV row per input."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from MonaiSKD.errors import SKDError
from MonaiSKD.files import refuse_changed, reserve_beside, state_of, writing
from MonaiSKD.reporting.sentences import cause, printable
from MonaiSKD.runtime.result import Failure, Result

_IDENTITY = ("patient_id", "patient_name", "study_uid", "series_uid")
_FORMULA = tuple("=+-@＝＋－＠")


class TableWriter:
    """Writes a CSV file (UTF-8) row by row, so that a batch of any length costs no memory.

    The rows go to a file beside the final one, with `.partial` added to its name, and each is handed to the system at
    once. A clean end renames it to `path`, in the place of an older file. An exception, Ctrl-C or a killed process
    leaves what was written under the partial name: a final name never holds half a table, and no answer is lost. An
    older partial file is not overwritten; the next one is called `.2.partial`. Nor is what another program has written
    to `path` meanwhile.

    Texts that a spreadsheet would run as a formula (they begin with = + - or @) get an apostrophe in front. Control
    characters, line ends among them, are written as escapes.

    Args:
        path: the final name. Its folder is made when it is absent.
        classes: the model's classes, in its order; each has a column `p_<class>`.
        identify: add columns with whose image it is.

    Attributes:
        partial: the file that is being written; after a clean end it is gone.

    Raises:
        SKDError: the file cannot be written (permissions, disk full), or another program has written it meanwhile.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "results.csv"
        >>> with TableWriter(path, ["normal", "covid"]) as table:
        ...     table.add(Failure("a.dcm", "damaged", "it ends too early", "Copy it again"))
        >>> path.read_text().splitlines()[1]
        'a.dcm,,,,,,,,,,,,damaged,it ends too early. Copy it again'
    """

    def __init__(self, path: str | os.PathLike[str], classes: Sequence[str], identify: bool = False) -> None:
        self.path = Path(path)
        self.classes = tuple(classes)
        self.identify = identify
        self._rows = 0
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._before = state_of(self.path)
            self.partial = reserve_beside(self.path, ".partial")
            self._file = self.partial.open("w", encoding="utf-8", newline="")
            self._writer = csv.writer(self._file, lineterminator="\n")
            self._write(self._header())

    def add(self, row: Result | Failure) -> None:
        """Write one more row."""
        self._write(self._failure(row) if isinstance(row, Failure) else self._result(row))
        self._rows += 1

    def close(self) -> None:
        """End the table: rename it to its final name."""
        try:
            with writing(self.path):
                self._file.close()
                refuse_changed(self.path, self._before)
                os.replace(self.partial, self.path)
        except SKDError as error:
            raise SKDError(self.path, error.cause, f"The table of this run is {self.partial}") from error

    def abandon(self) -> None:
        """Stop without a table; what was written stays under the partial name, unless there was no row yet."""
        with writing(self.path):
            self._file.close()
            if self._rows == 0:
                self.partial.unlink(missing_ok=True)

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def _header(self) -> list[str]:
        return [
            *("input", "label", "decision", "atypical", "atypicality"),
            *(f"p_{printable(name)}" for name in self.classes),
            *("slices", "used", "key_slices", "milliseconds", "warnings", "error_code", "error"),
            *(_IDENTITY if self.identify else ()),
        ]

    def _result(self, result: Result) -> list[str]:
        slices = result.slices
        cells = [
            cell(result.input),
            cell(result.label),
            cell("; ".join(result.decision)),
            "yes" if result.atypical else "no",
            f"{result.atypicality:.6g}",
            *(f"{result.probabilities[name]:.6f}" for name in self.classes),
            *("" if slices is None else str(len(slices.used)), "" if slices is None else str(int(slices.used.sum()))),
            "" if slices is None else " ".join(str(index + 1) for index in slices.key),
            f"{result.milliseconds:.1f}",
            cell("; ".join(result.warnings)),
            *("", ""),
        ]
        if self.identify:
            cells += [cell(getattr(result.identity, name, "")) for name in _IDENTITY]
        return cells

    def _failure(self, failure: Failure) -> list[str]:
        empty = len(self._header()) - 3 - (len(_IDENTITY) if self.identify else 0)
        error = f"{cause(failure).rstrip('.')}. {failure.remedy}".strip()
        return [
            cell(failure.input),
            *[""] * empty,
            failure.code,
            cell(error),
            *([""] * len(_IDENTITY) if self.identify else []),
        ]

    def _write(self, cells: Sequence[str]) -> None:
        with writing(self.path):
            self._writer.writerow(cells)
            self._file.flush()  # a killed process loses no row


def cell(text: str) -> str:
    """`text` as a spreadsheet cell that is text and nothing else.

    Example:
        >>> cell("=1+1"), cell("a=b")
        ("'=1+1", 'a=b')
    """
    text = printable(text)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
