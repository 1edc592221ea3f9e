"""Classifying files with a model file: the one way in for Python users, the command, 3D Slicer and the servers."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.image import Image, Series
from MonaiSKD.reading.series import read_series
from MonaiSKD.reading.sources import Source, find_sources
from MonaiSKD.reading.volume import one_image
from MonaiSKD.runtime.contract import Contract
from MonaiSKD.runtime.modelfile import Answers, open_model
from MonaiSKD.runtime.models import find_model
from MonaiSKD.runtime.result import Failure, HeatMap, ModelIdentity, Result
from MonaiSKD.runtime.study import combine, dissent

_LOG = logging.getLogger(__name__)
# Slices per run of the network and thread: more are hardly faster, and cost more memory than the volume itself.
_BATCH = 8

Array = npt.NDArray[np.float32]
# Of a slice: its index, the canonical image, the evidence (K, h, w).
_Evidence = tuple[int, Image, Array]
_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


class Classifier:
    """A model file, ready to classify.

    One classifier may be used from several threads at once.

    Args:
        model: a bundle's short name ("chest_xray"), a run folder, or an .onnx file.
        provider: "auto", "cpu", "cuda", "openvino", ... (see :func:`MonaiSKD.runtime.providers.resolve_providers`).
        threads: how many inputs, or parts of a volume, are read and classified at once; all processors by default.

    Raises:
        SKDError: there is no such model, or the file is damaged or foreign.

    Example::

        from MonaiSKD import Classifier

        result = Classifier("chest_xray")("radiograph.dcm")
        print(result)                       # for people
        result.label, result.probabilities, result.atypical
    """

    def __init__(self, model: str | os.PathLike[str], *, provider: str = "auto", threads: int | None = None) -> None:
        self._file = open_model(find_model(model), provider)
        self.threads = max(1, threads or os.cpu_count() or 1)
        self.model = ModelIdentity(self.contract.name, self.contract.version, self._file.sha256)
        # One volume is in memory at a time; its slices are what runs side by side.
        self._volume = threading.Lock()

    @property
    def contract(self) -> Contract:
        """What the model says of itself: classes, modality, thresholds, metrics, teacher, licence."""
        return self._file.contract

    def __call__(self, path: str | os.PathLike[str], *, heatmaps: bool = True) -> Result:
        """Classify one file, or the one series in a folder.

        Args:
            path: a DICOM, NIfTI, NRRD, MetaImage, PNG, JPEG or TIFF file, a DICOM series' folder, or a DICOMDIR.
            heatmaps: whether to keep the heat maps of the label.

        Raises:
            SKDError: it cannot be read, is of another modality, or the folder holds no image or several.
        """
        sources = list(islice(find_sources([path], self.contract.rule), 2))
        if not sources:
            raise SKDError(path, "holds no image", "Name a file, or a folder with images", code="not_found")
        if len(sources) > 1:
            raise SKDError(path, "holds several images or series", "Use Classifier.many, or name one of them")
        return self.read_and_classify(sources[0], heatmaps=heatmaps)

    def many(
        self,
        paths: Iterable[str | os.PathLike[str]],
        *,
        recursive: bool = False,
        heatmaps: bool = False,
        on_skip: Callable[[str], None] | None = None,
    ) -> Iterator[Result | Failure]:
        """Classify files and folders, several at once, in order; what fails becomes a :class:`Failure`.

        Args:
            paths: see :func:`MonaiSKD.reading.sources.find_sources`.
            recursive: whether folders below the named ones are walked, too.
            heatmaps: whether to keep the heat maps of the labels.
            on_skip: called with the path of each file in a folder that is no image.
        """
        sources = find_sources(paths, self.contract.rule, recursive=recursive, on_skip=on_skip)
        return self.each(sources, heatmaps=heatmaps)

    def each(self, sources: Iterable[Source], *, heatmaps: bool = False) -> Iterator[Result | Failure]:
        """Classify sources, several at once, in order; what fails becomes a :class:`Failure`."""
        return _in_order(lambda source: self.attempt(source, heatmaps=heatmaps), sources, self.threads)

    def attempt(self, source: Source, *, heatmaps: bool = False) -> Result | Failure:
        """Read and classify one source; every failure is an answer too."""
        try:
            return self.read_and_classify(source, heatmaps=heatmaps)
        except SKDError as error:
            return Failure(source.path, error.code, f"{error.thing}: {error.cause}", error.remedy)
        except MemoryError:
            return Failure(source.path, "too_large", "does not fit into the memory", "Use a machine with more memory")
        except Exception as error:
            # A defect of ours must not cost the other inputs their answers. Its text may quote the file, so it is kept
            # out of the answer.
            _LOG.debug("internal error", exc_info=True)
            remedy = "Report it, if possible with the file"
            return Failure(source.path, "internal", f"internal error ({type(error).__name__})", remedy)

    def read_and_classify(self, source: Source, *, heatmaps: bool = True) -> Result:
        """Read one source and classify it.

        Raises:
            SKDError: it cannot be read, or is of another modality.
        """
        start = time.perf_counter()
        series = read_series(source, self.contract.rule)
        return self.classify(series, heatmaps=heatmaps, start=start)

    def classify(
        self,
        series: Series | Image,
        *,
        heatmaps: bool = True,
        every_slice: bool = False,
        start: float | None = None,
    ) -> Result:
        """Classify what has been read, such as :mod:`MonaiSKD.reading.volume_node` makes of a loaded volume.

        Args:
            series: one image, or the slices of a volume.
            heatmaps: whether to keep the heat maps of the label, of a volume those of its key slices.
            every_slice: whether to keep the label's evidence in all slices of a volume, too (`Slices.heat`).
            start: when the work on this input began, by `time.perf_counter()`.

        Raises:
            SKDError: a slice cannot be read.
        """
        start = time.perf_counter() if start is None else start
        if isinstance(series, Image):
            series = one_image(series, ())
        evidence: list[_Evidence] = []
        if len(series) == 1:
            first = series.read(0)
            answers = self._file.run(first.pixels[None])
            mean, of_all, slices = answers.probabilities[0], float(answers.atypicality[0]), None
            evidence.append((0, first, answers.heatmap[0]))
        else:
            with self._volume:
                first, of_slices = self._run_slices(series, every_slice)
            limit = self.contract.atypicality_threshold
            mean, of_all, slices = combine(of_slices.probabilities, of_slices.atypicality, limit, series.positions)
            if every_slice:
                slices = replace(slices, heat=of_slices.heatmap[:, int(mean.argmax())].copy())
            evidence += self._evidence(series, slices.key) if heatmaps else []
        names = self.contract.class_names
        label = int(mean.argmax())
        dissenting = dissent(slices, names, names[label]) if slices is not None else ()
        return Result(
            input=series.path,
            label=names[label],
            probabilities=dict(zip(names, mean.tolist(), strict=True)),
            thresholds=self.contract.thresholds,
            atypicality=of_all,
            atypicality_threshold=self.contract.atypicality_threshold,
            model=self.model,
            slices=slices,
            heatmaps=tuple(_heatmap(one, label, names[label], series) for one in evidence) if heatmaps else (),
            spacing=first.spacing,
            instances=series.instances,
            identity=series.identity,
            applied=tuple(dict.fromkeys((*series.applied, *first.applied))),
            warnings=tuple(dict.fromkeys((*dissenting, *series.warnings, *first.warnings))),
            milliseconds=(time.perf_counter() - start) * 1e3,
        )

    def _run_slices(self, series: Series, heat: bool) -> tuple[Image, Answers]:
        """The first slice, and the answers for all; their evidence is kept only if `heat`."""
        first: list[Image] = []

        def part(start: int) -> Answers:
            images = [series.read(k) for k in range(start, min(start + _BATCH, len(series)))]
            if start == 0:
                first.append(images[0])
            answers = self._file.run(np.stack([image.pixels for image in images]))
            return answers if heat else answers._replace(heatmap=answers.heatmap[:, :0])

        parts = list(_in_order(part, iter(range(0, len(series), _BATCH)), self.threads))
        return first[0], Answers(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _evidence(self, series: Series, indices: Iterable[int]) -> Iterator[_Evidence]:
        """The key slices once more, with their evidence for every class: it is not kept for all."""
        for index in indices:
            image = series.read(index)
            yield index, image, self._file.run(image.pixels[None]).heatmap[0]


def _heatmap(evidence: _Evidence, label: int, name: str, series: Series) -> HeatMap:
    index, image, values = evidence
    instance = series.instances[index] if series.instances else None
    return HeatMap(values[label].copy(), name, index, image.pixels[0], instance)


def _in_order(function: Callable[[_Item], _Answer], items: Iterable[_Item], threads: int) -> Iterator[_Answer]:
    """`function` of each item, in order, at most `threads` at once and a few ahead of what was taken."""
    if threads == 1:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(threads)
    interrupted = False
    try:
        waiting: deque[Future[_Answer]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except KeyboardInterrupt:
        interrupted = True
        raise
    finally:
        # Where Ctrl-C met the main thread within a lock of the pool, that lock stays held, and whoever waits for the
        # threads waits for ever.
        pool.shutdown(wait=not interrupted, cancel_futures=True)
