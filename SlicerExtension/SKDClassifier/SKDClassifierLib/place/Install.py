"""Installing what is missing: after asking, without replacing anything of Slicer's, and checked afterwards."""

from __future__ import annotations

import itertools
import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from SKDClassifierLib import Package
from SKDClassifierLib.jobs import Processes
from SKDClassifierLib.place.Requirements import Environment, Requirement, Requirements

WHEELS_SETTING = "SKDClassifier/wheelsFolder"
_REMEDY = 'Check the network, or name a folder of wheels in the tab "Where it runs", then try again'
_CONFLICT = "The conflict is caused by:"  # as pip says it


class Installer:
    """Gets missing packages. Nothing is installed before the user agreed in one dialog that lists everything.

    Args:
        settings: `qt.QSettings`, for the folder of wheels (see :data:`WHEELS_SETTING`).
        environment: where the packages go; the Python that runs here where not given.
        torch: installs torch of the given versions and says whether the user let it; the extension PyTorch where not
            given.
    """

    def __init__(
        self, settings: Any, environment: Environment | None = None, torch: Callable[[str], bool] | None = None
    ) -> None:
        self._settings = settings
        self._environment = environment or Environment(slicer_pip, Processes.interpreter)
        self._torch = torch
        self._wanted = Requirements.read()

    def missing_light(self) -> list[Requirement]:
        """What classifying needs and is not there."""
        return self._environment.missing(self._wanted.light)

    def missing_training(self) -> list[Requirement]:
        """What training needs and is not there, besides what classifying needs."""
        return self._environment.missing(self._wanted.training)

    def ensure_light(self, parent: Any = None) -> bool:
        """Whether what classifying needs is there; installs it where the user agrees; False when he does not.

        Raises:
            SKDError: it could not be installed, or it does not work.
        """
        return self._ensure(self.missing_light(), _("Classifying"), parent)

    def ensure_training(self, parent: Any = None) -> bool:
        """The same for what training needs; torch comes through the extension PyTorch, which asks once more.

        Raises:
            SKDError: as :meth:`ensure_light`, or that extension is absent.
        """
        return self._ensure(self.missing_light() + self.missing_training(), _("Training"), parent)

    def check_text(self) -> str:
        """What is there and what is missing, in lines for people."""
        return "\n".join(
            (
                self._summary(_("For classifying"), self._wanted.light),
                self._summary(_("For training"), self._wanted.training),
            )
        )

    def _summary(self, title: str, wanted: tuple[Requirement, ...]) -> str:
        missing = self._environment.missing(wanted)
        there = ", ".join(self._with_version(one) for one in wanted if one not in missing)
        if not missing:
            return _("{title}: all is there ({there})").format(title=title, there=there)
        absent = ", ".join(map(str, missing))
        return _("{title}: missing {absent}; there: {there}").format(title=title, absent=absent, there=there or "-")

    def _with_version(self, one: Requirement) -> str:
        return f"{one.name} {self._environment.version(one.name, one.module) or ''}".rstrip()

    def _ensure(self, missing: list[Requirement], what: str, parent: Any) -> bool:
        if not missing:
            return True
        if slicer.app.testingEnabled():  # its dialogs agree by themselves
            logging.info("SKDClassifier: nothing is installed while Slicer tests itself")
            return False
        self._refuse_what_nobody_can_install(missing)
        folder = self._wheels()
        by_extension = any(one.source == "pytorch" for one in missing)
        if by_extension and self._torch is None:
            pytorch_extension()  # before the user is asked for what cannot be done
        if not slicer.util.confirmOkCancelDisplay(
            question(missing, what, folder, self._wanted.protected), _("Install Python packages"), parent
        ):
            return False
        before = self._versions()
        with _busy(_("Installing Python packages")):
            if by_extension and not self._get_torch():
                return False
            self._get([one for one in missing if one.source == "pip"], folder)
            self._environment.refresh()
            self._check(missing, before)
        slicer.util.infoDisplay(self._outcome(missing, before), _("Install Python packages"), parent)
        return True

    def _refuse_what_nobody_can_install(self, missing: list[Requirement]) -> None:
        own = [one for one in missing if one.source == "slicer"]
        if own:
            found = self._environment.version(own[0].name, own[0].module) or _("none")
            raise _error(
                own[0].name,
                _("MonaiSKD needs {wanted}, and this Slicer has {found}").format(wanted=own[0].versions, found=found),
                _("Install Slicer 5.10 or later"),
            )

    def _wheels(self) -> Path | None:
        folder = str(self._settings.value(WHEELS_SETTING) or "")
        if folder and not Path(folder).is_dir():
            raise _error(folder, _("this folder of wheels is not there"), _("Choose another, or none"))
        return Path(folder) if folder else None

    def _get_torch(self) -> bool:
        versions = next(one.versions for one in self._wanted.training if one.name == "torch")
        with self._environment.constraints([one for one in self._wanted.protected if "torch" not in one]) as pins:
            # The extension runs pip itself; an address, because pip parts this variable at blanks.
            kept = os.environ.get("PIP_CONSTRAINT")
            os.environ["PIP_CONSTRAINT"] = pins.as_uri()
            try:
                return (self._torch or install_torch)(versions)
            finally:
                os.environ.pop("PIP_CONSTRAINT")
                if kept is not None:
                    os.environ["PIP_CONSTRAINT"] = kept
                self._environment.refresh()

    def _get(self, wanted: list[Requirement], folder: Path | None) -> None:
        if not wanted:
            return
        offline = ["--no-index", "--find-links", str(folder)] if folder else []
        with (
            self._environment.constraints(self._wanted.protected) as pins,
            tempfile.TemporaryDirectory(prefix="skd") as notes,
        ):
            log = Path(notes) / "pip.log"
            common = ["--no-input", "--disable-pip-version-check", "--log", str(log), "-c", str(pins)]
            try:
                self._environment.pip([*common, *offline, *map(str, wanted)])
            except subprocess.CalledProcessError as error:
                said = last_words(log) or _("it ended with code {code}").format(code=error.returncode)
                remedy = _("Put the missing wheels into {folder}").format(folder=folder) if folder else _(_REMEDY)
                if said.startswith(_CONFLICT):
                    remedy = _("Nothing was replaced. Report this conflict with the version of Slicer")
                names = ", ".join(one.name for one in wanted)
                raise _error(names, _("pip could not install them: {said}").format(said=said), remedy) from error

    def _versions(self) -> dict[str, str | None]:
        """Of all that is protected or wanted."""
        names = {name: name for name in self._wanted.protected}
        names |= {one.name: one.module for one in self._wanted.light + self._wanted.training}
        return {name: self._environment.version(name, module) for name, module in names.items()}

    def _check(self, wanted: list[Requirement], before: dict[str, str | None]) -> None:
        after = self._versions()
        changed = [
            f"{name} {before[name]} -> {after[name] or _('none')}"
            for name in self._wanted.protected
            if before[name] is not None and after[name] != before[name]
        ]
        if changed:
            raise _error(
                ", ".join(changed),
                _("the installation REPLACED packages that Slicer itself needs"),
                _("Restart Slicer; where modules fail now, install Slicer again"),
            )
        still = self._environment.missing(wanted)
        if still:
            names = ", ".join(map(str, still))
            raise _error(names, _("after the installation it is still missing"), _("Restart Slicer and try again"))
        faults = self._environment.faults([one.module for one in wanted])
        if faults:
            first, why = next(iter(faults.items()))
            raise _error(
                ", ".join(faults),
                _("installed, but {first} cannot be imported ({why})").format(first=first, why=why.rstrip(".")),
                _("Restart Slicer and try again; if it remains, report this message"),
            )

    def _outcome(self, wanted: list[Requirement], before: dict[str, str | None]) -> str:
        lines = [_("Installed: {names}.").format(names=", ".join(map(self._with_version, wanted)))]
        kept = [f"{name} {before[name]}" for name in self._wanted.protected if before[name]]
        lines.append(_("Unchanged: {names}.").format(names=", ".join(kept)))
        replaced = [one for one in wanted if before.get(one.name) and one.module in sys.modules]
        extended = [one for one in wanted if one.extends in sys.modules]
        if replaced or extended:
            names = ", ".join(one.name for one in dict.fromkeys(replaced + extended))
            lines.append(_("Restart Slicer before you use {names}: older parts are loaded.").format(names=names))
        text = "\n".join(lines)
        logging.info("SKDClassifier: %s", text)
        return text


