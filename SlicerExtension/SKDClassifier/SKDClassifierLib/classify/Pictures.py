"""One picture of the panel and the views beside it."""

from __future__ import annotations

from typing import Any

import ctk
import qt
import slicer

_GAP = 8


def panel_and_views(panel: Any) -> Any:
    """A QImage of a widget and, where the application shows views, of these to the right of it."""
    parts = [panel.grab().toImage(), *_views()]
    for part in parts:
        part.setDevicePixelRatio(1.0)  # on a fine screen it would be drawn smaller than it is
    width = sum(part.width() for part in parts) + _GAP * (len(parts) - 1)
    whole = qt.QImage(width, max(part.height() for part in parts), qt.QImage.Format_RGB32)
    whole.fill(panel.palette.color(qt.QPalette.Window))
    painter, left = qt.QPainter(whole), 0
    for part in parts:
        painter.drawImage(left, 0, part)
        left += part.width() + _GAP
    painter.end()
    return whole


def _views() -> list[Any]:
    """The part of the main window where the views lie, where there is one.

    Grabbed alone they would lack their background, and by grab() what the graphics card drew.
    """
    layout, window = slicer.app.layoutManager(), slicer.util.mainWindow()
    area = layout.viewport() if layout is not None else None
    if area is None or window is None:
        return []
    corner = area.mapTo(window, qt.QPoint(0, 0))
    return [ctk.ctkWidgetsUtils.grabWidget(window, qt.QRect(corner.x(), corner.y(), area.width, area.height))]
