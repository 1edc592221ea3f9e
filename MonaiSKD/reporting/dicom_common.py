"""What every DICOM object of this package shares: the source's header, codes, device identity, dates, writing."""

from __future__ import annotations

import re
import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MonaiSKD import __version__
from MonaiSKD.errors import SKDError
from MonaiSKD.files import atomic_path
from MonaiSKD.reading.dicom.header import value
from MonaiSKD.reading.own import PRODUCER

if TYPE_CHECKING:  # pydicom and highdicom are imported when an object is written, not when the package is
    from pydicom.dataset import Dataset
    from pydicom.sr.coding import Code

MANUFACTURER = PRODUCER
PRIVATE_SCHEME = "99MONAISKD"
# Concepts that no public scheme has: value and meaning in the scheme 99MONAISKD.
THRESHOLD = ("THRESHOLD", "Decision threshold")
ATYPICALITY = ("ATYPICALITY", "Atypicality")
ATYPICALITY_THRESHOLD = ("ATYPICALITY_MAX", "Atypicality threshold")
RELIABILITY = ("RELIABILITY", "Reliability of the answer")
# Derived series stand behind those of the scanner in any list that is sorted by series number.
SERIES_NUMBERS = {"report": 9801, "secondary-capture": 9802, "parametric-map": 9803}

# fmt: off
# Patient, Patient Study and General Study modules (PS3.3 C.7.1.1, C.7.2): what identifies, and no comments.
_PERSON = [
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientSize",
    "PatientWeight", "PatientSpeciesDescription", "PatientIdentityRemoved", "DeidentificationMethod",
    "DeidentificationMethodCodeSequence", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName",
    "StudyID", "StudyDescription",
]
_PERSON_TYPE_2 = [
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber",
    "ReferringPhysicianName", "StudyID",
]
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_IMAGE = [
    "Modality", "SeriesNumber", "InstanceNumber", "TimezoneOffsetFromUTC", "NumberOfFrames", "Rows", "Columns",
    "Laterality", "PatientOrientation", "BurnedInAnnotation", "FrameOfReferenceUID", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "LossyImageCompression",
    "LossyImageCompressionRatio", "LossyImageCompressionMethod", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]
# fmt: on
_PATTERNS = {
    "PatientSex": "[MFO]",
    "PatientAge": r"\d{3}[DWMY]",
    "TimezoneOffsetFromUTC": r"[+-](0\d|1[0-4])[0-5]\d",
    "BurnedInAnnotation": "YES|NO",
}

# Class names, in lower case and joined, whose SNOMED CT concept says just what the class says.
_SNOMED = {
    "covid": ("840539006", "COVID-19"),
    "covid19": ("840539006", "COVID-19"),
    "pneumonia": ("233604007", "Pneumonia"),
    "normal": ("17621005", "Normal"),
    "glioma": ("393564001", "Glioma"),
    "meningioma": ("302820008", "Intracranial meningioma"),
    "pneumothorax": ("36118008", "Pneumothorax"),
    "pleuraleffusion": ("60046008", "Pleural effusion"),
    "pulmonaryedema": ("19242006", "Pulmonary edema"),
}


def require_dicom() -> None:
    """Raise SKDError (not_installed) where DICOM objects cannot be written or read here."""
    try:
        import highdicom  # noqa: F401
        import pydicom  # noqa: F401
    except ImportError as error:
        cause = f"needs the package {error.name}, which is not installed"
        raise SKDError(
            "DICOM output", cause, "Run: python -m pip install monai-skd highdicom", "not_installed"
        ) from error


def private_code(value: str, meaning: str) -> Code:
    """A concept of this package's own scheme, 99MONAISKD (private schemes begin with 99, PS3.16 section 8.2)."""
    from pydicom.sr.coding import Code

    return Code(value, PRIVATE_SCHEME, long_string(meaning))


def long_string(text: str, most: int = 64) -> str:
    """The text as DICOM's value representation LO holds it: 64 characters, no control character, no backslash."""
    kept = "".join(char if char.isprintable() else " " for char in text.replace("\\", "/"))
    return kept[:most].strip()


def class_code(label: str) -> Code:
    """The coded concept of a class: SNOMED CT where its meaning is beyond doubt, else private with the class's name.

    Example:
        >>> class_code("pneumonia").scheme_designator, class_code("noncovid").scheme_designator
        ('SCT', '99MONAISKD')
    """
    from pydicom.sr.coding import Code

    # Any other sign may turn the meaning, as in "COVID-" or "normal?".
    words = re.fullmatch(r"[a-z0-9]+(?:[ _-][a-z0-9]+)*", label.lower())
    known = _SNOMED.get(re.sub("[ _-]", "", words[0])) if words else None
    if known:
        return Code(known[0], "SCT", known[1])
    # A code value is an identifier: ASCII, and short enough for the attribute Code Value (SH, 16 characters).
    if words and len(label) <= 16:
        return private_code(re.sub("[ -]", "_", label.upper()), label)
    return private_code(uuid.uuid5(uuid.NAMESPACE_OID, label).hex[:16].upper(), label)


