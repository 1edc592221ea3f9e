"""`slicer.modules`: logics of slicer-core's modules, and the scripted module under test as Slicer opens it."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import qt
import slicer


def modules(scene: Any) -> types.SimpleNamespace:
    """`slicer.modules` with those that slicer-core has."""

    def module(logic: Any) -> Any:
        logic.SetMRMLScene(scene)
        return types.SimpleNamespace(logic=lambda: logic)

    return types.SimpleNamespace(
        markups=module(slicer.vtkSlicerMarkupsLogic()),
        volumes=module(slicer.vtkSlicerVolumesLogic()),
        plots=module(slicer.vtkSlicerPlotsLogic()),
    )


class ScriptedModule:
    """A scripted module, found and opened as Slicer does it.

    Args:
        path: its file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self.name = str(path), Path(path).stem
        self.title, self.icon, self.hidden = self.name, None, False
        self._panel: Any = None
        spec = importlib.util.spec_from_file_location(self.name, path)
        code = importlib.util.module_from_spec(spec)
        sys.modules[self.name] = code
        spec.loader.exec_module(code)
        setattr(slicer.modules, self.name.lower(), self)
        self.module = getattr(code, self.name)(self)

    def widgetRepresentation(self) -> Any:
        """The panel around the module's own, made when it is first asked for."""
        if self._panel is None:
            self._panel = slicer.qSlicerScriptedLoadableModuleWidget()
            self._panel.setLayout(qt.QVBoxLayout())
            self._panel._make = self._make
            self._make()
            self._panel.setMRMLScene(slicer.mrmlScene)
        return self._panel

    def _make(self) -> None:
        """The module's own panel, of its code as it was read last."""
        widget = getattr(sys.modules[self.name], f"{self.name}Widget")(self._panel)
        self._panel._self = widget
        setattr(slicer.modules, f"{self.name}Widget", widget)
        widget.setup()

    def unload(self) -> None:
        """Tell the panel that the module goes; forget its code."""
        slicer.app.moduleManager().moduleAboutToBeUnloaded.emit(self.name)
        if self._panel is not None:
            self._panel.close()
            self._panel.deleteLater()
            self._panel._self = None
            qt.QApplication.sendPostedEvents(None, qt.QEvent.DeferredDelete)
            delattr(slicer.modules, f"{self.name}Widget")
        delattr(slicer.modules, self.name.lower())
        self._panel = self.module = None
        sys.modules.pop(self.name, None)


class ModuleSelector:
    """The list of modules in Slicer's tool bar."""

    def __init__(self) -> None:
        self.selectedModule = ""

    def selectModule(self, name: str) -> None:
        """Leave the module that is open, open another."""
        old, new = (getattr(slicer.modules, one.lower(), None) for one in (self.selectedModule or "-", name))
        if old is new is not None:
            return
        if isinstance(old, ScriptedModule):
            old.widgetRepresentation().self().exit()
        self.selectedModule = name
        if isinstance(new, ScriptedModule):
            new.widgetRepresentation().self().enter()
            new.widgetRepresentation().show()
