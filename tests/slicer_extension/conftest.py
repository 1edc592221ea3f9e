"""For the 3D Slicer module: real MRML, from the package slicer-core, in an environment of its own."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "SlicerExtension" / "SKDClassifier"
HAS_SLICER = importlib.util.find_spec("slicer") is not None
if HAS_SLICER:
    sys.path[:0] = [str(MODULE), str(ROOT / "tests"), str(Path(__file__).parent)]
    import harness

    harness.install()
    from batch_desk import pictures  # noqa: F401  (a fixture)
    from child_jobs import model, program  # noqa: F401  (fixtures)
    from label_server import server  # noqa: F401  (a fixture)
    from shown_result import ct, shown  # noqa: F401  (fixtures)
else:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def scene() -> Iterator[Any]:
    """An empty scene, which is the application's while the test runs."""
    import slicer

    slicer.mrmlScene = slicer.vtkMRMLScene()
    yield slicer.mrmlScene
    slicer.mrmlScene.Clear(True)
    del slicer.mrmlScene


@pytest.fixture
def app(scene: Any, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Slicer's application on that scene, with Qt; see the package harness."""
    from harness.fixture import App

    application = App(scene, tmp_path_factory.mktemp("application"), monkeypatch)
    yield application
    application.end()


@pytest.fixture
def add_volume(scene: Any) -> Callable[..., Any]:
    """Puts an array (K, J, I) with its IJK-to-RAS matrix into the scene as a volume node."""
    import slicer
    import vtk

    def add(values: np.ndarray, affine: np.ndarray | None = None, kind: str = "Scalar", name: str = "image") -> Any:
        node = scene.AddNewNodeByClass(f"vtkMRML{kind}VolumeNode", name)
        slicer.util.updateVolumeFromArray(node, values)
        matrix = vtk.vtkMatrix4x4()
        slicer.util.updateVTKMatrixFromArray(matrix, np.diag([-1.0, -1.0, 1.0, 1.0]) if affine is None else affine)
        node.SetIJKToRASMatrix(matrix)
        return node

    return add
