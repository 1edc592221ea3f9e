"""What is no image, and what is no plain file."""

from __future__ import annotations

import contextlib
import os
import random
import socket
from pathlib import Path

from fuzz.damage import SUFFIXES
from fuzz.seeds import Seed


def foreign(rng: random.Random, _seed: Seed, _: list[Seed]) -> Seed:
    """What is no image, under the name of one."""
    contents = (
        b"", b"\0", b"\0" * 200, rng.randbytes(rng.choice((1, 16, 131, 132, 133, 5000))),
        b"<!doctype html><html></html>",
        b"%PDF-1.7\n" + rng.randbytes(500), b"PK\x03\x04" + rng.randbytes(500), bytes(128) + b"DICM",
        bytes(128) + b"DICM" + rng.randbytes(300), b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n" + rng.randbytes(300),
        b"\xff\xd8\xff",
        b"II*\0\x08\0\0\0" + b"\xff" * 300, b"II*\0\x08\0\0\0" + rng.randbytes(400), b"BM" + rng.randbytes(200),
        b"NRRD0004\n",
        b"NRRD0004\n" + rng.randbytes(200), b"ObjectType = Image\nNDims = 3\n", b"\x1f\x8b\x08" + rng.randbytes(200),
        b"\x5c\x01\0\0" + rng.randbytes(600), b"\x08\0\x05\0CS\x0a\0ISO_IR 100" + rng.randbytes(500),
        b"import os\n" * 100,
    )  # fmt: skip
    return Seed(f"foreign{rng.choice(SUFFIXES)}", rng.choice(contents), 0)


def places(rng: random.Random, seed: Seed, _: list[Seed]) -> Seed:
    """No plain file: a pipe, a device, a loop of links, no permission, a folder, an odd name (made by `place`)."""
    kinds = [
        "fifo",
        "zero",
        "loop",
        "dangling",
        "forbidden",
        "folder",
        "newline",
        "invalid",
        "long",
        "absent",
        "nul",
        "socket",
    ]
    return Seed(f"place:{rng.choice(kinds)}:{rng.choice(SUFFIXES)}", seed.content, 0)


def place(mutant: Seed, folder: Path) -> Path:
    """Write the mutant, and return what is to be classified."""
    if not mutant.name.startswith("place:"):
        path = folder / mutant.name
        path.write_bytes(mutant.content)
        return path
    _, kind, suffix = mutant.name.split(":")
    path = folder / f"odd{suffix}"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "zero":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        (folder / "a").symlink_to(folder / "b")
        (folder / "b").symlink_to(folder / "a")
        path.symlink_to(folder / "a")
        (folder / "below").symlink_to(folder)
    elif kind == "dangling":
        path.symlink_to(folder / "nowhere")
    elif kind == "forbidden":
        path.write_bytes(mutant.content)
        path.chmod(0)
    elif kind == "folder":
        path = folder / f"folder{suffix}"
        path.mkdir()
    elif kind == "newline":
        path = folder / f"a\nb\x1b[31m{suffix}"
        path.write_bytes(mutant.content)
    elif kind == "invalid":
        path = Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe" + suffix.encode()))
        path.write_bytes(mutant.content)
    elif kind == "long":
        path = folder / ("x" * 5000 + suffix)
    elif kind == "nul":
        path = Path(f"{folder}/a\0b{suffix}")
    elif kind == "socket":
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    return path
