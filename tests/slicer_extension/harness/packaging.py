"""Stand-in for `slicer.packaging` of Slicer 5.12, which installs nothing by itself."""

from __future__ import annotations

import types
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement


def make(install: Callable[[list[str]], None] | None = None) -> types.ModuleType:
    """The module.

    Args:
        install: what "pip" does with the requirements; it may raise subprocess.CalledProcessError. Nothing where not
            given.

    Returns:
        A module whose `calls` holds (requirements, options) of each pip_install.
    """
    module = types.ModuleType("slicer.packaging")
    module.calls = []

    def pip_install(
        requirements: str | list[str],
        constraints: str | Path | None = None,
        no_deps_requirements: str | list[str] | None = None,
        skip_packages: list[str] | None = None,
        blocking: bool = True,
        show_progress: bool = True,
        requester: str | None = None,
        parent: Any = None,
        logCallback: Callable[[str], None] | None = None,
        completedCallback: Callable[[int], None] | None = None,
    ) -> None:
        options = {name: value for name, value in locals().items() if name not in ("requirements", "module", "install")}
        wanted = requirements.split() if isinstance(requirements, str) else requirements
        module.calls.append((wanted, options))
        if install is not None:
            install(wanted)

    module.pip_install, module.pip_check, module.load_requirements = pip_install, pip_check, load_requirements
    return module


def pip_check(req: str | Requirement | list[str | Requirement]) -> bool:
    """Whether all of this is installed."""
    many = req if isinstance(req, list) else [req]
    for one in many:
        wanted = one if isinstance(one, Requirement) else Requirement(one)
        try:
            if version(wanted.name) not in wanted.specifier:
                return False
        except PackageNotFoundError:
            return False
    return True


def load_requirements(path: str | Path) -> list[Requirement]:
    """The requirements in a file."""
    lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]
