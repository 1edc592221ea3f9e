"""NRRD and MetaImage through SimpleITK, an optional package; oblique volumes resampled to axial ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.itk_header import check_header
from MonaiSKD.reading.volume import UNPLACED, Volume, refuse_too_large

ITK_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")

# ITK's axes run left, posterior, superior; this package's right, anterior, superior.
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_itk(path: Path) -> Volume:
    """Read an NRRD or MetaImage file of one volume or one slice.

    Where the header sets no orientation, the axes are taken as right to left, anterior to posterior, inferior to
    superior, as ITK does, and a warning says so.

    Args:
        path: a .nrrd, .nhdr, .mha or .mhd file; data in a file of its own must lie beside or below the header.

    Raises:
        SKDError: SimpleITK is absent; the file cannot be decoded, is too large, holds colours, vectors or several
            volumes, or its values lie in another folder.
    """
    sitk = _simpleitk(path)
    header = check_header(path)
    try:
        str(path).encode()
    except UnicodeEncodeError as error:  # on a name of other bytes SimpleITK ends the process
        raise SKDError(path, "has a name that is no UTF-8", "Rename it", code="unsupported") from error
    reader = sitk.ImageFileReader()
    # Without this every reader that ITK has is tried, and some take gigabytes to find that a file is not theirs.
    reader.SetImageIO("NrrdImageIO" if header.is_nrrd else "MetaImageIO")
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
    return Volume(values, _affine(image), str(path), warnings=() if header.is_placed else (UNPLACED,))


def resample_axial(volume: Volume) -> Volume:
    """Resample an oblique volume, linearly, onto axes that run along the body's.

    The grid takes the finest stored spacing within the slices and the coarsest between them, and covers the whole
    volume; outside it the smallest stored value is put.

    Raises:
        SKDError: SimpleITK is absent, or the grid would be too large.
    """
    sitk = _simpleitk(volume.path)
    values = volume.values
    lps = _LPS_TO_RAS @ volume.affine
    lengths = np.linalg.norm(lps[:3, :3], axis=0)
    spacing = np.array([lengths.min(), lengths.min(), lengths.max()])
    start, size = _box(lps, volume.shape, spacing)
    refuse_too_large(volume.path, size, values.dtype.itemsize)
    identity = np.eye(3).ravel().tolist()

    def upright(stored: npt.NDArray[Any], outside: float) -> npt.NDArray[Any]:
        image = _image(sitk, stored)
        image.SetSpacing(lengths.tolist())
        image.SetDirection((lps[:3, :3] / lengths).ravel().tolist())
        image.SetOrigin(lps[:3, 3].tolist())
        resampled = sitk.Resample(
            image, size, sitk.Transform(), sitk.sitkLinear, start.tolist(), spacing.tolist(), identity, outside
        )
        found: npt.NDArray[Any] = sitk.GetArrayFromImage(resampled).transpose()
        return found

    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = start
    # The full range of a byte, so that rounding does not lose what lies next to padding.
    padding = None if volume.padding is None else upright(volume.padding.astype(np.uint8) * 255, 0.0) > 0
    return Volume(
        upright(values, float(values.min())),
        _LPS_TO_RAS @ affine,
        volume.path,
        volume.slope,
        volume.intercept,
        (*volume.applied, "oblique volume resampled to axial slices"),
        volume.warnings,
        padding,
    )


def _image(sitk: Any, values: npt.NDArray[Any]) -> Any:
    """An ITK image of (X, Y, Z) numbers, in their type where ITK has it."""
    if values.dtype.kind == "f":
        values = values.astype(np.float64 if values.dtype.itemsize == 8 else np.float32, copy=False)
    try:
        return sitk.GetImageFromArray(np.ascontiguousarray(values.transpose().astype(values.dtype.newbyteorder("="))))
    except (TypeError, KeyError):  # a number format that ITK lacks
        return sitk.GetImageFromArray(np.ascontiguousarray(values.transpose().astype(np.float32)))


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


def _reason(error: BaseException) -> str:
    """The last line of ITK's message, which names the reason; the lines before name its source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
