"""Results as nodes of the scene, so that they are saved with it and shown again when it is loaded. No Qt."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import vtk

from SKDClassifierLib import Package
from SKDClassifierLib.scene import HeatMapNode, Inputs

if TYPE_CHECKING:
    from MonaiSKD.runtime import Result

# The text node of a result carries this attribute, with the format's number, and refers to the other nodes by role.
ATTRIBUTE = "SKDClassifier.result"
FORMAT = "1"
VOLUME, TABLE, HEAT = "SKDClassifier.volume", "SKDClassifier.table", "SKDClassifier.heat"
# And in Python, which VTK keeps as long as the node lives and no file takes along: when the voxels behind the answer
# were changed last, and where they lay. Times of change are of this session.
_SEEN = "skd_voxels_seen"


@dataclass(frozen=True, eq=False)
class StoredResult:
    """A result in the scene.

    Args:
        text_node: holds the result as JSON.
        table_node: classes, probabilities, thresholds, decisions; None where it was deleted.
        heat_node: the heat map; None where there is none.
        volume_node: what was classified; None where it was deleted.
        result: what the model said, without heat maps.
        points_ras: float64 (S, 3), the middle of each slice in the world's RAS.
        title: of the model.
        source: the server that answered; empty for this computer.
    """

    text_node: Any
    table_node: Any
    heat_node: Any
    volume_node: Any
    result: Result
    points_ras: np.ndarray
    title: str
    source: str = ""

    @property
    def volume_name(self) -> str:
        """The volume as the scene calls it now, or as it was called."""
        return self.volume_node.GetName() if self.volume_node is not None else self.result.input

    @property
    def outdated(self) -> bool:
        """Whether the volume's voxels or its place were changed since; known of answers of this session only."""
        seen = getattr(self.text_node, _SEEN, None)
        return seen is not None and self.volume_node is not None and _state(self.volume_node) != seen


def store(
    scene: Any,
    volume: Any,
    result: Result,
    points_ras: np.ndarray,
    title: str,
    *,
    heat: vtk.vtkImageData | None = None,
    source: str = "",
) -> StoredResult:
    """Put a result into the scene, beside its volume; it replaces an earlier one of the same model and volume.

    Models of one name are told apart by their files, and by where they run.

    All nodes are made, or none: when a step fails, those that were made are removed again.

    Args:
        scene: the MRML scene.
        volume: the node that was classified.
        result: what the model said.
        points_ras: (S, 3), the middle of each slice in the world's RAS.
        title: of the model.
        heat: the heat map in the volume's geometry.
        source: the server that answered; empty for this computer.
    """
    Package.make_importable()
    from MonaiSKD.reporting import to_json

    asked = (result.model.name, result.model.sha256, source)
    earlier = [
        one
        for one in for_volume(scene, volume)
        if (one.result.model.name, one.result.model.sha256, one.source) == asked
    ]
    name = f"{volume.GetName()} {result.model.name}"
    made: list[Any] = []

    def keep(node: Any) -> Any:
        made.append(node)
        return node

    try:
        text = keep(scene.AddNewNodeByClass("vtkMRMLTextNode", f"{name} result"))
        text.SetAttribute(ATTRIBUTE, FORMAT)
        content = {
            "answer": json.loads(to_json(result)),
            "points_ras": points_ras.round(3).tolist(),
            "title": title,
            "source": source,
        }
        text.SetText(json.dumps(content, ensure_ascii=False))
        setattr(text, _SEEN, _state(volume))
        text.SetNodeReferenceID(VOLUME, volume.GetID())
        table = keep(scene.AddNewNodeByClass("vtkMRMLTableNode", f"{name} table"))
        _fill(table, result)
        text.SetNodeReferenceID(TABLE, table.GetID())
        if heat is not None:
            map_node = keep(HeatMapNode.add_heat_map(scene, volume, heat, f"{name} heat map"))
            text.SetNodeReferenceID(HEAT, map_node.GetID())
        _beside(scene, volume, made)
    except BaseException:
        for node in reversed(made):
            _take_out(scene, node)
        raise
    for one in earlier:
        remove(scene, one)
    return read(text)


