"""Installing for real: pip into a throw-away environment, from tiny wheels made here, without any network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
import venv
import zipfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import tomllib

from MonaiSKD.errors import SKDError

ROOT = Path(__file__).parents[2]
RESOURCES = ROOT / "SlicerExtension" / "SKDClassifier" / "Resources"
DATA = json.loads((RESOURCES / "requirements.json").read_text(encoding="utf-8"))
KEY = "SKDClassifier/wheelsFolder"


def wheel(
    folder: Path, name: str, version: str, module: str | None = None, needs: tuple[str, ...] = (), code: str = ""
) -> Path:
    """A package of one module, as a wheel."""
    stem = name.replace("-", "_")
    info = f"{stem}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {one}\n" for one in needs)
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        f"{module or stem}/__init__.py": code or f"__version__ = {version!r}\n",
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    path = folder / f"{stem}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        for name, text in files.items():
            file.writestr(name, text)
    return path


def all_wheels(folder: Path, part: str, **changes: dict[str, Any]) -> Path:
    """Wheels of all that pip has to install of a part; `changes` are further arguments of some (by module)."""
    for one in DATA[part]:
        if one["source"] == "pip":
            version = f"{one['versions'].removeprefix('>=')}.7"
            wheel(
                folder,
                **{"name": one["name"], "version": version, "module": one["module"], **changes.get(one["module"], {})},
            )
    return folder


class Venv:
    """An environment with pip that looks at no network and has a numpy of its own, as Slicer has."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False)
        self.python = str(next(folder.glob("[bS]*/python*")))
        self.packages = next(iter([*folder.glob("lib/python*/site-packages"), *folder.glob("Lib/site-packages")]))
        self.calls: list[list[str]] = []

    def pip(self, arguments: list[str]) -> None:
        self.calls.append(arguments)
        self._pip("--no-index", *arguments)

    def put(self, folder: Path, *names: str) -> None:
        self._pip("--no-index", "--find-links", str(folder), *names)

    def _pip(self, *arguments: str) -> None:
        # The pip that runs the tests, working on the other environment; of its settings only the pins are heard.
        command = [sys.executable, "-m", "pip", "--python", self.python, "install", "-q", *arguments]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PIP_") or k == "PIP_CONSTRAINT"}
        subprocess.run(command, check=True, env={**environment, "PIP_CONFIG_FILE": os.devnull})

    def version(self, name: str) -> str:
        code = f"import importlib.metadata as m; print(m.version({name!r}))"
        return subprocess.run([self.python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def slicers(tmp_path: Path) -> Venv:
    """What Slicer 5.10 has."""
    own = tmp_path / "own"
    for name, version in (("numpy", "2.0.2"), ("scipy", "1.14.1"), ("SimpleITK", "2.5.0"), ("pydicom", "2.4.4")):
        wheel(own, name, version)
    environment = Venv(tmp_path / "venv")
    for file in own.glob("*.whl"):
        zipfile.ZipFile(file).extractall(environment.packages)
    return environment


@pytest.fixture
def installer(app: Any, slicers: Venv) -> Any:
    """Installs into that environment."""
    return make(app, slicers)


def make(app: Any, slicers: Venv, torch: Any = None) -> Any:
    from SKDClassifierLib.place.Install import Installer
    from SKDClassifierLib.place.Requirements import Environment

    return Installer(app.settings, Environment(slicers.pip, lambda: slicers.python, [str(slicers.packages)]), torch)


def asked(app: Any) -> list[str]:
    return [text for kind, text in app.dialogs if kind == "confirmOkCancelDisplay"]


def test_the_list_fits_its_schema_and_the_package():
    jsonschema.validate(DATA, json.loads((RESOURCES / "requirements.schema.json").read_text(encoding="utf-8")))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for part, wanted in (("light", project["dependencies"]), ("training", project["optional-dependencies"]["train"])):
        assert sorted(f"{one['name']}{one['versions']}" for one in DATA[part]) == sorted(wanted)
    own = {one["name"] for part in ("light", "training") for one in DATA[part] if one["source"] != "pip"}
    assert own <= set(DATA["protected"])
    assert {"numpy", "SimpleITK", "vtk", "torch"} <= set(DATA["protected"])


def test_where_everything_is_nothing_is_asked(app):
    from SKDClassifierLib.place.Install import Installer

    installer = Installer(app.settings)
    assert installer.missing_light() == []
    assert installer.ensure_light()
    assert app.dialogs == []


def test_who_refuses_gets_nothing(app, installer, slicers):
    assert not installer.ensure_light()
    assert slicers.calls == []
    (text,) = asked(app)
    for one in DATA["light"]:
        assert (f"{one['name']}{one['versions']}   {one['megabytes']:g} MB" in text) == (one["source"] == "pip")
    assert "package index" in text
    assert "numpy, scipy, SimpleITK" in text


def test_nothing_is_installed_while_slicer_tests_itself(app, installer, slicers, monkeypatch):
    import slicer

    monkeypatch.setattr(type(slicer.app), "testingEnabled", lambda self: True)
    assert not installer.ensure_light()
    assert app.dialogs == slicers.calls == []


def test_light_parts_from_a_folder_of_wheels(app, installer, slicers, tmp_path):
    folder = all_wheels(tmp_path / "my wheels", "light")
    app.settings.setValue(KEY, str(folder))
    app.answer("confirmOkCancelDisplay", True)
    assert "missing onnxruntime" in installer.check_text()
    assert installer.ensure_light()
    assert str(folder) in asked(app)[0]
    assert installer.missing_light() == []
    assert "For classifying: all is there (numpy 2.0.2, pydicom 2.4.4, onnxruntime 1.17.7" in installer.check_text()
    told = [text for kind, text in app.dialogs if kind == "infoDisplay"]
    assert "onnxruntime 1.17.7" in told[0]
    assert "Unchanged: numpy 2.0.2, scipy 1.14.1, SimpleITK 2.5.0, pydicom 2.4.4." in told[0]
    assert installer.ensure_light()  # and now without a question
    assert len(asked(app)) == len(slicers.calls) == 1


@pytest.mark.parametrize("needs", ["numpy<2", "numpy>=2.1", "SimpleITK!=2.5.0"])
def test_who_wants_another_numpy_is_refused(app, installer, slicers, tmp_path, needs):
    folder = all_wheels(tmp_path / "wheels", "light", highdicom={"needs": (needs,)})
    for name, version in (("numpy", "1.26.4"), ("numpy", "2.4.6"), ("SimpleITK", "2.4.0")):
        wheel(folder, name, version)
    app.settings.setValue(KEY, str(folder))
    app.answer("confirmOkCancelDisplay", True)
    with pytest.raises(SKDError, match="pip could not install") as caught:
        installer.ensure_light()
    assert f"depends on {needs}".lower() in caught.value.cause.lower()
    assert "Report this conflict" in caught.value.remedy
    assert slicers.version("numpy") == "2.0.2"
    assert slicers.version("SimpleITK") == "2.5.0"
    assert "onnxruntime" in {one.name for one in installer.missing_light()}


def test_a_wheel_that_is_absent_is_named(app, installer, tmp_path):
    folder = all_wheels(tmp_path / "wheels", "light")
    next(folder.glob("nibabel*")).unlink()
    app.settings.setValue(KEY, str(folder))
    app.answer("confirmOkCancelDisplay", True)
    with pytest.raises(SKDError, match="No matching distribution found for nibabel") as caught:
        installer.ensure_light()
    assert str(folder) in caught.value.remedy


def test_a_folder_that_is_gone_is_named_before_any_question(app, installer, tmp_path):
    app.settings.setValue(KEY, str(tmp_path / "gone"))
    with pytest.raises(SKDError, match="gone: this folder of wheels is not there"):
        installer.ensure_light()
    assert app.dialogs == []


def test_what_is_installed_and_does_not_work_is_told(app, installer, tmp_path):
    code = "raise ImportError('DLL load failed')"
    folder = all_wheels(tmp_path / "wheels", "light", onnxruntime={"code": code}, PIL={"code": "import os; os.abort()"})
    app.settings.setValue(KEY, str(folder))
    app.answer("confirmOkCancelDisplay", True)
    with pytest.raises(SKDError, match="DLL load failed") as caught:
        installer.ensure_light()
    assert "onnxruntime" in caught.value.thing
    assert "PIL" in caught.value.thing


def test_a_replaced_numpy_is_told_loudly(app, slicers, tmp_path):
    """Should pip ever go round the constraints."""
    other = tmp_path / "other"
    wheel(other, "numpy", "1.26.4")
    installer = make(app, slicers)
    installer._environment.pip = lambda arguments: slicers.put(other, "numpy==1.26.4")
    app.answer("confirmOkCancelDisplay", True)
    with pytest.raises(SKDError, match=r"numpy 2\.0\.2 -> 1\.26\.4: the installation REPLACED"):
        installer.ensure_light()


def test_a_slicer_that_is_too_old_says_so(app, slicers, tmp_path):
    wheel(tmp_path / "old", "pydicom", "2.3.1")
    slicers.put(tmp_path / "old", "pydicom==2.3.1")
    with pytest.raises(SKDError, match=r"pydicom: MonaiSKD needs >=2\.4, and this Slicer has 2\.3\.1"):
        make(app, slicers).ensure_light()


def test_without_the_extension_torch_is_not_installed(app, installer, slicers):
    with pytest.raises(SKDError, match='Install the extension "PyTorch" in the Extensions Manager'):
        installer.ensure_training()
    assert app.dialogs == slicers.calls == []


def extension(monkeypatch: pytest.MonkeyPatch, install: Any) -> list[dict[str, Any]]:
    """A stand-in for the extension PyTorch; `install` does the work of light-the-torch."""
    asked_of: list[dict[str, Any]] = []

    class PyTorchUtilsLogic:
        def installTorch(self, **options: Any) -> Any:
            asked_of.append(options)
            return install()

    module = types.ModuleType("PyTorchUtils")
    module.PyTorchUtilsLogic = PyTorchUtilsLogic
    monkeypatch.setitem(sys.modules, "PyTorchUtils", module)
    return asked_of


def test_training_parts_come_after_the_extensions_torch_and_keep_it(app, slicers, tmp_path, monkeypatch):
    folder = all_wheels(tmp_path / "wheels", "light")
    all_wheels(folder, "training", monai={"needs": ("torch>=2.4",)}, timm={"needs": ("torch", "torchvision")})
    for version in ("2.6.0+cpu", "2.9.0"):
        wheel(folder, "torch", version)
    wheel(folder, "torchvision", "0.21.0")
    wheel(folder, "numpy", "2.4.6")

    def install() -> object:
        slicers.put(folder, "torch==2.6.0", "torchvision", "numpy")
        with pytest.raises(subprocess.CalledProcessError):  # the pins hold for the extension's pip, too
            slicers.put(folder, "numpy>=2.1")
        return object()

    asked_of = extension(monkeypatch, install)
    app.settings.setValue(KEY, str(folder))
    app.answer("confirmOkCancelDisplay", True)
    installer = make(app, slicers)
    assert installer.ensure_training()
    assert asked_of == [{"askConfirmation": True, "torchVersionRequirement": ">=2.6"}]
    assert len(asked(app)) == 1
    assert "torch>=2.6" in asked(app)[0]
    assert slicers.version("torch") == "2.6.0+cpu"
    assert slicers.version("numpy") == "2.0.2"
    assert not any("torch" in argument.split(">")[0].split("=")[0].split("-") for argument in slicers.calls[0])
    assert installer.missing_training() == installer.missing_light() == []
    assert "PIP_CONSTRAINT" not in os.environ


def test_pip_never_brings_a_torch(app, installer, slicers, tmp_path):
    folder = all_wheels(tmp_path / "wheels", "light", highdicom={"needs": ("torch",)})
    wheel(folder, "torch", "2.9.0")
    app.settings.setValue(KEY, str(folder))
    app.answer("confirmOkCancelDisplay", True)
    with pytest.raises(SKDError, match="torch"):
        installer.ensure_light()
    assert not list(slicers.packages.glob("torch*"))


@pytest.mark.parametrize("failure", [None, RuntimeError("no driver")])
def test_an_extension_that_installs_nothing(app, slicers, monkeypatch, failure):
    def install() -> None:
        if failure is not None:
            raise failure

    extension(monkeypatch, install)
    app.answer("confirmOkCancelDisplay", True)
    installer = make(app, slicers)
    if failure is None:  # the user refused there
        assert not installer.ensure_training()
    else:
        with pytest.raises(SKDError, match=r"could not install it \(no driver\)"):
            installer.ensure_training()
    assert slicers.calls == []
    assert "PIP_CONSTRAINT" not in os.environ


def test_vtk_of_slicer_which_has_no_version_is_not_doubled(slicers):
    from SKDClassifierLib.place.Requirements import Environment

    (slicers.packages / "vtk.py").touch()
    environment = Environment(slicers.pip, lambda: slicers.python, [str(slicers.packages)])
    with environment.constraints(["numpy", "vtk", "SimpleITK", "absent"]) as path:
        assert path.read_text().split() == ["numpy==2.0.2", "vtk<0", "SimpleITK==2.5.0"]
    assert not path.exists()


def test_slicers_own_pip_is_used_old_and_new(app, monkeypatch):
    import slicer
    from SKDClassifierLib.place.Install import slicer_pip

    old: list[Any] = []
    monkeypatch.setattr(slicer.util, "pip_install", old.append)
    slicer_pip(["-c", "x y.txt", "timm>=1"])
    assert old == [["-c", "x y.txt", "timm>=1"]]
    packaging = app.use_packaging()
    slicer_pip(["timm>=1"])
    ((*_, wanted, options),) = packaging.calls
    assert wanted == ["timm>=1"]
    assert options["requester"] == "SKDClassifier"
    assert len(old) == 1


def test_the_cursor_is_busy_and_comes_back(app, slicers, tmp_path):
    import qt

    seen: list[Any] = []
    installer = make(app, slicers)

    def pip(arguments: list[str]) -> None:
        seen.append(qt.QApplication.overrideCursor() is not None)
        raise subprocess.CalledProcessError(1, "pip")

    installer._environment.pip = pip
    app.answer("confirmOkCancelDisplay", True)
    with pytest.raises(SKDError, match="it ended with code 1"):
        installer.ensure_light()
    assert seen == [True]
    assert qt.QApplication.overrideCursor() is None
