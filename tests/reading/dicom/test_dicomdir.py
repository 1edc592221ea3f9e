"""The table of contents of a disc."""

from __future__ import annotations

from pathlib import Path

import pytest
from dicom_writing import item, write
from pydicom.dataset import FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.dicom.dicomdir import is_dicomdir, referenced_files


def directory(path: Path, *names: list[str] | str, kind: str = "IMAGE", syntax: str = ExplicitVRLittleEndian) -> Path:
    written = item(DirectoryRecordSequence=[item(DirectoryRecordType=kind, ReferencedFileID=name) for name in names])
    written.file_meta = FileMetaDataset()
    written.file_meta.TransferSyntaxUID = syntax
    written.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    written.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    return write(path, written)


def test_a_dicomdir_is_known_by_its_content(tmp_path: Path, shared: Path) -> None:
    assert is_dicomdir(directory(tmp_path / "x", "A").read_bytes())
    assert is_dicomdir((shared / "data/dicom/other/dicomdir").read_bytes()[:1024])
    assert not is_dicomdir((shared / "data/dicom/other/sr_document.dcm").read_bytes()[:1024])
    assert not is_dicomdir(b"")


def test_its_files_are_found_without_regard_to_case(tmp_path: Path) -> None:
    for name in ("images/a1", "B"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = list(referenced_files(directory(tmp_path / "DICOMDIR", ["IMAGES", "A1"], "B")))
    assert found == [(tmp_path / "images" / "a1", None), (tmp_path / "B", None)]


def test_one_that_inflates_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "A").touch()
    path = directory(tmp_path / "DICOMDIR", "A", syntax=DeflatedExplicitVRLittleEndian)
    assert is_dicomdir(path.read_bytes()[:1024])
    assert [found.name for found, _ in referenced_files(path)] == ["A"]
    monkeypatch.setattr("MonaiSKD.reading.dicom.dataset._MAX_INFLATED", 20)
    with pytest.raises(SKDError) as caught:
        list(referenced_files(path))
    assert caught.value.code == "too_large"
    assert caught.value.cause == "is a DICOMDIR that inflates to more than 20 bytes"


def test_other_things_than_images_are_left_out(tmp_path: Path) -> None:
    assert list(referenced_files(directory(tmp_path / "DICOMDIR", "A", kind="SR DOCUMENT"))) == []


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    ((path, error),) = referenced_files(directory(tmp_path / "DICOMDIR", ["IMAGES", "A1"]))
    assert path == tmp_path / "IMAGES" / "A1"
    assert error is not None
    assert error.code == "not_found"


@pytest.mark.parametrize("name", [["A" * 300], ["SUB", "A" * 300], ["A" * 300, "B"], ["ONE", "B"]])
def test_a_name_that_no_file_can_have_does_not_stop_the_others(tmp_path: Path, name: list[str]) -> None:
    (tmp_path / "SUB").mkdir()
    for file in ("ONE", "B", "sub/x", "SUB/X"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(b"x")
    directory(tmp_path / "DICOMDIR", name, "B")
    first, second = referenced_files(tmp_path / "DICOMDIR")
    assert first[1] is not None
    assert first[1].code == "not_found"
    assert second == (tmp_path / "B", None)


@pytest.mark.parametrize(
    "name", [["..", "SECRET"], ["SUB", "..", "..", "SECRET"], ["../SECRET"], ["/etc", "passwd"], ["LINK"]]
)
def test_nothing_outside_of_its_folder_is_followed(tmp_path: Path, name: list[str]) -> None:
    (tmp_path / "SECRET").write_bytes(b"x")
    folder = tmp_path / "disc"
    (folder / "SUB").mkdir(parents=True)
    (folder / "LINK").symlink_to(tmp_path / "SECRET")
    ((_, error),) = referenced_files(directory(folder / "DICOMDIR", name))
    assert error is not None
    assert error.code in ("damaged", "not_found")


def test_a_damaged_one_is_told(tmp_path: Path) -> None:
    path = directory(tmp_path / "DICOMDIR", *[["A", str(k)] for k in range(20)])
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(SKDError) as caught:
        list(referenced_files(path))
    assert caught.value.code == "damaged"


def test_the_real_one_names_files_that_are_not_there(shared: Path) -> None:
    found = list(referenced_files(shared / "data/dicom/other/dicomdir"))
    assert len(found) > 10
    assert all(error is not None and error.code == "not_found" for _, error in found)
