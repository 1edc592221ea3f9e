"""Which Python packages are needed, which are there, and what must stay as it is. No Qt."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.metadata import Distribution, DistributionFinder, MetadataPathFinder
from pathlib import Path
from typing import Literal

from SKDClassifierLib.jobs import Processes

FILE = Path(__file__).parents[2] / "Resources" / "requirements.json"
_IMPORT_SECONDS = 300
# One line a module, so that also a module whose import ends Python is found.
_TRY = """
import importlib, json, sys
for name in sys.argv[1:]:
    print("\\nTRY", json.dumps([name, ""]), flush=True)
    try:
        importlib.import_module(name)
        fault = None
    except Exception as error:
        fault = f"{type(error).__name__}: {error}"
    print("\\nTRY", json.dumps([name, fault]), flush=True)
"""

# What `pip install` is given; it raises subprocess.CalledProcessError when pip fails.
Pip = Callable[[list[str]], None]


@dataclass(frozen=True)
class Requirement:
    """A package that is needed; one of those in requirements.json.

    Args:
        name: of the package.
        versions: which of them will do, as pip writes it.
        module: what is imported.
        megabytes: to download, about.
        source: "slicer": part of Slicer; "pytorch": the extension PyTorch installs it; "pip": pip does.
        gives: what it is for, in words.
        extends: a module that finds it only when it is loaded afresh.
    """

    name: str
    versions: str
    module: str
    megabytes: float
    source: Literal["slicer", "pytorch", "pip"]
    gives: str
    extends: str = ""

    def __str__(self) -> str:
        return f"{self.name}{self.versions}"

    def allows(self, version: str) -> bool:
        """Whether a version will do."""
        try:
            from packaging.specifiers import SpecifierSet
        except ModuleNotFoundError:  # pip always carries its own
            from pip._vendor.packaging.specifiers import SpecifierSet
        return SpecifierSet(self.versions).contains(version, prereleases=True)


@dataclass(frozen=True)
class Requirements:
    """All of requirements.json.

    Args:
        protected: packages that are never replaced; of the same name as their modules.
        light: for classifying.
        training: for training, besides the light ones.
    """

    protected: tuple[str, ...]
    light: tuple[Requirement, ...]
    training: tuple[Requirement, ...]

    @classmethod
    def read(cls, path: Path = FILE) -> Requirements:
        """From its file."""
        data = json.loads(path.read_text(encoding="utf-8"))
        light, training = (tuple(Requirement(**one) for one in data[part]) for part in ("light", "training"))
        return cls(tuple(data["protected"]), light, training)


class Environment:
    """The packages of a Python: of the one that runs here, or of another.

    Args:
        pip: installs into it.
        interpreter: starts it afresh.
        folders: where its packages lie; `sys.path` where not given.
    """

    def __init__(self, pip: Pip, interpreter: Callable[[], str], folders: list[str] | None = None) -> None:
        self.pip, self._interpreter, self._folders = pip, interpreter, folders

    @property
    def folders(self) -> list[str]:
        """Where its packages lie."""
        return sys.path if self._folders is None else self._folders

    def version(self, name: str, module: str) -> str | None:
        """Of a package; None where it is absent, "" where it does not tell."""
        found = MetadataPathFinder().find_distributions(DistributionFinder.Context(name=name, path=self.folders))
        package: Distribution | None = next(iter(found), None)
        if package is not None:
            return package.version
        return "" if PathFinder.find_spec(module, self.folders) is not None else None

    def missing(self, wanted: Iterable[Requirement]) -> list[Requirement]:
        """Those that are absent or of a version that will not do."""
        versions = ((one, self.version(one.name, one.module)) for one in wanted)
        return [one for one, version in versions if version is None or (version and not one.allows(version))]

    def faults(self, modules: list[str]) -> dict[str, str]:
        """The modules that a fresh Python cannot import, and why."""
        done = subprocess.run(
            [self._interpreter(), "-c", _TRY, *modules],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_IMPORT_SECONDS,
            check=False,
            env={**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONSAFEPATH": "1"},
            creationflags=Processes.HIDDEN,
        )
        told = (json.loads(line[4:]) for line in done.stdout.splitlines() if line.startswith("TRY "))
        results: dict[str, str | None] = dict(told)
        died = f"its import ends Python, code {done.returncode}"
        if not results:
            died = f"{self._interpreter()} does not start: {done.stderr.strip()[-300:]}"
        faults = {name: results.get(name, died) for name in modules}
        return {name: fault or died for name, fault in faults.items() if fault is not None}

    @contextmanager
    def constraints(self, protected: Iterable[str]) -> Iterator[Path]:
        """A file that keeps pip from replacing packages, and from bringing a torch of its own.

        What is there without telling its version, as Slicer's own VTK, is kept from being installed a second time.
        """
        lines = []
        for name in protected:
            version = self.version(name, name)
            if version:
                lines.append(f"{name}=={version}")
            elif version == "" or name.startswith("torch"):
                lines.append(f"{name}<0")
        with tempfile.TemporaryDirectory(prefix="skd") as folder:
            path = Path(folder) / "constraints.txt"
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
            yield path

    @staticmethod
    def refresh() -> None:
        """Notice what was installed meanwhile."""
        importlib.invalidate_caches()
