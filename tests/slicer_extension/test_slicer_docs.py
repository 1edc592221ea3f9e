"""What the documents say of the module is so."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from SKDClassifierLib.place.Requirements import Requirements

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "slicer.md").read_text(encoding="utf-8")
LIBRARY = ROOT / "SlicerExtension" / "SKDClassifier"
# Methods that put words before the user, and those that only take a path or a style.
SHOWS_WORDS = {"setText", "setToolTip", "setWindowTitle", "setTitle", "setPlaceholderText", "setFormat", "addAction"}


def said(*folders: Path) -> str:
    """All pieces of text in the code below some folders."""
    files = [file for folder in folders for file in sorted(folder.rglob("*.py"))]
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    return "\n".join(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def test_each_message_of_the_table_is_one_of_the_programs():
    code = said(LIBRARY, ROOT / "MonaiSKD")
    table = GUIDE.partition("## When something goes wrong")[2].partition("## Citation")[0]
    messages = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    assert len(messages) > 10
    assert [message for message in messages if message not in code] == []


def test_the_sizes_of_the_packages_are_those_of_the_list():
    wanted = Requirements.read()
    light = sum(one.megabytes for one in wanted.light if one.source != "slicer")
    training = sum(one.megabytes for one in wanted.training if one.source != "slicer") / 1000
    assert f"| {round(light, -1):.0f} MB |" in GUIDE
    assert f"| {training:.1f} GB, up to" in GUIDE
    assert f"(about {round(light, -1):.0f} MB)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_each_picture_is_there_and_shown_somewhere():
    shown = set(re.findall(r"\]\(images/(slicer[^)]*)\)", GUIDE))
    there = {path.name for path in (ROOT / "docs" / "images").glob("slicer*")}
    assert shown == there


@pytest.mark.parametrize("file", sorted(LIBRARY.rglob("*.py")), ids=lambda file: file.stem)
def test_words_for_the_user_can_be_translated(file):
    """Literal text with letters reaches a widget through `_()` alone."""
    bare = [
        argument.value
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SHOWS_WORDS
        for argument in node.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
        if re.search(r"[A-Za-z]{2}", argument.value)
    ]
    assert bare == []
