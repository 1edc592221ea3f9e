"""From what the user names (files, folders, a DICOMDIR) to the things that are classified one by one."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.canonical import CanonicalRule
from MonaiSKD.reading.dicom.dataset import looks_like_dicom, open_dataset
from MonaiSKD.reading.dicom.dicomdir import is_dicomdir, referenced_files
from MonaiSKD.reading.dicom.slices import Slice, slices_of
from MonaiSKD.reading.dicom.stacks import Stack, stacks_of
from MonaiSKD.reading.itk import ITK_SUFFIXES
from MonaiSKD.reading.nifti import NIFTI_SUFFIXES
from MonaiSKD.reading.opening import is_dangling, is_folder, is_plain, open_plain, real_path
from MonaiSKD.reading.own import is_own
from MonaiSKD.reading.raster import RASTER_SUFFIXES
from MonaiSKD.reading.reader import DICOM_SUFFIXES, is_image_name

_BY_NAME = (*RASTER_SUFFIXES, *NIFTI_SUFFIXES, *ITK_SUFFIXES, *DICOM_SUFFIXES)
_HEAD_BYTES = 1024


@dataclass(frozen=True)
class Source:
    """One thing to classify; :func:`~MonaiSKD.reading.series.read_series` reads it.

    Args:
        path: what the user would call it: the file, the folder of a DICOM series, or the series' first file where the
            folder holds several; with #1, #2, ... where one file holds several volumes.
        files: the files it lies in: one, or all of a DICOM series.
        slices: the headers of a DICOM series that were read to find it; empty for all else.
        warnings: what was left out or split, as sentences.
        error: why it cannot be read, where that is known already; reading it raises this.
    """

    path: str
    files: tuple[str, ...]
    slices: tuple[Slice, ...] = ()
    warnings: tuple[str, ...] = ()
    error: SKDError | None = None


def is_image(path: str | os.PathLike[str]) -> bool:
    """Whether a file of a folder counts as one that :func:`~MonaiSKD.reading.reader.read_image` reads.

    It does by its name; under any name that is not another format's, as DICOM by its content, as in
    :func:`find_sources`: exports are called IM0001 or by a UID.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "1.2.840.113"
        >>> _ = file.write_bytes(bytes(128) + b"DICM")
        >>> is_image(file)
        True
    """
    file = Path(path)
    if not is_plain(file):
        return False
    name = file.name.lower()
    if is_image_name(file) or name.startswith(".") or name.endswith(_BY_NAME):
        return is_image_name(file)
    try:
        head = _head(file)
    except (OSError, SKDError):  # what it is, nobody can know
        return False
    return looks_like_dicom(head) and not is_dicomdir(head) and not is_own(head)


def find_sources(
    paths: Iterable[str | os.PathLike[str]],
    rule: CanonicalRule,
    *,
    recursive: bool = False,
    gather: bool = False,
    on_skip: Callable[[str], None] | None = None,
) -> Iterator[Source]:
    """Find what is to be classified.

    A named file is always attempted, whatever its name. Of a folder, its files are, but for hidden ones and for those
    that are no images by name and content, or that this package wrote (heat maps, reports). A DICOMDIR stands for the
    files it names. No file is found twice, but one that is named is found as often as it is named.

    For radiographs each DICOM file is a source, found while the folder is walked. For CT and MR the DICOM files of all
    folders are gathered by series and come last, in the order of their paths; they are divided further where a series
    holds several volumes (see :func:`~MonaiSKD.reading.dicom.stacks.stacks_of`).

    Nothing is raised for a file that cannot be read: it becomes a source whose reading fails.

    Args:
        paths: files and folders.
        rule: its modality decides whether DICOM files are gathered.
        recursive: whether folders below the named ones are walked, too.
        gather: whether DICOM files that are named one by one are joined by series, as those of a folder are.
        on_skip: called with the path of each file in a folder that is no image, or one of this package's own.

    Example:
        >>> import tempfile
        >>> from MonaiSKD.reading import RULES
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "a.png").write_bytes(b"..."), (folder / "notes.txt").write_text("none")
        >>> skipped = []
        >>> [Path(source.path).name for source in find_sources([folder], RULES["brain_mri"], on_skip=skipped.append)]
        ['a.png']
        >>> len(skipped)
        1
    """
    walk = _Walk(recursive, on_skip or (lambda _: None))
    gathered: list[Slice] = []
    for given in paths:
        path = Path(given)
        for file, is_dicom, error, is_alone in walk.folder(path) if is_folder(path) else walk.named(path):
            if error is not None or not is_dicom or rule.modality == "chest_xray":
                yield Source(str(file), (str(file),), error=error)
                continue
            try:
                slices = slices_of(open_dataset(file, pixels=False), str(file))
            except SKDError as refusal:
                yield Source(str(file), (str(file),), error=refusal)
                continue
            # What is named by itself, and a file of several frames, is not joined with others.
            if (is_alone and not gather) or len(slices) > 1:
                yield from _stack_sources(stacks_of(slices), str(file))
            else:
                gathered += slices
    yield from _series_sources(gathered)


def _stack_sources(stacks: list[Stack], path: str) -> Iterator[Source]:
    """The volumes of one file, numbered where there are several: an answer must say which of them it is about."""
    for number, stack in enumerate(stacks, 1):
        yield _source(stack, path if len(stacks) == 1 else f"{path}#{number}")


def _series_sources(slices: list[Slice]) -> list[Source]:
    """The DICOM series that lie scattered among the slices, in the order of their paths."""
    series: dict[str, list[Slice]] = {}
    for one in slices:
        series.setdefault(one.series or str(Path(one.path).parent), []).append(one)
    stacks = [stack for members in series.values() for stack in stacks_of(members)]
    homes = [{str(Path(one.path).parent) for one in stack.slices} for stack in stacks]
    tenants = Counter(folder for folders in homes for folder in folders)
    sources = []
    for stack, folders in zip(stacks, homes, strict=True):
        alone = len(folders) == 1 and len(stack.slices) > 1 and all(tenants[folder] == 1 for folder in folders)
        sources.append(_source(stack, min(folders) if alone else min(one.path for one in stack.slices)))
    return sorted(sources, key=lambda source: source.path)


def _source(stack: Stack, path: str) -> Source:
    files = tuple(sorted({one.path for one in stack.slices}))
    return Source(path, files, stack.slices, stack.warnings)


class _Found(NamedTuple):
    file: Path
    is_dicom: bool
    error: SKDError | None = None
    is_alone: bool = False


@dataclass
class _Walk:
    """The images among files and folders, each file of a folder once."""

    recursive: bool
    skip: Callable[[str], None]
    files: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)

    def named(self, file: Path) -> Iterator[_Found]:
        """A file that was named; if it is a DICOMDIR, the files it names."""
        try:
            head = _head(file)
        except (OSError, SKDError):
            head = b""  # reading it says what is wrong
        if is_dicomdir(head):
            yield from self._disc(file)
        else:
            self.files.add(real_path(file))
            yield _Found(file, _is_dicom(file, head), is_alone=True)

    def folder(self, folder: Path) -> Iterator[_Found]:
        """The images of a folder, by name; a folder that is reached again, such as by a link, is left out."""
        real = real_path(folder)
        if real in self.folders:
            return
        self.folders.add(real)
        try:
            entries = sorted(folder.iterdir())
        except OSError as error:
            cause = f"cannot be read ({error.strerror or error})"
            yield _Found(folder, False, SKDError(folder, cause, "Check the folder's permissions", "not_found"))
            return
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if is_folder(entry):
                if self.recursive:
                    yield from self.folder(entry)
            else:
                yield from self._file(entry)

    def _file(self, file: Path) -> Iterator[_Found]:
        try:
            # Reading a pipe or a device would wait for ever.
            head = _head(file) if is_plain(file) else None
        except SKDError as error:
            yield _Found(file, False, error)
            return
        except OSError as error:
            cause = f"cannot be read ({error.strerror or error})"
            yield _Found(file, False, SKDError(file, cause, "Check the file's permissions", "not_found"))
            return
        named_as_image = file.name.lower().endswith(_BY_NAME)
        if head is None and named_as_image and is_dangling(file):
            remedy = "Mount what it points to, or remove the link"
            yield _Found(file, False, SKDError(file, "is a link to nothing", remedy, "not_found"))
        elif head is not None and is_dicomdir(head):
            yield from self._disc(file)
        elif head is None or is_own(head) or not (looks_like_dicom(head) or named_as_image):
            self.skip(str(file))
        elif self._is_new(file):
            yield _Found(file, _is_dicom(file, head))

    def _disc(self, file: Path) -> Iterator[_Found]:
        try:
            for named, error in referenced_files(file):
                if error is not None or self._is_new(named):
                    yield _Found(named, True, error)
        except SKDError as error:
            yield _Found(file, True, error)

    def _is_new(self, file: Path) -> bool:
        real = real_path(file)
        if real in self.files:
            return False
        self.files.add(real)
        return True


def _head(file: Path) -> bytes:
    with open_plain(file) as stream:
        return stream.read(_HEAD_BYTES)


def _is_dicom(file: Path, head: bytes) -> bool:
    return looks_like_dicom(head) or file.name.lower().endswith(DICOM_SUFFIXES)
