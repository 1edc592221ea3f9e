"""What this package wrote itself: a folder that holds results, too, is classified again without them."""

from __future__ import annotations

PRODUCER = "MonaiSKD"
"""Manufacturer of DICOM objects and, in pictures, the software."""

# PNG (ISO 15948): signature; a text chunk, which stands before the pixels.
_PNG, _PNG_MARK = b"\x89PNG\r\n\x1a\n", b"tEXtSoftware\x00" + PRODUCER.encode()
# DICOM PS3.5, explicit VR, little endian, as they are written: Manufacturer (0008,0070).
_DICOM_MARK = b"\x08\x00\x70\x00LO" + len(PRODUCER).to_bytes(2, "little") + PRODUCER.encode()


def is_own(head: bytes) -> bool:
    """Whether a file is a heat map or a report that this package wrote.

    Args:
        head: its first bytes, 1024 or more.

    Example:
        >>> is_own(b"notes")
        False
    """
    return _DICOM_MARK in head or (head.startswith(_PNG) and _PNG_MARK in head)
