"""Feeds damaged, absurd and foreign files to a model: each must end in a result or a refusal, soon and in few bytes.

    python benchmarks/fuzz.py --model model.onnx --data DIR --count 10000 --seed 0 --out docs/generated/fuzz.md

Real files of DIR and small ones made here are mutated and classified in a child process that the parent watches. What
it counts as a finding: an "internal" error, more than 10 s of processor time, more than 1 GB of memory over what the
idle process has, the death of the process, a traceback or a panic in its standard error, and an answer for an image
whose header states another modality. Findings are kept in --findings, named by their number; the number and the seed
alone make the same file again (--only NUMBER).
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import gzip
import io
import multiprocessing
import os
import random
import re
import resource
import shutil
import stat
import struct
import sys
import tempfile
import time
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SECONDS = 10.0
MEGABYTES = 1024.0
_KILL_MEGABYTES = 6 * 1024.0
_KILL_WALL = 90.0  # on a busy machine; what counts is processor time
_LARGEST_SEED = 12 * 2**20
RULE_NAMES = ("chest_xray", "lung_ct", "brain_mri")


# --- seeds ------------------------------------------------------------------------------------------------------------


class Seed(NamedTuple):
    """A file to mutate: its name, its bytes, and how often it is taken."""

    name: str
    content: bytes
    weight: float


def _dicom(modality: str = "CT", syntax: str = "1.2.840.10008.1.2.1", size: int = 24, **tags: Any) -> bytes:
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID

    stored = (np.indices((size, size)).sum(0) * 20 + (0 if modality == "CT" else 1)).astype(np.uint16)
    dataset = Dataset()
    dataset.SOPClassUID = {"CT": "1.2.840.10008.5.1.4.1.1.2", "MR": "1.2.840.10008.5.1.4.1.1.4"}.get(
        modality, "1.2.840.10008.5.1.4.1.1.1"
    )
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID, dataset.StudyInstanceUID = "1.2.3.4", "1.2.3", "1.2"
    dataset.Modality, dataset.PatientID, dataset.PatientName = modality, "17", "Yamada^Tarou"
    dataset.BodyPartExamined = "BRAIN" if modality == "MR" else "CHEST"
    dataset.Rows = dataset.Columns = size
    dataset.SamplesPerPixel, dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 1, 16, 12, 11
    dataset.PixelRepresentation, dataset.PhotometricInterpretation = 0, "MONOCHROME2"
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    dataset.WindowCenter, dataset.WindowWidth = [40, 300], [400, 1500]
    dataset.PixelSpacing, dataset.SliceThickness = [0.7, 0.7], 1
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, 5], [1, 0, 0, 0, 1, 0]
    lut = Dataset()
    lut.LUTDescriptor, lut.LUTData = [16, 0, 8], bytes(range(16)) * 2
    lut["LUTDescriptor"].VR = "US"
    lut["LUTData"].VR = "OW"
    if modality == "CR":
        dataset.VOILUTSequence = [lut]
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    frames = int(tags.get("NumberOfFrames", 1))
    dataset.PixelData = stored.tobytes() * frames
    dataset["PixelData"].VR = "OW"
    if syntax.startswith("1.2.840.10008.1.2.4") or syntax == "1.2.840.10008.1.2.5":
        dataset.PixelData = encapsulate([_compressed(stored, syntax, dataset)] * frames)
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
    written = io.BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    return written.getvalue()


def _compressed(stored: np.ndarray, syntax: str, dataset: Any) -> bytes:
    from PIL import Image
    from pydicom.pixels.encoders.base import get_encoder

    if syntax.endswith(".50"):
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit = 7
        written = io.BytesIO()
        Image.fromarray((stored >> 4).astype(np.uint8)).save(written, "JPEG")
        return written.getvalue()
    options: dict[str, Any] = {"rows": stored.shape[0], "columns": stored.shape[1], "samples_per_pixel": 1}
    options.update(
        bits_allocated=16,
        bits_stored=12,
        pixel_representation=0,
        photometric_interpretation="MONOCHROME2",
        number_of_frames=1,
    )
    if syntax.endswith(".91"):
        options["j2k_cr"] = [2]
    return bytes(get_encoder(syntax).encode(stored, **options))


def _nifti(shape: tuple[int, ...] = (10, 9, 8), kind: str = "i2", offset: int = -1000, two: bool = False) -> bytes:
    import nibabel

    values = (np.arange(int(np.prod(shape))).reshape(shape) % 1500 + offset).astype(kind)
    image = (nibabel.Nifti2Image if two else nibabel.Nifti1Image)(values, np.diag([2, 2, 3, 1]))
    image.header.set_xyzt_units("mm")
    return bytes(image.to_bytes())


def _raster(kind: str, mode: str = "L", **options: Any) -> bytes:
    from PIL import Image

    values = (np.indices((40, 50)).sum(0) * 2).astype(np.uint8)
    picture = Image.fromarray(values.astype(np.uint16) * 200) if mode == "I;16" else Image.fromarray(values)
    written = io.BytesIO()
    (picture if mode in ("L", "I;16") else picture.convert(mode)).save(written, kind, **options)
    return written.getvalue()


def _metaimage() -> bytes:
    head = (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nCompressedData = False\n"
        "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\nElementSpacing = 2 2 3\nDimSize = 9 8 7\n"
        "ElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    )
    return head.encode() + (np.arange(504) * 3 - 1000).astype("<i2").tobytes()


def _nrrd(encoding: str) -> bytes:
    head = (
        "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 9 8 7\n"
        "space directions: (2,0,0) (0,2,0) (0,0,3)\nkinds: domain domain domain\nendian: little\n"
        f"encoding: {encoding}\nspace origin: (0,0,0)\n\n"
    )
    values = (np.arange(504) * 3 - 1000).astype("<i2").tobytes()
    return head.encode() + (gzip.compress(values, mtime=0) if encoding == "gzip" else values)


def handmade() -> list[Seed]:
    """Small files of every kind that is read."""
    made: dict[str, bytes] = {
        **{f"{modality.lower()}.dcm": _dicom(modality) for modality in ("CT", "MR", "CR")},
        "multi.dcm": _dicom("MR", NumberOfFrames=4),
        "implicit.dcm": _dicom("CT", "1.2.840.10008.1.2"),
        "deflated.dcm": _dicom("CT", "1.2.840.10008.1.2.1.99"),
        **{"ct.nii": _nifti(), "mr.nii.gz": gzip.compress(_nifti(offset=0), mtime=0), "two.nii": _nifti(two=True)},
        **{"slice.nii": _nifti((20, 21, 1)), "float.nii": _nifti(kind="f4"), "four.nii": _nifti((5, 5, 5, 2))},
        **{"grey.png": _raster("PNG"), "deep.png": _raster("PNG", "I;16"), "colour.png": _raster("PNG", "RGBA")},
        **{"palette.png": _raster("PNG", "P"), "grey.jpg": _raster("JPEG"), "colour.jpg": _raster("JPEG", "RGB")},
        **{"progressive.jpg": _raster("JPEG", progressive=True), "bits.bmp": _raster("BMP", "1")},
        **{"grey.bmp": _raster("BMP"), "grey.tif": _raster("TIFF"), "deep.tif": _raster("TIFF", "I;16")},
        **{"lzw.tif": _raster("TIFF", compression="tiff_lzw"), "jpeg.tif": _raster("TIFF", compression="jpeg")},
        **{"deflate.tif": _raster("TIFF", "RGB", compression="tiff_deflate")},
        **{"volume.mha": _metaimage(), "volume.nrrd": _nrrd("raw"), "packed.nrrd": _nrrd("gzip")},
    }
    for name, end in (
        ("jpeg", "4.50"),
        ("jls", "4.80"),
        ("near", "4.81"),
        ("j2k", "4.90"),
        ("lossy", "4.91"),
        ("rle", "5"),
    ):
        for modality in ("CT", "MR"):
            made[f"{name}_{modality.lower()}.dcm"] = _dicom(modality, f"1.2.840.10008.1.2.{end}", 40)
    made["multi_rle.dcm"] = _dicom("MR", "1.2.840.10008.1.2.5", NumberOfFrames=3)
    return [Seed(name, content, 4.0) for name, content in made.items()]


def seeds_of(folders: list[Path]) -> list[Seed]:
    """The handmade files and the real ones; large ones are taken rarely."""
    found = handmade()
    for folder in folders:
        for file in sorted(folder.rglob("*")):
            if file.is_file() and file.suffix not in (".md", ".csv") and file.stat().st_size <= _LARGEST_SEED:
                size = file.stat().st_size
                weight = 1.0 / (1.0 + (size / 100_000) ** 1.5)
                if file.name.endswith((".nii.gz", ".nrrd", ".mha")):
                    weight /= 4  # small files of large volumes
                found.append(Seed(file.name, file.read_bytes(), weight))
    return found


# --- mutations --------------------------------------------------------------------------------------------------------

Mutate = Callable[[random.Random, Seed, list[Seed]], "bytes | Seed | None"]
_INTEGERS = (0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
_WORDS = (
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
_SUFFIXES = (".dcm", "", ".png", ".jpg", ".tif", ".bmp", ".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr", ".txt")
_SYNTAXES = ("", ".1", ".2", ".1.99", ".5", *(f".4.{n}" for n in (50, 51, 57, 70, 80, 81, 90, 91, 100, 201, 202, 203)))
_REPRESENTATIONS = (
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)


def _flip(rng: random.Random, content: bytes, start: int = 0, end: int | None = None, most: int = 64) -> bytes:
    changed = bytearray(content)
    end = min(end or len(changed), len(changed))
    for _ in range(rng.choice((1, 1, 2, 4, 16, most))):
        if start < end:
            changed[rng.randrange(start, end)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def bits(rng: random.Random, seed: Seed, _: list[Seed]) -> bytes:
    return _flip(rng, seed.content)


def head_bits(rng: random.Random, seed: Seed, _: list[Seed]) -> bytes:
    return _flip(rng, seed.content, 0, rng.choice((64, 512, 4096)))


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
        put = (rng.choice(_INTEGERS) % 256**width).to_bytes(width, order)
        content[at : at + width] = put
    return bytes(content)


def splice(rng: random.Random, seed: Seed, seeds: list[Seed]) -> bytes:
    other = rng.choice(seeds).content
    return seed.content[: rng.randrange(len(seed.content))] + other[rng.randrange(len(other)) :][: 2**20]


def renamed(rng: random.Random, seed: Seed, _: list[Seed]) -> Seed:
    content = seed.content if rng.random() < 0.6 else _flip(rng, seed.content)
    return Seed(f"renamed{rng.choice(_SUFFIXES)}", content, 0)


def _parsed(seed: Seed) -> Any:
    import pydicom

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


def _set_raw(rng: random.Random, content: bytes, tag: tuple[int, int], width: int, value: int) -> bytes:
    """Overwrite the value of a short explicit or implicit little endian element."""
    changed = bytearray(content)
    at = content.find(struct.pack("<HH", *tag), 132)
    if at >= 0:
        changed[at + 8 : at + 8 + width] = (value % 256**width).to_bytes(width, "little")
    return bytes(changed)


def absurd_sizes(rng: random.Random, seed: Seed, _: list[Seed]) -> bytes | None:
    if seed.content[128:132] == b"DICM":
        return _absurd_dicom(rng, seed)
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
        return seed.content[:at] + struct.pack("<I", rng.choice(_INTEGERS)) + seed.content[at + 4 :]
    if seed.content[:2] == b"\xff\xd8":
        at = max(seed.content.find(b"\xff\xc0"), seed.content.find(b"\xff\xc2"))
        return (
            seed.content[: at + 5]
            + struct.pack(">HH", rng.choice((0, 1, 65535)), rng.choice((0, 1, 65535)))
            + seed.content[at + 9 :]
        )
    return None


def _absurd_dicom(rng: random.Random, seed: Seed) -> bytes | None:
    sizes = {
        (0x28, 0x10): 2,
        (0x28, 0x11): 2,
        (0x28, 0x2): 2,
        (0x28, 0x100): 2,
        (0x28, 0x101): 2,
        (0x28, 0x102): 2,
        (0x28, 0x103): 2,
    }
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
            content = _set_raw(rng, content, tag, 2, rng.choice((65535, 7000, 60000, 1)))
        return content
    for tag in rng.sample(list(sizes), rng.choice((1, 1, 2))):
        content = _set_raw(rng, content, tag, sizes[tag], rng.choice(_INTEGERS))
    return content


def wrong_values(rng: random.Random, seed: Seed, _: list[Seed]) -> bytes | None:
    """Values that the standard does not allow, or that contradict each other."""
    if re.search(r"\.(nii|nii\.gz)$", seed.name):
        return _nifti_header(rng, seed, ("scale", "affine", "pixdim", "code"))
    if seed.name.endswith((".mha", ".nrrd")):
        return _text_header(rng, seed.content, sizes=False)
    dataset = _parsed(seed)
    if dataset is None:
        return None
    from pydicom import config
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import Tag

    keywords = {
        **{"RescaleSlope": 0x281053, "RescaleIntercept": 0x281052, "WindowCenter": 0x281050, "WindowWidth": 0x281051},
        **{"PixelSpacing": 0x280030, "ImagePositionPatient": 0x200032, "ImageOrientationPatient": 0x200037},
        **{"SliceThickness": 0x180050, "NumberOfFrames": 0x280008, "PixelPaddingValue": 0x280120, "ImageType": 0x80008},
        **{
            "SpecificCharacterSet": 0x80005,
            "InstanceNumber": 0x200013,
            "VOILUTFunction": 0x281056,
            "PatientName": 0x100010,
        },
        **{"Modality": 0x80060, "BodyPartExamined": 0x180015, "PhotometricInterpretation": 0x280004},
    }
    del config
    for _number in range(rng.choice((1, 2, 3))):
        tag = Tag(rng.choice(list(keywords.values())))
        parts = [rng.choice(_WORDS) for _part in range(rng.choice((1, 1, 2, 3, 6)))]
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
        return _flip(rng, seed.content, head, min(head + 200, len(seed.content)))
    if rng.random() < 0.3:
        cut = rng.randrange(head, len(seed.content))
        return seed.content[:cut] + rng.randbytes(len(seed.content) - cut)
    return _flip(rng, seed.content, head)


def nested(rng: random.Random, seed: Seed, _: list[Seed]) -> bytes | None:
    """Sequences within sequences, of undefined length or of lengths that lie."""
    if seed.content[128:132] != b"DICM" or len(seed.content) > 200_000:
        return None
    at = seed.content.find(b"\x28\x00\x02\x00", 132)
    if at < 0:
        return None
    depth = rng.choice((10, 300, 3000, 10_000))
    length = rng.choice((b"\xff" * 4, b"\xff" * 4, struct.pack("<I", rng.choice(_INTEGERS) % 2**32)))
    opened = (b"\x27\x00\x10\x10SQ\0\0" + length + b"\xfe\xff\x00\xe0" + length) * depth
    closed = (b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0") * (depth if rng.random() < 0.7 else 0)
    return seed.content[:at] + opened + closed + seed.content[at:]


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
        words = [*_WORDS, "65535", "100000 100000 100000", "-5 8 7", "0 0 0", "3", "4", "1 1 1", "MET_DOUBLE",
                 "MET_UCHAR_ARRAY", "double", "block", "(nan,0,0) (0,0,0) (0,0,1)", "/etc/passwd", "../x.raw",
                 "LIST", "bzip2", "ascii",
                 "hex", "True", "0.6 0.8 0 -0.8 0.6 0 0 0 1", "1e300 1e300 1e300", "1e-9 1e9 1",
                 "none (0,1,0) (0,0,1)"]  # fmt: skip
        lines[k] = f"{key[0]}{key[1]} {rng.choice(words)}"
    return "\n".join(lines).encode("latin-1", "replace") + content[max(end, 0) :]


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
    """Little that becomes much."""
    how = rng.randrange(7)
    if how == 0:
        return Seed(f"bomb{rng.choice(_SUFFIXES)}", _zip_bomb(), 0)
    if how == 1:
        return Seed("zeros.nii.gz", _zeros(rng.choice((16, 512))), 0)
    if how == 2:  # a NIfTI header that promises what follows
        side = rng.choice((500, 700, 2000))
        head = bytearray(_nifti((2, 2, 2), "u1")[:352])
        struct.pack_into("<8h", head, 40, 3, side, side, rng.choice((1, 300, 1000)), 1, 1, 1, 1)
        return Seed("promise.nii.gz", gzip.compress(bytes(head)) + _zeros(rng.choice((16, 512))), 0)
    if how == 3:
        side = rng.choice((5000, 9000, 13000, 30000))
        head = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, rng.choice((0, 2, 6)), 0, 0, 0)
        data = b"IDAT" + zlib.compress(bytes(2**20), 9) * 1
        parts = [
            struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part))
            for part in (head, data, b"IEND")
        ]
        return Seed("bomb.png", b"\x89PNG\r\n\x1a\n" + b"".join(parts), 0)
    if how == 4:  # deflated DICOM
        plain = _dicom("CT")
        deflated = _dicom("CT", "1.2.840.10008.1.2.1.99")
        start = deflated.find(b"1.2.840.10008.1.2.1.99")
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        data = (
            packer.compress(plain[plain.find(b"\x08\x00\x16\x00") :])
            + b"".join(packer.compress(bytes(2**20)) for _ in range(400))
            + packer.flush()
        )
        return Seed("bomb.dcm", deflated[: start + 22] + data if start > 0 else deflated, 0)
    if how == 5:  # a codestream of another size than the header says
        large = bytearray(_dicom("CT", f"1.2.840.10008.1.2.4.{rng.choice((50, 80, 90))}", 40))
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
    data = b"IDAT" + b"".join(packer.compress(bytes(1 + side * channels)) for _ in range(side)) + packer.flush()
    parts = [
        struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in (head, data, b"IEND")
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


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
    return Seed(f"foreign{rng.choice(_SUFFIXES)}", rng.choice(contents), 0)


def places(rng: random.Random, seed: Seed, _: list[Seed]) -> Seed:
    """No plain file: a pipe, a device, a loop of links, no permission, a folder, an odd name (made by the worker)."""
    kinds = (
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
    )
    return Seed(f"place:{rng.choice(kinds)}:{rng.choice(_SUFFIXES)}", seed.content, 0)


# Kind -> how it mutates and how often.
MUTATIONS: dict[str, tuple[Mutate, float]] = {
    "bits flipped": (bits, 3),
    "bits of the head flipped": (head_bits, 3),
    "truncated": (truncate, 2),
    "chunks removed, doubled, blanked": (chunks, 2),
    "integers overwritten": (integers, 3),
    "spliced with another file": (splice, 1),
    "renamed": (renamed, 1),
    "tags deleted": (tag_deletion, 2),
    "wrong VR": (wrong_vr, 2),
    "absurd sizes": (absurd_sizes, 3),
    "impossible values": (wrong_values, 3),
    "other transfer syntax": (transfer_syntax, 2),
    "damaged codestream": (codestream, 4),
    "nested sequences": (nested, 0.5),
    "bombs": (bombs, 0.3),
    "not an image": (foreign, 1),
    "odd places and names": (places, 0.4),
}


def case(number: int, seed: int, seeds: list[Seed]) -> tuple[str, Seed, Seed]:
    """Mutation, original and mutant of a number, always the same ones."""
    rng = random.Random(f"{seed}:{number}")
    while True:
        kind = rng.choices(list(MUTATIONS), [weight for _, weight in MUTATIONS.values()])[0]
        original = rng.choices(seeds, [one.weight for one in seeds])[0]
        if not original.content:
            continue
        mutant = MUTATIONS[kind][0](rng, original, seeds)
        if mutant is not None:
            return kind, original, mutant if isinstance(mutant, Seed) else Seed(original.name, mutant, 0)


# --- the worker -------------------------------------------------------------------------------------------------------


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
        import socket

        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    return path


@dataclass
class Outcome:
    """What became of one input."""

    what: str  # "result", an error's code, "crash", "hang"
    seconds: float = 0.0
    megabytes: float = 0.0
    message: str = ""
    findings: tuple[str, ...] = ()


def _memory(key: str, pid: int | str = "self") -> float:
    """VmRSS or VmHWM in megabytes."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status") as status:  # noqa: PTH123
        for line in status:
            if line.startswith(key):
                return int(line.split()[1]) / 1024
    return 0.0


