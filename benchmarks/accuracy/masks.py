"""Where the organ lies that a diagnosis should rest on: geometry and thresholds, since no one has drawn it.

They are coarse on purpose: convex outlines, which show neither the shape of a tumour nor how much of a lung is opaque.

- Chest radiographs: one box over both lungs, the same in every image.
- CT slices: the convex hull of what is dark inside the body, a little wider, so that opacities at the pleura lie
  within. Heart and mediastinum between the lungs lie within it too; a consolidated part of a lung may lie outside.
- MR slices: the convex hull of the head, less a rim for scalp and skull. In coronal and sagittal slices a part of the
  face and the neck lies within it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import center_of_mass, distance_transform_edt, gaussian_filter, label
from skimage.filters import threshold_otsu
from skimage.morphology import convex_hull_image
from torch import Tensor

Picture = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_LUNG_BOX = (0.05, 0.88, 0.06, 0.94)  # top, bottom, left, right as shares of the side
_FRAME = 0.04  # widest frame around a slice, as a share of the side
_SMOOTH = 0.006  # standard deviation as a share of the side; joins what vessels and septa divide
_LUNG_AREA = 0.002  # a smaller dark spot, as a share of the image, is no lung
_LUNG_MIDDLE = 0.12  # a dark spot whose centre is nearer to the border, as a share of the side, is no lung
_PLEURA = 0.02  # what CT masks are wider than the hull, as a share of the side
_HEAD_LEVEL = 0.1  # of the 99th percentile; air is below (as in MonaiSKD.reading.canonical)
_SKULL = 0.08  # thickness of scalp and skull as a share of the diameter of the head


def lung_box(picture: Picture) -> Mask:
    """A box over both lungs of an upright radiograph [H, W]."""
    rows, columns = picture.shape
    top, bottom, left, right = _LUNG_BOX
    mask = np.zeros(picture.shape, dtype=bool)
    mask[round(top * rows) : round(bottom * rows), round(left * columns) : round(right * columns)] = True
    return mask


def lung_hull(picture: Picture) -> Mask:
    """The lungs of a CT slice [H, W] and what lies between them; the box of radiographs where no lung is found."""
    smooth = gaussian_filter(picture, _SMOOTH * max(picture.shape))
    parts, count = label(smooth < threshold_otsu(smooth))
    # Air around the body reaches a corner, or nearly where the picture has a frame; a lung cut by the border does not.
    frame = max(1, round(_FRAME * min(picture.shape)))
    outside = {*corners(parts), *corners(parts[frame:-frame, frame:-frame])}
    lungs = [
        number
        for number in range(1, count + 1)
        if number not in outside
        and (parts == number).mean() >= _LUNG_AREA
        and is_central(center_of_mass(parts == number), picture.shape)
    ]
    if not lungs:
        return lung_box(picture)
    hull = convex_hull_image(np.isin(parts, lungs))
    wider: Mask = distance_transform_edt(~hull) <= _PLEURA * max(picture.shape)
    return wider


def corners(parts: npt.NDArray[np.int32]) -> list[int]:
    """The values at the four corners."""
    return [int(part) for part in parts[[0, 0, -1, -1], [0, -1, 0, -1]]]


def is_central(centre: tuple[float, ...], shape: tuple[int, ...]) -> bool:
    return all(_LUNG_MIDDLE < place / side < 1 - _LUNG_MIDDLE for place, side in zip(centre, shape, strict=True))


def brain(picture: Picture) -> Mask:
    """The inside of the head in an MR slice [H, W]; a head cut off by the border has no rim there."""
    parts, _ = label(picture > _HEAD_LEVEL * np.percentile(picture, 99))
    head = convex_hull_image(parts == np.bincount(parts.flat)[1:].argmax() + 1)
    inside: Mask = distance_transform_edt(np.pad(head, 1, mode="edge"))[1:-1, 1:-1] > rim(head)
    return inside


def rim(head: Mask) -> float:
    """Pixels of scalp and skull, from the diameter of a disc as large as the head."""
    return float(_SKULL * 2 * np.sqrt(head.sum() / np.pi))


REGIONS: dict[str, tuple[str, Callable[[Picture], Mask]]] = {
    "cxr": ("lungs", lung_box),
    "ct": ("lungs", lung_hull),
    "mri": ("brain", brain),
}
"""Data -> what the region is called, and how it is found."""


def regions(images: Tensor, data: str) -> Tensor:
    """The region of each canonical image [N, 1, H, W], as booleans of that shape."""
    find = REGIONS[data][1]
    return torch.from_numpy(np.stack([find(image[0].numpy()) for image in images]))[:, None]


def blank(images: Tensor, where: Tensor) -> Tensor:
    """Fill images [N, 1, H, W] where `where` is true by the mean brightness of them all.

    A mean of each image would tell the network how bright the hidden part was.
    """
    return torch.where(where, images.mean(), images)
