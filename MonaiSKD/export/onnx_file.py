"""From a PyTorch module to the bytes of a model file."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings

import onnx
import torch
from torch import nn

from MonaiSKD.choices import Precision
from MonaiSKD.export.precision import store_weights
from MonaiSKD.runtime.contract import CONTRACT_KEY, OUTPUTS, Contract, sealed

# The first that knows antialiased resizing.
OPSET = 18


def model_bytes(graph: nn.Module, contract: Contract, precision: Precision) -> bytes:
    """Trace the module and pack it with its contract.

    Args:
        graph: images [N, 1, H, W] -> probabilities, heat maps, atypicality.
        contract: written into the metadata.
        precision: in which the weights are stored.

    Returns:
        a sealed ONNX model (see :mod:`MonaiSKD.runtime.contract`) that takes any N, H and W.
    """
    model = traced(graph)
    store_weights(model, precision)
    model.producer_name = "MonaiSKD"
    model.doc_string = f"{contract.title}. {contract.intended_use}"
    # What was traced where is of no use to a reader and would name folders of this machine.
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer):
        del value.metadata_props[:]
    del model.graph.value_info[:], model.graph.metadata_props[:], model.metadata_props[:]
    entry = model.metadata_props.add()
    entry.key, entry.value = CONTRACT_KEY, json.dumps(contract.to_dict(), ensure_ascii=False, allow_nan=False)
    onnx.checker.check_model(model)
    return sealed(model.SerializeToString())


def traced(graph: nn.Module) -> onnx.ModelProto:
    """The bare graph of a module that maps images [N, 1, H, W] to the three outputs, for any N, H and W."""
    free = {0: torch.export.Dim("N"), 2: torch.export.Dim("H", min=1), 3: torch.export.Dim("W", min=1)}
    # Sizes at which no shortcut (such as "is already of the right size") is taken into the trace.
    example = torch.rand(2, 1, 131, 149)
    chatter = contextlib.redirect_stdout(io.StringIO())
    for chatty in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    with warnings.catch_warnings(), chatter, torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            graph,
            (example,),
            input_names=["image"],
            output_names=list(OUTPUTS),
            dynamic_shapes=(free,),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    return model
