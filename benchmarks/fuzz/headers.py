"""Headers that state absurd sizes or values that cannot be, for every kind of file."""

from __future__ import annotations

import gzip
import random
import re
import struct
import zlib

from fuzz.damage import INTEGERS, WORDS
from fuzz.dicom_damage import absurd_elements, wrong_elements
from fuzz.seeds import Seed


def absurd_sizes(rng: random.Random, seed: Seed, _: list[Seed]) -> bytes | None:
    if seed.content[128:132] == b"DICM":
        return absurd_elements(rng, seed)
    if seed.content[:8] == b"\x89PNG\r\n\x1a\n":
        return _png_header(rng, seed.content)
    if re.search(r"\.(nii|nii\.gz)$", seed.name):
        return _nifti_header(rng, seed, ("dim", "offset", "datatype"))
    if seed.name.endswith((".mha", ".nrrd")):
        return _text_header(rng, seed.content, sizes=True)
    if seed.content[:2] in (b"II", b"BM"):
        at = 18 if seed.content[:2] == b"BM" else None
        if at is None:
            tag = rng.choice((256, 257, 258, 259, 262, 273, 277, 278, 279, 322, 323, 339))
            at = seed.content.find(struct.pack("<H", tag), 8) + rng.choice((2, 4, 8))
        return seed.content[:at] + struct.pack("<I", rng.choice(INTEGERS)) + seed.content[at + 4 :]
    if seed.content[:2] == b"\xff\xd8":
        at = max(seed.content.find(b"\xff\xc0"), seed.content.find(b"\xff\xc2"))
        return (
            seed.content[: at + 5]
            + struct.pack(">HH", rng.choice((0, 1, 65535)), rng.choice((0, 1, 65535)))
            + seed.content[at + 9 :]
        )
    return None


def wrong_values(rng: random.Random, seed: Seed, _: list[Seed]) -> bytes | None:
    """Values that the standard does not allow, or that contradict each other."""
    if re.search(r"\.(nii|nii\.gz)$", seed.name):
        return _nifti_header(rng, seed, ("scale", "affine", "pixdim", "code"))
    if seed.name.endswith((".mha", ".nrrd")):
        return _text_header(rng, seed.content, sizes=False)
    return wrong_elements(rng, seed)


def _png_header(rng: random.Random, content: bytes) -> bytes:
    width, height = (rng.choice((0, 1, 40, 1000, 9000, 30000, 65535, 2**31 - 1)) for _ in range(2))
    depth, colour = rng.choice((1, 2, 4, 8, 16, 0, 255)), rng.choice((0, 0, 2, 3, 4, 6, 7))
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, rng.choice((0, 1)))
    chunk = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    return content[:8] + chunk + content[33:]


def _nifti_header(rng: random.Random, seed: Seed, what: tuple[str, ...]) -> bytes | None:
    packed = seed.name.endswith(".gz")
    if packed and len(seed.content) > 600_000:
        return None
    try:
        content = bytearray(gzip.decompress(seed.content) if packed else seed.content)
    except (OSError, EOFError, zlib.error):
        return None
    if content[:4] != b"\x5c\x01\0\0":
        return None
    floats = (0.0, -1.0, float("nan"), float("inf"), 1e38, 1e-40, 1e-6, -1e30, 3.0)
    for _number in range(rng.choice((1, 1, 3))):
        kind = rng.choice(what)
        if kind == "dim":
            struct.pack_into(
                "<h", content, 40 + 2 * rng.randrange(8), rng.choice((0, 1, -1, 2, 7, 32767, -32768, 3000))
            )
        elif kind == "offset":
            struct.pack_into("<f", content, 108, rng.choice((*floats, 352.0, 1e9, 6e7, 0.5)))
        elif kind == "datatype":
            struct.pack_into(
                "<hh",
                content,
                70,
                rng.choice((0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 768, 1024, 1536, 2304, 999)),
                16,
            )
        elif kind == "scale":
            struct.pack_into("<f", content, rng.choice((112, 116)), rng.choice(floats))
        elif kind == "pixdim":
            struct.pack_into("<f", content, 76 + 4 * rng.randrange(8), rng.choice(floats))
        elif kind == "code":
            struct.pack_into("<h", content, rng.choice((252, 254)), rng.choice((0, 1, 4, -1, 99)))
            content[123] = rng.choice((0, 1, 2, 3, 255))
        else:
            struct.pack_into("<f", content, 256 + 4 * rng.randrange(18), rng.choice(floats))
    return gzip.compress(bytes(content), 1, mtime=0) if packed else bytes(content)


def _text_header(rng: random.Random, content: bytes, *, sizes: bool) -> bytes:
    end = content.find(b"\n\n") if content.startswith(b"NRRD") else content.find(b"LOCAL")
    lines = content[: max(end, 0)].decode("latin-1").split("\n")
    names = ("NDims", "DimSize", "sizes", "dimension", "ElementType", "type", "ElementNumberOfChannels")
    chosen = [k for k, line in enumerate(lines) if line.startswith(names) == sizes and re.search("[:=]", line)]
    for k in rng.sample(chosen, min(len(chosen), rng.choice((1, 1, 2)))):
        key = re.split("([:=])", lines[k], maxsplit=1)
        words = [*WORDS, "65535", "100000 100000 100000", "-5 8 7", "0 0 0", "3", "4", "1 1 1", "MET_DOUBLE",
                 "MET_UCHAR_ARRAY", "double", "block", "(nan,0,0) (0,0,0) (0,0,1)", "/etc/passwd", "../x.raw",
                 "LIST", "bzip2", "ascii",
                 "hex", "True", "0.6 0.8 0 -0.8 0.6 0 0 0 1", "1e300 1e300 1e300", "1e-9 1e9 1",
                 "none (0,1,0) (0,0,1)"]  # fmt: skip
        lines[k] = f"{key[0]}{key[1]} {rng.choice(words)}"
    return "\n".join(lines).encode("latin-1", "replace") + content[max(end, 0) :]
