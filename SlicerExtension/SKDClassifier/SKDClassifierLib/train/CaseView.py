"""The case that is labelled, in the slice views."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

from SKDClassifierLib.scene import HeatMapNode


class CaseView:
    """One case at a time in all slice views."""

    def __init__(self) -> None:
        self._id = ""

    @property
    def seen(self) -> bool:
        """Whether the slice views show the case, and no other image: another part of the module may have come since."""
        composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
        return self._node() is not None and all(one.GetBackgroundVolumeID() == self._id for one in composites)

    def show(self, case: Path) -> None:
        """Show a case instead of the former one.

        Raises:
            RuntimeError: no reader of Slicer understands it.
        """
        self.remove()
        # Without the other files of its folder, which a reader of DICOM series would take for one volume.
        node = slicer.util.loadVolume(str(case), {"singleFile": True, "show": False})
        self._id = node.GetID()
        HeatMapNode.show_as_foreground(slicer.mrmlScene, None, 0.0)  # that of an image that was classified
        slicer.util.setSliceViewerLayers(background=node, fit=True, rotateToVolumePlane=True)

    def remove(self) -> None:
        """Take the case out of the scene, with the nodes that only it has."""
        node, self._id = self._node(), ""
        if node is None:
            return
        own = [node.GetStorageNode(), *(node.GetNthDisplayNode(i) for i in range(node.GetNumberOfDisplayNodes()))]
        for one in (node, *own):
            if one is not None:
                slicer.mrmlScene.RemoveNode(one)

    def forget(self) -> None:
        """The scene goes, and its IDs will be those of other nodes."""
        self._id = ""

    def _node(self) -> Any:
        """The volume that is shown; None where it is not in the scene any more."""
        return slicer.mrmlScene.GetNodeByID(self._id) if self._id else None
