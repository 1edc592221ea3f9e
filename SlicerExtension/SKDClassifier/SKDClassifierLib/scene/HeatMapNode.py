"""The heat map as a volume that lies over the image, in its geometry. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

if TYPE_CHECKING:
    from MonaiSKD.runtime import Result
    from SKDClassifierLib.scene.Inputs import PreparedVolume

COLOURS = "SKD heat"
# Volume nodes that are heat maps carry this attribute.
ATTRIBUTE = "SKDClassifier.heatMap"
# Percent of the strongest evidence, so that 1 byte a voxel is enough for a large CT.
FULL = 100
_SLAB = 4_000_000  # voxels that are interpolated in one go


def make_heat(prepared: PreparedVolume, result: Result) -> vtk.vtkImageData | None:
    """The evidence for the label at every voxel of the volume; any thread.

    Cell (u, v) of the network's grid (h, w) stands for the part of the picture around column (u + 0.5) W / w - 0.5,
    and row likewise; between the middles of the cells it is interpolated.

    Args:
        prepared: the volume.
        result: its classification, with heat maps (of every slice for a volume).

    Returns:
        uint8 image with the volume's dimensions, 0 to 100 percent of the strongest evidence for the label; evidence
        against it is 0. None where the result carries no heat maps.
    """
    evidence = _evidence(result)
    if evidence is None:
        return None
    positive = np.clip(np.nan_to_num(evidence), 0, None)
    peak = float(positive.max())
    cells = (positive * (FULL / peak if peak > 0 else 0)).astype(np.float32)
    reslice = vtk.vtkImageReslice()
    reslice.SetInputData(_as_image(cells))
    reslice.SetInterpolationModeToLinear()
    reslice.SetBorderThickness(max(cells.shape))  # beyond the outermost middles the outermost cells count
    reslice.BorderOn()
    reslice.SetResliceTransform(_transform(_voxel_to_cell(prepared, cells.shape)))
    reslice.SetOutputOrigin(0, 0, 0)
    reslice.SetOutputSpacing(1, 1, 1)
    reslice.SetOutputScalarType(vtk.VTK_UNSIGNED_CHAR)
    return _in_slabs(reslice, prepared.captured.image.GetExtent())


def add_heat_map(scene: Any, node: Any, heat: vtk.vtkImageData, name: str) -> Any:
    """A scalar volume node of the heat map, with the geometry and the transform of `node`."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    volume.SetAttribute(ATTRIBUTE, "1")
    volume.SetIJKToRASMatrix(matrix)
    volume.SetAndObserveTransformNodeID(node.GetTransformNodeID())
    volume.CreateDefaultDisplayNodes()
    display = volume.GetDisplayNode()
    display.SetAndObserveColorNodeID(colour_table(scene).GetID())
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(0, FULL)
    set_threshold(volume, 20)
    # Last: a display node that finds an image takes its time to choose a window for it.
    volume.SetAndObserveImageData(heat)
    return volume


def set_threshold(volume: Any, percent: float) -> None:
    """Draw the heat map from `percent` of the strongest evidence on."""
    display = volume.GetDisplayNode()
    display.AutoThresholdOff()
    display.SetLowerThreshold(max(1.0, percent))
    display.SetUpperThreshold(FULL)
    display.ApplyThresholdOn()


def colour_table(scene: Any) -> Any:
    """The colour table "SKD heat", the one of the saved pictures; made where the scene has none."""
    table = scene.GetFirstNodeByName(COLOURS)
    if table is not None and table.IsA("vtkMRMLColorTableNode"):
        return table
    from MonaiSKD.reporting.overlay import colour_table as colours

    table = slicer.vtkMRMLColorTableNode()
    table.SetTypeToUser()
    table.SetName(COLOURS)
    table.SetNumberOfColors(256)
    for index, (red, green, blue) in enumerate(np.asarray(colours(), dtype=np.float64) / 255):
        table.SetColor(index, f"{index / 2.55:.0f} %", red, green, blue, 1.0)
    return scene.AddNode(table)


def show_as_foreground(scene: Any, volume: Any | None, opacity: float, over: Any | None = None) -> bool:
    """Lay a heat map over its image in every slice view.

    Args:
        scene: the MRML scene.
        volume: the heat map; None takes away a heat map that is there, and leaves any other foreground.
        opacity: 0 to 1.
        over: the image that becomes the background; the present one stays where None.

    Returns:
        Whether a view got another background, which should then be fitted to it.
    """
    moved = False
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode", scene):
        if over is not None and composite.GetBackgroundVolumeID() != over.GetID():
            composite.SetBackgroundVolumeID(over.GetID())
            moved = True
        if volume is not None:
            composite.SetForegroundVolumeID(volume.GetID())
            composite.SetForegroundOpacity(opacity)
        elif is_heat_map(scene.GetNodeByID(composite.GetForegroundVolumeID() or "")):
            composite.SetForegroundVolumeID(None)
            composite.SetForegroundOpacity(0.0)
    return moved


def image_in_views(scene: Any) -> Any | None:
    """The image that the slice views show; None where they show none."""
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode", scene):
        node = scene.GetNodeByID(composite.GetBackgroundVolumeID() or "")
        if node is not None and not node.IsA("vtkMRMLLabelMapVolumeNode") and not is_heat_map(node):
            return node
    return None


def is_heat_map(node: Any | None) -> bool:
    """Whether a node is a heat map that this module made."""
    return node is not None and node.GetAttribute(ATTRIBUTE) is not None


def _in_slabs(reslice: vtk.vtkImageReslice, extent: tuple[int, ...]) -> vtk.vtkImageData:
    """What a filter gives, slab by slab: VTK keeps the lock of Python, and the application waits for it."""
    whole = vtk.vtkImageData()
    whole.SetExtent(extent)
    whole.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    columns, rows, slices = whole.GetDimensions()
    values = vtk_to_numpy(whole.GetPointData().GetScalars()).reshape(slices, rows, columns)
    step = max(1, _SLAB // (rows * columns))
    for start in range(0, slices, step):
        end = min(start + step, slices)
        reslice.SetOutputExtent(*extent[:4], extent[4] + start, extent[4] + end - 1)
        reslice.Update()
        slab = vtk_to_numpy(reslice.GetOutput().GetPointData().GetScalars())
        values[start:end] = slab.reshape(end - start, rows, columns)
    return whole


def _evidence(result: Result) -> np.ndarray | None:
    """float32 (S, h, w) of the label."""
    if result.slices is not None:
        return result.slices.heat
    return result.heatmaps[0].values[None] if result.heatmaps else None


def _as_image(cells: np.ndarray) -> vtk.vtkImageData:
    image = vtk.vtkImageData()
    image.SetDimensions(*reversed(cells.shape))
    image.GetPointData().SetScalars(numpy_to_vtk(cells.ravel(), deep=True, array_type=vtk.VTK_FLOAT))
    return image


def _voxel_to_cell(prepared: PreparedVolume, shape: tuple[int, ...]) -> np.ndarray:
    """From (i, j, k) of the volume to (u, v, slice) of the grid of cells."""
    _, rows, columns = shape
    height, width = prepared.picture
    to_cells = np.diag([columns / width, rows / height, 1.0, 1.0])
    to_cells[0, 3], to_cells[1, 3] = 0.5 * columns / width - 0.5, 0.5 * rows / height - 0.5
    return to_cells @ np.linalg.inv(prepared.affine) @ prepared.captured.ijk_to_ras


def _transform(matrix: np.ndarray) -> vtk.vtkTransform:
    transform = vtk.vtkTransform()
    transform.SetMatrix(matrix.ravel().tolist())
    return transform
