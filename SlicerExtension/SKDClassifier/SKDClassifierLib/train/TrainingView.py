"""How a training goes and what came of it: progress, curves, log, metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from SKDClassifierLib.Protocols import Services
from SKDClassifierLib.scene import Plots
from SKDClassifierLib.train.Training import TrainingState, doubt, duration, metric_rows

UI = Path(__file__).parents[2] / "Resources" / "UI" / "TrainingView.ui"
LOSS, AUC = "SKD training loss", "SKD validation AUC"
_BAD = "background: #b3261e; color: white; padding: 6px; border-radius: 4px;"


class CurvePlot(Plots.SlicePlot):
    """A plot of the panel that has a view node of its own."""

    def __init__(self, layout: Any, owner: str) -> None:
        self.OWNER = owner
        super().__init__(slicer.mrmlScene, layout)


class TrainingView:
    """Shows a :class:`TrainingState`.

    Args:
        services: see :class:`Services`.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self.widget = slicer.util.loadUI(str(UI))
        self.ui = ui = slicer.util.childWidgetVariables(self.widget)
        self._state = TrainingState()
        self._drawn = (0, 0)
        self._plots = {
            LOSS: CurvePlot(ui.lossLayout, "SKDTrainingLossPlot"),
            AUC: CurvePlot(ui.aucLayout, "SKDTrainingAUCPlot"),
        }
        self._connections = (
            (ui.useButton, "clicked(bool)", self._on_use),
            (ui.reportButton, "clicked(bool)", self._on_report),
            (ui.lossLargeButton, "clicked(bool)", lambda *_arguments: self._enlarge(LOSS)),
            (ui.aucLargeButton, "clicked(bool)", lambda *_arguments: self._enlarge(AUC)),
        )
        for sender, signal, slot in self._connections:
            sender.connect(signal, slot)
        self.widget.hide()

    def begin(self, state: TrainingState) -> None:
        """Show a training from its start on."""
        self._state, self._drawn = state, (0, 0)
        for name in self._plots:
            Plots.remove_chart(slicer.mrmlScene, name)
        self.ui.logText.clear()
        self.say("")
        self.widget.show()
        self.update()
        self.draw()

    def update(self) -> None:
        """The state went on."""
        ui, state = self.ui, self._state
        ui.doingLabel.setText(_(state.sentence))
        ui.progressBar.setValue(int(1000 * state.fraction))
        left = state.seconds_left
        about = _("about {time} left").format(time=duration(left)) if left is not None and state.fraction < 1 else ""
        ui.leftLabel.setText(about)
        self._show_results()
        points = tuple(sum(len(epochs) for epochs, _values in of.values()) for of in (state.loss, state.val_auc))
        if points != self._drawn:
            self._drawn = points
            self.draw()

    def draw(self) -> None:
        """Put the curves into the present scene, also when it is a new one."""
        ui, scene = self.ui, slicer.mrmlScene
        blocks = ((LOSS, ui.lossBlock, self._state.loss), (AUC, ui.aucBlock, self._state.val_auc))
        for name, block, values in blocks:
            x, columns = self._state.curves(values)
            block.setVisible(bool(x))
            if not x or scene.IsClosing():
                continue
            chart = Plots.curve_chart(scene, name, columns, (_("epoch"), x))
            chart.SetLegendVisibility(len(columns) > 1)
            if name == AUC:
                chart.SetYAxisRangeAuto(False)
                lowest = min(value for _epochs, some in values.values() for value in some)
                chart.SetYAxisRange(min(0.5, lowest), 1.0)
            self._plots[name].show(chart)

    def log(self, line: str) -> None:
        """A line that the training wrote for people."""
        self.ui.logText.appendPlainText(line)

    def say(self, text: str, bad: bool = False) -> None:
        """Tell something; an empty text takes it away."""
        self.ui.noticeLabel.setStyleSheet(_BAD if bad else "")
        self.ui.noticeLabel.setText(text)
        self.ui.noticeLabel.setVisible(bool(text))

    def end(self, doing: str) -> None:
        """The training runs no more."""
        ui = self.ui
        ui.doingLabel.setText(doing)
        ui.leftLabel.setText("")
        finished = bool(self._state.metrics)
        ui.progressBar.setVisible(not finished)
        self._show_results()

    def scene_closing(self) -> None:
        """The charts go with the scene."""
        for plot in self._plots.values():
            plot.forget()

    def cleanup(self) -> None:
        """Let go of the scene and the widgets."""
        for plot in self._plots.values():
            plot.cleanup()
        for sender, signal, slot in self._connections:
            sender.disconnect(signal, slot)
        self._connections = ()

    def _show_results(self) -> None:
        ui, state = self.ui, self._state
        measured = bool(state.metrics)
        ui.progressBar.setVisible(not measured)
        ui.metricsTable.setVisible(measured)
        ui.resultRow.setVisible(measured)
        ui.doubtLabel.setVisible(measured and bool(doubt(state.metrics)))
        if not measured:
            return
        ui.doubtLabel.setText(_(doubt(state.metrics)))
        ui.useButton.setEnabled(bool(state.model))
        ui.reportButton.setEnabled(bool(state.report))
        _fill(ui.metricsTable, metric_rows(state.metrics))

    def _on_use(self, *_arguments: Any) -> None:
        try:
            entry = self._services.catalogue.add(self._state.model)
            self._services.use_model(entry.id)
        except Exception as error:
            self._services.show_error(error)

    def _on_report(self, *_arguments: Any) -> None:
        if not Path(self._state.report).is_file():
            self.say(_("The report {path} is not there any more.").format(path=self._state.report), bad=True)
            return
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(self._state.report))

    def _enlarge(self, name: str) -> None:
        """Show a chart in the plot view of Slicer's own layout."""
        self.draw()
        for chart in slicer.util.getNodesByClass("vtkMRMLPlotChartNode"):
            if chart.GetAttribute(Plots.CHART_ATTRIBUTE) == name:
                slicer.modules.plots.logic().ShowChartInLayout(chart)


def _fill(table: Any, rows: list[tuple[str, str, str]]) -> None:
    """Metrics as a table that is as high as its rows."""
    table.setRowCount(len(rows))
    table.setColumnCount(2)
    table.setHorizontalHeaderLabels([_("validation"), _("test")])
    table.setVerticalHeaderLabels([_(title) for title, *_values in rows])
    for row, (_title, *values) in enumerate(rows):
        for column, text in enumerate(values):
            item = qt.QTableWidgetItem(text.replace(" (", "\n("))  # an interval has its own line: panels are narrow
            item.setTextAlignment(qt.Qt.AlignCenter)
            table.setItem(row, column, item)
        lines = 2 if any(" (" in text for text in values) else 1
        table.setRowHeight(row, lines * table.fontMetrics().height() + 6)
    table.horizontalHeader().setSectionResizeMode(qt.QHeaderView.Stretch)
    table.setWordWrap(False)
    height = table.horizontalHeader().sizeHint.height() + sum(table.rowHeight(row) for row in range(len(rows)))
    table.setFixedHeight(height + 2 * table.frameWidth)
