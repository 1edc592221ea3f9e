"""Is it DICOM, and in which transfer syntax? From the first bytes alone, without pydicom."""

from __future__ import annotations

import struct
from typing import BinaryIO

MARK = slice(128, 132)
DEFLATED = "1.2.840.10008.1.2.1.99"

# Every value representation of PS3.5 section 6.2.
_REPRESENTATIONS = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
# The groups that a data set starts with: a command, file meta information, identification.
_FIRST_GROUPS = (0x0000, 0x0002, 0x0004, 0x0008)


def looks_like_dicom(head: bytes) -> bool:
    """Whether a file that starts with `head` is DICOM, with its preamble or, as older software writes it, without.

    Args:
        head: the first 132 bytes or more; fewer where the file is shorter.

    Example:
        >>> looks_like_dicom(bytes(128) + b"DICM"), looks_like_dicom(b"\\x08\\x00\\x05\\x00CS\\x0a\\x00ISO_IR 100")
        (True, True)
        >>> looks_like_dicom(b"\\x89PNG\\r\\n\\x1a\\n" + bytes(124))
        False
    """
    if head[MARK] == b"DICM":
        return True
    if len(head) < 16:
        return False
    for order in "<>":
        group, element = struct.unpack(f"{order}HH", head[:4])
        if group not in _FIRST_GROUPS or element > 0x0100 or not (group or element == 0):
            continue
        if head[4:6] in _REPRESENTATIONS:
            return True
        # Implicit: a short first value of even length, with a later element of the same group or a later group behind.
        length = struct.unpack(f"{order}I", head[4:8])[0]
        if order == "<" and 0 < length <= 64 and length % 2 == 0 and len(head) >= length + 12:
            following = struct.unpack("<HH", head[8 + length : 12 + length])
            if (group, element) < following and following[0] <= 0x0010:
                return True
    return False


def file_meta(stream: BinaryIO) -> tuple[str, int]:
    """The transfer syntax of a file with preamble, and where its data set starts.

    Args:
        stream: at any place; it is left elsewhere.

    Returns:
        The UID of the transfer syntax, empty where the file does not say, and the offset in bytes.
    """
    syntax, offset = "", 132
    stream.seek(offset)
    while len(head := stream.read(8)) == 8:
        group, element, kind, length = struct.unpack("<HH2sH", head)
        if group != 0x0002:
            break
        size = 8
        if kind in _LONG:
            length, size = int.from_bytes(stream.read(4), "little"), 12
        if element == 0x0010:
            syntax = stream.read(min(length, 64)).rstrip(b"\0 ").decode("latin-1")
        offset += size + length
        stream.seek(offset)
    return syntax, offset
