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
from made_dicom import SOP_CLASSES, ct, item, made, save

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.dicom.codestream import stated_size
from MonaiSKD.reading.dicom.dataset import identity, looks_like_dicom, open_dataset
from MonaiSKD.reading.dicom.values import frame_count, stored_frame
from MonaiSKD.reading.image import Identity

RAMP = np.arange(-6, 6, dtype=np.int16).reshape(3, 4)


def opened(path: Path, pixels: bool = True) -> None:
    data = open_dataset(path, pixels=pixels)
    if pixels:
        assert stored_frame(data).ndim == 2


def refused(path: Path, pixels: bool = True) -> SKDError:
    with pytest.raises(SKDError) as caught:
        opened(path, pixels)
    assert caught.value.thing == str(path)
    assert caught.value.remedy
    return caught.value


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


def test_compressed_pixels_that_contradict_the_header_are_not_decoded(shared: Path, tmp_path: Path) -> None:
    for name in ("cxr/cr_chest_mono1_j2k_lossy", "cxr/cr_chest_mono1_jpegls", "other/cr_teeth_modality_lut"):
        data = open_dataset(shared / "data" / "dicom" / f"{name}.dcm")
        data.Rows = int(data.Rows) // 2
        with pytest.raises(SKDError, match=r"says \d+ x \d+ pixels, but its picture") as caught:
            stored_frame(data)
        assert caught.value.code == "damaged"


class PanicException(BaseException):
    """As decoders in Rust raise it."""


