from __future__ import annotations

import pydicom
import pytest
from dicom_writing import item, write

from MonaiSKD.errors import SKDError
from MonaiSKD.reading import RULES, read_image
from MonaiSKD.reading.dicom.suitability import check_suitable

DX = "1.2.840.10008.5.1.4.1.1.1.1"
RAW = "is for processing, not for presentation"
STATED = {"chest_xray": "CR", "lung_ct": "CT", "brain_mri": "MR"}


@pytest.mark.parametrize(
    ("modality", "elements"),
    [
        ("chest_xray", {"Modality": "CR", "BodyPartExamined": "CHEST", "ViewPosition": "PA"}),
        ("chest_xray", {"Modality": "DX", "BodyPartExamined": "thorax ", "ViewPosition": "AP"}),
        ("chest_xray", {"Modality": "RG", "BodyPartExamined": "Ribs"}),
        ("chest_xray", {"Modality": "CR"}),
        ("lung_ct", {"Modality": "CT", "BodyPartExamined": "CHEST_ABD_PELVIS".replace("_ABD_", "ABD")}),
        ("lung_ct", {"Modality": "CT", "BodyPartExamined": "LUNG", "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"]}),
        ("brain_mri", {"Modality": "MR", "BodyPartExamined": "Brain"}),
        ("brain_mri", {"Modality": "MR", "BodyPartExamined": "HEADNECK"}),
        ("brain_mri", {"Modality": "MR", "PatientSpeciesDescription": "Homo sapiens"}),
        ("brain_mri", {"Modality": "MR", "PatientSpeciesCodeSequence": [item(CodeValue="337915000")]}),
        ("brain_mri", {"Modality": "MR", "PatientSpeciesCodeSequence": []}),
        # The description of a study of two views says nothing of this one.
        ("chest_xray", {"Modality": "DX", "SeriesDescription": "CHEST PA AND LATERAL"}),
        ("chest_xray", {"Modality": "DX", "AcquisitionDeviceProcessingDescription": "CHEST PA LAT"}),
        ("chest_xray", {"Modality": "DX", "ViewCodeSequence": [item(CodeMeaning="postero-anterior")]}),
        ("chest_xray", {"Modality": "DX", "PresentationIntentType": "FOR PRESENTATION", "SOPClassUID": DX}),
    ],
)
def test_what_is_of_the_kind_is_taken_without_a_word(modality: str, elements: dict) -> None:
    assert check_suitable(item(**elements), RULES[modality]) == ()


