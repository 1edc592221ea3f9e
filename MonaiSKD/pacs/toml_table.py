"""Reading a TOML file value by value, each checked, each error with its line."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from MonaiSKD.errors import SKDError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # the same, before it came with Python

_REQUIRED = object()


class Table:
    """A table of a TOML file. What is asked for is checked; :meth:`done` refuses what nobody asked for.

    Args:
        file: for messages.
        text: the whole file, to find lines in.
        data: the values.
        name: of the table, such as "poll"; empty for the file itself.
        number: which of several tables of that name, from 0.
    """

    def __init__(self, file: Path, text: str, data: Mapping[str, Any], name: str = "", number: int = 0) -> None:
        self.file, self._text, self._data, self.name, self._number = file, text, data, name, number
        self._asked: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def refuse(self, key: str, cause: str, remedy: str) -> NoReturn:
        """Raise what is wrong with a value."""
        line = self._line(key)
        place = f"{self.file}, line {line}" if line else str(self.file)
        path = ".".join(filter(None, (self.name, key)))
        raise SKDError(f"{place}: {path}" if path else place, cause, remedy)

    def text(self, key: str, default: Any = _REQUIRED, pattern: str = r".+", what: str = "a text") -> str:
        """A text that fits a pattern as a whole."""
        value = self._get(key, default, what)
        if value is default:
            return str(value)
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            self.refuse(key, f"is {_shown(value)}, not {what}", f"Write {what}")
        return value

    def number(self, key: str, default: Any = _REQUIRED, least: float = 0, most: float = 1e12) -> float:
        """A number within limits."""
        what = f"a number from {least:g} to {most:g}"
        value = self._get(key, default, what)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
            self.refuse(key, f"is {_shown(value)}, not {what}", f"Write {what}")
        return float(value)

    def integer(self, key: str, default: Any = _REQUIRED, least: int = 0, most: int = 10**15) -> int:
        """A whole number within limits."""
        value = self.number(key, default, least, most)
        if value != int(value):
            self.refuse(key, f"is {value:g}, not a whole number", "Write a whole number")
        return int(value)

    def flag(self, key: str, default: bool) -> bool:
        """true or false."""
        value = self._get(key, default, "true or false")
        if not isinstance(value, bool):
            self.refuse(key, f"is {_shown(value)}, not true or false", "Write true or false")
        return value

    def choice(self, key: str, default: Any, choices: Sequence[str]) -> str:
        """One of several words."""
        value = self._get(key, default, f"one of {', '.join(choices)}")
        if value not in choices:
            near = difflib.get_close_matches(str(value), choices, 1) or choices
            self.refuse(key, f"is {_shown(value)}, not one of {', '.join(choices)}", f"Write {near[0]!r}")
        return str(value)

    def texts(self, key: str, default: Any = _REQUIRED, pattern: str = r".*", what: str = "a text") -> tuple[str, ...]:
        """A list of texts, or one text for a list of one."""
        value = self._get(key, default, f"a list of which each is {what}")
        entries = [value] if isinstance(value, str) else value
        if not isinstance(entries, (list, tuple)):
            self.refuse(key, f"is {_shown(value)}, not a list", f"Write a list of which each is {what}")
        for entry in entries:
            if not isinstance(entry, str) or not re.fullmatch(pattern, entry):
                self.refuse(key, f"holds {_shown(entry)}, not {what}", f"Write a list of which each is {what}")
        return tuple(entries)

    def file_path(self, key: str) -> Path | None:
        """A file that exists, by its path or by its path beside the TOML file; None where the key is absent."""
        if key not in self:
            self._asked.append(key)
            return None
        path = self.file.parent / self.text(key, what="a path")
        if not path.is_file():
            self.refuse(key, f"names {path}, which is no file", "Check the path")
        return path

    def mapping(self, key: str) -> dict[str, str]:
        """A table of texts; empty where it is absent."""
        table = self.table(key)
        if table is None:
            return {}
        values = {name: table.text(name) for name in table._data}
        table.done()
        return values

    def table(self, key: str) -> Table | None:
        """The table below this one; None where it is absent."""
        if key not in self:
            self._asked.append(key)
            return None
        value = self._get(key, _REQUIRED, "a table")
        if not isinstance(value, dict):
            self.refuse(key, f"is {_shown(value)}, not a table", f"Write [{key}] on a line of its own")
        return Table(self.file, self._text, value, ".".join(filter(None, (self.name, key))))

    def tables(self, key: str) -> list[Table]:
        """The tables [[key]]."""
        if key not in self:
            self._asked.append(key)
            return []
        value = self._get(key, _REQUIRED, "tables")
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            self.refuse(key, "is no list of tables", f"Write [[{key}]] on a line of its own")
        return [Table(self.file, self._text, entry, key, number) for number, entry in enumerate(value)]

    def done(self) -> None:
        """Refuse keys that nobody asked for: a mistyped option must not be ignored."""
        for key in self._data:
            if key not in self._asked:
                near = difflib.get_close_matches(key, self._asked, 1)
                remedy = f"Did you mean {near[0]!r}" if near else f"Known are {', '.join(sorted(self._asked))}"
                self.refuse(key, "is not known", remedy)

    def _get(self, key: str, default: Any, what: str) -> Any:
        self._asked.append(key)
        if key in self._data:
            return self._data[key]
        if default is _REQUIRED:
            self.refuse(key, "is missing", f"Write {key} = ..., {what}")
        return default

    def _line(self, key: str) -> int | None:
        """Where a key stands; the head of its table where the key is absent or written another way."""
        here, seen, head = "", -1, None
        for number, line in enumerate(self._text.splitlines(), 1):
            found = re.match(r"\s*\[\[?\s*([\w.\-]+)\s*\]\]?", line)
            if found:
                here = found[1]
                seen += here == self.name
                if here == self.name and seen == self._number:
                    head = number
                elif not self.name and here == key:
                    return number
            elif here == self.name and (seen == self._number or not self.name) and re.match(rf"\s*{key}\s*[.=]", line):
                return number
            elif self.name.startswith(f"{here}.") and re.match(rf"\s*{self.name[len(here) + 1 :]}\s*=", line):
                head = number  # an inline table
        return head


def read_toml(path: Path) -> Table:
    """Open a TOML file.

    Raises:
        SKDError: it is absent, no UTF-8, or no TOML; the message says the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
        return Table(path, text, tomllib.loads(text))
    except OSError as error:
        cause = f"cannot be read ({error.strerror or error})"
        raise SKDError(path, cause, "Check the path", code="not_found") from error
    except UnicodeDecodeError as error:
        raise SKDError(path, "is not UTF-8", "Save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise SKDError(path, f"is not valid TOML ({error})", "Mend it there") from error


def _shown(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return "a table" if isinstance(value, dict) else "a list"
    return repr(value)[:60]
