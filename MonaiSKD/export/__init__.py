"""From a trained student and its contract to the one file that the light half runs."""

from MonaiSKD.choices import Precision
from MonaiSKD.export.graph import Answer, ModelGraph
from MonaiSKD.export.precision import PRECISIONS
from MonaiSKD.export.run import export

__all__ = ["PRECISIONS", "Answer", "ModelGraph", "Precision", "export"]
