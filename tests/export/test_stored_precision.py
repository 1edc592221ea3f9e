"""Weights in fewer bits: what is stored, what is computed, and what stays as it was."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from MonaiSKD.export.precision import store_weights

RNG = np.random.default_rng(0)
MATRIX = RNG.normal(size=(64, 32)).astype(np.float32)
KERNEL = RNG.normal(size=(8, 64, 3, 3)).astype(np.float32)
BIAS = RNG.normal(size=32).astype(np.float32)


def model() -> onnx.ModelProto:
    nodes = [
        helper.make_node("MatMul", ["x", "matrix"], ["y"]),
        helper.make_node("Add", ["y", "bias"], ["z"]),
        helper.make_node("Conv", ["image", "kernel"], ["w"]),
    ]
    floats = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info("x", floats, ["N", 64]),
            helper.make_tensor_value_info("image", floats, ["N", 64, 8, 8]),
        ],
        [
            helper.make_tensor_value_info("z", floats, ["N", 32]),
            helper.make_tensor_value_info("w", floats, ["N", 8, 6, 6]),
        ],
        [
            numpy_helper.from_array(values, name)
            for name, values in (("matrix", MATRIX), ("bias", BIAS), ("kernel", KERNEL))
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def run(proto: onnx.ModelProto) -> list[np.ndarray]:
    onnx.checker.check_model(proto)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {"x": np.ones((2, 64), np.float32), "image": np.ones((1, 64, 8, 8), np.float32)}
    return session.run(None, feeds)


def test_float32_changes_nothing() -> None:
    proto = model()
    before = proto.SerializeToString()
    store_weights(proto, "float32")
    assert proto.SerializeToString() == before


def test_float16_computes_with_the_rounded_weights_in_float32() -> None:
    proto = model()
    store_weights(proto, "float16")
    z, w = run(proto)
    rounded = MATRIX.astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(z, np.ones((2, 64), np.float32) @ rounded + BIAS, atol=1e-5)
    kernel = KERNEL.astype(np.float16).astype(np.float32).sum((1, 2, 3))
    np.testing.assert_allclose(w[0, :, 0, 0], kernel, atol=1e-4)


def test_int8_keeps_one_scale_per_output_channel() -> None:
    proto = model()
    store_weights(proto, "int8")
    stored = {entry.name: numpy_helper.to_array(entry) for entry in proto.graph.initializer}
    assert stored["matrix.int8"].dtype == np.int8
    assert stored["matrix.scale"].shape == (1, 32)
    assert stored["kernel.scale"].shape == (8, 1, 1, 1)
    np.testing.assert_allclose(stored["matrix.scale"][0], np.abs(MATRIX).max(0) / 127, rtol=1e-6)
    restored = stored["kernel.int8"] * stored["kernel.scale"]
    assert np.abs(restored - KERNEL).max() <= stored["kernel.scale"].max() / 2 + 1e-7
    z, _ = run(proto)
    matrix = stored["matrix.int8"] * stored["matrix.scale"]
    np.testing.assert_allclose(z, np.ones((2, 64), np.float32) @ matrix + BIAS, atol=1e-5)


@pytest.mark.parametrize(("precision", "share"), [("float16", 0.52), ("int8", 0.28)])
def test_the_file_shrinks_as_promised(precision, share) -> None:
    small, large = model(), model()
    store_weights(small, precision)
    assert small.ByteSize() < share * large.ByteSize()


def test_small_tensors_stay_as_they_are() -> None:
    proto = model()
    store_weights(proto, "int8")
    stored = {entry.name: numpy_helper.to_array(entry) for entry in proto.graph.initializer}
    assert np.array_equal(stored["bias"], BIAS)


def test_a_channel_of_zeros_stays_zero() -> None:
    proto = model()
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.zeros((64, 32), np.float32), "matrix"))
    store_weights(proto, "int8")
    z, _ = run(proto)
    np.testing.assert_allclose(z, np.broadcast_to(BIAS, z.shape), atol=1e-7)
