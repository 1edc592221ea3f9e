"""Stand-ins for widgets of the Common Toolkit."""

from __future__ import annotations

import re
from enum import IntFlag
from typing import Any

import qt
from PySide6.QtCore import Property, Signal

_HEADER = 26


class ctkCollapsibleButton(qt.QAbstractButton):
    """A titled section that opens and closes; its contents are its children."""

    contentsCollapsed = Signal(bool)

    def __init__(self, title: Any = "", parent: Any = None) -> None:
        if not isinstance(title, str):
            title, parent = "", title
        super().__init__(parent)
        self._hidden: list[Any] | None = None
        self.setText(title)
        self.setCheckable(True)
        self.setChecked(True)
        self.setContentsMargins(0, _HEADER, 0, 0)
        self.connect("toggled(bool)", lambda on: self.setCollapsed(not on))

    def setCollapsed(self, collapsed: bool) -> None:
        if collapsed == self._collapsed():
            return
        if collapsed:
            self._hidden = []
            self._hide()
        else:
            hidden, self._hidden = self._hidden or [], None
            for one in hidden:
                one.setVisible(True)
        self.setMaximumHeight(_HEADER if collapsed else 16777215)
        self.setChecked(not collapsed)
        self.contentsCollapsed.emit(collapsed)

    def _collapsed(self) -> bool:
        return self._hidden is not None

    collapsed = Property(bool, _collapsed, setCollapsed)

    def _hide(self) -> None:
        """Hide the contents, also those that came after the section was closed."""
        contents = [one for one in self.children() if isinstance(one, qt.QWidget) and not one.isHidden()]
        for one in contents:
            one.setVisible(False)
        self._hidden += contents

    def showEvent(self, event: Any) -> None:
        if self._hidden is not None:
            self._hide()
        super().showEvent(event)

    def sizeHint(self) -> Any:
        inner = self.layout().sizeHint() if self.layout() is not None and not self._collapsed() else qt.QSize(60, 0)
        return qt.QSize(inner.width(), inner.height() + (0 if inner.height() else _HEADER))

    def hitButton(self, position: Any) -> bool:
        return position.y() < _HEADER

    def paintEvent(self, event: Any) -> None:
        painter = qt.QPainter(self)
        painter.fillRect(0, 0, self.width, _HEADER - 2, self.palette.button().color().darker(106))
        painter.setPen(self.palette.buttonText().color())
        arrow = "▸" if self._collapsed() else "▾"
        painter.drawText(8, 0, self.width - 8, _HEADER - 2, qt.Qt.AlignVCenter, f"{arrow} {self.text}")


class ctkCollapsibleGroupBox(qt.QGroupBox):
    """A group box that closes."""

    def setCollapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    collapsed = Property(bool, lambda self: self.isCheckable() and not self.isChecked(), setCollapsed)


class ctkSliderWidget(qt.QWidget):
    """A slider beside a spin box, of real numbers."""

    valueChanged = Signal(float)
    valueIsChanging = Signal(float)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._slider, self._box = qt.QSlider(qt.Qt.Horizontal), qt.QDoubleSpinBox()
        row = qt.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._slider, 1)
        row.addWidget(self._box)
        self.setFocusProxy(self._slider)
        self.setMaximum(99)
        self._slider.connect("valueChanged(int)", lambda steps: self.setValue(self._box.minimum + steps * self._step()))
        self._box.connect("valueChanged(double)", self._changed)

    def _step(self) -> float:
        return self._box.singleStep or 1.0

    def _changed(self, value: float) -> None:
        self._place()
        self.valueChanged.emit(value)

    def _place(self) -> None:
        self._slider.blockSignals(True)
        self._slider.setRange(0, round((self._box.maximum - self._box.minimum) / self._step()))
        self._slider.setValue(round((self._box.value - self._box.minimum) / self._step()))
        self._slider.blockSignals(False)

    def setValue(self, value: float) -> None:
        self._box.setValue(value)

    def setMinimum(self, value: float) -> None:
        self._box.setMinimum(value)
        self._place()

    def setMaximum(self, value: float) -> None:
        self._box.setMaximum(value)
        self._place()

    def setSingleStep(self, value: float) -> None:
        self._box.setSingleStep(value)
        self._place()

    def setDecimals(self, count: int) -> None:
        self._box.setDecimals(count)

    def setSuffix(self, text: str) -> None:
        self._box.setSuffix(text)

    def setPrefix(self, text: str) -> None:
        self._box.setPrefix(text)

    value = Property(float, lambda self: self._box.value, setValue, user=True)
    minimum = Property(float, lambda self: self._box.minimum, setMinimum)
    maximum = Property(float, lambda self: self._box.maximum, setMaximum)
    singleStep = Property(float, lambda self: self._box.singleStep, setSingleStep)
    decimals = Property(int, lambda self: self._box.decimals, setDecimals)
    suffix = Property(str, lambda self: self._box.suffix, setSuffix)
    prefix = Property(str, lambda self: self._box.prefix, setPrefix)


