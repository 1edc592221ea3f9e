"""Giants and bombs: what promises or inflates to more than an image has is refused before it is unpacked."""

from __future__ import annotations

import gzip
import struct
import zlib
from functools import cache
from pathlib import Path

import pytest
from answered import answer, code, codes, dicom, write
from fuzz import seeds

from MonaiSKD.runtime import Classifier


def png(width: int, height: int, data: bytes) -> bytes:
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = (head, b"IDAT" + data, b"IEND")
    chunks = [struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@cache
def zeros(count: int, wbits: int = zlib.MAX_WBITS) -> bytes:
    """So many zeros, compressed without ever being there."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    return b"".join([*(packer.compress(bytes(2**20)) for _ in range(count >> 20)), packer.flush()])


def test_a_png_of_giant_size_is_refused(tmp_path: Path, classifiers: dict[str, Classifier]) -> None:
    bomb = write(tmp_path / "a.png", png(30000, 30000, zeros(64 * 2**20)))
    assert bomb.stat().st_size < 2**20
    assert codes(classifiers, bomb) == ("too_large",) * 3
    for side in (7100, 65535, 2**31 - 1):
        assert codes(classifiers, write(tmp_path / "b.png", png(side, side, b""))) == ("too_large",) * 3


def test_a_gzip_bomb_is_not_inflated(tmp_path: Path, classifiers: dict[str, Classifier]) -> None:
    four_gigabytes = zeros(2**26, 31) * 64  # gzip files one behind the other are one file
    assert len(four_gigabytes) < 5 * 2**20
    assert codes(classifiers, write(tmp_path / "a.nii.gz", four_gigabytes)) == ("damaged",) * 3
    head = nifti_head(2, 2, 2)
    assert codes(classifiers, write(tmp_path / "b.nii.gz", gzip.compress(head) + four_gigabytes))[2] == "not_an_image"


def nifti_head(*shape: int, kind: str = "u1") -> bytearray:
    head = bytearray(seeds.nifti((2, 2, 2), kind)[:352])
    struct.pack_into("<8h", head, 40, len(shape), *shape, *[1] * (7 - len(shape)))
    return head


@pytest.mark.parametrize("shape", [(32767,) * 3, (32767,) * 7, (2000, 2000, 400)])
def test_a_nifti_that_promises_too_much_is_refused(
    tmp_path: Path, classifiers: dict[str, Classifier], shape: tuple[int, ...]
) -> None:
    content = bytes(nifti_head(*shape)) + bytes(100)
    assert set(codes(classifiers, write(tmp_path / "a.nii", content))) == {"too_large"}
    assert set(codes(classifiers, write(tmp_path / "a.nii.gz", gzip.compress(content)))) == {"too_large"}


@pytest.mark.parametrize("syntax", ["1", "5", "4.50", "4.80", "4.90"])
@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"Rows": 65535, "Columns": 65535}, "too_large"),
        ({"NumberOfFrames": 10**9}, "too_large"),
        ({"NumberOfFrames": 10**6, "Rows": 1, "Columns": 1}, "too_large"),
        ({"NumberOfFrames": 4000, "Rows": 1, "Columns": 1}, "damaged"),
        ({"Rows": 0}, "damaged"),
        ({"BitsAllocated": 12}, "damaged"),
    ],
)
def test_dicom_headers_that_promise_too_much_are_refused(
    tmp_path: Path, classifiers: dict[str, Classifier], syntax: str, tags: dict[str, int], expected: str
) -> None:
    assert set(codes(classifiers, dicom(tmp_path, "CT", syntax, **tags))) == {expected}


def test_more_frames_than_a_volume_has_are_refused(tmp_path: Path, classifiers: dict[str, Classifier]) -> None:
    count = 200_000  # enough bytes for all of them
    path = dicom(tmp_path, "MR", Rows=1, Columns=1, NumberOfFrames=count, PixelData=bytes(2 * count))
    assert set(codes(classifiers, path)) == {"too_large"}


def test_a_deflated_bomb_is_refused(tmp_path: Path, classifiers: dict[str, Classifier]) -> None:
    content = seeds.dicom("CT", "1.2.840.10008.1.2.1.99")
    start = content.find(struct.pack("<HH2sHH", 2, 0x10, b"UI", 22, 0)[:6])
    start += 8 + struct.unpack_from("<H", content, start + 6)[0]
    while content[start : start + 2] == b"\x02\0":
        start += 8 + struct.unpack_from("<H", content, start + 6)[0]
    bomb = write(tmp_path / "a.dcm", content[:start] + zeros(2**29, -zlib.MAX_WBITS))
    assert set(codes(classifiers, bomb)) == {"too_large"}


@pytest.mark.parametrize(
    ("syntax", "mark"), [("4.50", b"\xff\xc0"), ("4.80", b"\xff\xf7"), ("4.90", b"\xff\x4f\xff\x51")]
)
def test_a_codestream_of_another_size_is_not_decoded(
    tmp_path: Path, classifiers: dict[str, Classifier], syntax: str, mark: bytes
) -> None:
    path = dicom(tmp_path, "CT", syntax, 40)
    content = bytearray(path.read_bytes())
    at = content.rfind(mark)
    if len(mark) == 4:
        struct.pack_into(">4I", content, at + 8, 60000, 60000, 0, 0)
    else:
        struct.pack_into(">HH", content, at + 5, 65535, 65535)
    found = answer(classifiers["lung_ct"], write(path, bytes(content)))
    assert code(found) == "damaged"
    assert "picture" in str(found)
