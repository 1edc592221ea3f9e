"""Curves in Slicer's plot nodes: probabilities along the slices, losses along the epochs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

# On the chart, the table and the series that belong together: which chart it is.
CHART_ATTRIBUTE = "SKDClassifier.chart"
# Colours that also people with colour blindness tell apart (Okabe and Ito), as red, green, blue.
COLOURS = (
    (0.00, 0.45, 0.70),
    (0.90, 0.62, 0.00),
    (0.00, 0.62, 0.45),
    (0.80, 0.47, 0.65),
    (0.84, 0.37, 0.00),
    (0.34, 0.71, 0.91),
)
_CLICK_PIXELS = 3  # a hand that clicks moves so far


def curve_chart(
    scene: Any, name: str, columns: Mapping[str, Sequence[float]], x: tuple[str, Sequence[float]], y: str = ""
) -> Any:
    """A chart with one curve per column; called again with the same name, it is updated in place.

    Args:
        scene: the MRML scene.
        name: of the chart, unique in the scene.
        columns: title -> values; a shorter column ends earlier, NaN leaves a gap.
        x: title and values of the horizontal axis.
        y: title of the vertical axis.

    Returns:
        The vtkMRMLPlotChartNode. Its table and series are nodes of the scene, too, with the same name and attribute.

    Example:
        chart = curve_chart(slicer.mrmlScene, "Training", {"loss": [0.9, 0.5]}, ("epoch", [1, 2]))
    """
    table = _node(scene, "vtkMRMLTableNode", name)
    _fill(table, {x[0]: x[1], **columns})
    chart = _node(scene, "vtkMRMLPlotChartNode", name)
    chart.SetTitleVisibility(False)
    chart.SetXAxisTitle(x[0])
    chart.SetYAxisTitle(y)
    chart.SetYAxisTitleVisibility(bool(y))
    wanted = [_series(scene, name, table, x[0], column, number) for number, column in enumerate(columns)]
    for index in range(chart.GetNumberOfPlotSeriesNodes()):
        series = chart.GetNthPlotSeriesNode(index)
        if series is not None and series not in wanted:
            scene.RemoveNode(series)
    chart.RemoveAllPlotSeriesNodeIDs()
    for series in wanted:
        chart.AddAndObservePlotSeriesNodeID(series.GetID())
    return chart


def probability_chart(scene: Any, probabilities: np.ndarray, classes: Sequence[str], name: str = "SKD slices") -> Any:
    """The chart of a volume's probabilities (S, K) along its slices, which count from 1."""
    columns = {title: probabilities[:, index] for index, title in enumerate(classes)}
    chart = curve_chart(scene, name, columns, ("slice", np.arange(1, len(probabilities) + 1)), "probability")
    chart.SetYAxisRangeAuto(False)
    chart.SetYAxisRange(0.0, 1.0)
    return chart


def remove_chart(scene: Any, name: str) -> None:
    """Take a chart, its table and its curves out of the scene; nothing happens where there is none."""
    for kind in ("vtkMRMLPlotChartNode", "vtkMRMLPlotSeriesNode", "vtkMRMLTableNode"):
        for node in slicer.util.getNodesByClass(kind, scene):
            if node.GetAttribute(CHART_ATTRIBUTE) == name:
                scene.RemoveNode(node)


