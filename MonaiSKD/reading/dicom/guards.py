"""What is refused before any pixel is decoded: objects that are no images, impossible descriptions, giants."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.dicom.header import entries, number, text, thing, value
from MonaiSKD.reading.image import MAX_PIXELS

if TYPE_CHECKING:
    from pydicom import Dataset

MAX_VOXELS = 2**28  # of all frames together
# Each frame is looked at by itself; a file of ten thousands of them is no single volume.
MAX_FRAMES = 4096
_FRAGMENT_HEAD = 8  # bytes before the compressed bytes of a frame, which are one at least

PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")

_DROP = "Leave it out, or give the image itself"
_REPLACE = "Replace the damaged file or leave it out"

_DIRECTORY = "1.2.840.10008.1.3.10"
# SOP classes of PS3.4 annex B that are no images, by the start of their UID.
_NO_IMAGES = {
    "1.2.840.10008.5.1.4.1.1.88.67": "a radiation dose report",
    "1.2.840.10008.5.1.4.1.1.88.": "a structured report",
    "1.2.840.10008.5.1.4.1.1.104.": "an encapsulated document",
    "1.2.840.10008.5.1.4.1.1.11.": "a presentation state",
    "1.2.840.10008.5.1.4.1.1.9.": "a waveform",
    "1.2.840.10008.5.1.4.1.1.66": "a segmentation, registration or raw data",
    "1.2.840.10008.5.1.4.1.1.481.2": "a radiotherapy dose",
    "1.2.840.10008.5.1.4.1.1.481.3": "a radiotherapy structure set",
    "1.2.840.10008.5.1.4.1.1.481.5": "a radiotherapy plan",
}
_NO_IMAGE_MODALITIES = {
    **{"SR": "a structured report", "DOC": "a document", "KO": "a list of key images", "PR": "a presentation state"},
    **{"SEG": "a segmentation", "REG": "a registration", "ECG": "a waveform", "AU": "a sound"},
    **{"RTDOSE": "a radiotherapy dose", "RTSTRUCT": "a radiotherapy structure set", "RTPLAN": "a radiotherapy plan"},
}

_NATIVE = {
    "1.2.840.10008.1.2": "Implicit VR Little Endian",
    "1.2.840.10008.1.2.1": "Explicit VR Little Endian",
    "1.2.840.10008.1.2.2": "Explicit VR Big Endian",
    "1.2.840.10008.1.2.1.99": "Deflated Explicit VR Little Endian",
}
RLE = "1.2.840.10008.1.2.5"
_COMPRESSED = {
    "1.2.840.10008.1.2.4.50": "JPEG Baseline",
    "1.2.840.10008.1.2.4.51": "JPEG Extended",
    "1.2.840.10008.1.2.4.57": "JPEG Lossless",
    "1.2.840.10008.1.2.4.70": "JPEG Lossless SV1",
    "1.2.840.10008.1.2.4.80": "JPEG-LS Lossless",
    "1.2.840.10008.1.2.4.81": "JPEG-LS Near-Lossless",
    "1.2.840.10008.1.2.4.90": "JPEG 2000 Lossless",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.201": "High-Throughput JPEG 2000 Lossless",
    "1.2.840.10008.1.2.4.202": "High-Throughput JPEG 2000 RPCL",
    "1.2.840.10008.1.2.4.203": "High-Throughput JPEG 2000",
    RLE: "RLE Lossless",
}
# All that is read: what :func:`refuse_syntax` does not refuse.
SYNTAXES = (*_NATIVE, *_COMPRESSED)


def is_native(syntax: str) -> bool:
    """Whether pixels of this transfer syntax are stored as they are."""
    return syntax in _NATIVE


def refuse_non_image(dataset: Dataset, has_pixels: bool) -> None:
    """Refuse reports, directories, masks and headers without pixels, saying what they are.

    Raises:
        SKDError: not_an_image.
    """
    meta = getattr(dataset, "file_meta", None)
    sop_class = text(dataset, "SOPClassUID") or (text(meta, "MediaStorageSOPClassUID") if meta is not None else "")
    if sop_class == _DIRECTORY or "DirectoryRecordSequence" in dataset:
        raise SKDError(thing(dataset), "is a DICOMDIR, a table of contents", _DROP, "not_an_image")
    what = next((what for start, what in _NO_IMAGES.items() if sop_class.startswith(start)), None)
    what = what or _NO_IMAGE_MODALITIES.get(text(dataset, "Modality").upper())
    if what is not None:
        raise SKDError(thing(dataset), f"is {what}, not an image", _DROP, "not_an_image")
    if not has_pixels:
        kinds = set(text(dataset, "ImageType").upper().replace("_", " ").split("\\"))
        is_capture = bool(kinds & {"SCREEN SAVE", "DOSE INFO", "DOSEINFO"})
        what = "a screen capture or dose report" if is_capture else _name(sop_class)
        raise SKDError(thing(dataset), f"is {what} without pixels", _DROP, "not_an_image")


def refuse_impossible(dataset: Dataset, is_float: bool = False) -> None:
    """Refuse a description of the pixels (PS3.3 C.7.6.3) that is absent, contradicts itself, or is too large.

    Args:
        dataset: its header.
        is_float: the pixels are floating point numbers, which have neither stored bits nor a sign.

    Raises:
        SKDError: damaged, too_large, or not_an_image for one bit a pixel.
    """
    rows, columns = _whole(dataset, "Rows", 1, 65535), _whole(dataset, "Columns", 1, 65535)
    frames = max(_whole(dataset, "NumberOfFrames", 0, 2**31, default=1), 1)  # some writers put 0 for a single one
    _whole(dataset, "SamplesPerPixel", 1, 4, default=1)
    allocated = _whole(dataset, "BitsAllocated", 1, 64)
    if allocated == 1:
        raise SKDError(thing(dataset), "holds one bit a pixel (a mask?)", _DROP, "not_an_image")
    if allocated not in (8, 16, 32, 64):
        raise _impossible(dataset, "BitsAllocated")
    if not text(dataset, "PhotometricInterpretation"):
        raise _impossible(dataset, "PhotometricInterpretation")
    if not is_float:
        _whole(dataset, "BitsStored", 1, allocated)
        _whole(dataset, "PixelRepresentation", 0, 1)
    if frames > MAX_FRAMES:
        remedy = "Save one of its volumes to a file of its own"
        raise SKDError(thing(dataset), f"holds {frames} frames, more than {MAX_FRAMES}", remedy, "too_large")
    if rows * columns > MAX_PIXELS or rows * columns * frames > MAX_VOXELS:
        raise SKDError(
            thing(dataset),
            f"is too large ({frames} x {rows} x {columns} pixels)",
            f"Reduce it to {MAX_PIXELS} pixels a frame and {MAX_VOXELS} in all",
            "too_large",
        )


def refuse_syntax(dataset: Dataset) -> None:
    """Refuse a transfer syntax that is not read, or whose decoder is not installed.

    Raises:
        SKDError: unsupported, or not_installed.
    """
    syntax = text(dataset.file_meta, "TransferSyntaxUID")
    if syntax in _NATIVE:
        return
    if syntax not in _COMPRESSED:
        raise SKDError(
            thing(dataset),
            f"is stored in a transfer syntax that is not read ({_name(syntax) if syntax else 'not named'})",
            "Convert it to Explicit VR Little Endian, for example with dcmdjpeg or gdcmconv --raw",
            "unsupported",
        )
    if not _decoder_installed(syntax):
        raise SKDError(
            thing(dataset),
            f"needs a decoder that is not installed ({_COMPRESSED[syntax]})",
            "Install pylibjpeg, pylibjpeg-libjpeg, pylibjpeg-openjpeg and pyjpegls",
            "not_installed",
        )


def refuse_cut_off(dataset: Dataset, size: int) -> None:
    """Refuse pixels that are more than what is left of the file: those stored as they are, or frames without a byte.

    Args:
        dataset: its header, checked by :func:`refuse_impossible`.
        size: bytes from the first pixel to the end of the file.

    Raises:
        SKDError: damaged.
    """
    frames = max(int(number(dataset, "NumberOfFrames") or 1), 1)
    if not is_native(text(dataset.file_meta, "TransferSyntaxUID")):
        if frames * _FRAGMENT_HEAD > size:
            raise SKDError(thing(dataset), "is cut off within its pixels", _REPLACE, "damaged")
        return
    # Colours may be subsampled; they are refused later, by name.
    if (number(dataset, "SamplesPerPixel") or 1) > 1:
        return
    pixels = int(dataset.Rows) * int(dataset.Columns) * frames
    if pixels * int(dataset.BitsAllocated) // 8 > size:
        raise SKDError(thing(dataset), "is cut off within its pixels", _REPLACE, "damaged")


@functools.cache
def _decoder_installed(syntax: str) -> bool:
    try:
        from pydicom.pixels.decoders.base import get_decoder
    except ImportError:  # pydicom 2
        from pydicom import config

        handlers: list[Any] = config.pixel_data_handlers
        return any(handler.is_available() and handler.supports_transfer_syntax(syntax) for handler in handlers)
    return bool(get_decoder(syntax).is_available)


def _whole(dataset: Dataset, keyword: str, low: int, high: int, default: int | None = None) -> int:
    if default is not None and value(dataset, keyword) is None and not entries(dataset, keyword):
        return default
    found = number(dataset, keyword)
    if found is None or found != int(found) or not low <= found <= high:
        raise _impossible(dataset, keyword)
    return int(found)


def _impossible(dataset: Dataset, keyword: str) -> SKDError:
    return SKDError(thing(dataset), f"has no or an impossible {keyword}", _REPLACE, "damaged")


def _name(uid: str) -> str:
    from pydicom.uid import UID

    name = UID(uid).name if uid else ""
    return name if name and name != uid else "a DICOM object"
