"""Stand-in for `slicer.app`: a real QApplication with slice views on the real scene."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qt
import slicer
import vtk
from PySide6.QtCore import Property

from harness import pictures
from harness.modules_list import ModuleSelector
from harness.storage import IOManager
from harness.subject_hierarchy import SubjectHierarchy

ORIENTATIONS = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}


class qSlicerApplication(qt.QApplication):
    """The application, one a process; :meth:`begin` makes it a new one for each test."""

    startupCompleted = qt.Signal()

    @staticmethod
    def get() -> qSlicerApplication:
        """The application, made when there is none."""
        return qt.QApplication.instance() or qSlicerApplication(["Slicer"])

    def begin(self, scene: Any, folder: Path) -> None:
        """Take up work on a scene; settings and temporary files lie in `folder`."""
        self._scene, self._folder = scene, folder
        for kind in (qt.QSettings.IniFormat, qt.QSettings.NativeFormat):
            qt.QSettings.setPath(kind, qt.QSettings.UserScope, str(folder))
        qt.QSettings.setDefaultFormat(qt.QSettings.IniFormat)
        self.setQuitOnLastWindowClosed(False)
        self.setOrganizationName("MonaiSKD")
        self.setApplicationName("Slicer")
        self._settings = qt.QSettings()
        self._logic = slicer.vtkSlicerApplicationLogic()
        self._logic.SetMRMLScene(scene)
        self._cache(scene, folder)
        self._colours = slicer.vtkMRMLColorLogic()
        self._colours.SetMRMLScene(scene)
        self._layout = LayoutManager(scene, self._logic)
        self._manager, self._extensions, self._modules = IOManager(scene), ExtensionsManagerModel(), ModuleManager()
        self._hierarchy = SubjectHierarchy(scene)
        self._window = MainWindow()

    def _cache(self, scene: Any, folder: Path) -> None:
        """A folder for what a bundle of files (.mrb) is unpacked into."""
        self._remote, self._data = slicer.vtkMRMLRemoteIOLogic(), slicer.vtkDataIOManagerLogic()
        self._remote.GetCacheManager().SetRemoteCacheDirectory(_made(folder / "cache"))
        self._data.SetMRMLApplicationLogic(self._logic)
        self._logic.SetMRMLSceneDataIO(scene, self._remote, self._data)

    def end(self) -> None:
        """Let go of the scene."""
        self._hierarchy.stop()
        self._layout.cleanup()
        self._window.close()
        self._window.deleteLater()
        self._colours.SetMRMLScene(None)
        self._logic.SetMRMLScene(None)
        self._scene = self._logic = self._layout = self._manager = None

    def mrmlScene(self) -> Any:
        return self._scene

    def applicationLogic(self) -> Any:
        return self._logic

    def layoutManager(self) -> LayoutManager:
        return self._layout

    def coreIOManager(self) -> IOManager:
        return self._manager

    ioManager = coreIOManager

    def extensionsManagerModel(self) -> ExtensionsManagerModel:
        return self._extensions

    def moduleManager(self) -> ModuleManager:
        return self._modules

    def userSettings(self) -> Any:
        return self._settings

    settings = revisionUserSettings = userSettings

    def testingEnabled(self) -> bool:
        return False

    def pythonConsole(self) -> None:
        return None

    os = Property(str, lambda self: "linux")
    arch = Property(str, lambda self: "amd64")
    revision = Property(str, lambda self: "33216")
    majorVersion = Property(int, lambda self: 5)
    minorVersion = Property(int, lambda self: 10)
    slicerUserSettingsFilePath = Property(str, lambda self: self._settings.fileName())
    slicerHome = Property(str, lambda self: str(self._folder / "Slicer"))
    extensionsInstallPath = Property(str, lambda self: str(self._folder / "Extensions"))
    temporaryPath = Property(str, lambda self: _made(self._folder / "temporary"))


class LayoutManager:
    """The slice views Red, Yellow and Green."""

    def __init__(self, scene: Any, logic: Any) -> None:
        self._scene = scene
        self._widgets = {name: SliceWidget(scene, logic, name) for name in ORIENTATIONS}
        self._viewport: Any = None
        self.layout = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView

    def setLayout(self, layout: int) -> None:
        self.layout = layout

    def sliceViewNames(self) -> tuple[str, ...]:
        return tuple(self._widgets)

    def sliceWidget(self, name: str) -> SliceWidget:
        return self._widgets[name]

    def mrmlSliceLogics(self) -> Any:
        logics = vtk.vtkCollection()
        for one in self._widgets.values():
            logics.AddItem(one.sliceLogic())
        return logics

    def resetSliceViews(self) -> None:
        for one in self._widgets.values():
            one.sliceLogic().FitSliceToAll()

    def viewport(self) -> Any:
        """The views side by side, as they are now, in the main window."""
        if self._viewport is None:
            self._viewport = qt.QLabel()
            slicer.util.mainWindow().setCentralWidget(self._viewport)
        nodes = [one.mrmlSliceNode() for one in self._widgets.values()]
        self._viewport.setPixmap(qt.QPixmap.fromImage(pictures.beside([pictures.render_slice(one) for one in nodes])))
        self._viewport.setFixedSize(self._viewport.sizeHint)
        slicer.util.mainWindow().adjustSize()
        return self._viewport

    def cleanup(self) -> None:
        """Take the logics off the scene."""
        for one in self._widgets.values():
            one.sliceLogic().SetMRMLScene(None)


class SliceWidget:
    """A slice view."""

    def __init__(self, scene: Any, logic: Any, name: str) -> None:
        self._logic = slicer.vtkMRMLSliceLogic()
        self._logic.SetMRMLApplicationLogic(logic)
        self._logic.SetMRMLScene(scene)
        node = self._logic.AddSliceNode(name)
        node.SetOrientation(ORIENTATIONS[name])
        if logic.GetSliceLogics() is not None:
            logic.GetSliceLogics().AddItem(self._logic)

    def sliceLogic(self) -> Any:
        return self._logic

    def mrmlSliceNode(self) -> Any:
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self) -> Any:
        return self._logic.GetSliceCompositeNode()


class ExtensionsManagerModel:
    """Which extensions are installed; a test fills `installed`."""

    def __init__(self) -> None:
        self.installed: set[str] = set()

    def isExtensionInstalled(self, name: str) -> bool:
        return name in self.installed


class MainWindow(qt.QMainWindow):
    """The window, with the list of modules."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("qSlicerMainWindow")
        self.statusBar()
        self._selector = ModuleSelector()

    def moduleSelector(self) -> ModuleSelector:
        return self._selector


class ModuleManager(qt.QObject):
    """Knows the modules, and tells when one goes."""

    moduleAboutToBeUnloaded = qt.Signal(str)

    def module(self, name: str) -> Any:
        return getattr(slicer.modules, name.lower(), None)


def _made(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)
