"""Stand-in for `slicer.packaging` of Slicer 5.12: nothing is installed, what was asked for is recorded."""

from __future__ import annotations

import types
from typing import Any


def make() -> types.ModuleType:
    """A module with pip_install, pip_ensure and load_requirements; `calls` holds (function, requirements, options)."""
    module = types.ModuleType("slicer.packaging")
    module.calls = []

    def record(name: str) -> Any:
        def call(requirements: Any = None, **options: Any) -> None:
            module.calls.append((name, requirements, options))

        return call

    for name in ("pip_install", "pip_ensure", "pip_uninstall"):
        setattr(module, name, record(name))

    def load_requirements(path: Any) -> list[Any]:
        from pathlib import Path

        from packaging.requirements import Requirement

        lines = [line.partition("#")[0].strip() for line in Path(path).read_text().splitlines()]
        return [Requirement(line) for line in lines if line]

    def pip_check(requirements: Any) -> bool:
        from importlib.metadata import PackageNotFoundError, version

        from packaging.requirements import Requirement

        many = requirements if isinstance(requirements, list) else [requirements]
        try:
            wanted = [one if isinstance(one, Requirement) else Requirement(one) for one in many]
            return all(one.specifier.contains(version(one.name), prereleases=True) for one in wanted)
        except PackageNotFoundError:
            return False

    module.load_requirements, module.pip_check = load_requirements, pip_check
    return module
