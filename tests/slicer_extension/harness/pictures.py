"""Pictures: of a widget, of a slice as Slicer draws it, and of both side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import qt
import slicer
from vtk.util.numpy_support import vtk_to_numpy


def screenshot(widget: Any, path: str | Path) -> Any:
    """Save the picture of a widget as PNG; gives the QImage."""
    widget.ensurePolished()
    if not widget.visible:
        widget.show()
    for _ in range(3):  # layouts settle in rounds
        qt.QApplication.processEvents()
    image = widget.grab().toImage()
    _save(image, path)
    return image


def render_slice(view: Any = "Red", size: tuple[int, int] = (360, 360), scene: Any = None) -> Any:
    """The QImage of a slice view: window, colours and a thresholded foreground, blended by Slicer's own logic.

    Args:
        view: a slice node, or the name of a view ("Red", "Yellow", "Green").
        size: width and height in pixels.
        scene: `slicer.mrmlScene` where not given.
    """
    scene = scene if scene is not None else slicer.mrmlScene
    node = view if not isinstance(view, str) else scene.GetNodeByID(f"vtkMRMLSliceNode{view}")
    logic = slicer.app.layoutManager().sliceWidget(node.GetLayoutName()).sliceLogic()
    node.SetDimensions(*size, 1)
    width, height, depth = node.GetFieldOfView()
    longest = max(width / size[0], height / size[1])
    node.SetFieldOfView(longest * size[0], longest * size[1], depth)
    logic.UpdatePipeline()
    connection = logic.GetImageDataConnection()
    if connection is None:
        return _blank(size)
    producer = connection.GetProducer()
    producer.Update()
    data = producer.GetOutputDataObject(connection.GetIndex())
    columns, rows, _ = data.GetDimensions()
    scalars = data.GetPointData().GetScalars()
    if scalars is None:
        return _blank(size)
    pixels = vtk_to_numpy(scalars).reshape(rows, columns, -1)[::-1]
    return _image(pixels)


def beside(images: list[Any]) -> Any:
    """Pictures in a row, as one."""
    gap = 6
    whole = qt.QImage(
        sum(one.width() for one in images) + gap * (len(images) - 1),
        max(one.height() for one in images),
        qt.QImage.Format_RGB32,
    )
    whole.fill(qt.QColor("#303030"))
    painter, left = qt.QPainter(whole), 0
    for one in images:
        painter.drawImage(left, 0, one)
        left += one.width() + gap
    painter.end()
    return whole


def composite(panel: Any, slices: list[Any], path: str | Path) -> Any:
    """Save one picture of a panel (widget or QImage) and, beside it, slice pictures in a column or two."""
    panel = panel if isinstance(panel, qt.QImage) else panel.grab().toImage()
    rows = [beside(slices[start : start + 2]) for start in range(0, len(slices), 2)]
    height = max(panel.height(), sum(one.height() for one in rows) + 6 * (len(rows) - 1))
    column = qt.QImage(max(one.width() for one in rows), height, qt.QImage.Format_RGB32)
    column.fill(qt.QColor("#303030"))
    painter, top = qt.QPainter(column), 0
    for one in rows:
        painter.drawImage(0, top, one)
        top += one.height() + 6
    painter.end()
    whole = beside([panel, column])
    _save(whole, path)
    return whole


def pixels_of(image: Any) -> np.ndarray:
    """uint8 (H, W, 3) of a QImage."""
    image = image.convertToFormat(qt.QImage.Format_RGB888)
    flat = np.frombuffer(image.constBits(), dtype=np.uint8).reshape(image.height(), image.bytesPerLine())
    return flat[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def _image(pixels: np.ndarray) -> Any:
    pixels = np.ascontiguousarray(pixels[..., :3], dtype=np.uint8)
    rows, columns, _ = pixels.shape
    return qt.QImage(pixels.tobytes(), columns, rows, 3 * columns, qt.QImage.Format_RGB888).copy()


def _blank(size: tuple[int, int]) -> Any:
    image = qt.QImage(*size, qt.QImage.Format_RGB888)
    image.fill(qt.QColor("black"))
    return image


def _save(image: Any, path: str | Path) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    if not image.save(str(path)):
        raise OSError(f"{path}: the picture cannot be written")
