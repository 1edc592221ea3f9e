"""From a source to a series: what is classified as one, with its slices read when they are asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.canonical import CanonicalRule
from MonaiSKD.reading.dicom.dataset import identity, looks_like_dicom, open_dataset
from MonaiSKD.reading.dicom.header import quiet
from MonaiSKD.reading.dicom.pixels import frame_count
from MonaiSKD.reading.dicom.slices import slices_of
from MonaiSKD.reading.dicom.sorting import sort_stack
from MonaiSKD.reading.dicom.stack_series import stack_series
from MonaiSKD.reading.dicom.stacks import Stack, stacks_of
from MonaiSKD.reading.dicom.suitability import check_suitable
from MonaiSKD.reading.image import Instance, Series
from MonaiSKD.reading.itk import ITK_SUFFIXES, read_itk
from MonaiSKD.reading.nifti import NIFTI_SUFFIXES, read_volume
from MonaiSKD.reading.opening import is_plain, open_plain
from MonaiSKD.reading.reader import dicom_image, read_image
from MonaiSKD.reading.sources import Source
from MonaiSKD.reading.volume import one_image, volume_series, wrong_for_radiograph

if TYPE_CHECKING:
    from pydicom import Dataset


def read_series(source: Source, rule: CanonicalRule) -> Series:
    """Read a source: headers and volumes now, the pixels of DICOM slices when they are asked for.

    Args:
        source: as :func:`~MonaiSKD.reading.sources.find_sources` finds it.
        rule: how stored values become [0, 1]; its modality decides what is refused.

    Raises:
        SKDError: it cannot be read, or is no image of the modality.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from PIL import Image as PILImage
        >>> from MonaiSKD.reading import RULES
        >>> name = str(Path(tempfile.mkdtemp()) / "a.png")
        >>> PILImage.fromarray(np.array([[0, 255]], dtype=np.uint8)).save(name)
        >>> series = read_series(Source(name, (name,)), RULES["chest_xray"])
        >>> len(series), series.read(0).pixels.tolist()
        (1, [[[0.0, 1.0]]])
    """
    if source.error is not None:
        raise source.error
    file = Path(source.files[0])
    name = file.name.lower()
    if source.slices or _is_dicom(file):
        return _dicom(source, rule)
    if name.endswith(ITK_SUFFIXES):
        return replace(volume_series(read_itk(file), rule, files=source.files), path=source.path)
    if name.endswith(NIFTI_SUFFIXES) and is_plain(file) and file.stat().st_size:
        volume = read_volume(file)
        if not volume.is_one_slice:
            return replace(volume_series(volume, rule, files=source.files), path=source.path)
    return one_image(read_image(file, rule), source.files)


def _is_dicom(file: Path) -> bool:
    try:
        with open_plain(file) as stream:
            return looks_like_dicom(stream.read(512))
    except (OSError, SKDError):
        return False  # read_image says what is wrong


def _dicom(source: Source, rule: CanonicalRule) -> Series:
    path = source.files[0]
    if rule.modality == "chest_xray":
        return _radiograph(source, rule)
    header = open_dataset(path, pixels=False)
    stack = sort_stack(_stack(source))
    if stack.slices[0].path != path:
        header = open_dataset(stack.slices[0].path, pixels=False)
    warnings = (*source.warnings, *check_suitable(header, rule), *stack.warnings)
    series = stack_series(stack, rule, source.path)
    return replace(
        series,
        path=source.path,
        files=source.files,
        identity=identity(header),
        warnings=tuple(dict.fromkeys((*warnings, *series.warnings))),
    )


@quiet()  # once for all that is asked of the header
def _radiograph(source: Source, rule: CanonicalRule) -> Series:
    def refuse_frames(header: Dataset) -> None:
        if len(source.files) > 1 or frame_count(header) > 1:
            raise wrong_for_radiograph(source.path)

    path = source.files[0]
    dataset = open_dataset(path, check=refuse_frames)
    series = one_image(dicom_image(dataset, path, rule), source.files, identity(dataset))
    return replace(series, instances=(Instance(path),))


def _stack(source: Source) -> Stack:
    """The source's slices; their headers are read where the source was made without."""
    if source.slices:
        return Stack(source.slices)
    slices = [one for file in source.files for one in slices_of(open_dataset(file, pixels=False), file)]
    stacks = stacks_of(slices)
    if len(stacks) > 1:
        cause = f"holds {len(stacks)} volumes"
        raise SKDError(source.path, cause, "Give one of them", code="unsupported")
    return stacks[0]
