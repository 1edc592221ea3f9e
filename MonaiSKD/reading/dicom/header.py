"""Reading values of a DICOM header, whatever stands there: these functions never raise, and print nothing.

pydicom converts a value when it is first asked for, so each access may raise or warn. Its messages quote the value,
which may be a patient's name: they are neither printed nor passed on.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pydicom import Dataset

_SOURCES = r"pydicom|pylibjpeg|libjpeg|openjpeg|rle|jpeg_ls|MonaiSKD\.reading\.dicom"
_lock = threading.Lock()
_depth = 0
_here = threading.local()


class _Silence(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(_here, "depth", 0)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the warnings and log records of pydicom and its decoders from being printed, in this thread and for a while.

    `warnings.catch_warnings` would not do: it restores the filters of the whole process, and slices are read in
    several threads at once. Here the first thread adds one filter and the last one takes it away.
    """
    global _depth
    if getattr(_here, "depth", 0):  # within another one
        yield
        return
    with _lock:
        _depth += 1
        warnings.filterwarnings("ignore", module=_SOURCES)
        logger = logging.getLogger("pydicom")
        if not any(isinstance(known, _Silence) for known in logger.filters):
            logger.addFilter(_Silence())
    _here.depth = 1
    try:
        yield
    finally:
        _here.depth = 0
        with _lock:
            _depth -= 1
            if not _depth:
                _remove_filter()


def _remove_filter() -> None:
    filters: list[Any] = warnings.filters  # type: ignore[assignment]
    filters[:] = [entry for entry in filters if getattr(entry[3], "pattern", None) != _SOURCES]


def value(dataset: Dataset, keyword: str) -> Any:
    """The value of an element by its keyword; None where it is absent, empty or cannot be converted."""
    if keyword not in dataset:
        return None
    with quiet():
        try:
            found = dataset.get(keyword)
        except Exception:  # the converters of pydicom raise whatever the broken bytes provoke
            return None
    return None if found is None or found == "" else found


def text(dataset: Dataset, keyword: str) -> str:
    """The value as text, several joined by a backslash; bytes of an unknown character set are kept as Latin-1.

    Example:
        >>> from pydicom import Dataset
        >>> header = Dataset()
        >>> header.PatientName = "Yamada^Tarou"
        >>> text(header, "PatientName"), text(header, "StudyDate")
        ('Yamada^Tarou', '')
    """
    found = value(dataset, keyword)
    with quiet():
        try:
            several = isinstance(found, (list, tuple)) or type(found).__name__ == "MultiValue"
            words = "\\".join(str(entry) for entry in found) if several else str(found or "")
        except Exception:  # a person's name is decoded only here
            words = ""
    return (words or "\\".join(_raw(dataset, keyword))).replace("\0", "").strip()


def words(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """The values of a code string in capitals, without surrounding blanks; empty where it is absent."""
    found = text(dataset, keyword).upper()
    return tuple(word.strip() for word in found.split("\\")) if found else ()


def entries(dataset: Dataset, keyword: str) -> tuple[float | None, ...]:
    """Each value as a finite number, or None where it is none."""
    found = value(dataset, keyword)
    if found is None:
        return tuple(_number(part) for part in _raw(dataset, keyword))
    if isinstance(found, (str, int, float)):
        return (_number(found),)
    try:
        return tuple(_number(entry) for entry in found)
    except TypeError:
        return (_number(found),)


def numbers(dataset: Dataset, keyword: str, length: int) -> tuple[float, ...] | None:
    """Exactly `length` finite numbers, or None.

    Example:
        >>> from pydicom import Dataset
        >>> header = Dataset()
        >>> header.PixelSpacing = [0.5, 0.25]
        >>> numbers(header, "PixelSpacing", 2), numbers(header, "PixelSpacing", 3)
        ((0.5, 0.25), None)
    """
    found = tuple(entry for entry in entries(dataset, keyword) if entry is not None)
    return found if len(found) == length == len(entries(dataset, keyword)) else None


def number(dataset: Dataset, keyword: str) -> float | None:
    """The first value as a finite number, or None."""
    found = entries(dataset, keyword)
    return found[0] if found else None


def items(dataset: Dataset, keyword: str) -> list[Any]:
    """The items of a sequence; empty where it is absent or no sequence."""
    found = value(dataset, keyword)
    return list(found) if type(found).__name__ == "Sequence" else []


def functional_group(dataset: Dataset, frame: int, keyword: str) -> Any:
    """The item of a functional group (PS3.3 C.7.6.16) that holds for a frame, from 0; None where there is none.

    What is said of the frame itself goes before what is said of all.
    """
    per_frame = items(dataset, "PerFrameFunctionalGroupsSequence")
    groups = [*per_frame[frame : frame + 1], *items(dataset, "SharedFunctionalGroupsSequence")[:1]]
    for group in groups:
        found = items(group, keyword)
        if found:
            return found[0]
    return None


def thing(dataset: Dataset) -> str:
    """What an error message calls the data set: its file."""
    return str(getattr(dataset, "filename", None) or "DICOM data set")


def _number(entry: Any) -> float | None:
    try:
        found = float(entry)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if np.isfinite(found) else None


def _raw(dataset: Dataset, keyword: str) -> list[str]:
    """The parts of a textual value that pydicom could not convert as a whole."""
    from pydicom.datadict import tag_for_keyword

    tag = tag_for_keyword(keyword)
    if tag is None or tag not in dataset:
        return []
    try:
        stored: Any = dataset.get_item(tag)
        return stored.value.decode("latin-1").split("\\") if isinstance(stored.value, bytes) else []
    except Exception:  # as in value()
        return []
