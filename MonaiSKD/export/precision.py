"""Smaller model files: weights stored in fewer bits, computed with in float32.

Every weight becomes its short form and a node that widens it. ONNX Runtime runs such nodes once, when it loads the
model, so that speed and the rounding of all other steps stay those of float32: what is lost is the rounding of the
weights alone, and no calibration images are needed.
"""

from __future__ import annotations

from typing import get_args

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from MonaiSKD.choices import Precision

PRECISIONS: tuple[str, ...] = get_args(Precision)

# Below this many entries (biases, normalisation, temperature) nothing is gained.
_SMALLEST = 1024


def store_weights(model: onnx.ModelProto, precision: Precision) -> None:
    """Store the model's large weights in `precision`, in place.

    Args:
        model: a float32 model.
        precision: "float32" changes nothing; "float16" halves the file; "int8" stores each weight as an integer
            between -127 and 127 and one float32 scale per output channel (first axis; the second for matrices, which
            ONNX multiplies from the right).
    """
    shorten = {"float32": None, "float16": _as_float16, "int8": _as_int8}[precision]
    if shorten is None:
        return
    graph = model.graph
    kept: list[onnx.TensorProto] = []
    nodes: list[onnx.NodeProto] = []
    for weight in graph.initializer:
        if weight.data_type == onnx.TensorProto.FLOAT and np.prod(weight.dims) >= _SMALLEST:
            tensors, widening = shorten(weight.name, numpy_helper.to_array(weight))
            kept += tensors
            nodes += widening
        else:
            kept.append(weight)
    nodes += graph.node
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)


Short = tuple[list[onnx.TensorProto], list[onnx.NodeProto]]


def _as_float16(name: str, values: npt.NDArray[np.float32]) -> Short:
    short = numpy_helper.from_array(values.astype(np.float16), f"{name}.float16")
    return [short], [helper.make_node("Cast", [short.name], [name], to=onnx.TensorProto.FLOAT)]


def _as_int8(name: str, values: npt.NDArray[np.float32]) -> Short:
    axis = 1 if values.ndim == 2 else 0
    others = tuple(k for k in range(values.ndim) if k != axis)
    scale = np.maximum(np.abs(values).max(axis=others, keepdims=True) / 127, np.finfo(np.float32).tiny)
    rounded = np.rint(values / scale).astype(np.int8)
    short = numpy_helper.from_array(rounded, f"{name}.int8")
    factor = numpy_helper.from_array(scale.astype(np.float32), f"{name}.scale")
    wide = f"{name}.wide"
    return [short, factor], [
        helper.make_node("Cast", [short.name], [wide], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", [wide, factor.name], [name]),
    ]
