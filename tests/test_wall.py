"""The light half imports neither torch nor monai, nor the training half."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "MonaiSKD"
LIGHT = [
    "reading", "runtime", "reporting", "pacs",
    "__init__.py", "addresses.py", "choices.py", "classification.py", "cli.py", "ending.py", "errors.py", "events.py",
    "files.py",
]  # fmt: skip
TRAINING = {
    "selection",
    "distillation",
    "engines",
    "transforms",
    "datasets",
    "evaluation",
    "models",
    "evaluating",
    "training",
    "export",
}
HEAVY = {"torch", "monai", "ignite", "timm"}


def imported(code: str) -> set[str]:
    """What a file imports, wherever in it: of `from a import b`, both a and a.b."""
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def foreign(names: set[str]) -> list[str]:
    """Those that the light half may not import."""
    return sorted(
        name
        for name in names
        if (parts := name.split("."))[0] in HEAVY or (parts[0] == "MonaiSKD" and {*parts[1:2]} & TRAINING)
    )


def test_the_training_half_is_seen_however_it_is_imported():
    for line in ("import torch.nn", "from timm import x", "from MonaiSKD import training", "import MonaiSKD.engines.x"):
        assert foreign(imported(f"def f():\n    {line}")), line
    assert not foreign(imported("from MonaiSKD import errors\nimport numpy"))


@pytest.mark.parametrize("place", LIGHT)
def test_no_file_of_the_light_half_names_the_training_half(place):
    files = [PACKAGE / place] if place.endswith(".py") else list((PACKAGE / place).glob("**/*.py"))
    assert files
    for file in files:
        assert not foreign(imported(file.read_text(encoding="utf-8"))), file


@pytest.mark.parametrize(
    "module",
    [
        "MonaiSKD",
        "MonaiSKD.reading",
        "MonaiSKD.runtime",
        "MonaiSKD.reporting",
        "MonaiSKD.cli",
        "MonaiSKD.classification",
    ],
)
def test_importing_the_light_half_loads_nothing_heavy(module):
    code = f"import sys, {module}; print(sorted({HEAVY!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
