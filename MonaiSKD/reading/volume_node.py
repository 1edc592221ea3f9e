"""Volumes that 3D Slicer has loaded already: its volume nodes, brought to the images that reading the files gives.

Slicer reads DICOM with ITK's GDCM, which (as measured with SimpleITK 2.5, the same reader):

- inverts MONOCHROME1 in the stored values: 2^BitsStored - 1 - value for unsigned, -1 - value for signed ones;
- then applies slope and intercept, where a slope of 0 counts as 1;
- applies neither the modality lookup table nor the VOI lookup table, window, padding or presentation LUT shape.

So a node of a radiograph is bright = dense, but without the window that the radiologist saw, and a MONOCHROME1 file's
window does not fit its values any more. With the file's header all of this is undone exactly
(:func:`from_volume_node`); without, the volume is read as one without a window (:func:`from_volume_array`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.canonical import CanonicalRule
from MonaiSKD.reading.image import Image, Series
from MonaiSKD.reading.volume import Volume, refuse_too_large, volume_series, wrong_for_radiograph

if TYPE_CHECKING:
    from pydicom import Dataset

# Rescaling in the reader rounds; stored values are whole numbers.
_WHOLE = 1e-3
_WINDOW_UNKNOWN = ("The file's own window is unknown; the image may differ from that of the file.",)


def from_volume_node(
    values: npt.NDArray[Any],
    rule: CanonicalRule,
    *,
    header: Dataset,
    path: str = "volume node",
) -> Image:
    """The canonical image of a radiograph in a volume node: that which `read_image` makes of its DICOM file.

    Args:
        values: (1, H, W), as Slicer's `arrayFromVolume` gives them, or (H, W).
        rule: how values become [0, 1].
        header: the file's, such as `open_dataset(file, pixels=False)` or `pydicom.dcmread(file)` gives it.
        path: what the user would call the node.

    Raises:
        SKDError: the node holds several slices, colours, or NaN or infinity; the header is not that of this node, or
            is not of the rule's kind.
    """
    _refuse_array(values, path)
    if values.ndim == 3 and len(values) > 1:
        raise wrong_for_radiograph(path)
    picture = values.reshape(values.shape[-2:])
    if values.dtype.kind == "f" and not np.isfinite(picture).all():
        raise SKDError(path, "holds pixels that are NaN or infinite", "Load the image again", "damaged")
    return _through_header(picture, rule, header, path)


def from_volume_array(
    values_kji: npt.NDArray[Any], affine_ras: npt.NDArray[np.float64], rule: CanonicalRule, *, path: str = "volume node"
) -> Series:
    """The axial slices of a CT or MR volume node, whose values are modality values already, or a radiograph's picture.

    A radiograph is turned upright as its affine says, like one in a NIfTI file; its values are taken as bright = dense,
    and a warning says that the file's window is unknown. The array is not copied: it must not change while the series
    is in use.

    Args:
        values_kji: (K, J, I), as Slicer's `arrayFromVolume` gives them.
        affine_ras: (4, 4), the node's IJK-to-RAS matrix, in millimetres.
        rule: how values become [0, 1].
        path: what the user would call the node.

    Raises:
        SKDError: as for files, see :func:`~MonaiSKD.reading.volume.volume_series`.

    Example:
        >>> from MonaiSKD.reading import RULES
        >>> series = from_volume_array(np.array([[[0, 50, 100]]]), np.diag([-1.0, -1, 1, 1]), RULES["chest_xray"])
        >>> series.read(0).pixels.shape
        (1, 1, 3)
    """
    _refuse_array(values_kji, path)
    if values_kji.ndim != 3:
        raise SKDError(path, f"is no volume (shape {values_kji.shape})", "Give a scalar volume", "unsupported")
    refuse_too_large(path, values_kji.shape, values_kji.itemsize)
    series = volume_series(Volume(values_kji.transpose(), np.asarray(affine_ras, dtype=np.float64), path), rule)
    return replace(series, warnings=(*_WINDOW_UNKNOWN, *series.warnings)) if rule.modality == "chest_xray" else series


def _refuse_array(values: npt.NDArray[Any], path: str) -> None:
    if values.dtype.kind not in "iuf" or values.ndim not in (2, 3):
        cause = f"holds colours or no picture (shape {values.shape}, {values.dtype})"
        raise SKDError(path, cause, "Give a scalar volume", "unsupported")
    if not values.size:
        raise SKDError(path, "is empty", "Load the image again", "damaged")


def _through_header(picture: npt.NDArray[Any], rule: CanonicalRule, header: Dataset, path: str) -> Image:
    from MonaiSKD.reading.dicom.geometry import frame_geometry
    from MonaiSKD.reading.dicom.suitability import check_suitable
    from MonaiSKD.reading.dicom.values import canonical_frame

    doubts = check_suitable(header, rule)
    restored = _with_pixels(header, _stored(picture, header, path))
    pixels, applied, warnings = canonical_frame(restored, 0, rule)
    steps = ("stored values restored from the volume node", *applied)
    return Image(pixels, frame_geometry(header).spacing, path, steps, (*doubts, *warnings))


def _stored(picture: npt.NDArray[Any], header: Dataset, path: str) -> npt.NDArray[np.int64]:
    """The file's stored values: rescaling and inversion of the reader undone."""
    from MonaiSKD.reading.dicom.header import number
    from MonaiSKD.reading.dicom.pixels import photometric

    foreign = SKDError(path, "its values do not follow from the header given with it", "Give its own header", "invalid")
    if picture.shape != (number(header, "Rows"), number(header, "Columns")):
        raise foreign
    slope, intercept = number(header, "RescaleSlope") or 1.0, number(header, "RescaleIntercept") or 0.0
    exact = (picture.astype(np.float64) - intercept) / slope
    stored = np.rint(exact)
    if np.abs(stored - exact).max() > _WHOLE:
        raise foreign
    bits, is_signed = int(number(header, "BitsStored") or 16), number(header, "PixelRepresentation") == 1
    if photometric(header) == "MONOCHROME1":
        stored = (-1 if is_signed else 2**bits - 1) - stored
    lowest, highest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if is_signed else (0, 2**bits - 1)
    if stored.min() < lowest or stored.max() > highest:
        raise foreign
    return stored.astype(np.int64)


def _with_pixels(header: Dataset, stored: npt.NDArray[np.int64]) -> Dataset:
    """A data set of the same header with uncompressed pixels; the header is left as it is."""
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    restored: Any = Dataset()
    restored.update({tag: header.get_item(tag) for tag in header.keys() if tag.group != 0x7FE0})  # noqa: SIM118
    restored.filename = getattr(header, "filename", None)
    restored.file_meta = FileMetaDataset()
    restored.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    bits = 8 if int(header.BitsStored) <= 8 else 16 if int(header.BitsStored) <= 16 else 32
    restored.BitsAllocated, restored.HighBit = bits, int(header.BitsStored) - 1
    kind = "i" if header.PixelRepresentation == 1 else "u"
    restored.add_new(0x7FE00010, "OB" if bits == 8 else "OW", stored.astype(f"<{kind}{bits // 8}").tobytes())
    return restored
