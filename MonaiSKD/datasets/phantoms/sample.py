"""One phantom of each modality as a viewer loads it: the sample data of the 3D Slicer module."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
from PIL import Image as PILImage

from MonaiSKD.datasets.phantoms.writing import make_phantom
from MonaiSKD.files import atomic_path
from MonaiSKD.reading import Modality

_LABELS: dict[Modality, str] = {"chest_xray": "opacity", "lung_ct": "nodule", "brain_mri": "tumor"}
_BACKGROUND: dict[Modality, float] = {"chest_xray": 0.0, "lung_ct": -1000.0, "brain_mri": 0.0}
_SLICES, _THICKNESS_MM = 32, 5.0


def write_sample(path: str | Path, modality: Modality, *, size: int = 256, seed: int = 1) -> Path:
    """Write one phantom as NIfTI: a radiograph of one slice, or a volume of 32 axial slices of 5 mm.

    A volume repeats one phantom slice, narrower towards both ends. It has no anatomy and no medical meaning.

    Args:
        path: ending in .nii.gz.
        modality: which phantom.
        size: the side of a slice in pixels, at least 64.
        seed: another seed gives another phantom.

    Returns:
        The path.

    Raises:
        SKDError: it cannot be written.
    """
    rng = np.random.default_rng([seed, list(_LABELS).index(modality)])
    phantom = make_phantom(modality, _LABELS[modality], rng, size=size)
    picture = phantom.pixels if modality == "lung_ct" else phantom.pixels * np.float32(4095)
    if modality == "chest_xray":
        stack = picture[None]
    else:
        # Half the axes of an ellipsoid at the height of each slice, never less than a third.
        heights = np.linspace(-0.9, 0.9, _SLICES)
        shares = np.maximum(np.sqrt(1 - heights**2), 1 / 3)
        stack = np.stack([_narrower(picture, float(share), _BACKGROUND[modality]) for share in shares])
    row, column = phantom.spacing
    # NIfTI axes point right, anterior, superior; the pictures' run left and posterior, the slices' to the head.
    affine = np.diag([-column, -row, _THICKNESS_MM, 1.0])
    stored = nibabel.Nifti1Image(stack.round().astype(np.int16).transpose(2, 1, 0), affine)
    stored.header.set_xyzt_units("mm")
    target = Path(path)
    with atomic_path(target) as beside:
        beside.write_bytes(gzip.compress(stored.to_bytes(), compresslevel=6, mtime=0))
    return target


def _narrower(picture: npt.NDArray[np.float32], share: float, background: float) -> npt.NDArray[np.float32]:
    """The picture at a share of its size, in the middle of a picture of its old size."""
    side = len(picture)
    small = max(1, round(side * share))
    start = (side - small) // 2
    whole = np.full_like(picture, background)
    resized = PILImage.fromarray(picture).resize((small, small), PILImage.Resampling.BILINEAR)
    whole[start : start + small, start : start + small] = np.asarray(resized)
    return whole
