"""Damage to the elements of a DICOM file and to its compressed pixels."""

from __future__ import annotations

import io
import random
import re
import struct
from typing import Any

import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from fuzz.damage import INTEGERS, WORDS, flip
from fuzz.seeds import Seed

_SYNTAXES = ("", ".1", ".2", ".1.99", ".5", *(f".4.{n}" for n in (50, 51, 57, 70, 80, 81, 90, 91, 100, 201, 202, 203)))
_REPRESENTATIONS = (
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)
_KEYWORDS = (
    "RescaleSlope",
    "RescaleIntercept",
    "WindowCenter",
    "WindowWidth",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "SliceThickness",
    "NumberOfFrames",
    "PixelPaddingValue",
    "ImageType",
    "SpecificCharacterSet",
    "InstanceNumber",
    "VOILUTFunction",
    "PatientName",
    "Modality",
    "BodyPartExamined",
    "PhotometricInterpretation",
)


def _parsed(seed: Seed) -> Any:
    if seed.content[128:132] != b"DICM":
        return None
    try:
        return pydicom.dcmread(io.BytesIO(seed.content))
    except Exception:
        return None


def _written(dataset: Any) -> bytes | None:
    written = io.BytesIO()
    try:
        dataset.save_as(written)
    except Exception:
        return None
    return written.getvalue()


def tag_deletion(rng: random.Random, seed: Seed, _: list[Seed]) -> bytes | None:
    dataset = _parsed(seed)
    if dataset is None:
        return None
    tags = [tag for tag in dataset.keys() if tag != 0x7FE00010 or rng.random() < 0.1]  # noqa: SIM118
    for tag in rng.sample(tags, min(len(tags), rng.choice((1, 1, 2, 5, 20)))):
        del dataset[tag]
    for name in ("Modality", "SOPClassUID", "BodyPartExamined", "Rows", "BitsAllocated", "PhotometricInterpretation"):
        if rng.random() < 0.1 and name in dataset:
            delattr(dataset, name)
    return _written(dataset)


def wrong_vr(rng: random.Random, seed: Seed, _: list[Seed]) -> bytes | None:
    content = bytearray(seed.content)
    kinds = b"|".join(re.escape(kind) for kind in _REPRESENTATIONS)
    places = [
        found.start(1) for found in re.finditer(b"[\x02\x08\x10\x18\x20\x28\xe0]\x00..(" + kinds + b")", content, re.S)
    ]
    places = [at for at in places if at < 20_000] or places[:1]
    if not places:
        return None
    for at in rng.sample(places, min(len(places), rng.choice((1, 1, 3)))):
        content[at : at + 2] = rng.choice(_REPRESENTATIONS)
    return bytes(content)


def _set_number(content: bytes, tag: tuple[int, int], value: int) -> bytes:
    """Overwrite the value of 16 bits of an explicit or implicit little endian element."""
    changed = bytearray(content)
    at = content.find(struct.pack("<HH", *tag), 132)
    if at >= 0:
        changed[at + 8 : at + 10] = (value % 2**16).to_bytes(2, "little")
    return bytes(changed)


def absurd_elements(rng: random.Random, seed: Seed) -> bytes | None:
    sizes = [(0x28, element) for element in (0x10, 0x11, 0x2, 0x100, 0x101, 0x102, 0x103)]
    content = seed.content
    if rng.random() < 0.3:
        dataset = _parsed(seed)
        if dataset is None:
            return None
        dataset.NumberOfFrames = rng.choice((0, 2, 3, 100, 4096, 10**5, 10**6, 2**31 - 1))
        if rng.random() < 0.5:
            dataset.Rows = dataset.Columns = rng.choice((1, 2, 16))
        return _written(dataset)
    if rng.random() < 0.2:
        for tag in ((0x28, 0x10), (0x28, 0x11)):
            content = _set_number(content, tag, rng.choice((65535, 7000, 60000, 1)))
        return content
    for tag in rng.sample(sizes, rng.choice((1, 1, 2))):
        content = _set_number(content, tag, rng.choice(INTEGERS))
    return content


def wrong_elements(rng: random.Random, seed: Seed) -> bytes | None:
    dataset = _parsed(seed)
    if dataset is None:
        return None
    for _number in range(rng.choice((1, 2, 3))):
        tag = Tag(rng.choice(_KEYWORDS))
        parts = [rng.choice(WORDS) for _part in range(rng.choice((1, 1, 2, 3, 6)))]
        text = "\\".join(parts).encode("latin-1")
        text += b" " * (len(text) % 2)
        dataset._dict[tag] = RawDataElement(tag, rng.choice(("DS", "LO", "CS", "IS")), len(text), text, 0, False, True)
    return _written(dataset)


def transfer_syntax(rng: random.Random, seed: Seed, _: list[Seed]) -> bytes | None:
    found = re.search(rb"\x02\x00\x10\x00UI(..)", seed.content[:1000], re.S)
    if not found:
        return None
    length = struct.unpack("<H", found[1])[0]
    syntax = f"1.2.840.10008.1.2{rng.choice(_SYNTAXES)}".encode()[:length].ljust(length, b"\0")
    if rng.random() < 0.3:
        syntax = rng.randbytes(length)
    return seed.content[: found.end()] + syntax + seed.content[found.end() + length :]


def codestream(rng: random.Random, seed: Seed, _: list[Seed]) -> bytes | None:
    """Damage within the compressed pixels alone."""
    at = seed.content.rfind(b"\xe0\x7f\x10\x00")
    if at < 0:
        return None
    head = at + 12 + rng.choice((0, 16, 16, 16))
    if head >= len(seed.content):
        return None
    if rng.random() < 0.5:
        return flip(rng, seed.content, head, head + 200)
    if rng.random() < 0.3:
        cut = rng.randrange(head, len(seed.content))
        return seed.content[:cut] + rng.randbytes(len(seed.content) - cut)
    return flip(rng, seed.content, head)


def nested(rng: random.Random, seed: Seed, _: list[Seed]) -> bytes | None:
    """Sequences within sequences, of undefined length or of lengths that lie."""
    if seed.content[128:132] != b"DICM" or len(seed.content) > 200_000:
        return None
    at = seed.content.find(b"\x28\x00\x02\x00", 132)
    if at < 0:
        return None
    depth = rng.choice((10, 300, 3000, 10_000))
    length = rng.choice((b"\xff" * 4, b"\xff" * 4, struct.pack("<I", rng.choice(INTEGERS))))
    opened = (b"\x27\x00\x10\x10SQ\0\0" + length + b"\xfe\xff\x00\xe0" + length) * depth
    closed = (b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0") * (depth if rng.random() < 0.7 else 0)
    return seed.content[:at] + opened + closed + seed.content[at:]
