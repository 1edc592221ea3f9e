"""What Slicer's plugins of the subject hierarchy do: each node that a user may see gets an item, and loses it."""

from __future__ import annotations

from typing import Any

import slicer
import vtk

_KINDS = ("Volume", "Table", "Text", "Model", "Markups", "Segmentation", "Transform", "PlotChart")


class SubjectHierarchy:
    """Keeps the hierarchy of a scene in step with its nodes, until it is stopped."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self._tags = [
            scene.AddObserver(scene.NodeAddedEvent, self._on_added),
            scene.AddObserver(scene.NodeAboutToBeRemovedEvent, self._on_removed),
            scene.AddObserver(scene.EndImportEvent, self._all),
        ]

    def stop(self) -> None:
        """Watch no longer."""
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._scene = None

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_added(self, _caller: Any, _event: str, node: Any) -> None:
        self._add(node)

    def _add(self, node: Any) -> None:
        shown = any(node.IsA(f"vtkMRML{kind}Node") for kind in _KINDS) and not node.GetHideFromEditors()
        if shown and not self._scene.IsImporting():
            hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self._scene)
            if not hierarchy.GetItemByDataNode(node):
                hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_removed(self, _caller: Any, _event: str, node: Any) -> None:
        if node.IsA("vtkMRMLSubjectHierarchyNode") or self._scene.IsClosing():
            return
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self._scene)
        item = hierarchy.GetItemByDataNode(node)
        if item:
            hierarchy.RemoveItem(item, False, False)

    def _all(self, *_: Any) -> None:
        for index in range(self._scene.GetNumberOfNodes()):
            self._add(self._scene.GetNthNode(index))