def _processor(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _silent_other_modality(path: Path, original: Seed, answer: Any, modality: str) -> str:
    """Why the answer is of a wrong modality, or nothing."""
    import pydicom

    from MonaiSKD.reading.dicom.terms import DOUBTFUL_MODALITIES, MODALITIES

    accepted = {*MODALITIES[modality], *DOUBTFUL_MODALITIES[modality]}
    told = any("modality" in warning for warning in answer.warnings)

    def stated(source: Any) -> str:
        try:
            return (
                str(pydicom.dcmread(source, stop_before_pixels=True, force=True).get("Modality", "") or "")
                .strip("\0 ")
                .upper()
            )
        except Exception:
            return ""

    if not answer.instances:  # not read as DICOM
        return ""
    now = stated(path)
    if now and now not in accepted:
        return f"states {now}, answered as {modality}"
    before = stated(io.BytesIO(original.content)) if original.content[128:132] == b"DICM" else ""
    if before and before not in accepted and not now and not told:
        return f"was {before}, states none, answered as {modality} without a warning"
    return ""


def work(pipe: Any, model: str, rule: str | None, folders: list[Path], seed: int, errors: str) -> None:
    """Classify the numbers that come through the pipe."""
    stream = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(stream, 2)
    os.dup2(stream, 1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import logging

    from MonaiSKD.reading import RULES
    from MonaiSKD.reading.sources import Source
    from MonaiSKD.runtime import Classifier, Failure

    classifier = Classifier(model, provider="cpu", threads=1)
    if rule is not None:
        contract = replace(classifier.contract, rule=RULES[rule])
        classifier._file = replace(classifier._file, contract=contract)
    seeds = seeds_of(folders)
    records = io.StringIO()
    logger = logging.getLogger("MonaiSKD.runtime.classifier")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(logging.StreamHandler(records))
    with tempfile.TemporaryDirectory() as warm:
        for one in seeds[:40]:  # imports and first runs are not the input's own cost
            path = place(one, Path(warm))
            list(classifier.many([path]))
    baseline = _memory("VmRSS")
    pipe.send(baseline)
    while (number := pipe.recv()) is not None:
        kind, original, mutant = case(number, seed, seeds)
        with tempfile.TemporaryDirectory() as folder:
            path = place(mutant, Path(folder))
            records.truncate(records.seek(0))
            before = Path(errors).stat().st_size
            with contextlib.suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
            pipe.send("go")
            start = time.process_time()
            findings: list[str] = []
            try:
                how = number % 4
                if how == 0:
                    answers = list(classifier.many([folder], recursive=True))
                elif how == 1:
                    answers = list(classifier.many([path], heatmaps=True))
                else:
                    answers = [classifier.attempt(Source(str(path), (str(path),)), heatmaps=how == 2)]
            except BaseException as error:
                import traceback

                answers, findings = [], ["traceback"]
                outcome = Outcome("escaped", message=f"{type(error).__name__}: {traceback.format_exc()}")
            else:
                failed = next((one for one in answers if isinstance(one, Failure)), None)
                if failed is not None:
                    outcome = Outcome(failed.code, message=failed.message)
                    if failed.code == "internal":
                        findings.append("internal")
                        outcome.message += "\n" + records.getvalue()
                elif answers:
                    outcome = Outcome("result")
                    wrong = {
                        _silent_other_modality(path, original, one, classifier.contract.rule.modality)
                        for one in answers
                    } - {""}
                    if wrong and not path.is_dir():
                        findings.append("wrong modality")
                        outcome.message = "; ".join(sorted(wrong))
                    for one in answers:
                        if not all(np.isfinite(list(one.probabilities.values()))):
                            findings.append("not finite")
                else:
                    outcome = Outcome("skipped")
            outcome.seconds = time.process_time() - start
            outcome.megabytes = _memory("VmHWM") - baseline
            with open(errors, errors="replace") as stream_text:  # noqa: PTH123
                stream_text.seek(before)
                noise = stream_text.read()
            if re.search("Traceback|panicked|terminate called", noise):
                findings.append("noise")
                outcome.message += "\n" + noise[-2000:]
            if outcome.seconds > SECONDS:
                findings.append("slow")
            if outcome.megabytes > MEGABYTES:
                findings.append("memory")
            outcome.findings = tuple(findings)
            for entry in Path(folder).iterdir():
                with contextlib.suppress(OSError):
                    if stat.S_ISREG(entry.lstat().st_mode):
                        entry.chmod(0o600)
        pipe.send((kind, original.name, outcome))


# --- the parent -------------------------------------------------------------------------------------------------------


class Worker:
    """A child process that classifies with one model, and is started anew when it dies."""

    def __init__(self, *arguments: Any) -> None:
        self._arguments = arguments
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=work, args=(other, *self._arguments), daemon=True)
        self._process.start()
        other.close()
        self._baseline = self._pipe.recv()

    def run(self, number: int) -> tuple[str, str, Outcome] | Outcome:
        self._pipe.send(number)
        try:
            self._pipe.recv()  # the mutant lies ready
            pid = self._process.pid or 0
            used, start = _processor(pid), time.monotonic()
            while not self._pipe.poll(0.2):
                megabytes = _memory("VmRSS", pid) - self._baseline
                if megabytes > _KILL_MEGABYTES:
                    return self._again(Outcome("killed", megabytes=megabytes, findings=("memory",)))
                seconds = _processor(pid) - used
                # A process that waits for ever uses no processor.
                if seconds > 2 * SECONDS or time.monotonic() - start > (_KILL_WALL if seconds > 0.5 else SECONDS):
                    return self._again(Outcome("hang", seconds=seconds, findings=("hang",)))
            return self._pipe.recv()
        except (EOFError, ConnectionResetError):
            self._process.join(10)
            return self._again(Outcome("crash", message=f"exit code {self._process.exitcode}", findings=("crash",)))

    def _again(self, outcome: Outcome) -> Outcome:
        self._process.kill()
        self._process.join()
        self._start()
        return outcome

    def stop(self) -> None:
        self._pipe.send(None)
        self._process.join(10)
        self._process.kill()


def main() -> None:
    from tqdm import tqdm

    options = _options()
    rules = list(RULE_NAMES) if options.every_rule else [None]
    jobs = [(model, rule) for model in options.model for rule in rules]
    folder = Path(tempfile.mkdtemp())
    workers = [
        Worker(model, rule, options.data, options.seed, str(folder / f"errors{k}.txt"))
        for k, (model, rule) in enumerate(jobs)
    ]
    seeds = seeds_of(options.data)
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    found: Counter[str] = Counter()
    done: list[tuple[Outcome, str, str, int]] = []
    start = time.monotonic()
    numbers = options.only or range(options.first, options.first + options.count)
    for number in tqdm(numbers, mininterval=5):
        answer = workers[number % len(workers)].run(number)
        if isinstance(answer, Outcome):
            kind, original, mutant = case(number, options.seed, seeds)
            name, outcome = original.name, answer
        else:
            kind, name, outcome = answer
        counts[kind][outcome.what] += 1
        done.append((replace(outcome, message=""), kind, name, number))
        if options.only:
            print(number, jobs[number % len(jobs)], kind, name, outcome)
        if outcome.findings:
            found.update(outcome.findings)
            tqdm.write(f"{number}: {', '.join(outcome.findings)}: {kind}, {name}: {outcome.message[-300:]}")
            if options.findings:
                _, _, mutant = case(number, options.seed, seeds)
                options.findings.mkdir(parents=True, exist_ok=True)
                suffix = "".join(Path(mutant.name.replace(":", "_")).suffixes)
                (options.findings / f"{number}{suffix}").write_bytes(mutant.content)
                (options.findings / f"{number}.txt").write_text(
                    f"{jobs[number % len(jobs)]} {kind}, {name}: {outcome}\n{outcome.message}"
                )
    for worker in workers:
        worker.stop()
    shutil.rmtree(folder)
    text = _table(options, counts, found, done, jobs, time.monotonic() - start)
    print(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text, encoding="utf-8")
    sys.exit(1 if found else 0)


def _table(
    options: argparse.Namespace,
    counts: dict[str, Counter[str]],
    found: Counter[str],
    done: list[tuple[Outcome, str, str, int]],
    jobs: list[tuple[str, str | None]],
    wall: float,
) -> str:
    from MonaiSKD import __version__
    from MonaiSKD.runtime import open_model

    codes = sorted({code for row in counts.values() for code in row}, key=lambda code: (code != "result", code))
    total = sum((row for row in counts.values()), Counter[str]())
    names = ", ".join(rule or open_model(model).contract.rule.modality for model, rule in jobs)
    lines = [
        f"<!-- python benchmarks/fuzz.py --model MODEL {'--every-rule ' if options.every_rule else ''}"
        f"{'--data DIR ' * len(options.data)}--count {options.count} --seed {options.seed} "
        f"--out FILE; MonaiSKD {__version__}; "
        f"{datetime.date.today()} -->",
        f"{total.total()} inputs (rules in turn: {names}; seed {options.seed}; {wall / 60:.0f} minutes).",
        "Each went through `Classifier.attempt` or `Classifier.many`; the table counts how it ended.",
        "",
        f"| mutation | inputs | {' | '.join(codes)} |",
        f"|---|---|{'---|' * len(codes)}",
        *(
            f"| {kind} | {counts[kind].total()} | {' | '.join(str(counts[kind][code] or '') for code in codes)} |"
            for kind in MUTATIONS
            if kind in counts
        ),
        f"| all | {total.total()} | {' | '.join(str(total[code]) for code in codes)} |",
        "",
        "| finding | inputs |",
        "|---|---|",
        f"| internal error or escaped exception | {found['internal'] + found['traceback']} |",
        f"| process died | {found['crash']} |",
        f"| more than {SECONDS:.0f} s of processor time, or waited for ever | {found['slow'] + found['hang']} |",
        f"| more than {MEGABYTES:.0f} MB over the idle process | {found['memory']} |",
        f"| traceback or panic in the standard error | {found['noise']} |",
        f"| another stated modality answered | {found['wrong modality']} |",
        f"| probabilities that are no numbers | {found['not finite']} |",
        "",
    ]
    slowest = sorted(done, key=lambda entry: -entry[0].seconds)[:3]
    largest = sorted(done, key=lambda entry: -entry[0].megabytes)[:3]
    lines += [
        "Slowest: "
        + "; ".join(f"{one.seconds:.1f} s ({kind}, {name}, {one.what})" for one, kind, name, _ in slowest)
        + ".",
        "Largest: "
        + "; ".join(f"{one.megabytes:.0f} MB ({kind}, {name}, {one.what})" for one, kind, name, _ in largest)
        + ".",
    ]
    return "\n".join(lines) + "\n"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", required=True, help="an .onnx file; several take turns")
    parser.add_argument("--every-rule", action="store_true", help="use each model under all three rules of reading")
    parser.add_argument("--data", action="append", type=Path, default=[], help="a folder of real files to mutate")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--only", type=int, action="append", help="run these numbers alone and say what became of them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--findings", type=Path, help="folder for the inputs that are findings")
    parser.add_argument("--out", type=Path, help="Markdown file for the table")
    return parser.parse_args()


if __name__ == "__main__":
    main()
