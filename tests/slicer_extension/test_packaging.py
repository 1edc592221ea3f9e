"""What is packaged, and what the ExtensionsIndex asks for."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "SlicerExtension" / "SKDClassifier"
ENTRY = ROOT / "SlicerExtension" / "MonaiSKD.json"
CMAKE = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
# Categories of the index that could fit; it takes no new ones.
CATEGORIES = {"Active Learning", "Analysis", "Informatics", "Pipelines", "Quantification"}
# slicer-extension-catalog-entry-schema-v1.0.1.json, as far as it forbids something.
ENTRY_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["$schema", "category", "scm_url"],
    "properties": {
        **{name: {"type": "string"} for name in ("$schema", "category", "scm_url", "scm_revision")},
        "scm_type": {"enum": ["git", "local"]},
        "build_dependencies": {"type": "array", "items": {"type": "string"}},
        "build_subdirectory": {"type": "string"},
        "enabled": {"type": "boolean"},
        "tier": {"type": "integer", "minimum": 1, "maximum": 5},
    },
}


def listed(variable: str) -> set[str]:
    """The files in a list of the module's CMakeLists.txt."""
    text = (MODULE / "CMakeLists.txt").read_text(encoding="utf-8")
    found = re.search(rf"set\({variable}\s+(.*?)\)", text, re.DOTALL)
    assert found is not None
    return set(found[1].replace("${MODULE_NAME}", MODULE.name).split())


def present(*patterns: str) -> set[str]:
    return {path.relative_to(MODULE).as_posix() for pattern in patterns for path in MODULE.glob(pattern)}


def test_every_file_is_listed_and_every_listed_file_is_there():
    assert listed("MODULE_PYTHON_SCRIPTS") == present("*.py", "SKDClassifierLib/**/*.py")
    assert listed("MODULE_PYTHON_RESOURCES") == present("Resources/**/*.*")


STAND_IN = """
set(Slicer_USE_FILE ${CMAKE_CURRENT_LIST_DIR}/empty.cmake)
set(Slicer_EXTENSION_GENERATE_CONFIG ${CMAKE_CURRENT_LIST_DIR}/empty.cmake)
set(Slicer_EXTENSION_CPACK ${CMAKE_CURRENT_LIST_DIR}/empty.cmake)
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR lib/qt-scripted-modules)
set(Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR lib/qt-scripted-modules)
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MODULE "WITH_GENERIC_TESTS" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  foreach(file ${MODULE_SCRIPTS} ${MODULE_RESOURCES})
    get_filename_component(folder ${file} DIRECTORY)
    install(FILES ${file} DESTINATION lib/qt-scripted-modules/${folder})
  endforeach()
endmacro()
"""


@pytest.mark.skipif(shutil.which("cmake") is None, reason="there is no cmake on PATH")
def test_the_installed_extension_holds_the_module_and_the_package(tmp_path):
    """Real CMake, with a stand-in for Slicer's macros; then another Python finds all that it needs."""
    (tmp_path / "slicer").mkdir()
    (tmp_path / "slicer" / "empty.cmake").touch()
    (tmp_path / "slicer" / "SlicerConfig.cmake").write_text(STAND_IN)
    build = tmp_path / "build"
    for command in (
        ["cmake", "-S", ROOT, "-B", build, f"-DSlicer_DIR={tmp_path / 'slicer'}"],
        ["cmake", "--build", build],
        ["cmake", "--install", build, "--prefix", tmp_path / "installed"],
    ):
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
    place = tmp_path / "installed" / "lib" / "qt-scripted-modules"
    assert (place / "SKDClassifier.py").is_file()
    code = (
        f"import sys; sys.path.insert(0, {str(place)!r})\n"
        "from SKDClassifierLib import Package\n"
        "import MonaiSKD.bundle\n"
        "print(Package.make_importable(), *[bundle.name for bundle in MonaiSKD.bundle.list_bundles()])\n"
    )
    said = subprocess.run([sys.executable, "-S", "-B", "-c", code], check=True, capture_output=True, text=True).stdout
    assert said.split() == [str(place), "brain_mri", "chest_xray", "lung_ct"]
    assert (build / "lib" / "qt-scripted-modules" / "MonaiSKD" / "bundles").is_dir()
    assert not list((tmp_path / "installed").rglob("*.pyc"))


def test_the_entry_follows_the_rules_of_the_index():
    content = ENTRY.read_bytes()
    assert b"\r" not in content
    entry = json.loads(content)
    jsonschema.validate(entry, ENTRY_SCHEMA)
    assert entry["category"] in CATEGORIES
    address = entry["scm_url"]
    assert address.startswith("https://")
    assert "slicer" in address.rsplit("/", 1)[1].lower()
    assert not ENTRY.stem.startswith("Slicer")
    assert re.search(r"project\s*\(\s*([^\s)]+)", CMAKE)[1] == ENTRY.stem
    assert (ROOT / "LICENSE").is_file()


def test_the_pictures_that_the_index_shows_are_in_the_repository():
    home = re.search(r'EXTENSION_HOMEPAGE "https://github.com/([^"]+)"', CMAKE)[1]
    urls = [
        re.search(rf'{name} "([^"]+)"', CMAKE)[1].split() for name in ("EXTENSION_ICONURL", "EXTENSION_SCREENSHOTURLS")
    ]
    for url in urls[0] + urls[1]:
        start = f"https://raw.githubusercontent.com/{home}/main/"
        assert url.startswith(start)
        assert url.endswith((".png", ".jpg"))
        assert (ROOT / url.removeprefix(start)).is_file()


def test_the_repository_is_smaller_than_the_index_allows():
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    sizes = [(ROOT / name).stat().st_size for name in names.split("\0") if (ROOT / name).is_file()]
    assert sum(sizes) < 100e6


@pytest.mark.parametrize("file", sorted(MODULE.glob("Resources/UI/*.ui")), ids=lambda file: file.stem)
def test_a_form_has_layouts_names_and_buddies(file):
    tree = ElementTree.parse(file)
    names = [widget.get("name") for widget in tree.iter("widget")]
    assert len(names) == len(set(names))
    assert not [node for node in tree.iter("property") if node.get("name") == "geometry"]
    buddies = {node.findtext("cstring") for node in tree.iter("property") if node.get("name") == "buddy"}
    assert buddies <= set(names)
    used = {widget.get("class") for widget in tree.iter("widget") if widget.get("class")[0] in "cq"}
    assert used == {node.findtext("class") for node in tree.iter("customwidget")}


def test_each_model_of_a_bundle_has_its_sample():
    notes = json.loads((MODULE / "Resources" / "models.json").read_text(encoding="utf-8"))
    text = (MODULE / "SKDClassifierLib" / "scene" / "Samples.py").read_text(encoding="utf-8")
    for model, note in notes["models"].items():
        assert f'"{note["sample"]}": "{model}"' in text
        assert (MODULE / "Resources" / "Icons" / f"{note['sample']}.png").is_file()
