"""Little that becomes much."""

from __future__ import annotations

import gzip
import io
import random
import struct
import zipfile
import zlib
from functools import cache

from fuzz.damage import SUFFIXES
from fuzz.seeds import Seed, dicom, nifti


@cache
def _zeros(megabytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([*(packer.compress(bytes(2**20)) for _ in range(megabytes)), packer.flush()])


@cache
def _zip_bomb() -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.dcm", bytes(2**27))
    return written.getvalue()


def bombs(rng: random.Random, seed: Seed, _: list[Seed]) -> Seed:
    how = rng.randrange(7)
    if how == 0:
        return Seed(f"bomb{rng.choice(SUFFIXES)}", _zip_bomb(), 0)
    if how == 1:
        return Seed("zeros.nii.gz", _zeros(rng.choice((16, 512))), 0)
    if how == 2:  # a NIfTI header that promises what follows
        side = rng.choice((500, 700, 2000))
        head = bytearray(nifti((2, 2, 2), "u1")[:352])
        struct.pack_into("<8h", head, 40, 3, side, side, rng.choice((1, 300, 1000)), 1, 1, 1, 1)
        return Seed("promise.nii.gz", gzip.compress(bytes(head)) + _zeros(rng.choice((16, 512))), 0)
    if how == 3:
        side = rng.choice((5000, 9000, 13000, 30000))
        head = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, rng.choice((0, 2, 6)), 0, 0, 0)
        return Seed("bomb.png", _png(head, zlib.compress(bytes(2**20), 9)), 0)
    if how == 4:  # deflated DICOM
        plain = dicom("CT")
        deflated = dicom("CT", "1.2.840.10008.1.2.1.99")
        start = deflated.find(b"1.2.840.10008.1.2.1.99")
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        data = (
            packer.compress(plain[plain.find(b"\x08\x00\x16\x00") :])
            + b"".join(packer.compress(bytes(2**20)) for _ in range(400))
            + packer.flush()
        )
        return Seed("bomb.dcm", deflated[: start + 22] + data, 0)
    if how == 5:  # a codestream of another size than the header says
        large = bytearray(dicom("CT", f"1.2.840.10008.1.2.4.{rng.choice((50, 80, 90))}", 40))
        at = large.find(b"\xff\x4f\xff\x51")
        if at >= 0:
            struct.pack_into(">4I", large, at + 8, 60000, 60000, 0, 0)
        for marker in (b"\xff\xc0", b"\xff\xf7"):
            at = large.rfind(marker)
            if at >= 0:
                struct.pack_into(">HH", large, at + 5, 65535, 65535)
        return Seed("codestream.dcm", bytes(large), 0)
    size = rng.choice((6000, 7000))  # as much as is taken, in a file that has it
    return Seed("large.png", _plain_png(size, rng.choice((0, 2, 6))), 0)


@cache
def _plain_png(side: int, colour: int) -> bytes:
    channels = {0: 1, 2: 3, 6: 4}[colour]
    head = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, colour, 0, 0, 0)
    packer = zlib.compressobj(1)
    return _png(head, b"".join(packer.compress(bytes(1 + side * channels)) for _ in range(side)) + packer.flush())


def _png(head: bytes, data: bytes) -> bytes:
    parts = [
        struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part))
        for part in (head, b"IDAT" + data, b"IEND")
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
