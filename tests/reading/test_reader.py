from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from MonaiSKD.errors import SKDError
from MonaiSKD.reading import IMAGE_SUFFIXES, RULES, is_image_name, read_image

RULE = RULES["chest_xray"]


def test_every_suffix_counts_in_either_case_unless_hidden() -> None:
    assert all(is_image_name(f"folder/a{suffix}") for suffix in IMAGE_SUFFIXES)
    assert all(is_image_name(f"A{suffix.upper()}") for suffix in IMAGE_SUFFIXES)
    assert not any(is_image_name(f".a{suffix}") for suffix in IMAGE_SUFFIXES)
    assert not any(is_image_name(name) for name in ("a.gz", "a.csv", "a.png.txt", "png", "a.mha"))


@pytest.mark.parametrize(
    ("name", "content", "code", "reason"),
    [
        ("absent.png", None, "not_found", "No such file"),
        ("absent.dcm", None, "not_found", "No such file"),
        ("empty.png", b"", "damaged", "is empty (0 bytes)"),
        ("empty.nii.gz", b"", "damaged", "is empty (0 bytes)"),
        ("empty.dcm", b"", "damaged", "is empty (0 bytes)"),
        ("scan.dcm", b"anything", "not_an_image", "is not DICOM"),
        ("scan.DICOM", b"anything", "not_an_image", "is not DICOM"),
        # DICOM by its content, whatever its name.
        ("scan.png", bytes(128) + b"DICM" + bytes(20), "damaged", "is cut off"),
        ("notes.txt", b"text", "not_an_image", "is of an unknown kind"),
        ("volume.mha", b"ObjectType = Image", "not_an_image", "is of an unknown kind"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(
    tmp_path: Path, name: str, content: bytes | None, code: str, reason: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SKDError) as caught:
        read_image(path, RULE)
    assert caught.value.thing == str(path)
    assert reason in caught.value.cause
    assert caught.value.code == code
    assert caught.value.remedy


def test_a_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "a.png"
    folder.mkdir()
    with pytest.raises(SKDError, match="cannot be read") as caught:
        read_image(folder, RULE)
    assert caught.value.code == "not_found"


@pytest.mark.parametrize("name", ["a.dcm", "IM000001", "a.png"])
def test_dicom_is_read_by_its_content_whatever_its_name(shared: Path, tmp_path: Path, name: str) -> None:
    source = shared / "data" / "dicom" / "cxr" / "cr_chest_mono1_no_meta.dcm"
    path = tmp_path / name
    path.write_bytes(source.read_bytes())
    image = read_image(path, RULE)
    assert image.pixels.shape == (1, 440, 440)
    assert (image.path, image.spacing, image.warnings) == (str(path), None, ())
    assert image.applied == ("window 550 / 1024 (LINEAR)", "inverted (MONOCHROME1)")


def test_warnings_of_dicom_go_with_the_image(shared: Path) -> None:
    image = read_image(shared / "data" / "dicom" / "ct" / "lung_ct_slice_0.dcm", RULES["lung_ct"])
    assert image.warnings == ("it does not state its modality", "it does not state its body part")
    assert image.spacing == (0.625, 0.625)


def test_a_file_of_several_frames_is_refused(shared: Path) -> None:
    path = shared / "data" / "dicom" / "other" / "mr_enhanced_head_multiframe.dcm"
    with pytest.raises(SKDError, match=r"holds several slices \(10 frames\)") as caught:
        read_image(path, RULES["brain_mri"])
    assert caught.value.code == "unsupported"


def test_a_path_may_be_text_and_an_image_cannot_be_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    PILImage.fromarray(np.eye(3, dtype=np.uint8) * 255).save(path)
    image = read_image(str(path), RULE)
    assert image.pixels.tolist() == np.eye(3)[None].tolist()
    with pytest.raises(FrozenInstanceError):
        image.path = "b.png"  # type: ignore[misc]
