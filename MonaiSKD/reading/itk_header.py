"""The text header of NRRD and MetaImage, which may name any file on the computer as its values.

Nothing here tells what the headers say; ITK's readers do, and no two versions of them divide a header alike. So what is
dangerous is looked for wherever a reader could see it, and a header whose end is not certain is refused.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.opening import open_plain
from MonaiSKD.reading.volume import LARGEST_BYTES

# A MetaImage header ends far before; in one of NRRD, programs keep all they know of a series, UIDs of slices too.
_META_BYTES, _NRRD_BYTES = 64 * 2**10, 4 * 2**20
_PIECE_BYTES = 2**20
# ITK cuts names of 500 bytes, and what is cut names another file.
_LONGEST_NAME = 255

# NRRD ends with the first empty line; lines end with either character, or both.
_NRRD_END = re.compile(rb"\n\r?\n|\r\r")
_NRRD_DATA = re.compile(rb"(?:^|[\r\n])[ \t]*data[ _-]?file[ \t]*:([^\r\n]*)", re.IGNORECASE)
_NRRD_PLACED = re.compile(rb"(?:^|[\r\n])space directions[ \t]*:", re.IGNORECASE)

# MetaImage ends with this field; the first character after its name must be what separates it from its value.
_META_DATA = b"ElementDataFile"
_META_VALUE = re.compile(rb"[ \t]*[=:][ \t]*([^=:\s][^\n]*)")
_META_AXES = re.compile(rb"[ \t]*[=:][ \t]*[1-7]\s")
_META_PLACED = re.compile(rb"(?:^|[\r\n])[ \t]*(?:TransformMatrix|Orientation|Rotation)[ \t]*[=:]")


@dataclass(frozen=True)
class Header:
    """What is known of a file by its header, which is safe to give to ITK's reader.

    Args:
        is_nrrd: whether it is NRRD; else MetaImage.
        is_placed: whether it says how the volume lies in the patient.
    """

    is_nrrd: bool
    is_placed: bool


def check_header(path: Path) -> Header:
    """Refuse a file whose header could make ITK read other files, or end the process.

    Args:
        path: a .nrrd, .nhdr, .mha or .mhd file.

    Raises:
        SKDError: the file cannot be read, is neither NRRD nor MetaImage, has a header without a certain end, or takes
            its values from elsewhere than itself or one plain file beside or below it.
    """
    content = _head(path)
    is_nrrd = content.startswith(b"NRRD")
    text, named = _nrrd(path, content) if is_nrrd else _meta_image(path, content)
    for name in named:
        _refuse_foreign(path, name)
    return Header(is_nrrd, (_NRRD_PLACED if is_nrrd else _META_PLACED).search(text) is not None)


def _head(path: Path) -> bytes:
    """The start of the file; refused where neither format starts so."""
    try:
        with open_plain(path) as stream:
            head = stream.read(_META_BYTES)
            if head.startswith(b"NRRD"):
                head += stream.read(_NRRD_BYTES - _META_BYTES)
    except OSError as error:
        raise SKDError(path, f"cannot be read ({error.strerror or error})", "Check the path", "not_found") from error
    if not head:
        raise SKDError(path, "is empty (0 bytes)", "Replace the file or leave it out", "damaged")
    if not head.startswith(b"NRRD") and b"NDims" not in head:
        raise SKDError(path, "is neither NRRD nor MetaImage", "Replace it or leave it out", "damaged")
    return head


def _nrrd(path: Path, content: bytes) -> tuple[bytes, list[bytes]]:
    """The header, and every name that could be taken for that of its values; none where they are attached."""
    end = _NRRD_END.search(content)
    if end is None and len(content) == _NRRD_BYTES:
        raise _endless(path, _NRRD_BYTES)
    text = content[: end.start()] if end else content
    return text, _NRRD_DATA.findall(text)


def _meta_image(path: Path, content: bytes) -> tuple[bytes, list[bytes]]:
    """The header, and the name of its values; none where they are attached."""
    text, field, _ = content.partition(_META_DATA)
    value = _META_VALUE.match(content, len(text) + len(field))
    if value is None:
        raise (
            _endless(path, _META_BYTES)
            if len(content) == _META_BYTES
            else _unclear(path, "does not say where its values lie")
        )
    if path.stat().st_size > LARGEST_BYTES + _META_BYTES:
        cause = f"is larger than {LARGEST_BYTES // 2**20} MB"
        raise SKDError(path, cause, "Crop it, or store it with fewer bytes per value", "too_large")
    if _stands_after(path, value.start()):
        raise _unclear(path, "says several times where its values lie")
    # ITK takes any number of axes at its word, and the process with it.
    if not all(_META_AXES.match(text, found.end()) for found in re.finditer(b"NDims", text)):
        raise _unclear(path, "has an impossible NDims")
    name = value[1].strip()
    return text, [] if name in (b"LOCAL", b"Local", b"local") else [value[1]]


def _stands_after(path: Path, start: int) -> bool:
    """Whether the field that names the values stands again, from a place on to the end of the file."""
    kept = b""
    with open_plain(path) as stream:
        stream.seek(start)
        while piece := stream.read(_PIECE_BYTES):
            if _META_DATA in kept + piece:
                return True
            kept = piece[-len(_META_DATA) :]
    return False


def _refuse_foreign(path: Path, named: bytes) -> None:
    """Refuse values that lie elsewhere than in one plain file beside the header or below it."""
    # Lists and number patterns name many files, which would each have to be looked at.
    if named.strip().startswith(b"LIST") or b"%" in named:
        cause = "its values lie in many files"
        raise SKDError(path, cause, "Save it as one .nrrd or .mha file", code="unsupported")
    folder = path.resolve().parent
    for name in {named.strip(), named.lstrip()}:  # readers differ in whether blanks at its end belong to it
        try:
            beside = (folder / os.fsdecode(name)).resolve()
            # Of what is absent, the reader tells; "-" is its word for the standard input.
            is_plain = name != b"-" and len(name) <= _LONGEST_NAME and (beside.is_file() or not beside.exists())
        except (OSError, RuntimeError, ValueError):  # a loop of links, a name that no file can have
            beside, is_plain = folder, False
        if not is_plain:
            cause = "its values lie in no plain file"
            raise SKDError(path, cause, "Replace the damaged file or leave it out", "damaged")
        if not beside.is_relative_to(folder):
            cause = "its values lie outside of its folder"
            raise SKDError(path, cause, "Put header and values into one folder", code="unsupported")


def _endless(path: Path, most: int) -> SKDError:
    cause = f"its header does not end within {most // 2**10} KiB"
    return SKDError(path, cause, "Save it again with fewer comments and fields", "too_large")


def _unclear(path: Path, cause: str) -> SKDError:
    return SKDError(path, cause, "Replace the damaged file or leave it out", "damaged")
