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
    ("name", "content", "reason"),
    [
        ("absent.png", None, "No such file"),
        ("empty.png", b"", "is empty (0 bytes)"),
        ("empty.nii.gz", b"", "is empty (0 bytes)"),
        ("scan.dcm", b"anything", "is DICOM, which is not read yet"),
        ("scan.DICOM", b"anything", "is DICOM, which is not read yet"),
        # DICOM by its content, whatever its name.
        ("scan.png", bytes(128) + b"DICM" + bytes(20), "is DICOM, which is not read yet"),
        ("notes.txt", b"text", "is of an unknown kind"),
        ("volume.mha", b"ObjectType = Image", "is of an unknown kind"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(tmp_path: Path, name: str, content: bytes | None, reason: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SKDError) as caught:
        read_image(path, RULE)
    assert caught.value.thing == str(path)
    assert reason in caught.value.cause
    assert caught.value.remedy


def test_a_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "a.png"
    folder.mkdir()
    with pytest.raises(SKDError, match="cannot be read"):
        read_image(folder, RULE)


def test_a_real_dicom_file_is_refused(shared: Path) -> None:
    for path in (shared / "data" / "dicom" / "cxr").glob("*.dcm"):
        with pytest.raises(SKDError, match="is DICOM"):
            read_image(path, RULE)


def test_a_path_may_be_text_and_an_image_cannot_be_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    PILImage.fromarray(np.eye(3, dtype=np.uint8) * 255).save(path)
    image = read_image(str(path), RULE)
    assert image.pixels.tolist() == np.eye(3)[None].tolist()
    with pytest.raises(FrozenInstanceError):
        image.path = "b.png"  # type: ignore[misc]
