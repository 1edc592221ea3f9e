"""Phantoms by name, and a data set of them on disk."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from PIL import Image as PILImage

from MonaiSKD.datasets.cases import SPLITS
from MonaiSKD.datasets.phantoms import brain, chest, lung_ct
from MonaiSKD.datasets.phantoms.canvas import Phantom
from MonaiSKD.errors import SKDError
from MonaiSKD.files import atomic_path, write_json
from MonaiSKD.reading import Modality

PHANTOM_CLASSES: dict[Modality, tuple[str, ...]] = {
    "chest_xray": chest.CLASSES,
    "lung_ct": lung_ct.CLASSES,
    "brain_mri": brain.CLASSES,
}
_PAINTERS: dict[Modality, Callable[[str, int, np.random.Generator], Phantom]] = {
    "chest_xray": chest.chest_radiograph,
    "lung_ct": lung_ct.lung_ct_slice,
    "brain_mri": brain.brain_mri_slice,
}
_SLICE_THICKNESS_MM = 1.0
_LEAST_SIZE = 64


def make_phantom(modality: Modality, label: str, rng: np.random.Generator, *, size: int = 192) -> Phantom:
    """Draw one phantom.

    Args:
        modality: what kind of image.
        label: one of ``PHANTOM_CLASSES[modality]``.
        rng: the source of all variation; the same state gives the same phantom.
        size: the side of the square picture in pixels, at least 64.

    Raises:
        ValueError: the label is none of the modality's, or the size is below 64.

    Example:
        >>> phantom = make_phantom("lung_ct", "nodule", np.random.default_rng(0), size=96)
        >>> phantom.pixels.shape, bool(phantom.pixels.min() < -900), phantom.spacing
        ((96, 96), True, (3.75, 3.75))
    """
    if label not in PHANTOM_CLASSES[modality]:
        raise ValueError(f"a {modality} phantom is one of {PHANTOM_CLASSES[modality]}, not {label!r}")
    if size < _LEAST_SIZE:
        raise ValueError(f"a phantom has at least {_LEAST_SIZE} pixels a side, not {size}")
    return _PAINTERS[modality](label, size, rng)


def write_phantoms(
    folder: str | Path,
    modality: Modality,
    *,
    per_class: tuple[int, int, int] = (40, 10, 20),
    size: int = 192,
    seed: int = 0,
) -> None:
    """Write a data set of phantoms, ``<folder>/<split>/<class>/<image>``, and ``phantoms.json`` with their boxes.

    Radiographs and MRI become 8-bit PNG, CT becomes one-slice .nii.gz in Hounsfield units. ``phantoms.json`` maps each
    path in the folder to its label, its lesion's box (row0, column0, row1, column1, the last two exclusive; null where
    there is none) and its spacing in millimetres.

    Args:
        folder: where to; it may exist, but holds no splits yet.
        modality: which phantoms.
        per_class: how many images each class has in train, val and test; a split with 0 is not written.
        size: the side of the pictures in pixels, at least 64.
        seed: another seed gives other phantoms; the same seed the same files.

    Raises:
        SKDError: there would be none, or none could be drawn; the folder holds a split already, or cannot be written.
    """
    if size < _LEAST_SIZE or seed < 0:
        least = f"Use at least {_LEAST_SIZE} and 0"
        raise SKDError("phantoms", f"none can be drawn with size {size} and seed {seed}", least)
    if min(per_class) < 0 or not any(per_class):
        cause = f"{', '.join(map(str, per_class))} for train, val and test are no numbers of images"
        raise SKDError("phantoms per class", cause, "Use whole numbers from 0, one of them above")
    target = Path(folder)
    for split in SPLITS:
        if (target / split).exists():
            raise SKDError(target / split, "exists already", "Choose a new folder, or remove this one")
    written: dict[str, dict[str, Any]] = {}
    for split_number, (split, count) in enumerate(zip(SPLITS, per_class, strict=True)):
        for class_number, label in enumerate(PHANTOM_CLASSES[modality]):
            for number in range(count):
                # A generator for each image: no image depends on how many others there are.
                rng = np.random.default_rng([seed, split_number, class_number, number])
                phantom = make_phantom(modality, label, rng, size=size)
                suffix = ".nii.gz" if modality == "lung_ct" else ".png"
                path = target / split / label / f"{label}_{number:04d}{suffix}"
                _write(path, phantom)
                written[path.relative_to(target).as_posix()] = {
                    "label": label,
                    "box": phantom.box and list(phantom.box),
                    "spacing": list(phantom.spacing),
                }
    write_json(target / "phantoms.json", written)


def _write(path: Path, phantom: Phantom) -> None:
    with atomic_path(path) as beside:
        if path.suffix == ".png":
            PILImage.fromarray((phantom.pixels * 255).round().astype(np.uint8)).save(beside)
            return
        row, column = phantom.spacing
        # NIfTI axes point right, anterior, superior; the picture's run left and posterior, columns first.
        affine = np.diag([-column, -row, _SLICE_THICKNESS_MM, 1.0])
        stored = nibabel.Nifti1Image(phantom.pixels.round().astype(np.int16).T[:, :, None], affine)
        stored.header.set_xyzt_units("mm")
        beside.write_bytes(gzip.compress(stored.to_bytes(), compresslevel=6, mtime=0))
