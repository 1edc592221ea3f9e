"""Reading .ui files with the classes of ctk and of qMRML."""

from __future__ import annotations

from functools import reduce
from operator import or_
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
        for one in tree.iter("widget"):
            name = one.get("class", "")
            if name not in self.availableWidgets() and self._stand_in(name) is None:
                raise RuntimeError(
                    f"{one.get('name')}: the test harness does not know the class {name} of the .ui file"
                )
        connections = tree.find("connections")
        if connections is not None:
            tree.remove(connections)
        choices = _take_choices(tree)
        content = QByteArray(ElementTree.tostring(tree))
        buffer = QBuffer(content)
        buffer.open(QIODevice.OpenModeFlag.ReadOnly)
        widget = super().load(buffer, parent)
        if widget is None:
            raise RuntimeError(self.errorString())
        for name, attribute, words in choices:
            one = _find(widget, name)
            setattr(one, attribute, reduce(or_, (getattr(type(one), word) for word in words)))
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
        return super().createWidget(name, parent, own)

    @staticmethod
    def _stand_in(name: str) -> Any:
        import ctk

        from harness import mrml_widgets

        return getattr(ctk, name, None) if name.startswith("ctk") else mrml_widgets.CLASSES.get(name)


def _take_choices(tree: ElementTree.Element) -> list[tuple[str, str, list[str]]]:
    """Take out properties such as filters = ctkPathLineEdit::Dirs|ctkPathLineEdit::Readable, which Qt cannot read.

    Returns:
        Name of the widget, name of the property, names of the constants.
    """
    found = []
    for widget in tree.iter("widget"):
        for one in widget.findall("property") if widget.get("class", "").startswith(("ctk", "qMRML")) else ():
            text = one.findtext("set") or one.findtext("enum") or ""
            words = text.split("|")
            if all(word.startswith(("ctk", "qMRML")) for word in words):
                widget.remove(one)
                found.append((widget.get("name", ""), one.get("name", ""), [word.split("::")[-1] for word in words]))
    return found


def _find(widget: QWidget, name: str) -> QWidget:
    found = widget if widget.objectName == name else widget.findChild(QWidget, name)
    if found is None:
        raise RuntimeError(f"the .ui file speaks of a widget {name} that it does not have")
    return found


def _join(widget: QWidget, sender: str, signal: str, receiver: str, slot: str) -> None:
    from harness.pythonqt import connect

    connect(_find(widget, sender), signal, _find(widget, receiver), slot)
