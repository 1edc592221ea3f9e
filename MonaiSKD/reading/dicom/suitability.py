"""Is this what a model of the rule's modality was made for? From the header alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from MonaiSKD.errors import Code, SKDError
from MonaiSKD.reading.canonical import CanonicalRule
from MonaiSKD.reading.dicom.header import items, quiet, text, thing, words
from MonaiSKD.reading.dicom.terms import (
    ACCEPTED_PARTS,
    ANIMAL_WORDS,
    BODY_PARTS,
    DOUBTFUL_MODALITIES,
    FOR_PROCESSING,
    FRONTAL_WORDS,
    HUMAN_CODES,
    KNOWN_MODALITIES,
    MODALITIES,
    SOP_CLASS_MODALITIES,
    VIEW_WORDS,
    VIEWS,
)

if TYPE_CHECKING:
    from pydicom import Dataset

_KINDS = {"chest_xray": "a chest radiograph", "lung_ct": "a CT of the lungs", "brain_mri": "an MRI of the brain"}
# Free texts that say how the device was set, and nothing of the patient.
_SETTINGS = ("AcquisitionDeviceProcessingDescription", "ProtocolName", "SeriesDescription", "BodyPartExamined")


@quiet()
def check_suitable(dataset: Dataset, rule: CanonicalRule) -> tuple[str, ...]:
    """Refuse an image that cannot be of the rule's kind.

    Args:
        dataset: its header; pixels are not needed.
        rule: its modality is what the model was trained on.

    Returns:
        What the header leaves open, in words.

    Raises:
        SKDError: wrong_modality; wrong_body_part for another part of the body, another view than a frontal one, or an
            animal; not_an_image for a localizer, a screen capture or a dose report; unsupported for a radiograph that
            is not for presentation.

    Example:
        >>> from pydicom import Dataset
        >>> from MonaiSKD.reading import RULES
        >>> header = Dataset()
        >>> header.Modality, header.BodyPartExamined = "CT", "CHEST"
        >>> check_suitable(header, RULES["lung_ct"])
        ()
    """
    modality_warnings = _check_modality(dataset, rule)
    _check_image_type(dataset, rule)
    _check_species(dataset, rule)
    part_warnings = _check_body_part(dataset, rule)
    if rule.modality == "chest_xray":
        _check_view(dataset, rule)
        _check_intent(dataset)
    return (*modality_warnings, *part_warnings)


def _refusal(dataset: Dataset, rule: CanonicalRule, cause: str, code: Code) -> SKDError:
    return SKDError(thing(dataset), cause, f"Give {_KINDS[rule.modality]}", code)


def _check_modality(dataset: Dataset, rule: CanonicalRule) -> tuple[str, ...]:
    stated = text(dataset, "Modality").upper()
    if stated in MODALITIES[rule.modality]:
        return ()
    if stated in DOUBTFUL_MODALITIES[rule.modality]:
        return (f"its modality is {stated}, not {' or '.join(MODALITIES[rule.modality])}",)
    if stated:
        what = f"modality {stated}" if stated in KNOWN_MODALITIES else "an unknown modality"
        raise _refusal(dataset, rule, f"is of {what}, not {_KINDS[rule.modality]}", "wrong_modality")
    sop_class = text(dataset, "SOPClassUID")
    implied = next((name for start, name in SOP_CLASS_MODALITIES.items() if _is_of(sop_class, start)), None)
    if implied is not None and implied not in MODALITIES[rule.modality]:
        raise _refusal(dataset, rule, f"was stored as {implied}, not {_KINDS[rule.modality]}", "wrong_modality")
    return ("it does not state its modality",)


def _is_of(sop_class: str, start: str) -> bool:
    return sop_class == start or sop_class.startswith(f"{start}.")


def _check_image_type(dataset: Dataset, rule: CanonicalRule) -> None:
    kinds = set(words(dataset, "ImageType"))
    if rule.modality != "chest_xray" and kinds & {"LOCALIZER", "SCOUT"}:
        raise _refusal(dataset, rule, "is a localizer", "not_an_image")
    if kinds & {"SCREEN SAVE", "SCREENSAVE", "DOSEINFO", "DOSE_INFO"}:
        raise _refusal(dataset, rule, "is a screen capture or dose report", "not_an_image")


def _check_species(dataset: Dataset, rule: CanonicalRule) -> None:
    species = text(dataset, "PatientSpeciesDescription").upper()
    stated = [species] if species else []
    for item in items(dataset, "PatientSpeciesCodeSequence")[:1]:
        code, meaning = text(item, "CodeValue"), text(item, "CodeMeaning").upper()
        if code not in HUMAN_CODES and (code or meaning):
            stated.append(meaning or code)
    if any("HUMAN" not in entry and "HOMO SAPIENS" not in entry for entry in stated):
        raise _refusal(dataset, rule, "is of an animal, as its species says", "wrong_body_part")
    animal = next((word for keyword in _SETTINGS for word in _split(dataset, keyword) if word in ANIMAL_WORDS), None)
    if animal is not None:
        raise _refusal(dataset, rule, f"is of an animal ({animal.lower()})", "wrong_body_part")


def _check_body_part(dataset: Dataset, rule: CanonicalRule) -> tuple[str, ...]:
    part = re.sub(r"[^A-Z0-9]", "", text(dataset, "BodyPartExamined").upper())
    if part in ACCEPTED_PARTS[rule.modality]:
        return ()
    if part in BODY_PARTS or (part.endswith("S") and part[:-1] in BODY_PARTS):
        raise _refusal(dataset, rule, f"is of the body part {part}, not {_KINDS[rule.modality]}", "wrong_body_part")
    if part:
        return ("its body part is stated in a word that is not of the standard",)
    return () if text(dataset, "Modality") else ("it does not state its body part",)


def _check_view(dataset: Dataset, rule: CanonicalRule) -> None:
    view = VIEWS.get(re.sub(r"[^A-Z]", "", text(dataset, "ViewPosition").upper()))
    if view is None:
        described = [set(_split(item, "CodeMeaning")) for item in items(dataset, "ViewCodeSequence")[:1]]
        # How the device was set is of this picture alone; a series description may name a whole study.
        described += [set(_split(dataset, _SETTINGS[0]))] if not text(dataset, "ViewPosition") else []
        for named in described:
            if not named & FRONTAL_WORDS:
                view = next((VIEW_WORDS[word] for word in sorted(named) if word in VIEW_WORDS), view)
    if view is not None:
        raise _refusal(dataset, rule, f"is {view}", "wrong_body_part")


def _check_intent(dataset: Dataset) -> None:
    intent, sop_class = text(dataset, "PresentationIntentType").upper(), text(dataset, "SOPClassUID")
    if intent == "FOR PROCESSING" or sop_class in FOR_PROCESSING:
        cause, remedy = (
            "is for processing, not for presentation",
            "Take the image for presentation of the same exposure",
        )
        raise SKDError(thing(dataset), cause, remedy, "unsupported")


def _split(dataset: Dataset, keyword: str) -> list[str]:
    return re.findall(r"[A-Z]+", text(dataset, keyword).upper())
