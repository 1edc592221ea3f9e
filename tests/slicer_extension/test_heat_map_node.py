"""The heat map lies where the evidence is, however the volume is stored."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import slicer
import vtk
from SKDClassifierLib.scene import HeatMapNode, Inputs

from MonaiSKD.reading import RULES


def turned(axis: int, degrees: float) -> np.ndarray:
    matrix, angle = np.eye(4), np.radians(degrees)
    a, b = [one for one in range(3) if one != axis]
    matrix[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
    return matrix


PERMUTED = np.array([[0, 0, 4.0, 5], [2, 0, 0, -30], [0, 2, 0, 10], [0, 0, 0, 1]])
AFFINES = {
    "as DICOM": np.diag([-2.0, -2.0, 5.0, 1.0]),
    "as NIfTI": np.diag([2.0, 2.0, 5.0, 1.0]),
    "head first": np.diag([-2.0, 2.0, -5.0, 1.0]),
    "sagittal": PERMUTED,
    "oblique": turned(2, 17) @ turned(0, -12) @ np.diag([-2.0, -2.0, 5.0, 1.0]),
    "flipped and oblique": turned(1, 20) @ np.diag([2.0, -2.0, -5.0, 1.0]),
    "very oblique": turned(0, 40) @ np.diag([-2.0, -2.0, 3.0, 1.0]),
}
SHAPE = (20, 40, 36)  # k, j, i


def result_with(heat: np.ndarray) -> Any:
    return SimpleNamespace(slices=SimpleNamespace(heat=heat.astype(np.float32)))


def prepared(node: Any) -> Inputs.PreparedVolume:
    return Inputs.prepare(node, RULES["brain_mri"])


@pytest.fixture(params=AFFINES)
def volume(request, add_volume) -> Any:
    if request.param == "very oblique":
        pytest.importorskip("SimpleITK", reason="resampling needs SimpleITK, which 3D Slicer has")
    affine = AFFINES[request.param].copy()
    affine[:3, 3] += 50, 60, -30
    values = np.random.default_rng(0).integers(0, 900, SHAPE).astype(np.int16)
    return add_volume(values, affine)


def test_a_hot_place_lands_on_its_point_in_space(scene, volume):
    """A hill of evidence around one pixel of one slice peaks in the overlay at that point of the body."""
    read = prepared(volume)
    height, width = read.picture
    slice_, row, column = len(read.series) // 2 + 1, height // 3, width // 4
    axes = np.meshgrid(np.arange(len(read.series)), np.arange(height), np.arange(width), indexing="ij")
    distance = sum((axis - at) ** 2 for axis, at in zip(axes, (slice_, row, column), strict=True))
    heat = HeatMapNode.make_heat(read, result_with(np.exp(-distance / 8.0)))
    node = HeatMapNode.add_heat_map(scene, volume, heat, "heat")
    shown = slicer.util.arrayFromVolume(node)
    assert shown.shape == SHAPE
    assert shown.dtype == np.uint8
    weights = np.where(shown > 30, shown, 0).astype(float)
    k, j, i = (float((weights * axis).sum() / weights.sum()) for axis in np.indices(SHAPE))
    expected = np.linalg.inv(read.captured.ijk_to_ras) @ read.affine @ [column, row, slice_, 1]
    np.testing.assert_allclose([i, j, k], expected[:3], atol=0.5)
    matrices = [vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()]
    volume.GetIJKToRASMatrix(matrices[0])
    node.GetIJKToRASMatrix(matrices[1])
    np.testing.assert_array_equal(*(slicer.util.arrayFromVTKMatrix(matrix) for matrix in matrices))


def test_the_overlay_has_no_empty_rim(volume):
    read = prepared(volume)
    heat = HeatMapNode.make_heat(read, result_with(np.ones((len(read.series), 5, 7))))
    values = vtk.util.numpy_support.vtk_to_numpy(heat.GetPointData().GetScalars())
    assert (values == 100).all()


def test_cells_cover_the_picture_evenly(add_volume):
    """Two cells over 8 columns: their middles at columns 1.5 and 5.5, halves between at 3.5."""
    node = add_volume(np.random.default_rng(0).integers(0, 900, (6, 8, 8)).astype(np.int16))
    read = prepared(node)
    heat = HeatMapNode.make_heat(read, result_with(np.tile([[0.0, 1.0]], (6, 1, 1))))
    row = vtk.util.numpy_support.vtk_to_numpy(heat.GetPointData().GetScalars()).reshape(6, 8, 8)[3, 4]
    np.testing.assert_allclose(row, [0, 0, 12.5, 37.5, 62.5, 87.5, 100, 100], atol=1)


def test_slabs_give_what_the_whole_gives(volume, monkeypatch):
    read = prepared(volume)
    result = result_with(np.random.default_rng(1).random((len(read.series), 5, 7)))
    whole, *slabs = (make_in_slabs(monkeypatch, read, result, size) for size in (10**9, 3 * 36 * 40, 1))
    assert len(np.unique(whole)) > 20
    for one in slabs:
        np.testing.assert_array_equal(one, whole)


def make_in_slabs(monkeypatch: pytest.MonkeyPatch, read: Any, result: Any, size: int) -> np.ndarray:
    monkeypatch.setattr(HeatMapNode, "_SLAB", size)
    heat = HeatMapNode.make_heat(read, result)
    return vtk.util.numpy_support.vtk_to_numpy(heat.GetPointData().GetScalars()).copy()


def test_the_application_runs_while_a_large_heat_map_is_made():
    """VTK keeps the lock of Python; the main thread must get it now and then."""
    image = vtk.vtkImageData()
    image.SetDimensions(512, 512, 120)
    captured = SimpleNamespace(image=image, ijk_to_ras=np.eye(4))
    read: Any = SimpleNamespace(captured=captured, affine=np.eye(4), picture=(512, 512))
    result = result_with(np.random.default_rng(1).random((120, 7, 7)))
    longest: list[float] = []
    while min(longest, default=1.0) >= 0.1 and len(longest) < 4:  # other programs may hold this one up
        thread = threading.Thread(target=HeatMapNode.make_heat, args=(read, result))
        thread.start()
        waits, before = [0.0], time.perf_counter()
        while thread.is_alive():
            time.sleep(0.001)
            waits.append(time.perf_counter() - before)
            before = time.perf_counter()
        longest.append(max(waits))
    assert min(longest) < 0.1, longest


def test_evidence_against_the_label_is_not_shown(add_volume):
    read = prepared(add_volume(np.random.default_rng(0).integers(0, 900, (6, 8, 8)).astype(np.int16)))
    heat = HeatMapNode.make_heat(read, result_with(np.full((6, 2, 2), -3.0)))
    assert vtk.util.numpy_support.vtk_to_numpy(heat.GetPointData().GetScalars()).max() == 0


def test_the_overlay_moves_with_the_transform_of_its_volume(scene, add_volume):
    node = add_volume(np.random.default_rng(0).integers(0, 900, SHAPE).astype(np.int16))
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    slicer.util.updateVTKMatrixFromArray(matrix, turned(2, 90))
    transform.SetMatrixTransformToParent(matrix)
    node.SetAndObserveTransformNodeID(transform.GetID())
    read = prepared(node)
    heat = HeatMapNode.add_heat_map(scene, node, HeatMapNode.make_heat(read, result_with(np.ones((20, 2, 2)))), "heat")
    assert heat.GetParentTransformNode() is transform
    # The axial slices are those of the body as it lies under the transform.
    middle = turned(2, 90) @ [-17.5, -19.5, 0, 1]
    np.testing.assert_allclose(read.centres()[0], middle[:3], atol=1e-6)


def test_one_colour_table_serves_all_heat_maps(scene, add_volume):
    read = prepared(add_volume(np.random.default_rng(0).integers(0, 900, SHAPE).astype(np.int16)))
    volume = scene.GetNodeByID(read.captured.node_id)
    heats = [
        HeatMapNode.add_heat_map(scene, volume, HeatMapNode.make_heat(read, result_with(np.ones((20, 2, 2)))), name)
        for name in "ab"
    ]
    tables = {heat.GetDisplayNode().GetColorNodeID() for heat in heats}
    assert len(tables) == 1
    assert scene.GetNodeByID(tables.pop()).GetName() == "SKD heat"
    assert scene.GetNodesByClass("vtkMRMLColorTableNode").GetNumberOfItems() == 1
    HeatMapNode.set_threshold(heats[0], 40)
    display = heats[0].GetDisplayNode()
    assert (display.GetLowerThreshold(), display.GetUpperThreshold(), display.GetApplyThreshold()) == (40, 100, 1)
