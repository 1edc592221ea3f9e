"""From a path to a canonical image."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.canonical import CanonicalRule, canonicalise
from MonaiSKD.reading.dicom.dataset import open_dataset
from MonaiSKD.reading.dicom.geometry import frame_geometry
from MonaiSKD.reading.dicom.recognise import looks_like_dicom
from MonaiSKD.reading.dicom.suitability import check_suitable
from MonaiSKD.reading.dicom.values import canonical_frame, frame_count
from MonaiSKD.reading.image import Image
from MonaiSKD.reading.nifti import NIFTI_SUFFIXES, read_nifti
from MonaiSKD.reading.opening import open_plain
from MonaiSKD.reading.raster import RASTER_SUFFIXES, read_raster

if TYPE_CHECKING:
    from pydicom import Dataset

DICOM_SUFFIXES = (".dcm", ".dicom")
IMAGE_SUFFIXES = (*RASTER_SUFFIXES, *NIFTI_SUFFIXES, *DICOM_SUFFIXES)


def is_image_name(path: str | os.PathLike[str]) -> bool:
    """Whether a file counts as an image by its name: a known suffix, and not hidden.

    Example:
        >>> [is_image_name(name) for name in ("a.png", "b.NII.GZ", "manifest.csv", ".c.png")]
        [True, True, False, False]
    """
    name = Path(path).name.lower()
    return not name.startswith(".") and name.endswith(IMAGE_SUFFIXES)


def read_image(path: str | os.PathLike[str], rule: CanonicalRule) -> Image:
    """Read one file as a canonical image.

    Raster files (PNG, JPEG, TIFF, BMP) are taken as already displayed: turned upright, made grey, and divided by the
    largest value of their type. NIfTI files hold stored units and go through `rule`. DICOM, known by its content
    whatever the name, goes through its own grey scale chain (:mod:`MonaiSKD.reading.dicom.values`) and is refused where
    it is no image of the rule's kind.

    Args:
        path: the file.
        rule: how stored units become [0, 1].

    Raises:
        SKDError: not_found; not_an_image (of an unknown kind, a report); damaged (empty, undecodable, NaN or
            infinity); unsupported (several slices, colours, an unread transfer syntax); too_large; wrong_modality;
            wrong_body_part; not_installed (a decoder).

    Example:
        >>> import tempfile
        >>> from PIL import Image as PILImage
        >>> from MonaiSKD.reading import RULES
        >>> name = Path(tempfile.mkdtemp()) / "a.png"
        >>> PILImage.fromarray(np.array([[0, 51], [102, 255]], dtype=np.uint8)).save(name)
        >>> read_image(name, RULES["chest_xray"]).pixels.round(3).tolist()
        [[[0.0, 0.20000000298023224], [0.4000000059604645, 1.0]]]
    """
    file = Path(path)
    if _is_dicom(file):
        return dicom_image(open_dataset(file), str(path), rule)
    if not file.name.lower().endswith(NIFTI_SUFFIXES):
        values, applied = read_raster(file)
        return Image(values[None], None, str(path), applied)
    values, spacing, applied = read_nifti(file)
    if not np.isfinite(values).all():
        raise SKDError(file, "holds pixels that are NaN or infinite", "Replace the file or leave it out", "damaged")
    how = f"window {rule.window}" if rule.window else f"percentiles {rule.percentiles}"
    return Image(canonicalise(values, rule), spacing, str(path), (*applied, how))


def dicom_image(dataset: Dataset, path: str, rule: CanonicalRule) -> Image:
    """The canonical image of a DICOM data set of one frame.

    Raises:
        SKDError: as :func:`read_image` does.
    """
    frames = frame_count(dataset)
    doubts = check_suitable(dataset, rule)
    if frames > 1:
        raise SKDError(
            path, f"holds several slices ({frames} frames)", "Save each slice to its own file", "unsupported"
        )
    pixels, applied, warnings = canonical_frame(dataset, 0, rule)
    return Image(pixels, frame_geometry(dataset).spacing, path, applied, (*doubts, *warnings))


def _is_dicom(file: Path) -> bool:
    """Whether a file is DICOM, by its first bytes or else its suffix; what is unreadable or unknown is refused."""
    try:
        with open_plain(file) as stream:
            head = stream.read(512)
    except OSError as error:
        raise SKDError(file, f"cannot be read ({error.strerror or error})", "Check the path", "not_found") from error
    if not head:
        raise SKDError(file, "is empty (0 bytes)", "Replace the file or leave it out", "damaged")
    if looks_like_dicom(head) or file.suffix.lower() in DICOM_SUFFIXES:
        return True
    if not file.name.lower().endswith(IMAGE_SUFFIXES):
        raise SKDError(file, "is of an unknown kind", f"Use one of {', '.join(IMAGE_SUFFIXES)}", "not_an_image")
    return False