@pytest.mark.parametrize("kind", [PanicException, RuntimeError, AttributeError, AssertionError])
def test_whatever_a_decoder_raises_is_damage_and_says_nothing_of_the_patient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type
) -> None:
    def decode(*_: object) -> None:
        raise kind("Doe^Jane")

    path = ct(tmp_path / "a.dcm", RAMP)
    monkeypatch.setattr("MonaiSKD.reading.dicom.pixels._decode", decode)
    error = refused(path)
    assert (error.code, error.cause) == ("damaged", f"has pixels that cannot be decoded ({kind.__name__})")
    assert error.__cause__ is None
    assert error.__suppress_context__
    monkeypatch.setattr("MonaiSKD.reading.dicom.pixels._decode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        opened(path)


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_damaged_run_length_encoding_is_refused(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data" / "dicom" / "ct_transfer_syntaxes"
    (source,) = folder.glob("CTImage.dcm_RLELossless*.dcm")
    whole = source.read_bytes()
    path = tmp_path / "a.dcm"
    random = np.random.default_rng(0)
    for _ in range(30):
        changed = np.frombuffer(whole, dtype=np.uint8).copy()
        changed[random.integers(4000, changed.size, size=4)] = random.integers(0, 256, size=4)
        path.write_bytes(changed.tobytes())
        with suppress(SKDError):
            opened(path)


@pytest.mark.parametrize(
    ("head", "size"),
    [
        ("ffd8 ffe0 0004 0000 ffc1 000b 0c 0010 0020 01 01 11 00", (16, 32, 1)),
        ("ffd8 fff7 000b 08 0300 0200 03 01 11 00", (768, 512, 3)),
        ("ff4f ff51 002f 0000 00000030 00000028 00000010 00000008" + "00" * 16 + "0001", (32, 32, 1)),
        ("ffd8 ffc4 0004 0000", None),
        ("ffd8 0000", None),
        ("0000", None),
        ("", None),
    ],
)
def test_a_codestream_states_its_own_size(head: str, size: tuple[int, int, int] | None) -> None:
    assert stated_size(bytes.fromhex(head)) == size


def boxed(*boxes: tuple[bytes, bytes], last: int = 0) -> bytes:
    """A JP2 file of these boxes behind the ones that come first; the length of the last one may be told otherwise."""
    whole = [(b"jP  ", bytes.fromhex("0d0a870a")), (b"ftyp", b"jp2 " + bytes(4) + b"jp2 "), *boxes]
    parts = [struct.pack(">I", 8 + len(content)) + kind + content for kind, content in whole]
    parts[-1] = struct.pack(">I", last or len(parts[-1])) + parts[-1][4:]
    return b"".join(parts)


def codestream_of(side: int) -> bytes:
    return bytes.fromhex("ff4f ff51 0029 0000") + struct.pack(">8I", side, side, 0, 0, side, side, 0, 0) + b"\0\1\7\1\1"


def test_the_codestream_of_a_jp2_file_is_the_one_that_is_decoded() -> None:
    hidden, real = (b"uuid", bytes(16) + codestream_of(4)), (b"jp2c", codestream_of(9000))
    assert stated_size(boxed(real)) == (9000, 9000, 1)
    assert stated_size(boxed(hidden, real)) == (9000, 9000, 1)
    assert stated_size(boxed(hidden, real, last=0xFFFFFFFF)) == (9000, 9000, 1)
    long = (b"jp2c", struct.pack(">Q", 16 + len(real[1])) + real[1])
    assert stated_size(boxed(hidden, long, last=1)) == (9000, 9000, 1)
    for broken in (boxed(hidden), boxed(hidden, real)[:-40], boxed((b"jp2c", hidden[1])), boxed(*[hidden] * 99, real)):
        assert stated_size(broken) is None
    assert stated_size(boxed(hidden, last=7) + boxed(real)) is None


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
    assert found == Identity("17", "Doe^Jane", "1.2.3", "1.2.4", "")


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


def test_frames_are_counted_and_a_missing_one_is_an_error(tmp_path: Path) -> None:
    frames = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    data = open_dataset(save(tmp_path / "a.dcm", made(frames)))
    assert frame_count(data) == 2
    assert [stored_frame(data, index).tolist() for index in (0, 1)] == frames.tolist()
    with pytest.raises(IndexError):
        stored_frame(data, 2)
    for stated in (0, None):
        single = made(frames[0])
        if stated is not None:
            single.NumberOfFrames = stated
        assert frame_count(open_dataset(save(tmp_path / "b.dcm", single))) == 1


@pytest.mark.parametrize(
    ("kind", "told"),
    [("RGB", "RGB; "), ("YBR_FULL", "YBR_FULL; "), ("YBR_FULL_422", "YBR_FULL_422; "), ("DOE JANE", "")],
)
def test_colours_are_refused_and_unknown_words_not_quoted(tmp_path: Path, kind: str, told: str) -> None:
    data = made(np.zeros((4, 12), dtype=np.uint8), Columns=4, SamplesPerPixel=3, PhotometricInterpretation=kind)
    data.PlanarConfiguration = 0
    error = refused(save(tmp_path / "a.dcm", data))
    assert error.code == "unsupported"
    assert error.cause == f"is a colour picture ({told}a screen capture?)"


@pytest.mark.parametrize("is_grey", [True, False])
def test_a_palette_is_looked_up_if_it_is_grey(tmp_path: Path, is_grey: bool) -> None:
    data = made(np.array([[0, 1], [2, 3]], dtype=np.uint8), "CR", PhotometricInterpretation="PALETTE COLOR")
    for channel in ("Red", "Green", "Blue"):
        entries = [10, 20, 30, 45 if channel == "Blue" and not is_grey else 40]
        setattr(data, f"{channel}PaletteColorLookupTableDescriptor", [4, 0, 16])
        setattr(data, f"{channel}PaletteColorLookupTableData", np.array(entries, dtype="<u2").tobytes())
    path = save(tmp_path / "a.dcm", data)
    if is_grey:
        assert stored_frame(open_dataset(path)).tolist() == [[10, 20], [30, 40]]
    else:
        assert refused(path).code == "unsupported"


@pytest.mark.parametrize(
    ("pixels", "stored", "high", "values"),
    [
        # Overlay bits above 12 stored ones.
        (np.array([[0xF123, 0x8FFF]], dtype=np.uint16), 12, 11, [[0x123, 0xFFF]]),
        # The sign is in bit 11; what lies above does not count.
        (np.array([[0x0FFF, 0x7001, -1]], dtype=np.int16), 12, 11, [[-1, 1, -1]]),
        # Twelve bits at the top of sixteen, as older devices wrote them.
        (np.array([[0x1230, 0xFFFF]], dtype=np.uint16), 12, 15, [[0x123, 0xFFF]]),
        (np.array([[0x81, 0x7F]], dtype=np.uint8), 7, 6, [[1, 127]]),
    ],
)
def test_bits_beside_the_stored_ones_are_left_out(
    tmp_path: Path, pixels: np.ndarray, stored: int, high: int, values: list[list[int]]
) -> None:
    path = save(tmp_path / "a.dcm", made(pixels, BitsStored=stored, HighBit=high))
    assert stored_frame(open_dataset(path)).tolist() == values


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_float_pixels_are_read_and_must_be_finite(tmp_path: Path, kind: type) -> None:
    pixels = np.array([[0.5, -3.0], [1e9, 2.0]], dtype=kind)
    path = save(tmp_path / "a.dcm", made(pixels, "MR"))
    assert stored_frame(open_dataset(path)).tolist() == pixels.tolist()
    pixels[0, 0] = np.nan
    error = refused(save(tmp_path / "b.dcm", made(pixels, "MR")))
    assert (error.code, error.cause) == ("damaged", "holds pixels that are NaN or infinite")


def test_a_name_of_the_class_is_known_from_the_file_meta_information_too(tmp_path: Path) -> None:
    data = made(None, "SR", SOPClassUID=None, Modality=None)
    assert SOP_CLASSES["SR"] == data.file_meta.MediaStorageSOPClassUID
    assert refused(save(tmp_path / "a.dcm", data)).cause == "is a structured report, not an image"


def test_a_directory_record_is_a_dicomdir_whatever_its_class(tmp_path: Path) -> None:
    data = made(None, DirectoryRecordSequence=[item(PatientID="1")])
    assert refused(save(tmp_path / "a.dcm", data)).cause == "is a DICOMDIR, a table of contents"
