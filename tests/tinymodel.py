"""A tiny sealed model file that computes what can be done by hand, so that tests know every answer beforehand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from MonaiSKD.reading import RULES
from MonaiSKD.runtime.contract import CONTRACT_KEY, OUTPUTS, Contract, sealed

CLASSES = ("dark", "bright")
# The images between 0.1 and 0.9 of mean brightness are typical.
TYPICAL = 0.4


def tiny_contract(rule: str = "chest_xray", **changes: Any) -> Contract:
    """What the tiny model says of itself; `changes` replace fields."""
    fields: dict[str, Any] = {
        "name": f"tiny_{rule}",
        "version": "0.0.1",
        "title": "Says how bright an image is",
        "class_names": CLASSES,
        "rule": RULES[rule],
        "image_size": 64,
        "thresholds": {"dark": 0.5, "bright": 0.5},
        "sensitivity": 0.9,
        "temperature": 1.0,
        "atypicality_threshold": TYPICAL,
        "student": "tiny",
        "metrics": {"test": {"accuracy": 1.0}},
    }
    return Contract(**{**fields, **changes})


def tiny_graph() -> onnx.ModelProto:
    """The network alone, without contract and seal.

    With m the mean brightness of an image: probabilities (N, 2) = [1 - m, m]; atypicality (N,) = |m - 0.5|; heatmap
    (N, 2, 4, 4): channel 1 the image averaged to 4 x 4 (exactly so for sides of 4, 8, 16, 32 and 64), channel 0 its
    negative.
    """
    constants = {"one": 1.0, "half": 0.5}
    vectors = {"sizes": [64, 64], "last": [1, 2, 3]}
    initialisers = [
        *(helper.make_tensor(name, TensorProto.FLOAT, [], [value]) for name, value in constants.items()),
        *(helper.make_tensor(name, TensorProto.INT64, [len(value)], value) for name, value in vectors.items()),
        helper.make_tensor("flat", TensorProto.INT64, [1], [1]),
    ]
    sampling = {"coordinate_transformation_mode": "asymmetric", "mode": "nearest", "nearest_mode": "floor"}
    node = helper.make_node
    nodes = [
        node("ReduceMean", ["image", "last"], ["mean"], keepdims=0),  # (N,)
        node("Unsqueeze", ["mean", "flat"], ["bright"]),
        node("Sub", ["one", "bright"], ["dark"]),
        node("Concat", ["dark", "bright"], ["probabilities"], axis=1),
        node("Resize", ["image", "", "", "sizes"], ["fixed"], axes=[2, 3], **sampling),
        node("AveragePool", ["fixed"], ["coarse"], kernel_shape=[16, 16], strides=[16, 16]),
        node("Neg", ["coarse"], ["negative"]),
        node("Concat", ["negative", "coarse"], ["heatmap"], axis=1),
        node("Sub", ["mean", "half"], ["off"]),
        node("Abs", ["off"], ["atypicality"]),
    ]
    shapes: dict[str, list[Any]] = {"probabilities": ["N", 2], "heatmap": ["N", 2, 4, 4], "atypicality": ["N"]}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, "H", "W"])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in OUTPUTS],
        initialisers,
    )
    # Versions that the oldest ONNX Runtime of pyproject.toml knows.
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def write_tiny_model(path: Path, rule: str = "chest_xray", **changes: Any) -> Path:
    """Write the tiny model as a sealed model file; `changes` replace fields of its contract."""
    model = tiny_graph()
    helper.set_model_props(model, {CONTRACT_KEY: json.dumps(tiny_contract(rule, **changes).to_dict())})
    path.write_bytes(sealed(model.SerializeToString()))
    return path
