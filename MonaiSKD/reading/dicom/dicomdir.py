"""DICOMDIR: the table of contents of a disc, which stands for the files it names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.dicom.dataset import open_header
from MonaiSKD.reading.dicom.header import quiet

# The element MediaStorageSOPClassUID of the file meta information, always explicit little endian, with the UID of a
# Media Storage Directory.
_DIRECTORY = re.compile(rb"\x02\x00\x02\x00UI\x14\x001\.2\.840\.10008\.1\.3\.10(?![0-9.])")


def is_dicomdir(head: bytes) -> bool:
    """Whether a file is a DICOMDIR by its content.

    Args:
        head: its first 512 bytes or more.
    """
    return head[128:132] == b"DICM" and _DIRECTORY.search(head) is not None


def referenced_files(path: Path) -> Iterator[tuple[Path, SKDError | None]]:
    """The image files that a DICOMDIR names, each with what is wrong with it, if anything.

    Names are looked up without regard to case, as discs store them in capitals. Nothing outside of the DICOMDIR's own
    folder is followed.

    Args:
        path: the DICOMDIR.

    Raises:
        SKDError: the DICOMDIR itself cannot be decoded.
    """
    for parts in _records(path):
        shown = path.parent.joinpath(*parts) if parts else path
        if not parts or any(part in ("", ".", "..") or "/" in part or "\\" in part or ":" in part for part in parts):
            cause = "names a file that is no name within its folder"
            yield path, SKDError(path, cause, "Give the images' folder instead", code="damaged")
            continue
        found = _below(path.parent, parts)
        if found is None:
            cause = "is named by the DICOMDIR, but there is no such file"
            yield shown, SKDError(shown, cause, "Copy the whole disc", code="not_found")
        elif not found.resolve().is_relative_to(path.parent.resolve()):
            cause = "is named by the DICOMDIR, but lies outside of its folder"
            yield shown, SKDError(shown, cause, "Give that file itself", code="not_found")
        else:
            yield found, None


def _records(path: Path) -> list[tuple[str, ...]]:
    """The name of each image, as its path's parts."""
    names: list[tuple[str, ...]] = []
    with quiet():
        try:
            for record in open_header(path)["DirectoryRecordSequence"].value:
                name = record.get("ReferencedFileID")
                if name and str(record.get("DirectoryRecordType")) == "IMAGE":
                    names.append((name,) if isinstance(name, str) else tuple(str(part) for part in name))
        except SKDError as error:
            cause, remedy = f"is a DICOMDIR that {error.cause}", "Give the images' folder instead"
            raise SKDError(path, cause, remedy, code=error.code) from None
        # pydicom raises many kinds of error on damaged files, and quotes values, such as the patient's name.
        except Exception as error:
            cause = f"is a DICOMDIR that cannot be decoded ({type(error).__name__})"
            raise SKDError(path, cause, "Give the images' folder instead", code="damaged") from None
    return names


def _below(folder: Path, parts: tuple[str, ...]) -> Path | None:
    """The file of that name; None where there is none, or none that may be looked at."""
    place = folder
    try:
        for part in parts:
            exact = place / part
            if not exact.exists():
                (exact,) = [entry for entry in place.iterdir() if entry.name.lower() == part.lower()]
            place = exact
        return place if place.is_file() else None
    # Too long a name, one with a zero byte, a folder that may not be read; none or two that are alike.
    except (OSError, ValueError):
        return None
