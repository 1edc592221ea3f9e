"""NRRD and MetaImage through SimpleITK, an optional package; oblique volumes resampled to axial ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.opening import open_plain
from MonaiSKD.reading.volume import Volume, refuse_too_large

ITK_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")

# ITK's axes run left, posterior, superior; this package's right, anterior, superior.
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
# A header of text ends far before.
_HEADER_BYTES = 64 * 2**10
_AXES = frozenset("1234567")


def read_itk(path: Path) -> Volume:
    """Read an NRRD or MetaImage file of one volume or one slice.

    Args:
        path: a .nrrd, .nhdr, .mha or .mhd file; data in a file of its own must lie beside or below the header.

    Raises:
        SKDError: SimpleITK is absent; the file cannot be decoded, is too large, holds colours, vectors or several
            volumes, or its values lie in another folder.
    """
    sitk = _simpleitk(path)
    head = _head(path)
    is_nrrd = head.startswith("NRRD")
    _refuse_foreign_data(path, head, is_nrrd)
    try:
        str(path).encode()
    except UnicodeEncodeError as error:  # on a name of other bytes SimpleITK ends the process
        raise SKDError(path, "has a name that is no UTF-8", "Rename it", code="unsupported") from error
    reader = sitk.ImageFileReader()
    # Without this every reader that ITK has is tried, and some take gigabytes to find that a file is not theirs.
    reader.SetImageIO("NrrdImageIO" if is_nrrd else "MetaImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        size = tuple(int(length) for length in reader.GetSize())
        _refuse_kind(path, sitk, reader, size)
        image = reader.Execute()
        values = np.asarray(_Held(image, sitk.GetArrayViewFromImage(image))).transpose()
    except (RuntimeError, MemoryError) as error:
        cause = f"cannot be decoded ({_reason(error)})"
        raise SKDError(path, cause, "Replace the damaged file or leave it out", code="damaged") from error
    values = values.reshape((*values.shape, 1)[:3], order="F")
    return Volume(values, _affine(image), str(path))


def resample_axial(volume: Volume) -> Volume:
    """Resample an oblique volume, linearly, onto axes that run along the body's.

    The grid takes the finest stored spacing within the slices and the coarsest between them, and covers the whole
    volume; outside it the smallest stored value is put.

    Raises:
        SKDError: SimpleITK is absent, or the grid would be too large.
    """
    sitk = _simpleitk(volume.path)
    values = volume.values
    if values.dtype.kind == "f":
        values = values.astype(np.float64 if values.dtype.itemsize == 8 else np.float32, copy=False)
    try:
        image = sitk.GetImageFromArray(np.ascontiguousarray(values.transpose().astype(values.dtype.newbyteorder("="))))
    except (TypeError, KeyError):  # a number format that ITK lacks
        image = sitk.GetImageFromArray(np.ascontiguousarray(values.transpose().astype(np.float32)))
    lps = _LPS_TO_RAS @ volume.affine
    lengths = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(lengths.tolist())
    image.SetDirection((lps[:3, :3] / lengths).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    spacing = np.array([lengths.min(), lengths.min(), lengths.max()])
    start, size = _box(lps, volume.shape, spacing)
    refuse_too_large(volume.path, size, values.dtype.itemsize)
    identity = np.eye(3).ravel().tolist()
    outside = float(values.min())
    resampled = sitk.Resample(
        image, size, sitk.Transform(), sitk.sitkLinear, start.tolist(), spacing.tolist(), identity, outside
    )
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = start
    return Volume(
        sitk.GetArrayFromImage(resampled).transpose(),
        _LPS_TO_RAS @ affine,
        volume.path,
        volume.slope,
        volume.intercept,
        (*volume.applied, "oblique volume resampled to axial slices"),
        volume.warnings,
    )


def _box(
    lps: npt.NDArray[np.float64], shape: tuple[int, int, int], spacing: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], tuple[int, int, int]]:
    """First voxel (mm) and size of the upright grid around a volume's corners."""
    ends = np.array(shape) - 1
    corners = np.array([[*(ends * [i, j, k]), 1.0] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    placed = (corners @ lps.T)[:, :3]
    start = placed.min(axis=0)
    columns, rows, slices = (int(n) for n in np.floor((placed.max(axis=0) - start) / spacing + 1e-6) + 1)
    return start, (columns, rows, slices)


class _Held:
    """The values of an ITK image as numpy sees them, without a copy; they live as long as the array made of this."""

    def __init__(self, image: Any, view: npt.NDArray[Any]) -> None:
        self._image = image
        self.__array_interface__ = view.__array_interface__


def _affine(image: Any) -> npt.NDArray[np.float64]:
    axes = image.GetDimension()
    direction, spacing = np.eye(3), np.ones(3)
    kept = min(axes, 3)
    direction[:kept, :kept] = np.array(image.GetDirection()).reshape(axes, axes)[:kept, :kept]
    spacing[:kept] = image.GetSpacing()[:kept]
    affine = np.eye(4)
    affine[:3, :3] = direction * spacing
    affine[:kept, 3] = image.GetOrigin()[:kept]
    turned: npt.NDArray[np.float64] = _LPS_TO_RAS @ affine
    return turned


def _simpleitk(path: object) -> Any:
    try:
        import SimpleITK
    except ImportError as error:
        cause = "needs SimpleITK, which is not installed"
        raise SKDError(path, cause, "Run: python -m pip install 'monai-skd[itk]'", code="not_installed") from error
    return SimpleITK


def _refuse_kind(path: Path, sitk: Any, reader: Any, size: tuple[int, ...]) -> None:
    kind = sitk.GetPixelIDValueAsString(reader.GetPixelIDValue())
    if reader.GetNumberOfComponents() != 1 or "complex" in kind:
        raise SKDError(path, "holds colours or vectors", "Save one plain number per pixel", code="unsupported")
    if len(size) < 2 or min(size) < 1:
        raise SKDError(path, f"holds no picture (shape {size})", "Replace the file or leave it out", code="damaged")
    volumes = int(np.prod(size[3:], dtype=np.int64)) if len(size) > 3 else 1
    if volumes > 1:
        cause = f"holds {volumes} volumes (shape {size})"
        raise SKDError(path, cause, "Save one of them to its own file", code="unsupported")
    bits = next((bits for bits in (64, 32, 16) if f"{bits}-bit" in kind), 8)
    refuse_too_large(path, size, bits // 8)


def _head(path: Path) -> str:
    """The start of the file; refused where neither format starts so."""
    try:
        with open_plain(path) as stream:
            head = stream.read(_HEADER_BYTES)
    except OSError as error:
        raise SKDError(path, f"cannot be read ({error.strerror or error})", "Check the path", "not_found") from error
    if not head:
        raise SKDError(path, "is empty (0 bytes)", "Replace the file or leave it out", code="damaged")
    if not head.startswith(b"NRRD") and b"NDims" not in head:
        raise SKDError(path, "is neither NRRD nor MetaImage", "Replace it or leave it out", code="damaged")
    return head.decode("latin-1")


def _refuse_foreign_data(path: Path, head: str, is_nrrd: bool) -> None:
    """A header of text may name any file on the computer as its values; only those beside or below it are read."""
    if not is_nrrd:
        _refuse_axes(path, head)
    named = _named_data(head, is_nrrd=is_nrrd)
    if named is None or named == "LOCAL":
        return
    # Lists and number patterns name many files, which would each have to be looked at.
    if named.split()[0] == "LIST" or "%" in named:
        cause = "its values lie in many files"
        raise SKDError(path, cause, "Save it as one .nrrd or .mha file", code="unsupported")
    folder = path.resolve().parent
    try:
        beside = (folder / named).resolve()
        is_plain = beside.is_file() or not beside.exists()  # of what is absent, the reader tells
    except (OSError, RuntimeError, ValueError):  # a loop of links, a name that no file can have
        beside, is_plain = folder, False
    if not is_plain:
        raise SKDError(path, "its values lie in no plain file", "Replace the damaged file or leave it out", "damaged")
    if not beside.is_relative_to(folder):
        cause = "its values lie outside of its folder"
        raise SKDError(path, cause, "Put header and values into one folder", code="unsupported")


def _refuse_axes(path: Path, text: str) -> None:
    """ITK's reader of MetaImage takes any number of axes at its word, and the process with it."""
    for line in text.splitlines():
        key, separator, value = line.partition("=")
        if separator and key.strip().lower() == "ndims" and value.strip() not in _AXES:
            raise SKDError(
                path, f"has an impossible NDims ({value.strip()[:20]})", "Replace the damaged file", "damaged"
            )


def _named_data(text: str, *, is_nrrd: bool) -> str | None:
    """The value of "data file:" (NRRD, before the first empty line) or of "ElementDataFile =" (MetaImage)."""
    for line in text.splitlines():
        if is_nrrd and not line.strip():
            return None
        key, separator, value = line.partition(":" if is_nrrd else "=")
        if separator and key.strip().lower() in ("data file", "datafile", "elementdatafile"):
            return value.strip() or "LOCAL"
    return None


def _reason(error: BaseException) -> str:
    """The last line of ITK's message, which names the reason; the lines before name its source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
