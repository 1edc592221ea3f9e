"""The light half imports neither torch nor monai, nor the training half."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "MonaiSKD"
LIGHT = ["reading", "runtime", "reporting", "pacs"]
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


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("folder", LIGHT)
def test_no_file_of_the_light_half_names_the_training_half(folder):
    files = list((PACKAGE / folder).glob("**/*.py"))
    assert files
    for file in files:
        for name in imported(file):
            top, *rest = name.split(".")
            assert top not in HEAVY, f"{file} imports {name}"
            assert not (top == "MonaiSKD" and rest and rest[0] in TRAINING), f"{file} imports {name}"


@pytest.mark.parametrize(
    "module", ["MonaiSKD", "MonaiSKD.reading", "MonaiSKD.runtime", "MonaiSKD.reporting", "MonaiSKD.cli"]
)
def test_importing_the_light_half_loads_nothing_heavy(module):
    code = f"import sys, {module}; print(sorted({HEAVY!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
