"""Damage that any file can take, whatever it holds."""

from __future__ import annotations

import random

from fuzz.seeds import Seed

INTEGERS = (0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
WORDS = (
    "",
    "0",
    "-1",
    "1e308",
    "-1e308",
    "1e-320",
    "NaN",
    "inf",
    "abc",
    "\\\\\\",
    "1\\2",
    "9" * 16,
    "65535",
    "0.0",
    "%s%n",
    "\0",
)
SUFFIXES = (".dcm", "", ".png", ".jpg", ".tif", ".bmp", ".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr", ".txt")


def flip(rng: random.Random, content: bytes, start: int = 0, end: int | None = None) -> bytes:
    changed = bytearray(content)
    end = min(end or len(changed), len(changed))
    for _ in range(rng.choice((1, 1, 2, 4, 16, 64))):
        if start < end:
            changed[rng.randrange(start, end)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def bits(rng: random.Random, seed: Seed, _: list[Seed]) -> bytes:
    return flip(rng, seed.content)


def head_bits(rng: random.Random, seed: Seed, _: list[Seed]) -> bytes:
    return flip(rng, seed.content, 0, rng.choice((64, 512, 4096)))


def truncate(rng: random.Random, seed: Seed, _: list[Seed]) -> bytes:
    size = len(seed.content)
    return seed.content[
        : rng.choice((rng.randrange(size), rng.randrange(min(size, 2048)), max(size - rng.randrange(1, 64), 0)))
    ]


def chunks(rng: random.Random, seed: Seed, _: list[Seed]) -> bytes:
    content = bytearray(seed.content)
    for _number in range(rng.choice((1, 1, 3))):
        at, length = rng.randrange(len(content) or 1), rng.choice((1, 2, 8, 100, 5000))
        part = content[at : at + length]
        how = rng.randrange(4)
        if how == 0:
            del content[at : at + length]
        elif how == 1:
            content[at:at] = part * rng.choice((1, 2, 50))
        elif how == 2:
            content[at : at + length] = bytes([rng.choice((0, 255, 32))]) * len(part)
        else:
            content[at:at] = rng.randbytes(length)
    return bytes(content)


def integers(rng: random.Random, seed: Seed, _: list[Seed]) -> bytes:
    content = bytearray(seed.content)
    for _number in range(rng.choice((1, 1, 2, 8))):
        width, order = rng.choice((1, 2, 4, 8)), rng.choice(("little", "big"))
        at = rng.randrange(min(len(content), rng.choice((400, 4000, 10**9))))
        put = (rng.choice(INTEGERS) % 256**width).to_bytes(width, order)
        content[at : at + width] = put
    return bytes(content)


def splice(rng: random.Random, seed: Seed, seeds: list[Seed]) -> bytes:
    other = rng.choice(seeds).content
    return seed.content[: rng.randrange(len(seed.content))] + other[rng.randrange(len(other)) :][: 2**20]


def renamed(rng: random.Random, seed: Seed, _: list[Seed]) -> Seed:
    content = seed.content if rng.random() < 0.6 else flip(rng, seed.content)
    return Seed(f"renamed{rng.choice(SUFFIXES)}", content, 0)
