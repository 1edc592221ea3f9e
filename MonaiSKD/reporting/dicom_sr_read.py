"""The DICOM Structured Reports of this package, read back into plain numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.dicom.header import quiet
from MonaiSKD.reporting import dicom_common as common
from MonaiSKD.runtime.result import ModelIdentity

if TYPE_CHECKING:
    from highdicom.sr import MeasurementsAndQualitativeEvaluations
    from pydicom.sr.coding import Code

_VERSION = re.compile(r"(.*) \(sha256 ([0-9a-f]*)\)")


class ImageReference(NamedTuple):
    """A stored image, by its UID, and which of its frames (from 1; empty: the image has one)."""

    sop_instance_uid: str
    frames: tuple[int, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One class of one series, as a report states it.

    Args:
        label: the class, as the model names it.
        code: scheme, value and meaning of its concept, such as ("SCT", "233604007", "Pneumonia").
        probability: from 0 to 1, exact to 1e-6; likewise the threshold.
        threshold: the probability that the class must reach.
        present: True where it alone reaches its threshold, False where others do, None where the report leaves it open:
            several classes reach theirs and cannot be told apart, or none does.
        atypicality: how far the image lies from the training images; above its threshold it is not reliable.
        atypicality_threshold: where that begins.
        reliable: False where the report warns that the answer must not be relied on.
        model: which model answered; `sha256` holds the first digits only.
        images: what the finding refers to.
        tracking_uid: the same in every report on the same volume or image (told by its first), model and class.
    """

    label: str
    code: tuple[str, str, str]
    probability: float
    threshold: float
    present: bool | None
    atypicality: float
    atypicality_threshold: float
    reliable: bool
    model: ModelIdentity
    images: tuple[ImageReference, ...]
    tracking_uid: str


@quiet()
def read_report(path: str | Path) -> list[Finding]:
    """Read a report of :func:`write_reports` back into numbers.

    Args:
        path: the DICOM SR.

    Raises:
        SKDError: highdicom is absent, there is no such file, or it is not a report of this package.

    Example:
        >>> for finding in read_report("report.dcm"):  # doctest: +SKIP
        ...     print(finding.label, f"{finding.probability:.1%}", finding.present)
        pneumonia 93.1% True
    """
    common.require_dicom()
    from highdicom.sr import MeasurementReport, srread

    try:
        content = srread(path).content
        if not isinstance(content, MeasurementReport):
            raise TypeError("TID 1500")
        return [_finding(group) for group in content.get_image_measurement_groups()]
    except OSError as error:
        raise SKDError(path, f"cannot be read ({error.strerror or error})", "Check the path", "not_found") from error
    except Exception as error:  # pydicom and highdicom raise almost anything on other files
        cause = f"is not a structured report of MonaiSKD ({type(error).__name__})"
        raise SKDError(path, cause, "Name a file that write_reports wrote", "unsupported") from error


def _finding(group: MeasurementsAndQualitativeEvaluations) -> Finding:
    """One measurement group, read back."""
    from pydicom.sr.codedict import codes

    def number(name: Code) -> float:
        return float(group.get_measurements(name)[0].value)

    def evaluations(name: Code) -> list[Any]:
        return [item.value for item in group.get_qualitative_evaluations(name)]

    texts = {item.name.value: item.value for item in group[0].ContentSequence if item.ValueType == "TEXT"}
    name, version, parameter = texts["111001"], texts["111003"], texts["111002"]  # TID 4019
    parts = _VERSION.fullmatch(version)
    private, code = common.private_code, group.finding_type
    presence = evaluations(codes.DCM.PresenceOfProperty)[0]
    if parts is None or code is None or not parameter.startswith("class="):
        raise ValueError("TID 1501")
    return Finding(
        label=parameter.removeprefix("class="),
        code=(code.scheme_designator, code.value, code.meaning),
        probability=number(codes.DCM.Probability) / 100,
        threshold=number(private(*common.THRESHOLD)) / 100,
        present=None if presence == codes.SCT.Undetermined else presence == codes.SCT.Present,
        atypicality=number(private(*common.ATYPICALITY)),
        atypicality_threshold=number(private(*common.ATYPICALITY_THRESHOLD)),
        reliable=not evaluations(private(*common.RELIABILITY)),
        model=ModelIdentity(name, parts[1], parts[2]),
        images=tuple(
            ImageReference(str(item.referenced_sop_instance_uid), tuple(item.referenced_frame_numbers or ()))
            for item in group.source_images
        ),
        tracking_uid=str(group.tracking_uid),
    )
