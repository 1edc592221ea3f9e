"""Results as DICOM Structured Reports: TID 1500, one report per study, one TID 1501 group per series and class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from MonaiSKD import __version__
from MonaiSKD.errors import SKDError
from MonaiSKD.reading.dicom.header import quiet
from MonaiSKD.reporting import dicom_common as common
from MonaiSKD.reporting import sentences
from MonaiSKD.reporting.dicom_sr_read import Finding, ImageReference, read_report
from MonaiSKD.runtime.result import Failure, Result

if TYPE_CHECKING:
    from highdicom.sr import ComprehensiveSR, Measurement, MeasurementsAndQualitativeEvaluations
    from pydicom.dataset import Dataset

__all__ = ["Finding", "ImageReference", "Reports", "read_report", "write_reports"]

SERIES_DESCRIPTION = "MonaiSKD classification. Not for clinical use"
UNRELIABLE = "Not reliable: unlike the images the model was trained on"

# LOINC, PS3.16 CID 100: the procedure by modality, since headers seldom say which part of the body it was. In full,
# since the dictionaries of pydicom differ.
_PROCEDURES = {
    "CT": ("25045-6", "LN", "CT unspecified body region"),
    "MR": ("25056-3", "LN", "MRI unspecified body region"),
    "CR": ("43468-8", "LN", "XR unspecified body region"),
    "DX": ("43468-8", "LN", "XR unspecified body region"),
}


class Reports(NamedTuple):
    """What :func:`write_reports` did.

    Args:
        paths: the files written, one per study.
        skipped: the results that no DICOM report can hold, and why.
    """

    paths: list[Path]
    skipped: list[Failure]


@dataclass(frozen=True)
class _Source:
    """A result with the headers of the images that its findings refer to, and their frames.

    The first image and its frame, from 1, tell it from every other result: a series may hold several volumes, and
    several radiographs.
    """

    result: Result
    images: tuple[tuple[Dataset, tuple[int, ...]], ...]
    first: Dataset
    frame: int

    def name(self, others: Sequence[_Source]) -> str:
        """How to call it in a sentence: by its series, and by its first image where others are of that series."""
        series = common.series_name(self.first)
        if sum(one.first.SeriesInstanceUID == self.first.SeriesInstanceUID for one in others) == 1:
            return series
        number = self.first.get("InstanceNumber")
        image = f"image {number}" if number is not None else f"image ...{self.first.SOPInstanceUID[-8:]}"
        frame = f", frame {self.frame}" if "NumberOfFrames" in self.first else ""
        return f"{series}, {'from ' if len(self.result.instances) > 1 else ''}{image}{frame}"


@quiet()
def write_reports(results: Iterable[Result], folder: str | Path) -> Reports:
    """Write one Comprehensive SR (PS3.16 TID 1500) per study, preliminary and unverified, with a device as observer.

    Results of the same StudyInstanceUID come into one report, in the order given; a radiograph is referred to itself, a
    volume by its key slices. Files are named by their SOP Instance UID. Writing again makes new files.

    Args:
        results: answers on DICOM images; others are skipped, as are those of a study with images of several patients.
        folder: where to write; made when absent.

    Raises:
        SKDError: highdicom is absent (not_installed), or the folder cannot be written.

    Example:
        >>> write_reports([], "reports")
        Reports(paths=[], skipped=[])
    """
    common.require_dicom()
    studies: dict[str, list[_Source]] = {}
    skipped: list[Failure] = []
    for result in results:
        try:
            # Heat maps are the only large part, and a report does not show them.
            source = _source(replace(result, heatmaps=()))
        except SKDError as error:
            skipped.append(Failure(result.input, error.code, f"{error.thing}: {error.cause}", error.remedy))
            continue
        studies.setdefault(source.images[0][0].StudyInstanceUID, []).append(source)
    paths = []
    for sources in studies.values():
        if len({str(image.get("PatientID") or "") for source in sources for image, _ in source.images}) > 1:
            cause, remedy = "its study holds images of several patients", "Correct the headers, or report them apart"
            skipped += [Failure(source.result.input, "unsupported", cause, remedy) for source in sources]
        else:
            paths.append(common.save(_document(sources), folder))
    return Reports(paths, skipped)


def _source(result: Result) -> _Source:
    """Read the headers that the report refers to."""
    if not result.instances:
        cause = "is not a DICOM image (or was resampled), so no DICOM report can refer to it"
        raise SKDError(result.input, cause, "Classify the DICOM files, or write JSON or CSV", "unsupported")
    chosen = result.instances
    if result.slices is not None and result.slices.key:
        chosen = tuple(result.instances[index] for index in result.slices.key)
    frames: dict[str, list[int]] = {}
    for instance in chosen:
        frames.setdefault(instance.path, []).extend([] if instance.frame is None else [instance.frame])
    first = result.instances[0]
    headers = {path: common.read_header(path) for path in dict.fromkeys((*frames, first.path))}
    images = [
        # Frame numbers belong to multi-frame images alone (PS3.3 C.18.4).
        (headers[path], tuple(numbers) if "NumberOfFrames" in headers[path] else ())
        for path, numbers in frames.items()
    ]
    return _Source(result, tuple(images), headers[first.path], first.frame or 1)


def _document(sources: Sequence[_Source]) -> ComprehensiveSR:
    """The report on one study."""
    from highdicom import UID
    from highdicom.coding_schemes import CodingSchemeIdentificationItem
    from highdicom.sr import ComprehensiveSR

    header = sources[0].images[0][0]
    content = _content(sources)
    # With zone, while the dates of the document are those of the source's (unnamed) zone.
    content.ObservationDateTime = common.now_at(header).strftime("%Y%m%d%H%M%S.%f%z")
    document = ComprehensiveSR(
        evidence=[common.anonymous(image) for source in sources for image, _ in source.images],
        content=content,
        series_instance_uid=UID(),
        series_number=common.SERIES_NUMBERS["report"],
        sop_instance_uid=UID(),
        instance_number=1,
        manufacturer=common.MANUFACTURER,
        manufacturer_model_name=common.MANUFACTURER,
        software_versions=__version__,
        series_description=SERIES_DESCRIPTION,
        is_complete=True,
        is_final=False,
        is_verified=False,
        coding_schemes=[CodingSchemeIdentificationItem(common.PRIVATE_SCHEME, name="Concepts of MonaiSKD")],
    )
    common.complete(document, header)
    return document


def _content(sources: Sequence[_Source]) -> Dataset:
    """The root container, TID 1500."""
    from highdicom import sr
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    device = sr.DeviceObserverIdentifyingAttributes(
        uid=common.device_uid(),
        name=common.MANUFACTURER,
        manufacturer_name=common.MANUFACTURER,
        model_name=f"{common.MANUFACTURER} {__version__}",
    )
    observer = sr.ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)
    procedures = [_PROCEDURES.get(str(source.images[0][0].get("Modality"))) for source in sources]
    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=[
            Code(*procedure) if procedure else codes.SCT.ImagingProcedure for procedure in dict.fromkeys(procedures)
        ],
        imaging_measurements=[
            _group(source, label, source.name(sources)) for source in sources for label in source.result.probabilities
        ],
    )
    report[0].ContentSequence.append(_remarks(sources))
    return report[0]


def _remarks(sources: Sequence[_Source]) -> Dataset:
    """TID 1500's container of evaluations of the whole report: what a reader must know before the numbers."""
    from highdicom import sr
    from pydicom.sr.coding import Code

    texts = [f"{sentences.NOT_CLINICAL} Output of a program, not reviewed by a physician."]
    for source in sources:
        name = source.name(sources).capitalize()
        texts.append(f"{name}, {source.result.model.name}: {sentences.describe(source.result)}.")
    box = sr.ContainerContentItem(
        name=Code("C0034375", "UMLS", "Qualitative Evaluations"),
        relationship_type=sr.RelationshipTypeValues.CONTAINS,
    )
    comment = Code("121106", "DCM", "Comment")
    relation = sr.RelationshipTypeValues.CONTAINS
    box.ContentSequence = sr.ContentSequence([sr.TextContentItem(comment, text, relation) for text in texts])
    return box