def question(missing: list[Requirement], what: str, folder: Path | None, protected: tuple[str, ...]) -> str:
    """What the user is asked before anything is installed."""
    lines = [f"• {one}   {one.megabytes:g} MB   ({one.gives})" for one in missing]
    source = _("the folder {folder}, without the network").format(folder=folder) if folder else _("pip's package index")
    if any(one.source == "pytorch" for one in missing):
        source += _("; torch and torchvision through the extension PyTorch, from the network")
    return _(
        "{what} needs Python packages that Slicer does not have yet:\n\n{lines}\n\n"
        "About {size:.0f} MB, and what these need themselves. Source: {source}.\n"
        "{protected} stay as they are.\n\nInstall them now?"
    ).format(
        what=what,
        lines="\n".join(lines),
        size=sum(one.megabytes for one in missing),
        source=source,
        protected=", ".join(name for name in protected if not name.startswith("torch")),
    )


def slicer_pip(arguments: list[str]) -> None:
    """`pip install` as this Slicer does it, with its progress shown."""
    try:
        from slicer.packaging import pip_install
    except ImportError:  # before Slicer 5.12
        slicer.util.pip_install(arguments)
    else:
        pip_install(arguments, requester="SKDClassifier")


def pytorch_extension() -> Any:
    """The module of the extension PyTorch.

    Raises:
        SKDError: it is not installed.
    """
    try:
        import PyTorchUtils
    except ImportError as error:
        raise _error(
            "torch",
            _("it is installed through the extension PyTorch, which this Slicer does not have"),
            _('Install the extension "PyTorch" in the Extensions Manager and restart Slicer'),
        ) from error
    return PyTorchUtils


