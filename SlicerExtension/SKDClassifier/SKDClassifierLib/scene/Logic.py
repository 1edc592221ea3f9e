"""Classifying volumes of the scene: captured on the main thread, answered in any, shown on the main thread. No Qt."""

from __future__ import annotations

import importlib
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer

from SKDClassifierLib import Package
from SKDClassifierLib.classify import Exports
from SKDClassifierLib.scene import HeatMapNode, Inputs, ResultNodes

if TYPE_CHECKING:
    import vtk

    from MonaiSKD.reading import Series
    from MonaiSKD.runtime import Classifier, Failure, Result
    from SKDClassifierLib.Protocols import Progress, ServerChoice
    from SKDClassifierLib.scene.ResultNodes import StoredResult


class Cancelled(Exception):
    """The user cancelled the work."""


@dataclass(frozen=True, eq=False)
class Answer:
    """The classification of a volume, not yet in the scene.

    Args:
        captured: the volume.
        result: what the model says.
        points_ras: float64 (S, 3), the middle of each slice in the world's RAS; empty where they are not known.
        heat: the heat map in the volume's geometry; None where there is none.
        title: of the model.
        source: the server that answered; empty for this computer.
    """

    captured: Inputs.CapturedVolume
    result: Result
    points_ras: np.ndarray
    heat: vtk.vtkImageData | None
    title: str
    source: str = ""


class Logic:
    """Classifies volumes of one scene.

    Args:
        scene: `slicer.mrmlScene` where not given, looked up each time.
        database: `slicer.dicomDatabase` where not given.

    Example:
        stored = Logic().classify(slicer.util.getNode("MRHead"), "brain_mri")
        print(stored.result)
    """

    def __init__(self, scene: Any = None, database: Inputs.DicomDatabase | None = None) -> None:
        self._scene, self._database = scene, database
        self._opened: dict[tuple[str, int, int], Classifier] = {}
        self._opening = threading.Lock()

    @property
    def scene(self) -> Any:
        """The scene it works in."""
        return self._scene if self._scene is not None else slicer.mrmlScene

    @property
    def database(self) -> Inputs.DicomDatabase | None:
        """Where DICOM headers are found."""
        return self._database if self._database is not None else getattr(slicer, "dicomDatabase", None)

    def classifier(self, model: str | Path) -> Classifier:
        """An opened model; it stays open until its file changes.

        Raises:
            SKDError: the file is absent, damaged or foreign.
        """
        Package.make_importable()
        from MonaiSKD.runtime import Classifier, find_model

        path = find_model(model)
        state = path.stat()
        key = (str(path.resolve()), state.st_mtime_ns, state.st_size)
        with self._opening:
            if key not in self._opened:
                self._opened = {other: one for other, one in self._opened.items() if other[0] != key[0]}
                self._opened[key] = Classifier(path)
            return self._opened[key]

    def task(self, node: Any, model: str | Path, heat: bool = True) -> Callable[[Progress], Answer]:
        """Capture a volume (main thread); the returned function touches no MRML and may run in any thread.

        Args:
            node: the volume node.
            model: a bundle's short name, a run folder or a model file.
            heat: whether to make the heat map.

        Raises:
            SKDError: the node is no image; the returned function raises it where the voxels or the model cannot be
                used, and :class:`Cancelled` when its progress does.
        """
        Package.make_importable()
        captured = Inputs.capture(node, self.database)

        def run(progress: Progress) -> Answer:
            classifier = self.classifier(model)
            prepared = Inputs.read(captured, classifier.contract.rule)
            series = _counted(prepared.series, progress)
            result = classifier.classify(series, heatmaps=heat and len(series) == 1, every_slice=heat)
            image = HeatMapNode.make_heat(prepared, result) if heat else None
            importlib.import_module("MonaiSKD.reporting")  # here, not on the main thread when the answer is stored
            title = classifier.contract.title or classifier.contract.name
            return Answer(captured, result, prepared.centres(), image, title)

        return run

    def remote_task(self, node: Any, model: str, server: ServerChoice) -> Callable[[Progress], Answer]:
        """The same on a server, which the user agreed to.

        The file behind the volume is sent; where there is not exactly one, a file is written for it and deleted again.

        Args:
            node: the volume node.
            model: one of the server's.
            server: where it runs.

        Raises:
            SKDError: as for :meth:`task`; the returned function raises it where the server gives no answer.
        """
        Package.make_importable()
        captured = Inputs.capture(node, self.database)
        files = Inputs.dicom_files(node, self.database)
        url = server.url  # the one that the user agreed to; he may choose another one meanwhile

        def run(progress: Progress) -> Answer:
            progress(0, 0)
            with tempfile.TemporaryDirectory() as folder:
                file = files[0] if len(files) == 1 else Exports.write_image(captured, Path(folder) / "image.nii.gz")
                progress(0, 0)
                outcome = server.infer(model, file, url)
            result = replace(_answered(captured.name, outcome), input=captured.name)
            return Answer(captured, result, _remote_centres(captured, result), None, model, url)

        return run

    def show(self, answer: Answer) -> StoredResult:
        """Put an answer into the scene: all of its nodes or none (main thread).

        Raises:
            SKDError: the volume was deleted or changed meanwhile.
        """
        node = Inputs.unchanged(answer.captured, self.scene)
        return ResultNodes.store(
            self.scene,
            node,
            answer.result,
            answer.points_ras,
            answer.title,
            heat=answer.heat,
            source=answer.source,
        )

    def classify(self, node: Any, model: str | Path, heat: bool = True) -> StoredResult:
        """Classify a volume and put the answer into the scene.

        Raises:
            SKDError: see :meth:`task` and :meth:`show`.
        """
        return self.show(self.task(node, model, heat)(lambda done, total: None))


def _counted(series: Series, progress: Progress) -> Series:
    """The series, telling its progress at each slice that is read."""
    total = len(series)
    done = np.zeros(total, dtype=bool)

    def read(index: int) -> Any:
        progress(int(done.sum()), total)
        image = series.read(index)
        done[index] = True
        return image

    return replace(series, read=read)


def _answered(name: str, outcome: Result | Failure) -> Result:
    """A server's outcome, where it is a result."""
    from MonaiSKD.errors import SKDError
    from MonaiSKD.runtime import Failure

    if isinstance(outcome, Failure):
        cause = outcome.message.removeprefix(f"{outcome.input}: ").rstrip(".")
        raise SKDError(name, cause, outcome.remedy.rstrip("."), outcome.code)
    return outcome


def _remote_centres(captured: Inputs.CapturedVolume, result: Result) -> np.ndarray:
    """Where the slices lie that a server tells of; empty where its slices are not those that this computer makes."""
    from MonaiSKD.errors import SKDError
    from MonaiSKD.reading import RULES

    if result.slices is None:
        return np.empty((0, 3))
    try:
        centres = Inputs.read(captured, RULES["brain_mri"]).centres()  # every volume's slices are cut alike
    except SKDError:  # the server could read what this computer cannot; only the way to the slices is missing
        return np.empty((0, 3))
    return centres if len(centres) == len(result.slices.used) else np.empty((0, 3))
