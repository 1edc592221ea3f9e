"""Rules that hold for all files of the extension."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

EXTENSION = Path(__file__).parents[2] / "SlicerExtension"
FILES = sorted(EXTENSION.rglob("*.py"))
# What every Slicer has; all else is imported where it is used, after the user agreed to install it.
ALLOWED = {"slicer", "vtk", "qt", "ctk", "numpy", "scipy", "SimpleITK", "SKDClassifierLib"} | set(
    sys.stdlib_module_names
)


def at_file_scope(tree: ast.Module) -> list[str]:
    """The top-level names of the modules that are imported when the file is."""
    names: list[str] = []
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            names += [alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports do not work in Slicer's scripted modules"
            names.append((node.module or "").split(".")[0])
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            waiting += ast.iter_child_nodes(node)
    return names


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_imports_at_its_scope_only_what_every_slicer_has(file):
    assert set(at_file_scope(ast.parse(file.read_text()))) <= ALLOWED


def test_the_scan_sees_what_it_must():
    code = "import torch\nif x:\n    from monai.data import y\nclass A:\n    import timm\ndef f():\n    import ignite\n"
    assert set(at_file_scope(ast.parse(code))) == {"torch", "monai", "timm"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_is_said_to_be_without_qt_is(file):
    text = file.read_text()
    if "No Qt." in text.split('"""')[1]:
        imported = {
            name.split(".")[0]
            for node in ast.walk(ast.parse(text))
            for name in ([a.name for a in node.names] if isinstance(node, ast.Import) else [])
        }
        assert not imported & {"qt", "ctk"}


def test_no_folder_is_called_slicer():
    """slicer-core imports every module of any folder of that name on the path."""
    assert not [folder for folder in EXTENSION.parent.glob("*/") if folder.name == "slicer"]
