"""How a field of a parameter node and a widget follow each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ctk
import qt
import slicer
import vtk

from harness import mrml_widgets

# Type of the field, class of the widget: how to read it, how to write it, and what tells of a change.
_WAYS: list[tuple[Any, type, str, str]] = [
    (bool, qt.QCheckBox, "checked", "toggled(bool)"),
    (bool, qt.QPushButton, "checked", "toggled(bool)"),
    (int, qt.QSlider, "value", "valueChanged(int)"),
    (int, qt.QSpinBox, "value", "valueChanged(int)"),
    (float, qt.QDoubleSpinBox, "value", "valueChanged(double)"),
    (float, ctk.ctkSliderWidget, "value", "valueChanged(double)"),
    (str, qt.QLineEdit, "text", "textChanged(QString)"),
    (str, qt.QComboBox, "currentText", "currentIndexChanged(int)"),
    (Path, ctk.ctkPathLineEdit, "currentPath", "currentPathChanged(QString)"),
    (slicer.vtkMRMLNode, mrml_widgets.qMRMLNodeComboBox, "", "currentNodeChanged(vtkMRMLNode*)"),
]


class GuiConnector:
    """Joins one field with one widget, both ways.

    Raises:
        RuntimeError: Slicer does not join these two.
    """

    def __init__(self, wrapper: Any, field: Any, widget: Any) -> None:
        kind = slicer.vtkMRMLNode if field.of_node else field.kind
        ways = [way for way in _WAYS if way[:2] == (kind, type(widget))]
        if not ways:
            raise RuntimeError(f"Unable to create GUI connector from datatype '{kind}' to widget '{type(widget)}'")
        self._wrapper, self._field, self._widget = wrapper, field, widget
        _, _, self._attribute, self._signal = ways[0]
        self._writing = False
        for rule in field.rules:
            if hasattr(rule, "minimum"):
                widget.minimum = rule.minimum
            if hasattr(rule, "maximum"):
                widget.maximum = rule.maximum
            if hasattr(rule, "choices"):
                widget.clear()
                widget.addItems([str(one) for one in rule.choices])
        self._to_widget()
        widget.connect(self._signal, self._to_field)
        self._tag = wrapper.AddObserver(vtk.vtkCommand.ModifiedEvent, self._to_widget)

    def disconnect(self) -> None:
        """Part them."""
        self._widget.disconnect(self._signal, self._to_field)
        self._wrapper.RemoveObserver(self._tag)

    def _to_field(self, *_: Any) -> None:
        if not self._writing:
            value = self._widget.currentNode() if self._field.of_node else getattr(self._widget, self._attribute)
            setattr(self._wrapper, self._field.name, Path(value) if self._field.kind is Path else value)

    def _to_widget(self, *_: Any) -> None:
        value = getattr(self._wrapper, self._field.name)
        self._writing = True
        try:
            if self._field.of_node:
                self._widget.setCurrentNode(value)
            else:
                setattr(self._widget, self._attribute, str(value) if self._field.kind is Path else value)
        finally:
            self._writing = False
