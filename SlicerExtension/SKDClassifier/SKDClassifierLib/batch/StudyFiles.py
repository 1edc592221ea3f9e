"""The files of chosen studies, and to which series a case belongs. No Qt."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class StudyFiles:
    """The files of some studies of the DICOM database.

    Args:
        names: series UID -> what the user calls the series.
        files: series UID -> its files.
    """

    names: dict[str, str] = field(default_factory=dict)
    files: dict[str, list[str]] = field(default_factory=dict)
    _series: dict[str, str] = field(default_factory=dict, init=False)
    _folders: dict[str, list[str]] = field(default_factory=dict, init=False)

    @property
    def paths(self) -> list[str]:
        """All files."""
        return [file for files in self.files.values() for file in files]

    def add(self, series: str, name: str, files: Iterable[str]) -> None:
        """Add a series, what the user calls it, and its files."""
        self.names[series] = name
        self.files[series] = [str(Path(file)) for file in files]  # on Windows the database writes / for \
        for file in self.files[series]:
            self._series[file] = series
            self._folders.setdefault(str(Path(file).parent), []).append(file)

    def series_of(self, path: str, alone: Collection[str] = ()) -> str:
        """The UID of the series of a file, or of a folder; empty where the studies do not have it.

        A folder that holds other series, too, stands for the one whose files are no cases of their own.

        Args:
            path: a file or a folder.
            alone: the files that are cases of their own.
        """
        files = [path] if path in self._series else self._folders.get(path, [])
        return next((self._series[file] for file in files if file == path or file not in alone), "")

    def is_one_of_several(self, path: str) -> bool:
        """Whether a path is a file whose series has others, too."""
        return len(self.files.get(self._series.get(path, ""), ())) > 1
