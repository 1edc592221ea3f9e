"""The axial slices of a sorted DICOM stack: read one by one, or reformatted from the whole volume."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.canonical import CanonicalRule
from MonaiSKD.reading.dicom.dataset import open_dataset
from MonaiSKD.reading.dicom.modality import modality_transform
from MonaiSKD.reading.dicom.pixels import stored_frame
from MonaiSKD.reading.dicom.slices import Slice
from MonaiSKD.reading.dicom.sorting import stack_affine
from MonaiSKD.reading.dicom.stacks import Stack
from MonaiSKD.reading.dicom.values import canonical_frame, is_inverse, padding_of
from MonaiSKD.reading.image import Image, Instance, Series
from MonaiSKD.reading.orientation import AxialView, axial_view
from MonaiSKD.reading.volume import Volume, refuse_too_large, volume_series

if TYPE_CHECKING:
    from pydicom import Dataset


def stack_series(stack: Stack, rule: CanonicalRule, path: str) -> Series:
    """The axial slices of a stack, from feet to head.

    Slices acquired as axial are opened and decoded when they are read, and keep their pixels and spacing. Coronal,
    sagittal and oblique stacks are read here as one volume in their stored type and reformatted as
    :func:`~MonaiSKD.reading.volume.volume_series` says. A single slice that is not axial is shown as it is stored.

    Args:
        stack: sorted by :func:`~MonaiSKD.reading.dicom.sorting.sort_stack`.
        rule: how stored values become [0, 1].
        path: what the user would call it.

    Raises:
        SKDError: a slice of a stack that is not axial cannot be decoded, or the volume is refused.
    """
    affine = stack_affine(stack)
    rows, columns = stack.slices[0].size
    if affine is None:
        told = "The header does not say how the patient lies in the picture; it is shown as it is stored."
        return _slice_by_slice(stack, rule, path, None, (told,))
    view = axial_view(affine, (columns, rows, len(stack.slices)))
    if view.order[2] == 2 and not view.is_oblique:
        return _slice_by_slice(stack, rule, path, view, ())
    if len(stack.slices) == 1:
        plane = "oblique" if view.is_oblique else view.plane
        return _slice_by_slice(stack, rule, path, None, (f"The slice is {plane}, not axial.",))
    return volume_series(_volume(stack, affine, path, rule), rule)


def _slice_by_slice(
    stack: Stack, rule: CanonicalRule, path: str, view: AxialView | None, warnings: tuple[str, ...]
) -> Series:
    slices, positions = stack.slices, stack.positions
    open_slice, lock = _opener(slices)
    turned = view.describe() if view else ()
    is_transposed = view is not None and view.order[0] == 1

    def read(index: int) -> Image:
        one = slices[index]
        with lock:
            dataset = open_slice(one)
            pixels, applied, told = canonical_frame(dataset, one.frame or 0, rule)
        if pixels.shape[1:] != one.size:
            raise _other_size(one)
        picture = view.picture(pixels[0]) if view else pixels[0]
        spacing = one.spacing[::-1] if one.spacing and is_transposed else one.spacing
        return Image(np.ascontiguousarray(picture)[None], spacing, one.path, (*applied, *turned), tuple(told))

    known = view is not None and slices[0].spacing is not None
    return Series(
        path=path,
        length=len(slices),
        read=read,
        positions=positions,
        affine=view.affine if view and known else None,
        instances=tuple(Instance(one.path, None if one.frame is None else one.frame + 1) for one in slices),
        applied=(*_sorted_by(stack), *turned),
        warnings=warnings,
    )


def _sorted_by(stack: Stack) -> tuple[str, ...]:
    return ("slices sorted by position, feet to head",) if stack.positions and len(stack.slices) > 1 else ()


def _opener(slices: tuple[Slice, ...]) -> tuple[Callable[[Slice], Dataset], AbstractContextManager[Any]]:
    """How the data set of a slice is got, and what is held meanwhile.

    A file of one frame is opened for each reading. A file of several frames is opened once and kept: reading it anew
    for each of hundreds of frames would take minutes. pydicom converts elements while they are read, so that one thread
    at a time may use it.
    """
    if slices[0].frame is None:
        return (lambda one: open_dataset(one.path)), nullcontext()
    kept: list[Dataset] = []

    def shared(one: Slice) -> Dataset:
        if not kept:
            kept.append(open_dataset(one.path))
        return kept[0]

    return shared, threading.Lock()


def _volume(stack: Stack, affine: npt.NDArray[np.float64], path: str, rule: CanonicalRule) -> Volume:
    """The stack as one volume, in the stored type where all slices share it and the rescaling, else as float32."""
    open_slice, _ = _opener(stack.slices)
    shape = (len(stack.slices), *stack.slices[0].size)
    values: npt.NDArray[Any] = np.empty(0)
    padding: npt.NDArray[np.bool_] | None = None
    scale = (1.0, 0.0)
    for index, one in enumerate(stack.slices):
        dataset = open_slice(one)
        stored = stored_frame(dataset, one.frame or 0)
        padded = padding_of(dataset, stored)
        stored, scale_now = _scaled(dataset, stored, one, rule)
        if stored.shape != shape[1:]:
            raise _other_size(one)
        if index == 0:
            refuse_too_large(path, shape, stored.itemsize)
            values, scale = np.empty(shape, stored.dtype), scale_now
        elif (stored.dtype, scale_now) != (values.dtype, scale):
            refuse_too_large(path, shape, 4)
            values, scale = _as_float(values, scale), (1.0, 0.0)
            stored = _as_float(stored, scale_now)
        values[index] = stored
        if padded is not None:
            padding = np.zeros(shape, dtype=bool) if padding is None else padding
            padding[index] = padded
    if padding is not None:
        _darken(values, padding, scale[0])
        padding = padding.transpose()
    return Volume(values.transpose(), affine, path, *scale, applied=_sorted_by(stack), padding=padding)


def _darken(values: npt.NDArray[Any], padding: npt.NDArray[np.bool_], slope: float) -> None:
    """Give padding, in place, the stored value that is the darkest of the rest."""
    lowest, highest = values.min(), values.max()
    rest = ~padding
    darkest = values.min(where=rest, initial=highest) if slope > 0 else values.max(where=rest, initial=lowest)
    values[padding] = darkest


def _scaled(
    dataset: Dataset, stored: npt.NDArray[Any], one: Slice, rule: CanonicalRule
) -> tuple[npt.NDArray[Any], tuple[float, float]]:
    """A slice's values, and the slope and intercept that make them bright = dense in the modality's unit."""
    transform = modality_transform(dataset, one.frame or 0)
    # As for single slices: what is meant to be seen inverted is an MR image, and never the Hounsfield units of a CT.
    sign = -1.0 if rule.modality == "brain_mri" and is_inverse(dataset) else 1.0
    if transform.lut is not None:
        return (sign * transform.apply(stored)).astype(np.float32), (1.0, 0.0)
    return stored, (sign * transform.slope, sign * transform.intercept)


def _as_float(values: npt.NDArray[Any], scale: tuple[float, float]) -> npt.NDArray[np.float32]:
    if scale == (1.0, 0.0):
        return values.astype(np.float32, copy=False)
    scaled: npt.NDArray[np.float32] = (values * np.float32(scale[0]) + np.float32(scale[1])).astype(np.float32)
    return scaled


def _other_size(one: Slice) -> SKDError:
    return SKDError(one.path, "holds a picture of another size than its header says", "Replace the file", "damaged")
