"""NIfTI files of one slice: stored values, such as Hounsfield units, with the spacing."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from MonaiSKD.errors import SKDError

NIFTI_SUFFIXES = (".nii", ".nii.gz")

# By the unit code in the low three bits of the header's xyzt_units: metre, millimetre, micrometre.
_MILLIMETRES = {1: 1000.0, 2: 1.0, 3: 0.001}
_SPACE_UNIT = 0b111


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
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.orientations import OrientationError
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    undecodable = (
        *(OSError, EOFError, ValueError, OverflowError, zlib.error),
        *(ImageFileError, HeaderDataError, OrientationError, WrapStructError),
    )

    try:
        stored = nibabel.Nifti1Image.from_filename(path)
        if stored.header.get_data_dtype().kind not in "iuf":
            raise SKDError(path, "holds colours or complex numbers", "Save one plain number per pixel")
        shape = stored.shape
        if len(shape) < 2 or min(shape) < 1:
            raise SKDError(path, f"holds no picture (shape {shape})", "Replace the file or leave it out")
        if sum(length > 1 for length in shape) > 2:
            raise SKDError(path, f"holds several slices (shape {shape})", "Save each slice to its own file")
        # A 2-D file lacks the slice axis; a fourth axis of one entry (time) is dropped.
        values = np.asarray(stored.dataobj, dtype=np.float32).reshape((*shape, 1)[:3])
        upright = nibabel.as_closest_canonical(nibabel.Nifti1Image(values, stored.affine, stored.header))
    except undecodable as error:
        raise SKDError(path, f"cannot be decoded ({error})", "Replace the damaged file or leave it out") from error
    across, down = _in_plane(upright.shape)
    picture: npt.NDArray[Any] = np.asarray(upright.dataobj, dtype=np.float32).reshape(
        upright.shape[across], upright.shape[down]
    )
    unit = _MILLIMETRES.get(int(stored.header["xyzt_units"]) & _SPACE_UNIT)
    zooms = upright.header.get_zooms()
    spacing = None if unit is None else (float(zooms[down]) * unit, float(zooms[across]) * unit)
    # Axes now point right, anterior, superior; a picture runs left, posterior, inferior, with rows first.
    return np.ascontiguousarray(picture[::-1, ::-1].T), spacing, ("turned to the radiologist's orientation",)


def _in_plane(shape: tuple[int, ...]) -> tuple[int, int]:
    """The axes that run across and down the picture; of several axes of one entry, the last is the slice axis."""
    through = max(axis for axis in range(3) if shape[axis] == 1)
    across, down = (axis for axis in range(3) if axis != through)
    return across, down
