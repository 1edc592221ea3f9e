"""Stand-ins for widgets that show the MRML scene, fed by the real one."""

from __future__ import annotations

from typing import Any, ClassVar

import qt
import slicer
import vtk
from PySide6.QtCore import Property, Signal

from harness.plot_widget import qMRMLPlotView, qMRMLPlotWidget
from harness.watch import Watch

_SCENE = "mrmlSceneChanged(vtkMRMLScene*)"


class _OfScene(qt.QWidget):
    mrmlSceneChanged = Signal(object)
    mrml_signals: ClassVar[dict[str, str]] = {_SCENE: "mrmlSceneChanged"}

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene: Any = None

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


class qMRMLWidget(_OfScene):
    """A widget that knows the scene."""


class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """The panel around a scripted module; self() is the module's own widget, in Python."""

    def self(self) -> Any:
        return self._self

    def reload(self) -> None:
        self._make()


class qMRMLNodeComboBox(_OfScene):
    """Chooses a node of some classes."""

    currentNodeChanged = Signal(object)
    currentNodeIDChanged = Signal(str)
    nodeActivated = Signal(object)
    nodeAddedByUser = Signal(object)
    mrml_signals: ClassVar[dict[str, str]] = {
        _SCENE: "mrmlSceneChanged",
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged",
        "nodeActivated(vtkMRMLNode*)": "nodeActivated",
        "nodeAddedByUser(vtkMRMLNode*)": "nodeAddedByUser",
    }

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._types: list[str] = []
        self._attributes: list[tuple[str, str, str]] = []
        self._none = self._hidden = False
        self._children = self._add = self._remove = self._select_new = True
        self._rename = self._edit = False
        self._base, self._none_text, self._id = "", "None", ""
        self._watch = Watch(self, "_refresh")
        self._combo = qt.QComboBox()
        row = qt.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._combo)
        self.setFocusProxy(self._combo)
        self._combo.connect("currentIndexChanged(int)", self._chosen)
        self._combo.connect("activated(int)", lambda row: self.nodeActivated.emit(self.currentNode()))

    def setMRMLScene(self, scene: Any) -> None:
        super().setMRMLScene(scene)
        self._refresh()

    def currentNode(self) -> Any:
        """The node, or None."""
        return self._scene.GetNodeByID(self._id) if self._scene is not None and self._id else None

    def setCurrentNode(self, node: Any) -> None:
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    def setCurrentNodeID(self, identity: str | None) -> None:
        self._combo.setCurrentIndex(self._combo.findData(identity or ""))

    def nodeCount(self) -> int:
        return self._combo.count - self._none

    def entries(self) -> list[str]:
        """What the list shows; for tests only, Slicer has no such method."""
        return [self._combo.itemText(row) for row in range(self._combo.count)]

    def nodeFromIndex(self, index: int) -> Any:
        return self._scene.GetNodeByID(self._combo.itemData(index + self._none))

    def addNode(self, kind: str = "") -> Any:
        """Make a node, as the entry "Create new …" does."""
        node = self._scene.AddNewNodeByClass(kind or self._types[0], self._base)
        self.nodeAddedByUser.emit(node)
        if self._select_new:
            self.setCurrentNode(node)
        return node

    def removeCurrentNode(self) -> None:
        if self.currentNode() is not None:
            self._scene.RemoveNode(self.currentNode())

    def addAttribute(self, kind: str, name: str, value: str = "") -> None:
        """Show of this class only nodes with an attribute."""
        self._attributes.append((kind, name, value))
        self._refresh()

    def _chosen(self, row: int) -> None:
        identity = self._combo.itemData(row) or ""
        if identity != self._id:
            self._id = identity
            self.currentNodeChanged.emit(self.currentNode())
            self.currentNodeIDChanged.emit(identity)

    def _shown(self, node: Any) -> bool:
        if not any(node.IsA(kind) if self._children else node.GetClassName() == kind for kind in self._types):
            return False
        for kind, name, value in self._attributes:
            found = node.GetAttribute(name)
            if node.IsA(kind) and (found is None or (value and found != value)):
                return False
        return self._hidden or not node.GetHideFromEditors()

    def _refresh(self) -> None:
        """Bring the entries up to the scene; one that stays is not touched."""
        scene = self._scene
        if scene is not None and scene.IsBatchProcessing():
            return
        nodes = [] if scene is None else [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]
        nodes = [node for node in nodes if self._shown(node)]
        wanted = ([("", self._none_text)] if self._none else []) + [(one.GetID(), one.GetName()) for one in nodes]
        events = (slicer.vtkMRMLScene.NodeAddedEvent, slicer.vtkMRMLScene.NodeRemovedEvent)
        events = (*events, slicer.vtkMRMLScene.EndBatchProcessEvent)
        self._watch.look_at([(scene, one) for one in events] + [(one, vtk.vtkCommand.ModifiedEvent) for one in nodes])
        kept = {identity for identity, _ in wanted}
        for row in reversed(range(self._combo.count)):
            if self._combo.itemData(row) not in kept:
                self._combo.removeItem(row)
        for row, (identity, name) in enumerate(wanted):
            if row >= self._combo.count or self._combo.itemData(row) != identity:
                self._combo.insertItem(row, name, identity)
            elif self._combo.itemText(row) != name:
                self._combo.setItemText(row, name)

    def _set(self, field: str, value: Any) -> None:
        setattr(self, field, value)
        self._refresh()

    def setNodeTypes(self, types: list[str]) -> None:
        self._set("_types", list(types))

    def setNoneEnabled(self, enabled: bool) -> None:
        self._set("_none", enabled)

    def setShowHidden(self, shown: bool) -> None:
        self._set("_hidden", shown)

    def setShowChildNodeTypes(self, shown: bool) -> None:
        self._set("_children", shown)

    def setNoneDisplay(self, text: str) -> None:
        self._set("_none_text", text)

    def setBaseName(self, name: str) -> None:
        self._set("_base", name)

    def setAddEnabled(self, enabled: bool) -> None:
        self._set("_add", enabled)

    def setRemoveEnabled(self, enabled: bool) -> None:
        self._set("_remove", enabled)

    def setRenameEnabled(self, enabled: bool) -> None:
        self._set("_rename", enabled)

    def setEditEnabled(self, enabled: bool) -> None:
        self._set("_edit", enabled)

    def setSelectNodeUponCreation(self, enabled: bool) -> None:
        self._set("_select_new", enabled)

    nodeTypes = Property("QStringList", lambda self: self._types, setNodeTypes)
    currentNodeID = Property(str, lambda self: self._id, setCurrentNodeID)
    noneEnabled = Property(bool, lambda self: self._none, setNoneEnabled)
    noneDisplay = Property(str, lambda self: self._none_text, setNoneDisplay)
    showHidden = Property(bool, lambda self: self._hidden, setShowHidden)
    showChildNodeTypes = Property(bool, lambda self: self._children, setShowChildNodeTypes)
    baseName = Property(str, lambda self: self._base, setBaseName)
    addEnabled = Property(bool, lambda self: self._add, setAddEnabled)
    removeEnabled = Property(bool, lambda self: self._remove, setRemoveEnabled)
    renameEnabled = Property(bool, lambda self: self._rename, setRenameEnabled)
    editEnabled = Property(bool, lambda self: self._edit, setEditEnabled)
    selectNodeUponCreation = Property(bool, lambda self: self._select_new, setSelectNodeUponCreation)


CLASSES = {
    one.__name__: one
    for one in (
        qMRMLNodeComboBox,
        qMRMLPlotView,
        qMRMLPlotWidget,
        qMRMLWidget,
        qSlicerScriptedLoadableModuleWidget,
    )
}
