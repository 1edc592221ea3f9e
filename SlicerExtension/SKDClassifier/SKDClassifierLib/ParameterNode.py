"""What the user chose, kept in the scene, so that a saved scene comes back as it was left."""

# No "from __future__ import annotations": the wrapper reads the annotations as types.
from typing import Annotated

from slicer import vtkMRMLVolumeNode
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper


@parameterNodeWrapper
class SKDParameterNode:
    """The choices of the classify tab.

    Args:
        model: id of a model of the catalogue; empty until one was chosen.
        inputVolume: the volume to classify.
        showHeatMap: whether the heat map lies over the volume.
        opacity: of the heat map, 0 to 1.
        threshold: percent of the strongest evidence below which the heat map is not drawn.
    """

    model: str = ""
    inputVolume: vtkMRMLVolumeNode
    showHeatMap: bool = True
    opacity: Annotated[float, WithinRange(0, 1)] = 0.5
    threshold: Annotated[float, WithinRange(0, 100)] = 20.0
