"""Opening: what is taken, what is refused, and that nothing is printed."""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from dicom_writing import SOP_CLASSES, item, made
from made_dicom import ct, save
from opened_dicom import RAMP, opened, refused

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.dicom.dataset import identity, looks_like_dicom, open_dataset
from MonaiSKD.reading.dicom.values import stored_frame
from MonaiSKD.reading.image import Identity


@pytest.mark.parametrize("bare", [False, True], ids=["with preamble", "without"])
@pytest.mark.parametrize(("implicit", "little"), [(False, True), (True, True), (False, False)], ids=["LE", "iLE", "BE"])
def test_every_encoding_gives_the_same_pixels(tmp_path: Path, bare: bool, implicit: bool, little: bool) -> None:
    pixels = RAMP if little else RAMP.byteswap()
    path = save(tmp_path / "a.dcm", made(pixels), implicit=implicit, little=little, bare=bare)
    assert looks_like_dicom(path.read_bytes()[:512])
    data = open_dataset(path)
    stored = stored_frame(data)
    assert stored.dtype == np.int16
    assert stored.dtype.isnative
    assert stored.tolist() == RAMP.tolist()
    assert data.filename == str(path)
    assert data.file_meta.TransferSyntaxUID
    assert "PixelData" not in open_dataset(path, pixels=False)


def deflated(path: Path, data: bytes, end: int | None = None) -> Path:
    """A file as :func:`save` writes it, with its data set deflated."""
    start = data.index(struct.pack("<HH2s", 0x0008, 0x0016, b"UI"))
    meta = data[132:start].replace(
        struct.pack("<2sH", b"UI", 20) + b"1.2.840.10008.1.2.1\0",
        struct.pack("<2sH", b"UI", 22) + b"1.2.840.10008.1.2.1.99",
    )
    length = struct.unpack("<I", meta[8:12])[0] + 2
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(data[start:]) + packer.flush()
    path.write_bytes(data[:132] + meta[:8] + struct.pack("<I", length) + meta[12:] + packed[:end])
    return path


def test_a_deflated_file_is_inflated(tmp_path: Path) -> None:
    path = deflated(tmp_path / "b.dcm", save(tmp_path / "a.dcm", made(RAMP)).read_bytes())
    assert stored_frame(open_dataset(path)).tolist() == RAMP.tolist()
    assert open_dataset(path, pixels=False).Rows == 3


def test_a_deflated_file_that_is_cut_off_or_inflates_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = save(tmp_path / "a.dcm", made(RAMP)).read_bytes()
    assert refused(deflated(tmp_path / "cut.dcm", whole, end=-20)).code == "damaged"
    monkeypatch.setattr("MonaiSKD.reading.dicom.dataset._MAX_INFLATED", 200)
    error = refused(deflated(tmp_path / "bomb.dcm", whole))
    assert (error.code, error.cause) == ("too_large", "inflates to more than 200 bytes")


