"""The whole job of classifying on the light half: find, read, classify, and write every output that was asked for."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TextIO

from MonaiSKD import events
from MonaiSKD.choices import HeatmapFormat, HeatmapKind
from MonaiSKD.errors import SKDError
from MonaiSKD.files import check_writable, output_file
from MonaiSKD.reading.sources import Source, find_sources
from MonaiSKD.reporting.json_lines import to_json
from MonaiSKD.reporting.sentences import NOT_CLINICAL, Totals, cause, printable
from MonaiSKD.reporting.text import format_failure, format_result, format_totals
from MonaiSKD.runtime import Classifier, Failure, Result

# A bar for fewer inputs would be gone before it is read.
_BAR_FROM = 5


@dataclass(frozen=True)
class Wishes:
    """Which outputs the user asked for.

    Args:
        json: JSON lines instead of text on standard output.
        csv: a table.
        heatmaps: a folder for heat maps.
        heatmap_format: as PNG pictures, or as DICOM objects of the image's study.
        sr: a folder for DICOM SR, one per study.
        report: an HTML page.
        explain: say what was done to each image.
        identify: write whose image it is.
    """

    json: bool = False
    csv: str | None = None
    heatmaps: str | None = None
    heatmap_format: HeatmapFormat = "png"
    sr: str | None = None
    report: str | None = None
    explain: bool = False
    identify: bool = False


def classify(
    classifier: Classifier,
    paths: Sequence[str],
    wishes: Wishes,
    *,
    recursive: bool = False,
    gather: bool = False,
    kept: Sequence[str | os.PathLike[str]] = (),
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> Totals:
    """Classify files and folders, and write what is wished for as the answers come.

    Args:
        classifier: an opened model.
        paths: files and folders.
        wishes: the outputs.
        recursive: whether folders below the named ones are walked, too.
        gather: whether DICOM files that are named one by one are joined by series.
        kept: files that no output may replace, besides what is classified: the model's, lists of paths.
        out: where answers go; standard output by default.
        err: where progress and notes go; standard error by default.

    Returns:
        how many inputs ended where; `failed` counts those without an answer.

    Raises:
        SKDError: there is nothing to classify, or an output cannot be written or would replace what is read.
    """
    out, err = out or sys.stdout, err or sys.stderr
    skipped: list[str] = []
    rule = classifier.contract.rule
    sources = list(find_sources(paths, rule, recursive=recursive, gather=gather, on_skip=skipped.append))
    if not sources:
        remedy = "Name files, or folders that hold images; folders below them are walked with --recursive"
        raise SKDError(", ".join(map(str, paths)), "there is no image", remedy, code="not_found")
    wishes = _check_outputs(wishes, chain(kept, paths, (file for source in sources for file in source.files)))
    events.emit("total", inputs=len(sources))
    totals = Totals()
    for_reports: list[Result] = []
    few = "file is no image and was" if len(skipped) == 1 else "files are no images and were"
    notes = [f"{len(skipped)} {few} left out"] if skipped else []
    with ExitStack() as stack:
        sinks = list(_sinks(classifier, wishes, out, notes, stack))
        wants_heat = wishes.heatmaps is not None or wishes.report is not None
        for answer in _with_bar(classifier.each(sources, heatmaps=wants_heat), sources, out, err):
            totals.add(answer)
            for sink in sinks:
                sink(answer)
            if events.listening():
                line = to_json(answer, wishes.identify, wishes.explain)
                events.emit("answer", index=totals.inputs - 1, answer=json.loads(line))
            if wishes.sr is not None and isinstance(answer, Result):
                for_reports.append(replace(answer, heatmaps=()))
    if wishes.sr is not None:
        notes += _write_reports(for_reports, wishes.sr)
    if not wishes.json:
        if totals.inputs > 1:
            print(f"\n{format_totals(totals, encoding=_encoding(out))}", file=out)
        elif not wishes.explain or totals.failed:  # the explanation ends with it
            print(NOT_CLINICAL, file=out)
    for note in notes:
        print(printable(note), file=err)
    return totals


def _check_outputs(wishes: Wishes, kept: Iterable[str | os.PathLike[str]]) -> Wishes:
    """Refuse what could not be written after hours of answers, or would cost an input; files without links."""
    if wishes.sr is not None or (wishes.heatmaps is not None and wishes.heatmap_format != "png"):
        from MonaiSKD.reporting.dicom_common import require_dicom

        require_dicom()
    for folder in (wishes.sr, wishes.heatmaps):
        if folder is not None:
            check_writable(folder)
    inputs = tuple(kept)
    csv, report = (None if file is None else str(output_file(file, inputs)) for file in (wishes.csv, wishes.report))
    if csv is not None and report is not None and os.path.realpath(csv) == os.path.realpath(report):
        raise SKDError(report, "is named for the table and for the page", "Name two files")
    return replace(wishes, csv=csv, report=report)


Sink = Callable[[Result | Failure], object]


def _sinks(classifier: Classifier, wishes: Wishes, out: TextIO, notes: list[str], stack: ExitStack) -> Iterator[Sink]:
    """What takes each answer; standard output comes last, so that what it says was saved is saved."""
    if wishes.csv is not None:
        from MonaiSKD.reporting.table import TableWriter

        yield stack.enter_context(TableWriter(wishes.csv, classifier.contract.class_names, wishes.identify)).add
    if wishes.report is not None:
        from MonaiSKD.reporting.page import PageWriter

        modality = classifier.contract.rule.modality
        yield stack.enter_context(PageWriter(wishes.report, classifier.model, wishes.identify, modality)).add
    yield _Printer(classifier, wishes, out, notes)


class _Printer:
    """Saves heat maps and prints the answer, which names them."""

    def __init__(self, classifier: Classifier, wishes: Wishes, out: TextIO, notes: list[str]) -> None:
        self.classifier, self.wishes, self.out, self.notes = classifier, wishes, out, notes
        self.colour = out.isatty()

    def __call__(self, answer: Result | Failure) -> None:
        saved = self._save(answer)
        if self.wishes.json:
            print(to_json(answer, self.wishes.identify, self.wishes.explain, saved), file=self.out, flush=True)
        elif isinstance(answer, Failure):
            print(format_failure(answer, self.colour, _encoding(self.out)), file=self.out)
        else:
            print(format_result(answer, self.wishes.explain, self.colour, _encoding(self.out)), file=self.out)
            for path in saved or ():
                line = printable(f"  heat map: {path}").encode(_encoding(self.out), "backslashreplace")
                print(line.decode(_encoding(self.out)), file=self.out)

    def _save(self, answer: Result | Failure) -> Sequence[Path] | None:
        folder = self.wishes.heatmaps
        if folder is None or isinstance(answer, Failure):
            return None
        kind = self.wishes.heatmap_format
        if kind != "png" and any(heat.instance for heat in answer.heatmaps):
            try:
                return self._save_dicom(answer, folder, kind)
            except SKDError as error:
                if error.code not in ("not_found", "damaged", "unsupported"):  # of the output, not of this input
                    raise
                self.notes.append(f"a PNG instead of a DICOM heat map for {answer.input}: {error.cause}")
        from MonaiSKD.reporting.overlay import save_overlays

        return save_overlays(answer, folder)

    def _save_dicom(self, answer: Result, folder: str, kind: HeatmapKind) -> Sequence[Path]:
        from MonaiSKD.reporting.dicom_heatmap import write_heatmaps

        return write_heatmaps(answer.heatmaps, folder, kind, self.classifier.model)


def _encoding(out: TextIO) -> str:
    return getattr(out, "encoding", None) or "utf-8"


def _with_bar(
    answers: Iterable[Result | Failure], sources: Sequence[Source], out: TextIO, err: TextIO
) -> Iterable[Result | Failure]:
    # Answers on the same terminal would be written into the bar, and show how far it is themselves.
    if len(sources) < _BAR_FROM or out.isatty() or not err.isatty():
        return answers
    from tqdm import tqdm

    bar: Iterable[Result | Failure] = tqdm(answers, total=len(sources), file=err, unit="image", leave=False)
    return bar


def _write_reports(results: Sequence[Result], folder: str) -> list[str]:
    from MonaiSKD.reporting.dicom_sr import write_reports

    reports = write_reports(results, folder)
    skipped = [{"input": one.input, "message": cause(one), "remedy": one.remedy} for one in reports.skipped]
    events.emit("saved", what="sr", paths=[str(path) for path in reports.paths], skipped=skipped)
    inputs: dict[str, list[str]] = {}
    for one in reports.skipped:
        inputs.setdefault(f"{cause(one)}. {one.remedy}", []).append(one.input)
    notes = [f"DICOM SR: {path}" for path in reports.paths]
    for why, names in inputs.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        notes.append(f"no DICOM SR for {names[0]}{more}: {why}")
    return notes
