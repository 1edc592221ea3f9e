"""From the images of a study to the DICOM objects that answer it, always under the same UIDs."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from MonaiSKD.choices import HeatMaps
from MonaiSKD.errors import SKDError
from MonaiSKD.files import read_json, write_json
from MonaiSKD.pacs.incoming import sync
from MonaiSKD.reading.dicom.dataset import open_dataset, open_header
from MonaiSKD.reading.dicom.header import text as header_text
from MonaiSKD.reading.sources import find_sources
from MonaiSKD.reporting.dicom_common import stable_uid
from MonaiSKD.reporting.sentences import describe
from MonaiSKD.runtime import Classifier, Failure, ModelIdentity, Result

_SUMMARY = "answer.json"
_SHOWN = 5
_ELSEWHERE = "Send axial series of standard images, or read its answer with monai-skd classify"


@dataclass(frozen=True)
class Prepared:
    """An answer that is ready to be sent.

    Args:
        files: heat maps, then the SR: where the PACS has the report, it has all of the answer.
        study: Study Instance UID.
        series: Series Instance UID of the SR.
        report: SOP Instance UID of the SR.
        text: the answer in words.
        images: how many its series had; None where an earlier version made it.
    """

    files: tuple[Path, ...]
    study: str
    series: str
    report: str
    text: str
    images: int | None


def prepared(folder: Path) -> Prepared | None:
    """The answer that lies in a folder; None where there is none."""
    if not (folder / _SUMMARY).is_file():
        return None
    data = read_json(folder / _SUMMARY)
    files = tuple(folder / name for name in data["files"])
    return Prepared(files, data["study"], data["series"], data["report"], data["text"], data.get("images"))


def prepare(
    classifier: Classifier, study: str, folders: Iterable[Path], out: Path, heat_maps: HeatMaps = "none"
) -> Prepared:
    """Classify the series of a study and write the answer, whole or not at all.

    Each folder is a series. Of radiographs every image is classified, of CT and MR every volume; all that can be
    answered comes into one report, and what cannot be is named in the answer's text. A second call for the same study
    and model makes objects of the same UIDs.

    Args:
        classifier: an opened model.
        study: Study Instance UID.
        folders: of its series.
        out: folder for the answer; replaced.
        heat_maps: what is written beside the report.

    Raises:
        SKDError: none of it can be answered; the first reason. Or it is of another study or of several patients.
    """
    folders = list(folders)
    images = sum(1 for folder in folders for _ in folder.glob("*.dcm"))
    _check_whose(study, folders)
    sources = [source for folder in folders for source in find_sources([folder], classifier.contract.rule)]
    answers = [_for_report(answer) for answer in classifier.each(sources, heatmaps=heat_maps != "none")]
    results = [answer for answer in answers if isinstance(answer, Result)]
    failures = [answer for answer in answers if isinstance(answer, Failure)]
    if not results:
        raise _reason(failures)
    beside = out.with_name(f".{out.name}.part")
    for folder in (beside, out):
        shutil.rmtree(folder, ignore_errors=True)
    report, left_out = _report(results, study, classifier.model, beside)
    failures += left_out
    not_there = {one.input for one in left_out}
    results = [result for result in results if result.input not in not_there]
    files = [*_maps(results, study, classifier.model, beside, heat_maps), report.path]
    summary = {"files": [file.name for file in files], "study": study, "series": report.series, "report": report.uid}
    write_json(beside / _SUMMARY, {**summary, "text": _text(results, failures), "images": images})
    for written in (*beside.iterdir(), beside):
        sync(written)
    os.replace(beside, out)
    sync(out.parent)
    found = prepared(out)
    assert found is not None
    return found


def _text(results: Sequence[Result], failures: Sequence[Failure]) -> str:
    """What the report says, and what it does not hold, in words."""
    text = "; ".join(describe(result) for result in results[:_SHOWN])
    if len(results) > _SHOWN:
        text += f"; {len(results) - _SHOWN} further in the report"
    if failures:
        text += f"; {len(failures)} further without an answer ({_reason(failures).cause})"
    return text


def _check_whose(study: str, folders: Iterable[Path]) -> None:
    """Refuse images of another study than was asked for, or of several patients: a report names one of each."""
    patients = set()
    for file in (file for folder in folders for file in folder.glob("*.dcm")):
        try:
            header = open_dataset(file, pixels=False)
        except SKDError:  # so it is when it is to be classified, which says what is wrong with it
            continue
        if header_text(header, "StudyInstanceUID") not in ("", study):
            raise SKDError("the study", "holds images of another study", "Look into the PACS's log", "damaged")
        patients.add(header_text(header, "PatientID") or header_text(header, "PatientName"))
    if len(patients) > 1:
        raise SKDError("the study", "holds images of several patients", "Mend them in the PACS", "damaged")


def _for_report(answer: Result | Failure) -> Result | Failure:
    """The answer, or why no report can hold it."""
    if isinstance(answer, Failure) or answer.instances:
        return answer
    cause = "is not axial: no report can refer to the reformatted slices that were classified"
    return Failure(answer.input, "unsupported", f"{answer.input}: {cause}", _ELSEWHERE)


@dataclass(frozen=True)
class _Written:
    path: Path
    series: str
    uid: str


def _report(
    results: Sequence[Result], study: str, model: ModelIdentity, folder: Path
) -> tuple[_Written, list[Failure]]:
    """The report, and the results that it does not hold."""
    from MonaiSKD.reporting.dicom_sr import write_reports

    written = write_reports([replace(result, heatmaps=()) for result in results], folder)
    left_out = [replace(one, remedy=_ELSEWHERE) for one in written.skipped]
    if not written.paths:
        raise _reason(left_out)
    if len(written.paths) > 1:
        cause = "its images name several studies"
        raise SKDError("the study", cause, "Mend them in the PACS", "damaged")
    series = stable_uid("pacs report series", study, *_words(model))
    return _renamed(written.paths[0], study, model, "report", 0, series), left_out


def _maps(results: Sequence[Result], study: str, model: ModelIdentity, folder: Path, wish: HeatMaps) -> list[Path]:
    from MonaiSKD.reporting.dicom_heatmap import write_heatmaps

    if wish == "none":
        return []
    files: list[Path] = []
    series: dict[str, str] = {}
    for result in results:
        for path in write_heatmaps(result.heatmaps, folder, wish, model):
            was = open_header(path, ["SeriesInstanceUID"]).SeriesInstanceUID
            now = series.setdefault(was, stable_uid("pacs maps", study, *_words(model), str(len(series))))
            files.append(_renamed(path, study, model, "map", len(files), now).path)
    return files


def _renamed(path: Path, study: str, model: ModelIdentity, kind: str, number: int, series: str) -> _Written:
    """Give an object the UIDs that it has whenever it is made, so that the PACS knows a second copy for what it is."""
    import pydicom

    dataset = pydicom.dcmread(path)
    uid = stable_uid("pacs", kind, study, *_words(model), str(number))
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    dataset.SeriesInstanceUID = series
    target = path.with_name(f"{hashlib.sha256(uid.encode()).hexdigest()[:16]}.dcm")
    dataset.save_as(target, enforce_file_format=True)
    path.unlink()
    return _Written(target, series, uid)


def _words(model: ModelIdentity) -> tuple[str, ...]:
    return model.name, model.version, model.sha256


def _reason(failures: Sequence[Failure]) -> SKDError:
    """The first failure, without the path of a file that nobody has seen."""
    if not failures:
        return SKDError("the study", "holds no image", "Send its images", "not_an_image")
    first = failures[0]
    cause = first.message.rpartition(".dcm: ")[2]
    if cause == first.message:
        cause = first.message.removeprefix(f"{first.input}: ")
    if len(failures) > 1:
        cause += f" (the first of {len(failures)} inputs)"
    return SKDError("the study", cause, first.remedy, first.code)