@pytest.mark.parametrize(
    ("modality", "elements", "code", "cause"),
    [
        ("chest_xray", {"Modality": "CT"}, "wrong_modality", "is of modality CT, not a chest radiograph"),
        ("chest_xray", {"Modality": "MG"}, "wrong_modality", "is of modality MG"),
        ("lung_ct", {"Modality": "MR"}, "wrong_modality", "is of modality MR, not a CT of the lungs"),
        ("lung_ct", {"Modality": "OT"}, "wrong_modality", "is of modality OT"),
        ("lung_ct", {"Modality": "DOE JANE"}, "wrong_modality", "is of an unknown modality, not a CT of the lungs"),
        ("brain_mri", {"Modality": "CT", "BodyPartExamined": "HEAD"}, "wrong_modality", "not an MRI of the brain"),
        ("brain_mri", {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "wrong_modality", "was stored as CT"),
        ("lung_ct", {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4.1"}, "wrong_modality", "was stored as MR"),
        ("chest_xray", {"Modality": "CR", "BodyPartExamined": "HAND"}, "wrong_body_part", "is of the body part HAND"),
        ("chest_xray", {"Modality": "CR", "BodyPartExamined": "C SPINE"}, "wrong_body_part", "body part CSPINE"),
        ("lung_ct", {"Modality": "CT", "BodyPartExamined": "HEAD"}, "wrong_body_part", "is of the body part HEAD"),
        ("lung_ct", {"Modality": "CT", "BodyPartExamined": "KNEES"}, "wrong_body_part", "is of the body part KNEES"),
        ("brain_mri", {"Modality": "MR", "BodyPartExamined": "KNEE"}, "wrong_body_part", "is of the body part KNEE"),
        ("chest_xray", {"Modality": "CR", "ViewPosition": "LL"}, "wrong_body_part", "is a lateral view"),
        ("chest_xray", {"Modality": "CR", "ViewPosition": "LATERAL"}, "wrong_body_part", "is a lateral view"),
        ("chest_xray", {"Modality": "CR", "ViewPosition": "LLD"}, "wrong_body_part", "is a decubitus view"),
        ("chest_xray", {"Modality": "CR", "ViewPosition": "RAO"}, "wrong_body_part", "is an oblique view"),
        (
            *("chest_xray", {"Modality": "DX", "ViewCodeSequence": [item(CodeMeaning="left lateral")]}),
            *("wrong_body_part", "is a lateral view"),
        ),
        (
            *("chest_xray", {"Modality": "DX", "AcquisitionDeviceProcessingDescription": "THORAX LAT"}),
            *("wrong_body_part", "is a lateral view"),
        ),
        ("chest_xray", {"Modality": "DX", "PresentationIntentType": "FOR PROCESSING"}, "unsupported", RAW),
        ("chest_xray", {"Modality": "DX", "SOPClassUID": f"{DX}.1"}, "unsupported", RAW),
        ("chest_xray", {"Modality": "DX", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.2.1"}, "unsupported", RAW),
        ("chest_xray", {"SOPClassUID": f"{DX}.1", "PresentationIntentType": "for processing"}, "unsupported", RAW),
        ("chest_xray", {"Modality": "DX", "PatientSpeciesDescription": "Dog"}, "wrong_body_part", "is of an animal"),
        (
            *("brain_mri", {"Modality": "MR", "PatientSpeciesCodeSequence": [item(CodeValue="448771007")]}),
            *("wrong_body_part", "is of an animal"),
        ),
        ("brain_mri", {"Modality": "MR", "SeriesDescription": "FELINE T2"}, "wrong_body_part", "animal (feline)"),
        ("lung_ct", {"Modality": "CT", "ImageType": ["A", "B", "LOCALIZER"]}, "not_an_image", "localizer"),
        (
            "brain_mri",
            {"Modality": "MR", "ImageType": ["A", "B", "LOCALIZER"]},
            "not_an_image",
            "localizer",
        ),
        (
            "lung_ct",
            {"Modality": "CT", "ImageType": ["A", "B", "SCREEN SAVE"]},
            "not_an_image",
            "capture",
        ),
    ],
)
def test_what_is_of_another_kind_is_refused(modality: str, elements: dict, code: str, cause: str) -> None:
    with pytest.raises(SKDError) as caught:
        check_suitable(item(**elements), RULES[modality])
    assert caught.value.code == code
    assert cause in caught.value.cause


def test_a_real_radiograph_is_refused_only_where_it_is_for_processing(shared, tmp_path) -> None:
    stored = pydicom.dcmread(shared / "data" / "dicom" / "cxr" / "cr_chest_mono1_jpegls.dcm")
    for intent in ("FOR PRESENTATION", "FOR PROCESSING"):
        stored.PresentationIntentType = intent
        write(tmp_path / f"{intent}.dcm", stored)
    assert read_image(tmp_path / "FOR PRESENTATION.dcm", RULES["chest_xray"]).pixels.max() > 0
    with pytest.raises(SKDError, match=f"{RAW}. Take the image for presentation of the same exposure") as caught:
        read_image(tmp_path / "FOR PROCESSING.dcm", RULES["chest_xray"])
    assert caught.value.code == "unsupported"


@pytest.mark.parametrize("modality", sorted(RULES))
def test_what_a_header_leaves_open_is_told(modality: str) -> None:
    rule = RULES[modality]
    assert check_suitable(item(), rule) == ("it does not state its modality", "it does not state its body part")
    strange = check_suitable(item(Modality=STATED[modality], BodyPartExamined="PORT"), rule)
    assert strange == ("its body part is stated in a word that is not of the standard",)


def test_a_secondary_capture_may_be_a_radiograph() -> None:
    for modality in ("OT", "SC"):
        warnings = check_suitable(item(Modality=modality), RULES["chest_xray"])
        assert warnings == (f"its modality is {modality}, not CR or DX or RG",)
