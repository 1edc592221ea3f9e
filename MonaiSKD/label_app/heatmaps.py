"""A heat map as the one file that an answer of MONAI Label can carry: a picture, or a volume for a viewer."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from MonaiSKD.errors import SKDError
from MonaiSKD.files import atomic_path
from MonaiSKD.reading import Series
from MonaiSKD.runtime import Result

HeatFormat = Literal["png", "nifti", "auto"]  # auto: nifti of a volume, png of anything else


def save_picture(result: Result, path: Path) -> Path:
    """The image with the evidence for its label over it; of a volume the slice that speaks most for it.

    Raises:
        SKDError: it cannot be written.
    """
    from MonaiSKD.reporting.overlay import heat_overlay

    with atomic_path(path) as beside:
        heat_overlay(result.heatmaps[0]).save(beside, format="PNG")
    return path


def save_volume(result: Result, series: Series, path: Path) -> Path:
    """The evidence for the label in logits, positive for it, as a .nii.gz in the place of the image.

    It keeps the grid that the network computes it on (one value for some hundred pixels), with an affine that puts it
    over the image. A picture without position gets millimetres by its spacing, or a millimetre a pixel.

    Args:
        result: of `classify(series, every_slice=True)` for a volume, with heat maps for one image.
        series: what was classified.
        path: ends with .nii.gz.

    Raises:
        SKDError: it cannot be written.
    """
    import nibabel

    if result.slices is not None:
        assert result.slices.heat is not None
        heat, pixels = result.slices.heat, series.read(0).pixels.shape[-2:]
    else:
        heat, pixels = result.heatmaps[0].values[None], result.heatmaps[0].pixels.shape
    rows, columns = result.spacing or (1.0, 1.0)
    # A picture's rows run down (posterior or inferior), its columns to the patient's left.
    affine = np.diag([-columns, -rows, 1.0, 1.0]) if series.affine is None else series.affine
    image = nibabel.Nifti1Image(heat.transpose(2, 1, 0).astype(np.float32), _coarse(affine, pixels, heat.shape[1:]))
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = b"evidence in logits; not for clinical use"
    with atomic_path(path) as beside:
        beside.write_bytes(gzip.compress(image.to_bytes(), compresslevel=6, mtime=0))
    return path


def _coarse(
    affine: npt.NDArray[np.float64], pixels: tuple[int, ...], cells: tuple[int, ...]
) -> npt.NDArray[np.float64]:
    """The affine of cells that cover the pixels: their edges meet, not the centres of the first ones."""
    across, down = pixels[1] / cells[1], pixels[0] / cells[0]
    grid = np.diag([across, down, 1.0, 1.0])
    grid[:2, 3] = (across - 1) / 2, (down - 1) / 2
    placed: npt.NDArray[np.float64] = affine @ grid
    return placed


def parse_format(text: object) -> HeatFormat | None:
    """What a request asks for.

    Raises:
        SKDError: it is neither "png", "nifti" nor "auto".
    """
    if text is None or text is False or text == "":
        return None
    formats: tuple[HeatFormat, ...] = get_args(HeatFormat)
    for known in formats:
        if text == known:
            return known
    raise SKDError("heatmap", f"is none of {', '.join(formats)}", "Ask for one of them, or leave it out")
