"""Classifying volumes of the scene: prepared on the main thread, answered in any, shown on the main thread. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer

from SKDClassifierLib import HeatMapNode, Inputs, Package, ResultNodes

if TYPE_CHECKING:
    import vtk

    from MonaiSKD.reading import Series
    from MonaiSKD.runtime import Classifier, Result
    from SKDClassifierLib.Protocols import Progress
    from SKDClassifierLib.ResultNodes import StoredResult


class Cancelled(Exception):
    """The user cancelled the work."""


@dataclass(frozen=True, eq=False)
class Answer:
    """The classification of a volume, not yet in the scene.

    Args:
        prepared: the volume.
        result: what the model says.
        heat: the heat map in the volume's geometry; None where none was asked for.
        title: of the model.
    """

    prepared: Inputs.PreparedVolume
    result: Result
    heat: vtk.vtkImageData | None
    title: str


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
        if key not in self._opened:
            self._opened = {other: one for other, one in self._opened.items() if other[0] != key[0]}
            self._opened[key] = Classifier(path)
        return self._opened[key]

    def task(self, node: Any, model: str | Path, heat: bool = True) -> Callable[[Progress], Answer]:
        """Prepare a volume (main thread); the returned function touches no MRML and may run in any thread.

        Args:
            node: the volume node.
            model: a bundle's short name, a run folder or a model file.
            heat: whether to make the heat map.

        Raises:
            SKDError: the volume or the model cannot be used; the returned function raises it too, and
                :class:`Cancelled` when its progress does.
        """
        classifier = self.classifier(model)
        prepared = Inputs.prepare(node, classifier.contract.rule, self.database)

        def run(progress: Progress) -> Answer:
            series = _counted(prepared.series, progress)
            result = classifier.classify(series, heatmaps=heat and len(series) == 1, every_slice=heat)
            image = HeatMapNode.make_heat(prepared, result) if heat else None
            return Answer(prepared, result, image, classifier.contract.title or classifier.contract.name)

        return run

    def show(self, answer: Answer) -> StoredResult:
        """Put an answer into the scene: all of its nodes or none (main thread).

        Raises:
            SKDError: the volume was deleted or changed meanwhile.
        """
        node = Inputs.unchanged(answer.prepared, self.scene)
        return ResultNodes.store(
            self.scene, node, answer.result, answer.prepared.centres(), answer.title, heat=answer.heat
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
