"""NIfTI-1 and NIfTI-2 files: one slice or one volume, with stored values such as Hounsfield units."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.volume import UNPLACED, Volume, one_slice, refuse_too_large

NIFTI_SUFFIXES = (".nii", ".nii.gz")

# By the unit code in the low three bits of the header's xyzt_units: metre, millimetre, micrometre.
_MILLIMETRES = {1: 1000.0, 2: 1.0, 3: 0.001}
_SPACE_UNIT = 0b111
_HEADER_BYTES_2 = 540  # the first number of a NIfTI-2 file; 348 in NIfTI-1
# Headers are followed by extensions of some kilobytes; a start of the values far beyond them is an attack or damage.
_LARGEST_OFFSET = 64 * 2**20
_PIECE_BYTES = 2**20


def read_nifti(path: Path) -> tuple[npt.NDArray[np.float32], tuple[float, float] | None, tuple[str, ...]]:
    """Read a 2-D or one-slice NIfTI file in the radiologist's orientation.

    An axial slice comes with anterior on top and the patient's left on the right, a coronal one with the head on top
    and the patient's left on the right, a sagittal one with the head on top and anterior on the left.

    Args:
        path: a .nii or .nii.gz file.

    Returns:
        float32 (H, W) in stored units (slope and intercept applied), the millimetres between rows and between columns
        (None where the file gives no unit), and what was done, in words.

    Raises:
        SKDError: the file cannot be decoded, holds several slices, no pixels, or colours.
    """
    stored = _open(path)
    shape = stored.shape
    if sum(length > 1 for length in shape) > 2:
        cause = f"holds several slices (shape {shape})"
        raise SKDError(path, cause, "Save each slice to its own file", code="unsupported")
    picture, spacing, _ = one_slice(_volume(path, stored))
    return (
        np.ascontiguousarray(picture),
        spacing if _unit(stored) else None,
        ("turned to the radiologist's orientation",),
    )


def read_volume(path: Path) -> Volume:
    """Read a NIfTI file of one volume, or of one slice.

    An uncompressed file stays on disk and is mapped into memory; a compressed one is inflated up to the size that its
    header states. Without a stated unit the affine is taken as millimetres. Where the header sets no orientation
    (neither sform nor qform), the axes are taken as right to left, posterior to anterior, inferior to superior, as
    NIfTI's readers do, and a warning says so.

    Args:
        path: a .nii or .nii.gz file.

    Raises:
        SKDError: the file cannot be decoded, is too large, holds several volumes, no pixels, or colours.
    """
    stored = _open(path)
    volumes = int(np.prod(stored.shape[3:], dtype=np.int64)) if len(stored.shape) > 3 else 1
    if volumes > 1:
        cause = f"holds {volumes} volumes (shape {stored.shape})"
        raise SKDError(path, cause, "Save one of them to its own file", code="unsupported")
    return _volume(path, stored)


def _open(path: Path) -> Any:
    """The nibabel image, with its header checked and its values not yet read."""
    import nibabel

    try:
        with (gzip.open if _is_compressed(path) else open)(path, "rb") as stream:
            start = stream.read(_HEADER_BYTES_2)
        is_2 = _HEADER_BYTES_2 in (int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big"))
        kind = nibabel.Nifti2Image if is_2 else nibabel.Nifti1Image
        # Not by `from_filename`, which reads all that stands before the values into memory, whatever its size.
        header = kind.header_class(start[: kind.header_class.template_dtype.itemsize])
        # An offset that is NaN or far away makes the reader seek through everything before it.
        near = 0 <= float(header["vox_offset"]) <= _LARGEST_OFFSET
        stored = kind(kind.ImageArrayProxy(str(path), header), None, header)
        shape = stored.shape
    except _undecodable() as error:
        raise _damaged(path, error) from error
    if not near:
        raise _damaged(path, "the values would start far behind the header")
    if stored.header.get_data_dtype().kind not in "iuf":
        cause = "holds colours or complex numbers"
        raise SKDError(path, cause, "Save one plain number per pixel", code="unsupported")
    if len(shape) < 2 or min(shape) < 1:
        raise SKDError(path, f"holds no picture (shape {shape})", "Replace the file or leave it out", code="damaged")
    refuse_too_large(path, shape, stored.header.get_data_dtype().itemsize)
    return stored


def _volume(path: Path, stored: Any) -> Volume:
    try:
        # A 2-D file lacks the slice axis; a fourth axis of one entry (time) is dropped.
        proxy = stored.dataobj
        values = _inflated(path, proxy) if _is_compressed(path) else np.asanyarray(proxy.get_unscaled())
        values = values.reshape((*stored.shape, 1)[:3], order="F")
        slope, intercept = float(proxy.slope), float(proxy.inter)
        affine = np.asarray(stored.header.get_best_affine(), dtype=np.float64)
    except _undecodable() as error:
        raise _damaged(path, error) from error
    warnings: list[str] = []
    unit = _unit(stored)
    if unit is None:
        warnings.append("The file names no unit of length; millimetres are taken.")
    affine = np.diag([*[unit or 1.0] * 3, 1.0]) @ _with_thickness(affine, values.shape)
    if not (int(stored.header["qform_code"]) or int(stored.header["sform_code"])):
        warnings.append(UNPLACED)
    return Volume(values, affine, str(path), slope, intercept, warnings=tuple(warnings))


def _inflated(path: Path, proxy: Any) -> npt.NDArray[Any]:
    """The stored values of a compressed file; in pieces, for nibabel would hold them twice for a moment."""
    values: npt.NDArray[Any] = np.empty(proxy.shape, proxy.dtype, order="F")
    raw: Any = values.reshape(-1, order="F").view(np.uint8)
    with gzip.open(path, "rb") as stream:
        stream.seek(proxy.offset)
        done = 0
        while done < len(raw):
            count = stream.readinto(raw[done : done + _PIECE_BYTES])
            if not count:
                raise EOFError(f"{len(raw) - done} bytes of its values are missing")
            done += count
    return values


def _is_compressed(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _with_thickness(affine: npt.NDArray[np.float64], shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """One-slice files often state a thickness of 0; the slice axis then stands at right angles to the picture."""
    flat = [axis for axis in range(3) if shape[axis] == 1 and not affine[:3, axis].any()]
    if len(flat) != 1:
        return affine
    mended: npt.NDArray[np.float64] = affine.copy()
    across = np.cross(affine[:3, (flat[0] + 1) % 3], affine[:3, (flat[0] + 2) % 3])
    length = np.linalg.norm(across)
    mended[:3, flat[0]] = across / length if length else across
    return mended


def _unit(stored: Any) -> float | None:
    return _MILLIMETRES.get(int(stored.header["xyzt_units"]) & _SPACE_UNIT)


def _undecodable() -> tuple[type[Exception], ...]:
    """What nibabel raises on a damaged file."""
    from nibabel.filebasedimages import ImageFileError
    from nibabel.orientations import OrientationError
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    return (
        *(OSError, EOFError, ValueError, OverflowError, MemoryError, zlib.error),
        *(ImageFileError, HeaderDataError, OrientationError, WrapStructError),
    )


def _damaged(path: Path, why: object) -> SKDError:
    cause = f"cannot be decoded ({why})"
    return SKDError(path, cause, "Replace the damaged file or leave it out", code="damaged")
