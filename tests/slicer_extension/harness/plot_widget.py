"""Stand-in for Slicer's plot: it draws the curves of the real chart node; clicks go to a real chart of VTK."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import qt
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from harness.watch import Watch

_LEFT, _TOP, _RIGHT, _BOTTOM = 52, 10, 12, 36


class qMRMLPlotView(qt.QWidget):
    """Draws the chart of a view node."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._node: Any = None
        self._watch = Watch(self, "_follow")
        self._view = vtk.vtkContextView()
        self._view.SetInteractor(vtk.vtkGenericRenderWindowInteractor())
        self._view.GetRenderWindow().SetOffScreenRendering(True)
        self._view.GetRenderWindow().SetSize(320, 170)
        self._chart = vtk.vtkChartXY()
        self._view.GetScene().AddItem(self._chart)

    def chart(self) -> Any:
        """VTK's chart, as Slicer's plot has it."""
        return self._chart

    def sizeHint(self) -> Any:
        return qt.QSize(320, 170)

    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene
        if scene is None:
            self.setMRMLPlotViewNode(None)

    def mrmlPlotViewNode(self) -> Any:
        return self._node

    def setMRMLPlotViewNode(self, node: Any) -> None:
        self._node = node
        self._follow()

    def chart_node(self) -> Any:
        """The chart node that is shown, or None."""
        return self._node.GetPlotChartNode() if self._node is not None and self._node.GetScene() is not None else None

    def click_point(self, index: int, series: int = 0, drag: int = 0) -> None:
        """What a user does who clicks on a point of a curve, or drags the chart from there by some pixels."""
        self._chart.ClearPlots()
        for node, _, _ in self.curves():
            line = vtk.vtkPlotLine()
            line.SetInputData(node.GetTableNode().GetTable(), node.GetXColumnName(), node.GetYColumnName())
            self._chart.AddPlot(line)
        self._view.GetRenderWindow().Render()
        _, x, y = list(self.curves())[series]
        across = _pixel(self._chart.GetAxis(vtk.vtkAxis.BOTTOM), 0, x[index])
        up = _pixel(self._chart.GetAxis(vtk.vtkAxis.LEFT), 1, y[index])
        self.press(across, up, drag)

    def press(self, across: int, up: int, drag: int = 0) -> None:
        """Press the left button at a pixel, and let go of it `drag` pixels to the right."""
        for event, place in (("LeftButtonPressEvent", across), ("LeftButtonReleaseEvent", across + drag)):
            self._view.GetInteractor().SetEventInformation(place, up)
            self._view.GetInteractor().InvokeEvent(event)

    def curves(self) -> Iterator[tuple[Any, np.ndarray, np.ndarray]]:
        """Series node, x and y of each curve."""
        chart = self.chart_node()
        for index in range(chart.GetNumberOfPlotSeriesNodes() if chart is not None else 0):
            series = chart.GetNthPlotSeriesNode(index)
            table = series.GetTableNode() if series is not None else None
            if table is None:
                continue
            y = _column(table, series.GetYColumnName())
            x = _column(table, series.GetXColumnName()) if series.GetXColumnName() else np.arange(len(y))
            yield series, x, y

    def _follow(self) -> None:
        drawn = [node for series, _, _ in self.curves() for node in (series, series.GetTableNode())]
        self._watch.look_at((one, vtk.vtkCommand.ModifiedEvent) for one in (self._node, self.chart_node(), *drawn))
        self.update()

    def paintEvent(self, event: Any) -> None:
        painter = qt.QPainter(self)
        painter.setRenderHint(qt.QPainter.Antialiasing)
        painter.fillRect(self.rect, qt.QColor("white"))
        chart = self.chart_node()
        if chart is None:
            return
        area = qt.QRectF(_LEFT, _TOP, self.width - _LEFT - _RIGHT, self.height - _TOP - _BOTTOM)
        curves = list(self.curves())
        x_range = _range([x for _, x, _ in curves], None if chart.GetXAxisRangeAuto() else chart.GetXAxisRange())
        y_range = _range([y for _, _, y in curves], None if chart.GetYAxisRangeAuto() else chart.GetYAxisRange())
        self._axes(painter, area, chart, x_range, y_range)
        for row, (series, x, y) in enumerate(curves):
            across = area.left() + (x - x_range[0]) / (x_range[1] - x_range[0]) * area.width()
            up = area.bottom() - (y - y_range[0]) / (y_range[1] - y_range[0]) * area.height()
            colour = qt.QColor.fromRgbF(*series.GetColor())
            painter.setPen(qt.QPen(colour, 2))
            painter.setBrush(colour)
            fine = np.isfinite(across) & np.isfinite(up)
            for i in np.flatnonzero(fine):
                painter.drawEllipse(qt.QPointF(across[i], up[i]), 2, 2)
                if i and fine[i - 1]:
                    painter.drawLine(qt.QPointF(across[i - 1], up[i - 1]), qt.QPointF(across[i], up[i]))
            if chart.GetLegendVisibility():
                place = qt.QRectF(area.left(), area.top() + 2 + 14 * row, area.width() - 6, 14)
                painter.drawText(place, qt.Qt.AlignRight, series.GetName())

    def _axes(self, painter: Any, area: Any, chart: Any, x_range: Any, y_range: Any) -> None:
        painter.setPen(qt.QPen(qt.QColor("#606060"), 1))
        painter.drawRect(area)
        for part in (0.0, 0.5, 1.0):
            x, y = area.left() + part * area.width(), area.bottom() - part * area.height()
            at_x, at_y = (low + part * (high - low) for low, high in (x_range, y_range))
            painter.drawText(qt.QRectF(x - 30, area.bottom() + 2, 60, 14), qt.Qt.AlignCenter, f"{at_x:.4g}")
            painter.drawText(qt.QRectF(0, y - 7, _LEFT - 5, 14), qt.Qt.AlignRight, f"{at_y:.3g}")
        if chart.GetXAxisTitleVisibility():
            place = qt.QRectF(area.left(), area.bottom() + 16, area.width(), 16)
            painter.drawText(place, qt.Qt.AlignCenter, chart.GetXAxisTitle())


class qMRMLPlotWidget(qt.QWidget):
    """A plot with its view."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._view = qMRMLPlotView()
        layout = qt.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._view)

    def plotView(self) -> qMRMLPlotView:
        return self._view

    def setMRMLScene(self, scene: Any) -> None:
        self._view.setMRMLScene(scene)

    def mrmlPlotViewNode(self) -> Any:
        return self._view.mrmlPlotViewNode()

    def setMRMLPlotViewNode(self, node: Any) -> None:
        self._view.setMRMLPlotViewNode(node)


def _pixel(axis: Any, along: int, value: float) -> int:
    """Where a value lies on an axis of VTK's chart."""
    start, end = axis.GetPoint1()[along], axis.GetPoint2()[along]
    low, high = axis.GetUnscaledMinimum(), axis.GetUnscaledMaximum()
    return round(start + (value - low) / (high - low) * (end - start))


def _column(table: Any, name: str) -> np.ndarray:
    array = table.GetTable().GetColumnByName(name)
    return vtk_to_numpy(array).astype(float) if array is not None else np.empty(0)


def _range(values: list[np.ndarray], fixed: Any) -> tuple[float, float]:
    if fixed is not None:
        return fixed[0], fixed[1]
    finite = np.concatenate([one[np.isfinite(one)] for one in values] or [np.empty(0)])
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)
