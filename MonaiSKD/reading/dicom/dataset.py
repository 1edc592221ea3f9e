"""Opening a DICOM file: from a path to a data set whose pixels are safe to decode, or a refusal."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.dicom.guards import (
    PIXEL_KEYWORDS,
    refuse_cut_off,
    refuse_impossible,
    refuse_non_image,
    refuse_syntax,
)
from MonaiSKD.reading.dicom.header import quiet, text
from MonaiSKD.reading.dicom.recognise import DEFLATED, MARK, file_meta, looks_like_dicom
from MonaiSKD.reading.image import Identity
from MonaiSKD.reading.opening import open_plain

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["identity", "looks_like_dicom", "open_dataset", "open_header"]

_MAX_FILE = 2**31  # bytes
_MAX_INFLATED = 2**28  # bytes of a deflated data set
_PIECE = 2**20
_READ_AT_ONCE = 2**26  # bytes of a file; a large radiograph has half as many
_REPLACE = "Replace the damaged file or leave it out"
_UNDEFINED = 0xFFFFFFFF


def open_dataset(
    path: str | os.PathLike[str], *, pixels: bool = True, check: Callable[[Dataset], object] | None = None
) -> Dataset:
    """Open a DICOM image, with or without preamble and file meta information.

    Everything that can be known without decoding is checked: that it is an image, that its description of the pixels
    is complete and of a reasonable size, and that its transfer syntax is read.

    Args:
        path: the file.
        pixels: False stops before the pixels, which is what sorting thousands of headers needs.
        check: called with the header before the pixels are read, to raise what is wrong with it.

    Returns:
        The data set; its `filename` is `path`, and its `file_meta` has a TransferSyntaxUID.

    Raises:
        SKDError: not_found; not_an_image (no DICOM, a DICOMDIR, a report, a mask, no pixels); damaged; unsupported
            or not_installed (transfer syntax); too_large.

    Example:
        >>> dataset = open_dataset("chest.dcm")  # doctest: +SKIP
        >>> dataset.Rows, dataset.Columns  # doctest: +SKIP
        (2048, 2048)
    """
    file = Path(path)
    try:
        stream = open_plain(file)
        size = file.stat().st_size
    except OSError as error:
        raise SKDError(file, f"cannot be read ({error.strerror or error})", "Check the path", "not_found") from error
    with stream, quiet():
        try:
            if pixels and size <= _READ_AT_ONCE:
                # pydicom asks an opened file for its place after each element, which lets go of Python's lock: threads
                # would spend their time on handing it to each other.
                return _open(file, BytesIO(stream.read()), size, pixels, check)
            return _open(file, stream, size, pixels, check)
        except SKDError:
            raise
        # pydicom raises arbitrary types on malformed bytes. The original is dropped, for it may quote a patient's name.
        except Exception as error:
            kind = type(error).__name__
            raise SKDError(file, f"cannot be decoded as DICOM ({kind})", _REPLACE, "damaged") from None


def open_header(source: str | os.PathLike[str] | bytes, keywords: Sequence[str] | None = None) -> Dataset:
    """What stands before the pixels of any DICOM file with preamble, be it an image or not; nothing of it is checked.

    Args:
        source: the path of the file, or its content.
        keywords: of the elements that are wanted; None for all.

    Raises:
        SKDError: not_found; damaged; too_large, where it is deflated and inflates to more than :func:`open_dataset`
            takes.
    """
    import pydicom

    name = "an object" if isinstance(source, bytes) else Path(source)
    stream: BinaryIO = BytesIO(source) if isinstance(source, bytes) else open_plain(source)
    with stream, quiet():
        try:
            syntax, start = file_meta(stream)
            plain = _inflated(name, stream, start) if syntax == DEFLATED else stream
            plain.seek(0)
            return pydicom.dcmread(plain, stop_before_pixels=True, specific_tags=keywords)
        except SKDError:
            raise
        except Exception as error:  # as in `open_dataset`
            raise SKDError(name, f"cannot be decoded as DICOM ({type(error).__name__})", _REPLACE, "damaged") from None


@quiet()
def identity(dataset: Dataset) -> Identity:
    """Whose image it is; whatever cannot be read is empty text, and an unknown character set is read as Latin-1.

    Example:
        >>> from pydicom import Dataset
        >>> header = Dataset()
        >>> header.PatientID = "17"
        >>> identity(header).patient_id
        '17'
    """
    return Identity(
        patient_id=text(dataset, "PatientID"),
        patient_name=text(dataset, "PatientName"),
        study_uid=text(dataset, "StudyInstanceUID"),
        series_uid=text(dataset, "SeriesInstanceUID"),
    )


def _open(file: Path, stream: BinaryIO, size: int, pixels: bool, check: Callable[[Dataset], object] | None) -> Dataset:
    import pydicom

    head = stream.read(512)
    if not head:
        raise SKDError(file, "is empty (0 bytes)", "Replace the file or leave it out", "damaged")
    if not looks_like_dicom(head):
        raise SKDError(file, "is not DICOM", "Replace it or leave it out", "not_an_image")
    if size > _MAX_FILE:
        raise SKDError(file, f"is too large ({size} bytes)", f"Reduce it to {_MAX_FILE} bytes", "too_large")
    has_preamble = head[MARK] == b"DICM"
    if has_preamble:
        syntax, start = file_meta(stream)
        if syntax == DEFLATED:
            stream = _inflated(file, stream, start)
            size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    dataset = pydicom.dcmread(stream, stop_before_pixels=True, force=not has_preamble)
    dataset.filename = str(file)
    rest = stream.tell()
    following = stream.read(12)
    element, is_empty = _pixel_element(dataset, following)
    if not element and _is_cut_off(dataset, size, rest):
        raise SKDError(file, "is cut off", _REPLACE, "damaged")
    refuse_non_image(dataset, has_pixels=bool(element) and not is_empty)
    refuse_impossible(dataset, is_float=element in (0x0008, 0x0009))
    _name_syntax(dataset, following)
    refuse_syntax(dataset)
    refuse_cut_off(dataset, size - rest - _pixel_head(following))
    if check is not None:
        check(dataset)
    if pixels:
        stream.seek(rest)
        _read_pixels(file, dataset, stream)
    return dataset


def _encoding(dataset: Any) -> tuple[bool, bool]:
    """Whether the value representations are implicit, and whether the bytes are little endian."""
    implicit, little = getattr(dataset, "original_encoding", (None, None))
    if implicit is None:  # pydicom 2
        implicit, little = dataset.is_implicit_VR, dataset.is_little_endian
    return bool(implicit), bool(little)


def _pixel_element(dataset: Any, following: bytes) -> tuple[int, bool]:
    """The element number of what comes after the header, if it is pixels, and whether it is empty."""
    _, little = _encoding(dataset)
    order: Any = "little" if little else "big"
    if len(following) < 8 or int.from_bytes(following[:2], order) != 0x7FE0:
        return 0, True
    # Explicit elements have their representation and two bytes before the length; a file may mix both up.
    length = following[8:12] if _pixel_head(following) == 12 else following[4:8]
    return int.from_bytes(following[2:4], order), int.from_bytes(length, order) == 0


def _pixel_head(following: bytes) -> int:
    """How many bytes of the pixel element stand before its value."""
    return 12 if following[4:6] in (b"OB", b"OW", b"OF", b"OD", b"UN") else 8


def _is_cut_off(dataset: Any, size: int, end: int) -> bool:
    """Whether the last element of a header promises more bytes than the file has."""
    tags = sorted(tag for tag in dataset.keys() if tag.group > 2)  # noqa: SIM118 - a Dataset iterates over its elements
    if not tags:
        return True
    last = dataset.get_item(tags[-1])
    length = getattr(last, "length", _UNDEFINED)
    if length == _UNDEFINED or not hasattr(last, "value_tell"):
        return end < size
    return bool(last.value_tell + length > size or 0 < size - end < 8)


def _name_syntax(dataset: Any, following: bytes) -> None:
    """Where the file does not say its transfer syntax, say how it was read."""
    meta = dataset.file_meta
    if text(meta, "TransferSyntaxUID"):
        return
    implicit, little = _encoding(dataset)
    if following[8:12] == b"\xff\xff\xff\xff" and not implicit:
        return  # compressed in a way that nothing names
    from pydicom import uid

    explicit = uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian
    meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian if implicit else explicit


def _read_pixels(file: Path, dataset: Any, stream: BinaryIO) -> None:
    from pydicom.filereader import read_dataset

    implicit, little = _encoding(dataset)
    # What comes after the pixels is signatures and padding; some files have megabytes of it.
    rest = read_dataset(stream, implicit, little, stop_when=lambda tag, _kind, _length: tag >> 16 != 0x7FE0)
    found = [keyword for keyword in PIXEL_KEYWORDS if keyword in rest]
    if not found:
        raise SKDError(file, "is cut off within its pixels", _REPLACE, "damaged")
    dataset.update(rest)


def _inflated(file: object, stream: BinaryIO, start: int) -> BinaryIO:
    """A deflated file (PS3.5 A.5) as the explicit little endian one that it stands for."""
    stream.seek(0)
    meta = stream.read(start)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    # Of the same length, so that the meta information keeps its own: a UID is padded with zero bytes.
    explicit = b"1.2.840.10008.1.2.1".ljust(len(DEFLATED), b"\0")
    plain = BytesIO()
    plain.write(meta.replace(DEFLATED.encode(), explicit))
    try:
        while not inflater.eof:
            piece = inflater.unconsumed_tail or stream.read(_PIECE)
            if not piece:
                raise SKDError(file, "is cut off", _REPLACE, "damaged")
            plain.write(inflater.decompress(piece, _PIECE))
            if plain.tell() > _MAX_INFLATED:
                raise SKDError(file, f"inflates to more than {_MAX_INFLATED} bytes", "Leave it out", "too_large")
    except zlib.error:
        raise SKDError(file, "cannot be inflated", _REPLACE, "damaged") from None
    return plain
