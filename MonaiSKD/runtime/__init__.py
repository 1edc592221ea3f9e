"""The model file and what it answers. Light half: numpy and ONNX Runtime."""

from MonaiSKD.runtime.classifier import Classifier
from MonaiSKD.runtime.contract import Contract
from MonaiSKD.runtime.modelfile import ModelFile, open_model
from MonaiSKD.runtime.models import find_model
from MonaiSKD.runtime.result import Failure, HeatMap, ModelIdentity, Result, Slices

__all__ = [
    "Classifier",
    "Contract",
    "Failure",
    "HeatMap",
    "ModelFile",
    "ModelIdentity",
    "Result",
    "Slices",
    "find_model",
    "open_model",
]
