"""What the model says of one volume: sentence, classes, warnings, slices, heat map, export."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from SKDClassifierLib import Package
from SKDClassifierLib.classify.HeatControls import HeatControls
from SKDClassifierLib.classify.ResultExport import ResultExport
from SKDClassifierLib.classify.SliceCurve import SliceCurve
from SKDClassifierLib.scene import Samples

if TYPE_CHECKING:
    from MonaiSKD.runtime import Result
    from SKDClassifierLib.Protocols import Services
    from SKDClassifierLib.scene.ResultNodes import StoredResult

UI = Path(__file__).parents[2] / "Resources" / "UI" / "ResultView.ui"
# White on red: the same in the light and in the dark palette.
ALARM = "background: #b3261e; color: white; padding: 6px; border-radius: 4px;"
_STEPS = 1000  # of a bar


class ResultView:
    """Shows one result of the scene, or nothing.

    Args:
        services: what the module has.
    """

    def __init__(self, services: Services) -> None:
        Package.make_importable()
        self.widget = slicer.util.loadUI(str(UI))
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.stored: StoredResult | None = None
        self._outdated = False
        self._observed: list[tuple[Any, int]] = []
        self._slices = SliceCurve(self.ui)
        self._heat = HeatControls(services, self.ui)
        self._export = ResultExport(services, self.ui, self.widget)
        _prepare(self.ui.classTable)
        self.widget.hide()

    def show(self, stored: StoredResult | None, fresh: bool = False) -> None:
        """Show a result with its heat map; None shows nothing.

        Args:
            stored: of the scene.
            fresh: it was made just now, so that the views jump to its first key slice.
        """
        self.stored = stored
        self._observe(stored.volume_node if stored is not None else None)
        self.widget.setVisible(stored is not None)
        self._show_places(stored)
        self._export.show(stored)
        if stored is None:
            return
        self._show_words(stored)
        _fill(self.ui.classTable, stored.result)
        if fresh:
            self._slices.next_key()

    def refresh(self) -> None:
        """The parameter node was replaced."""
        self._heat.refresh()

    def forget(self) -> None:
        """The scene goes: hold no node any more."""
        self.stored = None
        self._observe(None)
        self.widget.hide()
        self._slices.forget()
        self._heat.forget()
        self._export.show(None)

    def cleanup(self) -> None:
        """The module goes."""
        self.forget()
        self._export.cleanup()
        self._slices.cleanup()

    def _observe(self, volume: Any) -> None:
        """Hear of changes of a volume's voxels and of its place, and of no other volume's."""
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        events: tuple[Any, ...] = ()
        if volume is not None:
            events = (volume.ImageDataModifiedEvent, volume.TransformModifiedEvent, vtk.vtkCommand.ModifiedEvent)
        self._observed = [(volume, volume.AddObserver(event, self._volume_changed)) for event in events]

    def _volume_changed(self, *_args: Any) -> None:
        if self.stored is not None and self.stored.outdated != self._outdated:
            self._show_places(self.stored)
            self._show_words(self.stored)

    def _show_places(self, stored: StoredResult | None) -> None:
        """The heat map and the way to the slices; neither of an answer that the volume as it is now did not get."""
        self._outdated = stored is not None and stored.outdated
        self._slices.show(None if self._outdated else stored)
        self._heat.show(stored)

    def _show_words(self, stored: StoredResult) -> None:
        from MonaiSKD.reporting.sentences import answer, apart, printable, sentence

        result = stored.result
        changed = _("The volume was changed since; classify it again") if stored.outdated else ""
        notice = " ".join(sentence(text) for text in (changed, alarm(result)) if text)
        where = _("answered by {url}").format(url=stored.source) if stored.source else ""
        version = f"{stored.title} {result.model.version}".rstrip()
        parts = (stored.volume_name, version, where)
        self.ui.captionLabel.setText(printable(" · ".join(part for part in parts if part)))
        self.ui.noticeLabel.setText(notice)
        self.ui.noticeLabel.setVisible(bool(notice))
        text = answer(result)
        self.ui.sentenceLabel.setText(_("Its answer would be: {answer}").format(answer=text) if notice else text)
        self.ui.sentenceLabel.setStyleSheet("" if notice else "font-size: 15pt; font-weight: bold;")
        lines = [f"⚠ {sentence(text)}" for text in result.warnings]
        if stored.volume_node is not None and stored.volume_node.GetAttribute(Samples.PHANTOM):
            drawn = _("Sample data is a drawn phantom: it shows how the module works, not how good the model is.")
            lines.insert(0, f"⚠ {drawn}")
        if not notice:
            value, limit = apart(result.atypicality, result.atypicality_threshold, 2)
            lines.append(
                _("Typical for this model: atypicality {value}, limit {limit}.").format(value=value, limit=limit)
            )
        self.ui.warningsLabel.setText("\n".join(lines))
        self.ui.warningsLabel.setVisible(bool(lines))


def alarm(result: Result) -> str:
    """Why an answer must not be relied on; empty text where nothing is known against it."""
    from MonaiSKD.reporting.sentences import unreliable

    if math.isfinite(result.atypicality) or not result.atypical:
        return unreliable(result)
    return _("NOT KNOWN TO BE RELIABLE: whether the model was made for such images is not told")


def _prepare(table: Any) -> None:
    table.setColumnCount(4)
    table.setHorizontalHeaderLabels([_("Class"), _("Probability"), _("Threshold"), _("Decision")])
    table.verticalHeader().hide()
    header = table.horizontalHeader()
    for column, mode in enumerate(
        (
            qt.QHeaderView.ResizeToContents,
            qt.QHeaderView.Stretch,
            qt.QHeaderView.ResizeToContents,
            qt.QHeaderView.ResizeToContents,
        )
    ):
        header.setSectionResizeMode(column, mode)
    header.setHighlightSections(False)


def _fill(table: Any, result: Result) -> None:
    """One row per class, as high as it takes."""
    from MonaiSKD.reporting.sentences import beside_threshold, presence, printable

    decisions = {True: _("present"), False: "–", None: _("undetermined")}

    table.setRowCount(len(result.probabilities))
    for row, (name, probability) in enumerate(result.probabilities.items()):
        limit = result.thresholds[name]
        shown, least = beside_threshold(probability, limit)
        cells = (printable(name), None, least if math.isfinite(limit) else "–", decisions[presence(result, name)])
        _set_row(table, row, cells, bold=name in result.decision)
        table.setCellWidget(row, 1, _bar(probability, shown))
    rows = sum(table.rowHeight(row) for row in range(table.rowCount))
    table.setFixedHeight(table.horizontalHeader().sizeHint.height() + rows + 2 * table.frameWidth)


def _set_row(table: Any, row: int, cells: Sequence[str | None], bold: bool) -> None:
    for column, text in enumerate(cells):
        if text is None:
            continue
        item = qt.QTableWidgetItem(text)
        font = item.font()
        font.setBold(bold)
        item.setFont(font)
        if column:
            item.setTextAlignment(qt.Qt.AlignCenter)
        table.setItem(row, column, item)


def _bar(probability: float, text: str) -> Any:
    bar = qt.QProgressBar()
    bar.setRange(0, _STEPS)
    bar.setValue(round(probability * _STEPS))
    bar.setFormat(text)
    bar.setAlignment(qt.Qt.AlignCenter)
    return bar