def _group(source: _Source, label: str, name: str) -> MeasurementsAndQualitativeEvaluations:
    """The measurement group of one class, TID 1501; it repeats the atypicality, so that no number stands without it."""
    from highdicom import sr
    from pydicom.sr.codedict import codes

    result, model = source.result, source.result.model
    # PS3.16 CID 240, Present-Absent.
    words = {True: codes.SCT.Present, False: codes.SCT.Absent, None: codes.SCT.Undetermined}
    presence = words[sentences.presence(result, label)]
    evaluations = [sr.QualitativeEvaluation(codes.DCM.PresenceOfProperty, presence)]
    if result.atypical:
        reliability = common.private_code(*common.RELIABILITY)
        evaluations.append(sr.QualitativeEvaluation(reliability, common.private_code("NOT_RELIABLE", UNRELIABLE)))
    tracking = sr.TrackingIdentifier(
        uid=common.stable_uid("finding", source.first.SOPInstanceUID, str(source.frame), model.sha256, label),
        identifier=f"{model.name}: {label}, {name}",
    )
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking,
        finding_type=common.class_code(label),
        algorithm_id=sr.AlgorithmIdentification(
            name=model.name,
            version=f"{model.version} (sha256 {model.sha256[:16]})",
            # The concept's meaning is SNOMED's; this keeps the model's own name of the class.
            parameters=[f"class={label}"],
        ),
        measurements=_numbers(result, label),
        qualitative_evaluations=evaluations,
        source_images=[
            sr.SourceImageForMeasurementGroup(image.SOPClassUID, image.SOPInstanceUID, list(frames) or None)
            for image, frames in source.images
        ],
    )


def _numbers(result: Result, label: str) -> list[Measurement]:
    """Probability and threshold in percent, atypicality and its threshold without unit (TID 300)."""
    from highdicom.sr import Measurement
    from pydicom.sr.codedict import codes

    private, percent, plain = common.private_code, codes.UCUM.Percent, codes.UCUM.NoUnits
    return [
        # Four decimals of a percent: what a decimal string (DS, 16 characters) holds and a person can read.
        Measurement(codes.DCM.Probability, round(100 * float(result.probabilities[label]), 4), percent),
        Measurement(private(*common.THRESHOLD), round(100 * float(result.thresholds[label]), 4), percent),
        Measurement(private(*common.ATYPICALITY), round(float(result.atypicality), 6), plain),
        Measurement(private(*common.ATYPICALITY_THRESHOLD), round(float(result.atypicality_threshold), 6), plain),
    ]