def stable_uid(*parts: str) -> str:
    """The same UID for the same words, derived from a UUID (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, chr(0).join(('MonaiSKD', *parts))).int}"


def device_uid() -> str:
    """The UID of this version of the software as an observer: all its reports name the same device."""
    return stable_uid("device", __version__)


def read_header(path: str) -> Dataset:
    """What a new object of the same study needs from a stored image: identity, references, geometry; no pixels.

    Values that DICOM forbids (a birth date in words, a weight of "70,5") are left out, so that the new object is valid.

    Args:
        path: a DICOM file, with or without preamble.

    Raises:
        SKDError: not_found, damaged, or unsupported where a UID is missing that a reference must hold.
    """
    import pydicom

    try:
        wanted = ["SpecificCharacterSet", *_UIDS, *_PERSON, *_IMAGE]
        stored = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=wanted)
    except OSError as error:
        raise SKDError(path, f"cannot be read ({error.strerror or error})", "Check the path", "not_found") from error
    except Exception as error:  # pydicom raises almost anything on damaged files
        raise SKDError(
            path, f"its header cannot be read ({type(error).__name__})", "Export it again", "damaged"
        ) from error
    header = pydicom.Dataset()
    for keyword in [*_UIDS, *_PERSON, *_IMAGE]:
        found = _valid(keyword, value(stored, keyword))
        try:
            if found is not None:
                setattr(header, keyword, found)
        except Exception:  # what pydicom refuses to write again (it raises almost anything) counts as absent
            continue
    for keyword in _UIDS:
        if not header.get(keyword):
            cause = f"has no {keyword}, so no DICOM object can refer to it"
            raise SKDError(path, cause, "Export it from the PACS again, or write JSON or CSV", "unsupported")
    if pydicom.uid.UID(header.SOPClassUID).type != "SOP Class":
        cause = "is of a private SOP class, so no DICOM object can refer to it"
        raise SKDError(path, cause, "Convert it to a standard DICOM image, or write JSON or CSV", "unsupported")
    return header


def _valid(keyword: str, value: Any) -> Any:
    """The value where it may be written again, else None."""
    from pydicom.multival import MultiValue
    from pydicom.valuerep import DA, TM

    if value is None or value == "":
        return None
    single = keyword in _PERSON or keyword in _UIDS
    if single and isinstance(value, MultiValue):
        value = value[0]
    pattern = _PATTERNS.get(keyword)
    if pattern is not None and not re.fullmatch(pattern, str(value)):
        return None
    if keyword in ("PatientBirthDate", "StudyDate", "StudyTime"):
        try:
            # 2020.01.02, the form before 1993, becomes 20200102.
            if keyword == "StudyTime":
                return str(TM(value))
            date = DA(value)
            # Not strftime: it gives years before 1000, such as the 0001 of programs that know no date, fewer digits.
            return f"{date.year:04d}{date.month:02d}{date.day:02d}"
        except (ValueError, TypeError):
            return None
    return value


def anonymous(header: Dataset) -> Dataset:
    """The header without the patient, for highdicom, which would print names it finds unusual in a warning."""
    from pydicom.dataset import Dataset

    bare = Dataset()
    for element in header:
        if element.keyword not in _PERSON:
            bare.add(element)
    for keyword in _PERSON_TYPE_2:
        setattr(bare, keyword, None)
    return bare


def complete(target: Dataset, header: Dataset) -> None:
    """Give a new object its patient and study, its text encoding and its dates, in place.

    All text is UTF-8 (ISO_IR 192), whatever the source used: a Japanese name and a French class name fit together.
    """
    target.SpecificCharacterSet = "ISO_IR 192"
    for keyword in _PERSON:
        if keyword in header:
            setattr(target, keyword, header[keyword].value)
        elif keyword in _PERSON_TYPE_2:
            setattr(target, keyword, None)
    now = now_at(header)
    for name in ("InstanceCreation", "Content"):
        setattr(target, f"{name}Date", now.strftime("%Y%m%d"))
        setattr(target, f"{name}Time", now.strftime("%H%M%S.%f"))
    if "TimezoneOffsetFromUTC" in header:
        target.TimezoneOffsetFromUTC = header.TimezoneOffsetFromUTC


def now_at(header: Dataset) -> datetime:
    """Now, in the source's time zone where it names one, else in this computer's.

    The zone of a DICOM object (PS3.3 C.12.1.1.8) holds for the copied study time as well, so a source without one
    must not be given this computer's.
    """
    offset = header.get("TimezoneOffsetFromUTC")
    if not offset:
        return datetime.now().astimezone()
    minutes = int(offset[1:3]) * 60 + int(offset[3:5])
    return datetime.now(timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes)))


def series_name(header: Dataset) -> str:
    """How to name a series in a sentence: "series 3", or by the end of its UID where it has no number."""
    number = header.get("SeriesNumber")
    return f"series {number}" if number is not None else f"series ...{header.SeriesInstanceUID[-8:]}"


def save(dataset: Dataset, folder: str | Path) -> Path:
    """Write a DICOM file (PS3.10, with preamble) named by its SOP Instance UID, whole or not at all."""
    import pydicom

    # pydicom 2, which 3D Slicer 5.10 has, calls it by another name.
    whole = {"enforce_file_format": True} if int(pydicom.__version__[0]) > 2 else {"write_like_original": False}
    path = Path(folder) / f"{dataset.SOPInstanceUID}.dcm"
    with atomic_path(path) as beside:
        dataset.save_as(beside, **whole)
    return path
