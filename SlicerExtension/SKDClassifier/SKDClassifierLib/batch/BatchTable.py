"""The table of a batch: grows while it runs, can be sorted by numbers afterwards, holds ten thousand rows."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from SKDClassifierLib.jobs.Pace import Pace

if TYPE_CHECKING:
    from MonaiSKD.runtime import Failure, Result

_WIDTHS = (88, 84, 44, 58, 58, 42)  # a narrow panel shows all
_ROW_HEIGHT = 22
_SORT, _NUMBER = qt.Qt.UserRole + 1, qt.Qt.UserRole + 2


@dataclass(frozen=True, eq=False)
class Row:
    """One case.

    Args:
        case: what the user calls it.
        outcome: what the model says of it, or why it says nothing.
        origin: what it is loaded by: a node's id, a path.
        series: UID of the series of the DICOM database that it is loaded by instead; empty for all else.
    """

    case: str
    outcome: Result | Failure
    origin: str
    series: str = ""


class BatchTable:
    """Rows in a QTableView.

    Args:
        view: shows them.
        on_rows: called when rows have come.
    """

    def __init__(self, view: Any, on_rows: Callable[[], None]) -> None:
        self.rows: list[Row] = []
        self._view, self._on_rows = view, on_rows
        self._waiting: deque[Row] = deque()
        self._model = qt.QStandardItemModel(0, len(_WIDTHS))
        titles = (_("Case"), _("Answer"), _("Prob."), _("Atypical"), _("Decision"), _("Sec."))
        for column, title in enumerate(titles):
            self._model.setHeaderData(column, qt.Qt.Horizontal, title)
        self._model.setSortRole(_SORT)
        view.setModel(self._model)
        view.verticalHeader().hide()
        view.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
        header = view.horizontalHeader()
        header.setStretchLastSection(True)
        header.setSortIndicator(-1, qt.Qt.AscendingOrder)
        for column, width in enumerate(_WIDTHS):
            view.setColumnWidth(column, width)
        self._pace = Pace(self._take, self._idle)
        self._filling = False

    def clear(self) -> None:
        """Begin anew; it is sorted once :meth:`finish` is called."""
        self._waiting.clear()
        self.rows = []
        self._filling = True
        self._view.setSortingEnabled(False)
        self._model.setRowCount(0)

    def add(self, row: Row) -> None:
        """Add a row soon."""
        self._waiting.append(row)
        self._pace.start()

    def finish(self) -> None:
        """No more rows come; from now on they are sorted as the user wishes."""
        self._filling = False
        self._pace.start()

    def stop(self) -> None:
        """Leave out what waits."""
        self._waiting.clear()
        self._pace.stop()

    def chosen(self) -> Row | None:
        """The row that the user chose."""
        index = self._view.currentIndex()
        return self.rows[int(self._model.index(index.row(), 0).data(_NUMBER))] if index.isValid() else None

    def _take(self) -> bool:
        if not self._waiting:
            return False
        row = self._waiting.popleft()
        number = len(self.rows)
        self.rows.append(row)
        self._model.insertRow(number)
        for column, (text, key, tip) in enumerate(_cells(row)):
            index = self._model.index(number, column)
            self._model.setData(index, text, qt.Qt.DisplayRole)
            self._model.setData(index, key, _SORT)
            if tip:
                self._model.setData(index, tip, qt.Qt.ToolTipRole)
        self._model.setData(self._model.index(number, 0), number, _NUMBER)
        return True

    def _idle(self) -> None:
        self._on_rows()
        if not self._filling:
            self._view.setSortingEnabled(True)


def in_words(outcome: Result | Failure) -> str:
    """A case in sentences: the answer, or why there is none and what to do."""
    from MonaiSKD.reporting.sentences import describe, sentence
    from MonaiSKD.runtime import Failure

    if isinstance(outcome, Failure):
        cause = sentence(outcome.message.removeprefix(f"{outcome.input}: "))
        return f"{cause} {sentence(outcome.remedy)}".strip()
    return " ".join(sentence(text) for text in (describe(outcome), *outcome.warnings))


def named(row: Row) -> Result | Failure:
    """The outcome with what the user calls the case in the place of its path."""
    from MonaiSKD.runtime import Failure

    outcome = row.outcome
    if isinstance(outcome, Failure):
        return replace(outcome, input=row.case, message=outcome.message.replace(outcome.input, row.case))
    return replace(outcome, input=row.case)


def _cells(row: Row) -> list[tuple[str, Any, str]]:
    """Of each column: the text, what it is sorted by, and a tooltip."""
    from MonaiSKD.reporting.sentences import printable, probability
    from MonaiSKD.runtime import Failure

    case, outcome, tip = printable(row.case), row.outcome, in_words(row.outcome)
    first = (case, case.lower(), printable(row.origin))
    if isinstance(outcome, Failure):
        nothing = ("", -1.0, tip)
        return [first, (tip, "~" + tip, tip), nothing, nothing, ("", "", tip), nothing]
    value = outcome.probabilities[outcome.label]
    share = outcome.atypicality / outcome.atypicality_threshold if math.isfinite(outcome.atypicality) else 1e9
    decision = ", ".join(printable(name) for name in outcome.decision)
    seconds = outcome.milliseconds / 1e3
    return [
        first,
        (printable(outcome.label), outcome.label.lower(), tip),
        (probability(value), value, tip),
        (_("yes") if outcome.atypical else _("no"), share, tip),
        (decision, decision.lower(), tip),
        (f"{seconds:.2f}", seconds, ""),
    ]
