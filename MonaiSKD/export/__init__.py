"""From a trained student and its contract to the one file that the light half runs."""

from MonaiSKD.export.graph import Answer, ModelGraph
from MonaiSKD.export.precision import PRECISIONS, Precision
from MonaiSKD.export.run import export

__all__ = ["PRECISIONS", "Answer", "ModelGraph", "Precision", "export"]