def install_torch(versions: str) -> bool:
    """Let the extension PyTorch install torch; whether the user agreed."""
    logic = pytorch_extension().PyTorchUtilsLogic()
    try:
        return logic.installTorch(askConfirmation=True, torchVersionRequirement=versions) is not None
    except Exception as error:
        raise _error(
            "torch",
            _("the extension PyTorch could not install it ({error})").format(error=str(error).rstrip(".")),
            _('Open the module "PyTorch Utils", install it there, and restart Slicer'),
        ) from error


def last_words(log: Path) -> str:
    """Why pip failed, from its log: who is in conflict, else its errors, else its last line."""
    if not log.is_file():
        return ""
    text = log.read_text(encoding="utf-8", errors="replace")
    lines = [re.sub(r"^\d\S*T\S+ ?", "", line).rstrip() for line in text.splitlines()]
    if _CONFLICT in lines:
        about = itertools.takewhile(str.strip, lines[lines.index(_CONFLICT) + 1 :])
        return f"{_CONFLICT} " + "; ".join(line.strip() for line in about)[-1000:]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return " ".join(errors or [line for line in lines if line][-1:]).rstrip(".")[-1000:]


def _error(thing: object, cause: str, remedy: str) -> Exception:
    Package.make_importable()
    from MonaiSKD.errors import SKDError

    return SKDError(thing, cause, remedy, "not_installed")


@contextmanager
def _busy(message: str) -> Iterator[None]:
    slicer.util.showStatusMessage(message)
    qt.QApplication.setOverrideCursor(qt.Qt.BusyCursor)
    try:
        yield
    finally:
        qt.QApplication.restoreOverrideCursor()
        slicer.util.showStatusMessage("", 1)
