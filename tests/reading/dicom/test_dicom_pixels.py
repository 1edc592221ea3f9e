"""Stored pixels: what decoders and codestreams say, frames, colours, palettes, and bits beside the stored ones."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from dicom_writing import made
from made_dicom import ct, save
from opened_dicom import RAMP, opened, refused

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.dicom.codestream import stated_size
from MonaiSKD.reading.dicom.dataset import open_dataset
from MonaiSKD.reading.dicom.values import frame_count, stored_frame


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
    random, codes = np.random.default_rng(0), []
    for _ in range(30):
        changed = np.frombuffer(whole, dtype=np.uint8).copy()
        changed[random.integers(4000, changed.size, size=4)] = random.integers(0, 256, size=4)
        path.write_bytes(changed.tobytes())
        try:
            opened(path)
        except SKDError as error:
            codes.append(error.code)
    assert set(codes) == {"damaged"}  # some of it is seen


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
