"""Stand-in for Slicer's manager of files: what it reads and writes goes through the real storage nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer


class IOManager:
    """Reads and writes nodes and scenes for slicer.util.loadVolume, loadScene, saveNode, saveScene."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene

    def fileType(self, path: str) -> str:
        return "SceneFile" if path.endswith((".mrml", ".mrb")) else "VolumeFile"

    def fileWriterFileType(self, node: Any) -> str:
        return node.GetNodeTagName()

    def loadNodes(self, kind: str, properties: dict[str, Any], loaded: Any, messages: Any = None) -> bool:
        path = properties["fileName"]
        if kind == "SceneFile":
            return self._load_scene(path)
        if kind != "VolumeFile":
            raise NotImplementedError(f"the test harness cannot read a {kind}")
        node = slicer.vtkMRMLScalarVolumeNode()
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(path)
        storage.SetSingleFile(bool(properties.get("singleFile")))
        if not storage.ReadData(node):
            if messages is not None:
                messages.AddMessages(storage.GetUserMessages())
            return False
        node.SetName(properties.get("name") or Path(path).name.partition(".")[0])
        self._scene.AddNode(node)
        self._scene.AddNode(storage)
        node.SetAndObserveStorageNodeID(storage.GetID())
        node.CreateDefaultDisplayNodes()
        if properties.get("show", True):
            slicer.util.setSliceViewerLayers(background=node, fit=True)
        if loaded is not None:
            loaded.AddItem(node)
        return True

    def saveNodes(self, kind: str, properties: dict[str, Any], messages: Any = None) -> bool:
        path = str(properties["fileName"])
        if kind == "SceneFile":
            return self._save_scene(path)
        node = self._scene.GetNodeByID(properties["nodeID"])
        node.AddDefaultStorageNode(path)
        storage = node.GetStorageNode()
        storage.SetFileName(path)
        done = bool(storage.WriteData(node))
        if not done and messages is not None:
            messages.AddMessages(storage.GetUserMessages())
        return done

    def _load_scene(self, path: str) -> bool:
        if path.endswith(".mrb"):
            return bool(self._scene.ReadFromMRB(path, True))
        self._scene.SetURL(path)
        return bool(self._scene.Connect())

    def _save_scene(self, path: str) -> bool:
        if path.endswith(".mrb"):
            return bool(self._scene.WriteToMRB(path))
        self._scene.SetURL(path)
        self._scene.SetRootDirectory(str(Path(path).parent))
        return bool(self._scene.Commit())