def read(text_node: Any) -> StoredResult:
    """The result behind a text node.

    Raises:
        ValueError: it holds no result of this module.
    """
    Package.make_importable()
    from MonaiSKD.reporting import from_json
    from MonaiSKD.runtime import Result

    if text_node.GetAttribute(ATTRIBUTE) != FORMAT:
        raise ValueError("it is no result of this module, or of another version")
    content = json.loads(text_node.GetText() or "")
    result = from_json(content["answer"])
    if not isinstance(result, Result):
        raise ValueError("it holds an error, not a result")
    table, heat, volume = (text_node.GetNodeReference(role) for role in (TABLE, HEAT, VOLUME))
    points = np.array(content["points_ras"], dtype=np.float64).reshape(-1, 3)
    source = str(content.get("source", ""))
    return StoredResult(text_node, table, heat, volume, result, points, str(content["title"]), source)


def find(
    scene: Any, on_damaged: Callable[[str, Exception], None] | None = None, volume: Any = None
) -> list[StoredResult]:
    """The results in the scene, the latest last.

    Args:
        scene: the MRML scene.
        on_damaged: told the name of a node whose text cannot be read, and why.
        volume: look for the results of this volume only.
    """
    found = []
    for node in slicer.util.getNodesByClass("vtkMRMLTextNode", scene):
        if node.GetAttribute(ATTRIBUTE) is None:
            continue
        if volume is not None and node.GetNodeReference(VOLUME) is not volume:
            continue
        try:
            found.append(read(node))
        except (ValueError, KeyError, TypeError) as error:
            if on_damaged is not None:
                on_damaged(node.GetName(), error)
    return found


def for_volume(scene: Any, volume: Any) -> list[StoredResult]:
    """The results of one volume, the latest last."""
    return find(scene, volume=volume) if volume is not None else []


def remove(scene: Any, stored: StoredResult) -> None:
    """Take a result and what belongs to it out of the scene; the volume stays."""
    for node in (stored.heat_node, stored.table_node, stored.text_node):
        if node is not None and scene.IsNodePresent(node):
            _take_out(scene, node)


def _take_out(scene: Any, node: Any) -> None:
    """Remove a node with its display and its storage; before it its item of the subject hierarchy, which would point
    to nothing where no plugin looks after it.
    """
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = hierarchy.GetItemByDataNode(node) if hierarchy is not None else 0
    if item:
        hierarchy.RemoveItem(item, False, False)
    helpers = [node.GetStorageNode()] if node.IsA("vtkMRMLStorableNode") else []
    if node.IsA("vtkMRMLDisplayableNode"):
        helpers += [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]
    for one in (node, *helpers):
        if one is not None:
            scene.RemoveNode(one)


def _state(volume: Any) -> tuple[Any, ...]:
    """What an answer and its places hold for: the voxels, and where they lie in the world."""
    return _last_change(volume), Inputs.place_of(volume).tobytes()


def _last_change(volume: Any) -> int:
    """When the voxels of a volume were changed last, in VTK's count; no two images of a session have one time."""
    image = volume.GetImageData()
    return image.GetMTime() if image is not None else 0


def _fill(table_node: Any, result: Result) -> None:
    from MonaiSKD.reporting.sentences import presence

    decisions = {True: "present", False: "", None: "undetermined"}
    columns: dict[str, vtk.vtkAbstractArray] = {
        "class": vtk.vtkStringArray(),
        "probability": vtk.vtkDoubleArray(),
        "threshold": vtk.vtkDoubleArray(),
        "decision": vtk.vtkStringArray(),
    }
    for name, probability in result.probabilities.items():
        columns["class"].InsertNextValue(name)
        columns["probability"].InsertNextValue(probability)
        columns["threshold"].InsertNextValue(result.thresholds[name])
        columns["decision"].InsertNextValue(decisions[presence(result, name)])
    table = vtk.vtkTable()
    for title, column in columns.items():
        column.SetName(title)
        table.AddColumn(column)
    table_node.SetAndObserveTable(table)


def _beside(scene: Any, volume: Any, nodes: list[Any]) -> None:
    """Into the volume's study (or folder) of the subject hierarchy."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    if hierarchy is None:
        return
    item = hierarchy.GetItemByDataNode(volume)
    parent = hierarchy.GetItemParent(item) if item else hierarchy.GetSceneItemID()
    for node in nodes:
        own = hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(parent, node)
        hierarchy.SetItemParent(own, parent)
