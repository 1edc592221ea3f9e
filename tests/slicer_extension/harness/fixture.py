"""What a test holds in its hands: the application, and what it says to the user."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import qt
import slicer

from harness import mrml_widgets, packaging
from harness.application import qSlicerApplication
from harness.dialogs import Dialogs
from harness.modules_list import ScriptedModule, modules

# What the platform "offscreen" says of itself.
_NOISE = ("This plugin does not support", "QFont::setPointSizeF", "QStandardPaths")


class App:
    """The application of one test.

    Args:
        scene: the MRML scene.
        folder: takes settings and temporary files.
        patch: undoes at the end what was put into the module `slicer`.
    """

    def __init__(self, scene: Any, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.scene, self.folder, self._patch = scene, folder, patch
        self.errors: list[str] = []
        self.qt = qSlicerApplication.get()
        patch.setattr(sys, "excepthook", self._note)
        self._handler = qt.qInstallMessageHandler(self._warn)
        for name, kind in mrml_widgets.CLASSES.items():
            patch.setattr(slicer, name, kind, raising=False)
        patch.setattr(slicer, "app", self.qt, raising=False)
        patch.setattr(slicer, "dicomDatabase", None, raising=False)
        self.qt.begin(scene, folder)
        patch.setattr(slicer, "modules", modules(scene), raising=False)
        self._opened: list[ScriptedModule] = []
        self._dialogs = Dialogs(patch)

    @property
    def settings(self) -> Any:
        """The user's QSettings."""
        return self.qt.userSettings()

    @property
    def dialogs(self) -> list[tuple[str, str]]:
        """(function, text) of each dialog that was shown."""
        return self._dialogs.said

    def answer(self, kind: str, *values: Any) -> None:
        """Prepare what the next dialogs of a function ("confirmOkCancelDisplay", "getSaveFileName" …) answer."""
        self._dialogs.answer(kind, *values)

    def close_scene(self) -> None:
        """What File > Close scene does."""
        self.scene.Clear(False)

    def use_database(self, *files: str | Path) -> Any:
        """Give Slicer a DICOM database of real files."""
        from harness.dicom import DicomDatabase

        slicer.dicomDatabase = DicomDatabase(*files)
        return slicer.dicomDatabase

    def open_module(self, path: str | Path) -> Any:
        """Find a scripted module by its file, as Slicer does when it starts, and open it; gives its widget."""
        module = ScriptedModule(path)
        self._opened.append(module)
        self.qt.startupCompleted.emit()
        slicer.util.selectModule(module.name)
        return module.widgetRepresentation().self()

    def close_module(self, name: str) -> None:
        """The module goes, as when Slicer ends."""
        for module in [one for one in self._opened if one.name == name]:
            module.unload()
            self._opened.remove(module)

    def use_packaging(self, install: Callable[[list[str]], None] | None = None) -> Any:
        """Make `slicer.packaging` importable, as in Slicer 5.12.

        Args:
            install: what is done with the requirements; may raise subprocess.CalledProcessError.

        Returns:
            The module; its `calls` hold (requirements, options).
        """
        module = packaging.make(install)
        self._patch.setitem(sys.modules, "slicer.packaging", module)
        self._patch.setattr(slicer, "packaging", module, raising=False)
        return module

    def end(self) -> None:
        """Close windows, let go of the scene, and fail when Qt or VTK called code that raised."""
        for module in self._opened[:]:
            self.close_module(module.name)
        for widget in self.qt.topLevelWidgets():
            widget.close()
            widget.deleteLater()
        self.qt.end()
        self.qt.sendPostedEvents(None, qt.QEvent.DeferredDelete)
        self.qt.processEvents()
        qt.qInstallMessageHandler(self._handler)
        assert not self._dialogs.unused(), "an answer was prepared that nothing asked for"
        assert not self.errors, "an error escaped into the event loop:\n" + "\n".join(self.errors)

    def _warn(self, kind: Any, context: Any, text: str) -> None:
        """Qt warns of what is wrong in a program, such as a timer of another thread."""
        if kind != qt.QtMsgType.QtDebugMsg and not text.startswith(_NOISE):
            self.errors.append(f"Qt: {text}")

    def _note(self, kind: type[BaseException], error: BaseException, trace: Any) -> None:
        self.errors.append("".join(traceback.format_exception(kind, error, trace)))