@pytest.mark.parametrize(
    ("head", "is_dicom"),
    [
        (bytes(128) + b"DICM", True),
        (b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100" + bytes(120), True),
        (b"\x00\x08\x00\x05CS\x00\x0aISO_IR 100" + bytes(120), True),
        (b"\x08\x00\x00\x00\x04\x00\x00\x00\x10\x00\x00\x00\x08\x00\x16\x00" + bytes(120), True),
        (b"\x89PNG\r\n\x1a\n" + bytes(124), False),
        (b"\xff\xd8\xff\xe0" + bytes(130), False),
        (b"\x5c\x01\x00\x00" + bytes(340), False),  # NIfTI
        (bytes(512), False),
        (b"BM\x08\x00\x00\x00" + bytes(130), False),
        (b"ObjectType = Image", False),
        (b"", False),
        (b"\x08\x00", False),
    ],
)
def test_dicom_is_known_by_its_first_bytes(head: bytes, is_dicom: bool) -> None:
    assert looks_like_dicom(head) is is_dicom


def test_what_is_not_there_is_not_found_and_what_is_no_dicom_is_no_image(tmp_path: Path) -> None:
    assert refused(tmp_path / "absent.dcm").code == "not_found"
    (tmp_path / "a.dcm").write_bytes(b"a picture, honestly" * 40)
    assert refused(tmp_path / "a.dcm").code == "not_an_image"
    (tmp_path / "empty.dcm").write_bytes(b"")
    assert refused(tmp_path / "empty.dcm").code == "damaged"


@pytest.mark.parametrize(
    ("sop_class", "cause"),
    [
        ("1.2.840.10008.5.1.4.1.1.88.33", "is a structured report, not an image"),
        ("1.2.840.10008.5.1.4.1.1.88.67", "is a radiation dose report, not an image"),
        ("1.2.840.10008.5.1.4.1.1.104.1", "is an encapsulated document, not an image"),
        ("1.2.840.10008.5.1.4.1.1.481.3", "is a radiotherapy structure set, not an image"),
        ("1.2.840.10008.1.3.10", "is a DICOMDIR, a table of contents"),
        ("1.2.840.10008.5.1.4.1.1.2", "is CT Image Storage without pixels"),
    ],
)
def test_what_is_no_image_is_named(tmp_path: Path, sop_class: str, cause: str) -> None:
    path = save(tmp_path / "a.dcm", made(None, SOPClassUID=sop_class))
    for pixels in (True, False):
        error = refused(path, pixels)
        assert (error.code, error.cause) == ("not_an_image", cause)


def test_a_segmentation_has_pixels_and_is_no_image(tmp_path: Path) -> None:
    mask = made(RAMP, SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4", Modality="SEG")
    assert refused(save(tmp_path / "a.dcm", mask)).code == "not_an_image"
    bits = made(RAMP.astype(np.uint8), BitsAllocated=1, BitsStored=1)
    assert refused(save(tmp_path / "b.dcm", bits)).cause == "holds one bit a pixel (a mask?)"


@pytest.mark.parametrize(
    "broken",
    [
        {"Rows": 0},
        {"Columns": None},
        {"BitsAllocated": 12},
        {"BitsAllocated": 48},
        {"BitsStored": 17},
        {"BitsStored": 0},
        {"SamplesPerPixel": 7},
        {"PixelRepresentation": 2},
        {"PixelRepresentation": None},
        {"PhotometricInterpretation": None},
        {"Rows": 4},
        {"NumberOfFrames": 2},
    ],
)
def test_an_impossible_description_of_the_pixels_is_damage(tmp_path: Path, broken: dict) -> None:
    path = save(tmp_path / "a.dcm", made(RAMP, **broken))
    for pixels in (True, False):
        assert refused(path, pixels).code == "damaged"


@pytest.mark.parametrize(
    "giant",
    [
        {"Rows": 65535, "Columns": 1000},
        {"NumberOfFrames": 30_000_000},
        {"Rows": 8192, "Columns": 4096, "NumberOfFrames": 9},
    ],
)
def test_a_giant_is_refused_before_its_pixels_are_read(tmp_path: Path, giant: dict) -> None:
    path = save(tmp_path / "a.dcm", made(RAMP, **giant))
    for pixels in (True, False):
        assert refused(path, pixels).code == "too_large"


@pytest.mark.parametrize(
    ("syntax", "named"),
    [
        ("1.2.840.10008.1.2.4.53", "Spectral Selection"),
        ("1.2.840.10008.1.2.4.100", "MPEG2"),
        ("1.2.3.4", "a DICOM object"),
    ],
)
def test_an_unread_transfer_syntax_is_named(tmp_path: Path, syntax: str, named: str) -> None:
    path = tmp_path / "a.dcm"
    # Written as native, so that pydicom 3 does not mind; the name is put in afterwards.
    data = made(RAMP)
    data.file_meta.TransferSyntaxUID = syntax
    whole = save(tmp_path / "b.dcm", made(RAMP)).read_bytes()
    old = struct.pack("<2sH", b"UI", 20) + b"1.2.840.10008.1.2.1\0"
    name = syntax.encode() + b"\0" * (len(syntax) % 2)
    whole = whole.replace(old, struct.pack("<2sH", b"UI", len(name)) + name, 1)
    group = struct.unpack("<I", whole[140:144])[0] + len(name) - 20
    path.write_bytes(whole[:140] + struct.pack("<I", group) + whole[144:])
    error = refused(path)
    assert error.code == "unsupported"
    assert named in error.cause


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("bare", [False, True])
def test_a_file_cut_off_anywhere_is_refused_by_name(tmp_path: Path, implicit: bool, bare: bool) -> None:
    whole = save(
        tmp_path / "whole", made(RAMP, "CT", PatientName="Doe^Jane"), implicit=implicit, bare=bare
    ).read_bytes()
    path = tmp_path / "cut.dcm"
    codes = set()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        for pixels in (True, False):
            error = refused(path, pixels)
            assert "Doe" not in str(error)
            codes.add(error.code)
    assert codes == {"damaged", "not_an_image"}


def test_bytes_changed_at_random_are_read_or_refused_and_nothing_else(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    whole = ct(tmp_path / "whole", RAMP, PatientName="Doe^Jane", WindowCenter=[1, 2], WindowWidth=[3, 4]).read_bytes()
    path = tmp_path / "changed.dcm"
    random = np.random.default_rng(0)
    for _ in range(400):
        changed = np.frombuffer(whole, dtype=np.uint8).copy()
        places = random.integers(128, changed.size, size=random.integers(1, 6))
        changed[places] = random.integers(0, 256, size=places.size)
        path.write_bytes(changed.tobytes())
        with suppress(SKDError):
            opened(path)
    assert capfd.readouterr() == ("", "")


def test_whose_image_it_is(tmp_path: Path) -> None:
    path = ct(
        tmp_path / "a.dcm",
        RAMP,
        PatientID="  17 ",
        PatientName="Doe^Jane",
        StudyInstanceUID="1.2.3",
        SeriesInstanceUID="1.2.4",
    )
    found = identity(open_dataset(path, pixels=False))
    assert found == Identity("17", "Doe^Jane", "1.2.3", "1.2.4")


def test_a_japanese_name_is_decoded(tmp_path: Path) -> None:
    path = ct(
        tmp_path / "a.dcm",
        RAMP,
        SpecificCharacterSet=["", "ISO 2022 IR 87"],
        PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう",
    )
    assert identity(open_dataset(path, pixels=False)).patient_name == "Yamada^Tarou=山田^太郎=やまだ^たろう"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("charset", ["ISO_IR 999", "ISO2022 99", "nonsense", "\\\\"])
def test_an_unknown_character_set_is_no_reason_to_fail(tmp_path: Path, charset: str) -> None:
    whole = ct(tmp_path / "a", RAMP, SpecificCharacterSet="ISO_IR 100", PatientName="M\xfcller^Jos\xe9").read_bytes()
    path = tmp_path / "b.dcm"
    path.write_bytes(whole.replace(b"ISO_IR 100", charset.encode().ljust(10)))
    data = open_dataset(path)
    assert identity(data).patient_name.startswith("M")
    assert stored_frame(data).shape == RAMP.shape


@pytest.mark.filterwarnings("error")
def test_nothing_of_the_patient_is_printed_or_logged(
    tmp_path: Path, capfd: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.dcm"
    whole = ct(path, RAMP, PatientName="Secret^Name", StudyInstanceUID="1.2.3", PixelSpacing=[1, 1]).read_bytes()
    path.write_bytes(whole.replace(b"1.2.3\0", b"Secret").replace(b"1\\1 ", b"Sec\\"))
    with caplog.at_level(logging.DEBUG):
        data = open_dataset(path)
        assert identity(data).study_uid == "Secret"
        stored_frame(data)
    assert "Secret" not in caplog.text
    assert capfd.readouterr() == ("", "")


def test_many_threads_read_quietly_and_leave_the_warning_filters_as_they_were(tmp_path: Path) -> None:
    path = ct(tmp_path / "a.dcm", RAMP)
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as threads:
        for stored in threads.map(lambda _: stored_frame(open_dataset(path)).tolist(), range(64)):
            assert stored == (RAMP + 1024).tolist()
    assert list(warnings.filters) == before


def test_padding_behind_the_pixels_does_no_harm(tmp_path: Path) -> None:
    path = ct(tmp_path / "a.dcm", RAMP)
    path.write_bytes(path.read_bytes() + bytes(2**20))
    assert stored_frame(open_dataset(path)).tolist() == (RAMP + 1024).tolist()


def test_a_name_of_the_class_is_known_from_the_file_meta_information_too(tmp_path: Path) -> None:
    data = made(None, "SR", SOPClassUID=None, Modality=None)
    assert SOP_CLASSES["SR"] == data.file_meta.MediaStorageSOPClassUID
    assert refused(save(tmp_path / "a.dcm", data)).cause == "is a structured report, not an image"


def test_a_directory_record_is_a_dicomdir_whatever_its_class(tmp_path: Path) -> None:
    data = made(None, DirectoryRecordSequence=[item(PatientID="1")])
    assert refused(save(tmp_path / "a.dcm", data)).cause == "is a DICOMDIR, a table of contents"
