"""Reading .ui files with the classes of ctk and of qMRML."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from PySide6.QtCore import QBuffer, QByteArray, QIODevice
from PySide6.QtUiTools import QUiLoader as Loader
from PySide6.QtWidgets import QWidget


class QUiLoader(Loader):
    """A QUiLoader that makes the stand-ins where Slicer's would make the real widgets.

    A class that it does not know is an error, whereas Qt would put a plain QWidget in its place.
    """

    def load(self, device: QIODevice, parent: QWidget | None = None) -> QWidget:
        """The widget of a .ui file; connections between stand-ins are made, too."""
        tree = ElementTree.fromstring(bytes(device.readAll().data()))
        connections = tree.find("connections")
        if connections is not None:
            tree.remove(connections)
        content = QByteArray(ElementTree.tostring(tree))
        buffer = QBuffer(content)
        buffer.open(QIODevice.OpenModeFlag.ReadOnly)
        widget = super().load(buffer, parent)
        if widget is None:
            raise RuntimeError(self.errorString())
        for one in connections if connections is not None else ():
            _join(widget, *(one.findtext(part, "") for part in ("sender", "signal", "receiver", "slot")))
        return widget

    def createWidget(self, name: str, parent: QWidget | None = None, own: str = "") -> QWidget:
        """The widget of a class's name."""
        stand_in = self._stand_in(name)
        if stand_in is not None:
            widget = stand_in(parent)
            widget.setObjectName(own)
            return widget
        if name not in self.availableWidgets():
            raise RuntimeError(f"{own}: the class {name} of the .ui file is not known to the test harness")
        return super().createWidget(name, parent, own)

    @staticmethod
    def _stand_in(name: str) -> Any:
        import ctk

        from harness import mrml_widgets

        return getattr(ctk, name, None) if name.startswith("ctk") else mrml_widgets.CLASSES.get(name)


def _join(widget: QWidget, sender: str, signal: str, receiver: str, slot: str) -> None:
    from harness.pythonqt import connect

    def of(name: str) -> QWidget:
        found = widget if widget.objectName == name else widget.findChild(QWidget, name)
        if found is None:
            raise RuntimeError(f"connection of the .ui file: there is no widget {name}")
        return found

    connect(of(sender), signal, of(receiver), slot)
