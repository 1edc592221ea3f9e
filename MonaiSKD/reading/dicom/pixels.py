"""Stored values of one frame: decoded, in the machine's byte order, without what lies beside the stored bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.dicom.codestream import stated_size
from MonaiSKD.reading.dicom.guards import RLE, is_native, refuse_impossible, refuse_syntax
from MonaiSKD.reading.dicom.header import number, quiet, text, thing
from MonaiSKD.reading.dicom.terms import KNOWN_PHOTOMETRICS

if TYPE_CHECKING:
    from pydicom import Dataset

# JPEG-LS (80, 81), JPEG 2000 (90, 91), High-Throughput JPEG 2000 (201 to 203).
_OWN_DEPTH = tuple(f"1.2.840.10008.1.2.4.{number}" for number in ("8", "9", "20"))
_REPLACE = "Replace the damaged file or leave it out"


def frame_count(dataset: Dataset) -> int:
    """The number of frames, 1 where the file does not say.

    Example:
        >>> from pydicom import Dataset
        >>> frame_count(Dataset())
        1
    """
    return max(int(number(dataset, "NumberOfFrames") or 1), 1)


def photometric(dataset: Dataset) -> str:
    """The photometric interpretation (PS3.3 C.7.6.3.1.2) in capitals."""
    return text(dataset, "PhotometricInterpretation").upper()


def stored_frame(dataset: Dataset, frame: int = 0) -> npt.NDArray[Any]:
    """Decode one frame.

    With pydicom 3 the other frames are not decoded; pydicom 2 decodes all of them once and keeps them.

    Args:
        dataset: with its pixels, as :func:`~MonaiSKD.reading.dicom.dataset.open_dataset` gives it.
        frame: from 0.

    Returns:
        (H, W), integers, or floats where the file has float pixels. A palette of greys is looked up.

    Raises:
        SKDError: unsupported for colours; damaged where the pixels cannot be decoded, are too few, contradict the
            header, or are NaN or infinite.
        IndexError: there is no such frame.
    """
    if not 0 <= frame < frame_count(dataset):
        raise IndexError(f"frame {frame} of {frame_count(dataset)}")
    is_float = "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset
    refuse_impossible(dataset, is_float)
    refuse_syntax(dataset)
    _refuse_colour(dataset)
    with quiet():
        try:
            _refuse_bombs(dataset, frame)
            values = _decode(dataset, frame)
            if photometric(dataset) == "PALETTE COLOR":
                values = _greys(dataset, values)
        except (SKDError, KeyboardInterrupt, SystemExit):
            raise
        except MemoryError:
            raise SKDError(thing(dataset), "does not fit into the memory", "Reduce its size", "too_large") from None
        # Decoders are plugins in several languages; on malformed data they raise whatever they like (a panic of one in
        # Rust is no Exception). The original is dropped, for pydicom quotes header values, maybe a patient's name.
        except BaseException as error:
            kind = type(error).__name__
            raise SKDError(thing(dataset), f"has pixels that cannot be decoded ({kind})", _REPLACE, "damaged") from None
    if values.shape != (dataset.Rows, dataset.Columns) or values.dtype.kind not in "iuf":
        raise SKDError(thing(dataset), "decodes to pixels that contradict its header", _REPLACE, "damaged")
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise SKDError(thing(dataset), "holds pixels that are NaN or infinite", _REPLACE, "damaged")
        return values
    return values if photometric(dataset) == "PALETTE COLOR" else _stored_bits(dataset, values)


def _refuse_colour(dataset: Dataset) -> None:
    kind = photometric(dataset)
    if (number(dataset, "SamplesPerPixel") or 1) > 1 or kind not in ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"):
        raise _colour(dataset)


def _colour(dataset: Dataset) -> SKDError:
    kind = photometric(dataset)
    what = f"is a colour picture ({f'{kind}; ' if kind in KNOWN_PHOTOMETRICS else ''}a screen capture?)"
    return SKDError(thing(dataset), what, "Give the image itself, in shades of grey", "unsupported")


def _refuse_bombs(dataset: Any, frame: int) -> None:
    syntax = text(dataset.file_meta, "TransferSyntaxUID")
    if is_native(syntax):
        return
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    for compressed in _compressed_frames(dataset, frame):
        if syntax == RLE:
            # Its worst case is a little larger than the pixels as they are; what is far larger, is something else.
            if len(compressed) > 2 * rows * columns * (dataset.BitsAllocated // 8) + 1024:
                raise SKDError(thing(dataset), "has far more compressed data than pixels", _REPLACE, "damaged")
            continue
        stated = stated_size(compressed)
        if stated is None:
            raise SKDError(thing(dataset), "has no picture of its transfer syntax", _REPLACE, "damaged")
        if tuple(stated) != (rows, columns, 1):
            raise SKDError(
                thing(dataset),
                f"says {rows} x {columns} pixels, but its picture {stated.rows} x {stated.columns} "
                f"with {stated.components} colours",
                _REPLACE,
                "damaged",
            )


def _compressed_frames(dataset: Any, frame: int) -> list[bytes]:
    count = frame_count(dataset)
    try:
        from pydicom.encaps import get_frame
    except ImportError:  # pydicom 2 decodes all frames together, and only once
        if getattr(dataset, "_pixel_array", None) is not None:
            return []
        from pydicom.encaps import generate_pixel_data_frame

        return list(generate_pixel_data_frame(dataset.PixelData, count))
    return [get_frame(dataset.PixelData, frame, number_of_frames=count)]


def _decode(dataset: Any, frame: int) -> npt.NDArray[Any]:
    try:
        from pydicom.pixels.utils import pixel_array
    except ImportError:  # pydicom 2
        every: npt.NDArray[Any] = dataset.pixel_array
        return every if frame_count(dataset) == 1 else every[frame]
    # Unused bits are left to _stored_bits(), which minds the HighBit and works for pydicom 2 too.
    options: dict[str, Any] = {"raw": True, "correct_unused_bits": False, "view_only": True}
    if text(dataset.file_meta, "TransferSyntaxUID") == RLE:
        # pylibjpeg's decoder is written in Rust; on damaged data it panics, and prints a traceback of its own.
        options["decoding_plugin"] = "pydicom"
    decoded: npt.NDArray[Any] = pixel_array(dataset, index=frame, **options)
    return decoded


def _greys(dataset: Any, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    try:
        from pydicom.pixels.processing import apply_color_lut
    except ImportError:  # pydicom 2
        from pydicom.pixel_data_handlers.util import apply_color_lut
    colours = apply_color_lut(values, dataset)
    grey: npt.NDArray[Any] = np.ascontiguousarray(colours[..., 0])
    if not all(np.array_equal(grey, colours[..., channel]) for channel in (1, 2)):
        raise _colour(dataset)
    return grey


def _stored_bits(dataset: Any, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Without what lies above and below the stored bits (PS3.5 section 8.1.1): overlays, or nothing in particular."""
    syntax = text(dataset.file_meta, "TransferSyntaxUID")
    allocated, stored = 8 * values.dtype.itemsize, int(dataset.BitsStored)
    # The codestreams of JPEG-LS and JPEG 2000 state their own depth; pydicom turns their sign right.
    if stored >= allocated or syntax.startswith(_OWN_DEPTH):
        return values
    highest = number(dataset, "HighBit")
    as_stored = highest is not None and (is_native(syntax) or syntax == RLE)
    unused_below = min(max(int(highest or 0) + 1 - stored, 0), allocated - stored) if as_stored else 0
    lowest = -(2 ** (stored - 1)) if values.dtype.kind == "i" else 0
    if not unused_below and values.min() >= lowest and values.max() < lowest + 2**stored:
        return values  # nothing lies there; looking is many times faster than moving
    # Up to the top of its register, and back down with the sign.
    shifted: npt.NDArray[Any] = np.left_shift(values, allocated - stored - unused_below)
    np.right_shift(shifted, allocated - stored, out=shifted)
    return shifted