class ctkDoubleSpinBox(qt.QDoubleSpinBox):
    """A spin box of real numbers."""


class ctkSearchBox(qt.QLineEdit):
    """A line to search with."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.setClearButtonEnabled(True)
        self.setPlaceholderText("Search...")


class ctkComboBox(qt.QComboBox):
    """A combo box that says something while nothing is chosen."""

    def setDefaultText(self, text: str) -> None:
        self.setPlaceholderText(text)

    defaultText = Property(str, lambda self: self.placeholderText, setDefaultText)


class ctkMessageBox(qt.QMessageBox):
    """A message box; "don't show again" is left out."""


class ctkWidgetsUtils:
    """Helpers for pictures."""

    @staticmethod
    def grabWidget(widget: Any, rectangle: Any = None) -> Any:
        """The QImage of a widget."""
        return (widget.grab(rectangle) if rectangle is not None else widget.grab()).toImage()


class ctkPathLineEdit(qt.QWidget):
    """A path with its history and a button to browse.

    As CTK's, it tells of a path only where that is valid: not empty, and ending as its name filters ask, also a folder.
    """

    class Filter(IntFlag):
        """What may be chosen."""

        Dirs, Files, Drives, NoSymLinks, Readable, Writable, Executable = 1, 2, 4, 8, 16, 32, 64

    Dirs, Files, Drives = Filter.Dirs, Filter.Files, Filter.Drives
    NoSymLinks, Readable = Filter.NoSymLinks, Filter.Readable
    Writable, Executable = Filter.Writable, Filter.Executable

    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._filters = int(self.Files | self.Readable)
        self._name_filters: list[str] = []
        self._valid = False
        self._setting = ""
        self._paths, self._browse = qt.QComboBox(), qt.QToolButton()
        self._paths.setEditable(True)
        self._paths.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Fixed)
        self._browse.setText("…")
        row = qt.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._paths, 1)
        row.addWidget(self._browse)
        self.setFocusProxy(self._paths)
        self._paths.connect("editTextChanged(QString)", self._changed)
        self._browse.connect("clicked()", self.browse)

    def _changed(self, path: str) -> None:
        endings = re.findall(r"\*(\.\w+)", " ".join(self._name_filters))
        was, self._valid = self._valid, bool(path) and (not endings or path.endswith(tuple(endings)))
        if self._valid:
            self.currentPathChanged.emit(path)
        if self._valid != was:
            self.validInputChanged.emit(self._valid)

    def setCurrentPath(self, path: str) -> None:
        self._paths.setEditText(path)

    def addCurrentPathToHistory(self) -> None:
        path = self._paths.currentText
        if path and self._paths.findText(path) < 0:
            self._paths.blockSignals(True)
            self._paths.insertItem(0, path)
            self._paths.setCurrentIndex(0)
            self._paths.blockSignals(False)
        if self._setting:
            history = [self._paths.itemText(row) for row in range(self._paths.count)]
            qt.QSettings().setValue(self._setting, history)

    def retrieveHistory(self) -> None:
        history = qt.QSettings().value(self._setting) or []
        self._paths.blockSignals(True)
        self._paths.clear()
        self._paths.addItems([history] if isinstance(history, str) else list(history))
        self._paths.blockSignals(False)
        self._changed(self._paths.currentText)

    def browse(self) -> None:
        folder = bool(self._filters & self.Dirs)
        ask = qt.QFileDialog.getExistingDirectory if folder else qt.QFileDialog.getOpenFileName
        names = () if folder else (";;".join(self._name_filters),)
        path = ask(self, "Select a folder" if folder else "Select a file", self._paths.currentText, *names)
        if path:
            self.setCurrentPath(path)
            self.addCurrentPathToHistory()

    def setFilters(self, filters: int) -> None:
        self._filters = int(filters)

    def setNameFilters(self, patterns: list[str]) -> None:
        self._name_filters = list(patterns)

    def setSettingKey(self, key: str) -> None:
        self._setting = key
        self.retrieveHistory()

    def setShowBrowseButton(self, shown: bool) -> None:
        self._browse.setVisible(shown)

    currentPath = Property(str, lambda self: self._paths.currentText, setCurrentPath, user=True)
    filters = Property(int, lambda self: self._filters, setFilters)
    nameFilters = Property("QStringList", lambda self: self._name_filters, setNameFilters)
    settingKey = Property(str, lambda self: self._setting, setSettingKey)
    showBrowseButton = Property(bool, lambda self: not self._browse.isHidden(), setShowBrowseButton)
    showHistoryButton = Property(bool, lambda self: False, lambda self, shown: None)