class SlicePlot:
    """A plot inside the panel; a click into it tells which point is nearest.

    Args:
        scene: the MRML scene.
        layout: the Qt layout that takes the plot.
        on_point: called with the index of the point from 0; where not given, clicks are nobody's business.
    """

    OWNER = "SKDClassifierPlot"

    def __init__(self, scene: Any, layout: Any, on_point: Callable[[int], None] | None = None) -> None:
        self._scene = scene
        self._on_point = on_point
        self._interactor: Any = None
        self._tags: list[int] = []
        self._pressed_at = (0, 0)
        self.widget = slicer.qMRMLPlotWidget()
        self.widget.setMRMLScene(scene)
        self.widget.setMinimumHeight(170)
        layout.addWidget(self.widget)
        self.widget.hide()

    def show(self, chart: Any | None) -> None:
        """Show `chart`, or nothing."""
        self.widget.setVisible(chart is not None)
        if chart is None:
            return
        self._view().SetPlotChartNodeID(chart.GetID())
        if self._on_point is not None and self._interactor is None:
            self._listen()

    def forget(self) -> None:
        """The scene is about to close, and takes the view's node along: let go of it before it is gone."""
        self.widget.hide()
        self.widget.setMRMLPlotViewNode(None)

    def cleanup(self) -> None:
        """Let go of the scene, and take the view's node out of it."""
        for tag in self._tags:
            self._interactor.RemoveObserver(tag)
        self._tags, self._interactor = [], None
        view = self.widget.mrmlPlotViewNode()
        self.forget()
        self.widget.setMRMLScene(None)
        if view is not None and self._scene.IsNodePresent(view):
            self._scene.RemoveNode(view)

    def _view(self) -> Any:
        """The view node of the plot; a closed scene took the former one along."""
        view = self.widget.mrmlPlotViewNode()
        if view is not None and self._scene.IsNodePresent(view):
            return view
        # A view outside Slicer's layouts needs an owner, or the layout would take it for one of its own.
        owner = self._own("vtkMRMLScriptedModuleNode")
        view = slicer.vtkMRMLPlotViewNode()
        view.SetName(self.OWNER)
        view.SetLayoutName(self.OWNER)
        view.SetLayoutLabel("SKD")
        view.SetSaveWithScene(False)
        # It keeps its chart when another one is shown in the layout.
        view.SetDoPropagatePlotChartSelection(False)
        view.SetAndObserveParentLayoutNodeID(owner.GetID())
        view = self._scene.AddNode(view)
        self.widget.setMRMLPlotViewNode(view)
        return view

    def _own(self, kind: str) -> Any:
        node = self._scene.GetFirstNodeByName(self.OWNER)
        if node is None or not node.IsA(kind):
            node = self._scene.CreateNodeByClass(kind)
            node.UnRegister(None)  # CreateNodeByClass hands over a reference
            node.SetName(self.OWNER)
            node.SetHideFromEditors(True)
            node.SetSaveWithScene(False)
            node = self._scene.AddNode(node)
        return node

    def _listen(self) -> None:
        """Hear of clicks. The signal dataSelected of Slicer's plot tells of rectangles drawn round points alone."""
        renderer = self._chart().GetScene().GetRenderer()
        window = renderer.GetRenderWindow() if renderer is not None else None
        self._interactor = window.GetInteractor() if window is not None else None
        if self._interactor is None:
            return  # the next chart that is shown may find it
        self._tags = [
            self._interactor.AddObserver(vtk.vtkCommand.LeftButtonPressEvent, self._pressed),
            self._interactor.AddObserver(vtk.vtkCommand.LeftButtonReleaseEvent, self._released),
        ]

    def _chart(self) -> Any:
        """VTK's chart in the view."""
        _ = vtk.vtkChartXY  # Slicer loads VTK's parts when they are named, and chart() gives a chart only then
        return self.widget.plotView().chart()

    def _pressed(self, interactor: Any, _event: str) -> None:
        self._pressed_at = interactor.GetEventPosition()

    def _released(self, interactor: Any, _event: str) -> None:
        place = interactor.GetEventPosition()
        if max(abs(place[0] - self._pressed_at[0]), abs(place[1] - self._pressed_at[1])) > _CLICK_PIXELS:
            return  # the chart was dragged
        index = self._nearest(*place)
        if index is not None and self._on_point is not None:
            self._on_point(index)

    def _nearest(self, across: float, up: float) -> int | None:
        """The point that lies nearest along the horizontal axis; None outside of the chart.

        Args:
            across: pixels from the left of the view.
            up: pixels from its bottom.
        """
        view = self.widget.mrmlPlotViewNode()
        shown = view.GetPlotChartNode() if view is not None else None
        series = shown.GetNthPlotSeriesNode(0) if shown is not None else None
        if series is None or series.GetTableNode() is None:
            return None
        bottom, left = (self._chart().GetAxis(axis) for axis in (vtk.vtkAxis.BOTTOM, vtk.vtkAxis.LEFT))
        (first, low), last, high = bottom.GetPoint1(), bottom.GetPoint2()[0], left.GetPoint2()[1]
        if not (first < last and first <= across <= last and low <= up <= high):
            return None
        start, end = bottom.GetUnscaledMinimum(), bottom.GetUnscaledMaximum()
        x = start + (across - first) / (last - first) * (end - start)
        column = series.GetTableNode().GetTable().GetColumnByName(series.GetXColumnName())
        return int(np.abs(vtk_to_numpy(column) - x).argmin()) if column.GetNumberOfValues() else None


def _node(scene: Any, kind: str, chart: str, column: str = "") -> Any:
    """The node of this kind that belongs to a chart (and curve), made where there is none."""
    for node in slicer.util.getNodesByClass(kind, scene):
        if node.GetAttribute(CHART_ATTRIBUTE) == chart and node.GetName() == (column or chart):
            return node
    node = scene.AddNewNodeByClass(kind, column or chart)
    node.SetAttribute(CHART_ATTRIBUTE, chart)
    return node


def _series(scene: Any, chart: str, table: Any, x: str, column: str, number: int) -> Any:
    series = _node(scene, "vtkMRMLPlotSeriesNode", chart, column)
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetXColumnName(x)
    series.SetYColumnName(column)
    series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
    series.SetLineStyle(slicer.vtkMRMLPlotSeriesNode.LineStyleSolid)
    series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleCircle)
    series.SetMarkerSize(5)
    series.SetColor(*COLOURS[number % len(COLOURS)])
    return series


def _fill(table: Any, columns: Mapping[str, Sequence[float]]) -> None:
    """Put numbers into a table node as columns of equal length."""
    rows = max((len(values) for values in columns.values()), default=0)
    content = vtk.vtkTable()
    for title, values in columns.items():
        array = vtk.vtkDoubleArray()
        array.SetName(title)
        array.SetNumberOfValues(rows)
        for row in range(rows):
            array.SetValue(row, float(values[row]) if row < len(values) else float("nan"))
        content.AddColumn(array)
    table.SetAndObserveTable(content)
