"""The size that a compressed frame itself states, so that no decoder is made to unpack a bomb."""

from __future__ import annotations

import struct
from typing import NamedTuple

# The markers that a JPEG 2000 codestream starts with.
_SOC_SIZ = b"\xff\x4f\xff\x51"
# A JP2 file has about four boxes before its codestream.
_MOST_BOXES = 64


class Codestream(NamedTuple):
    """What the head of a compressed picture states."""

    rows: int
    columns: int
    components: int


def stated_size(frame: bytes) -> Codestream | None:
    """Rows, columns and components of a JPEG, JPEG-LS or JPEG 2000 codestream.

    Args:
        frame: the compressed bytes, from their start.

    Returns:
        None where no such codestream begins.

    Example:
        >>> stated_size(bytes.fromhex("ffd8 ffc0 000b 08 0010 0020 01 01 11 00"))
        Codestream(rows=16, columns=32, components=1)
    """
    if frame[:4] == _SOC_SIZ:
        return _jpeg_2000(frame)
    if frame[4:8] == b"jP  ":  # the codestream within a JP2 file, which DICOM does not allow but some write
        start = _in_jp2(frame)
        return _jpeg_2000(frame[start : start + 64]) if start and frame[start : start + 4] == _SOC_SIZ else None
    return _jpeg(frame) if frame[:2] == b"\xff\xd8" else None


def _in_jp2(frame: bytes) -> int | None:
    """Where the codestream starts that a decoder of JP2 would take: in the first box of that kind, not anywhere."""
    at = 0
    for _ in range(_MOST_BOXES):
        if at + 8 > len(frame):
            break
        length, head = int.from_bytes(frame[at : at + 4], "big"), 8
        if length == 1:  # a longer number follows
            length, head = int.from_bytes(frame[at + 8 : at + 16], "big"), 16
        if frame[at + 4 : at + 8] == b"jp2c":
            return at + head
        if length < head:  # 0 stands for the rest of the file
            break
        at += length
    return None


def _jpeg_2000(frame: bytes) -> Codestream | None:
    if len(frame) < 42:
        return None
    right, bottom, left, top = struct.unpack(">4I", frame[8:24])
    return Codestream(bottom - top, right - left, struct.unpack(">H", frame[40:42])[0])


def _jpeg(frame: bytes) -> Codestream | None:
    at = 2
    while at + 4 <= len(frame):
        if frame[at] != 0xFF:
            return None
        marker = frame[at + 1]
        if marker == 0xFF or 0xD0 <= marker <= 0xD8 or marker == 0x01:  # filling, or a marker without a segment
            at += 1 if marker == 0xFF else 2
            continue
        # Start of frame of any process: C0 to CF but the tables C4, C8 and CC; F7 is that of JPEG-LS.
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            if at + 10 > len(frame):
                return None
            rows, columns, components = struct.unpack(">HHB", frame[at + 5 : at + 10])
            return Codestream(rows, columns, components)
        at += 2 + struct.unpack(">H", frame[at + 2 : at + 4])[0]
    return None
