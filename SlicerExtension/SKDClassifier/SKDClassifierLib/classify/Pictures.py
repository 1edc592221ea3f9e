"""One picture of the panel and the views beside it."""

from __future__ import annotations

from typing import Any

import ctk
import qt
import slicer

_GAP = 8


def panel_and_views(panel: Any) -> Any:
    """A QImage of a widget and, where the application shows views, of these to the right of it."""
    parts = [panel.grab().toImage()]
    layout = slicer.app.layoutManager()
    if layout is not None and layout.viewport() is not None:
        # grab() leaves out what the graphics card drew
        parts.append(ctk.ctkWidgetsUtils.grabWidget(layout.viewport()))
    width = sum(part.width() for part in parts) + _GAP * (len(parts) - 1)
    whole = qt.QImage(width, max(part.height() for part in parts), qt.QImage.Format_RGB32)
    whole.fill(panel.palette.color(qt.QPalette.Window))
    painter, left = qt.QPainter(whole), 0
    for part in parts:
        painter.drawImage(left, 0, part)
        left += part.width() + _GAP
    painter.end()
    return whole
