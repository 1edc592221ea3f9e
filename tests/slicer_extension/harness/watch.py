"""Observers of VTK objects that go with the widget that needs them, as Slicer's own do."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import qt


class Watch:
    """Calls a method of a widget at events of VTK objects, until it is cleared or the widget is destroyed."""

    def __init__(self, widget: qt.QObject, method: str) -> None:
        self._widget, self._method = weakref.ref(widget), method
        self._tags: list[tuple[Any, int]] = []
        widget.destroyed.connect(self._end)

    def look_at(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        """Observe these (object, event), and nothing else any more."""
        self.clear()
        self._tags = [(one, one.AddObserver(event, self._told)) for one, event in pairs if one is not None]

    def clear(self) -> None:
        """Observe nothing."""
        for one, tag in self._tags:
            one.RemoveObserver(tag)
        self._tags = []

    def _told(self, *_: Any) -> None:
        widget = self._widget()
        if widget is not None:
            getattr(widget, self._method)()

    def _end(self, *_: Any) -> None:
        self.clear()
