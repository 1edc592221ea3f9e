"""Which execution providers run the model, on whatever ONNX Runtime is installed."""

from __future__ import annotations

import onnxruntime
import pytest

from MonaiSKD.errors import SKDError
from MonaiSKD.runtime.providers import resolve_providers

CPU, CUDA, OPENVINO = "CPUExecutionProvider", "CUDAExecutionProvider", "OpenVINOExecutionProvider"


@pytest.fixture
def built_with(monkeypatch):
    """Pretend that this ONNX Runtime was built with these providers."""
    return lambda *names: monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(names))


def test_auto_takes_cuda_where_it_is_built_in_and_the_cpu_behind_it(built_with):
    built_with(CUDA, CPU)
    assert resolve_providers() == [CUDA, CPU]
    built_with(CPU)
    assert resolve_providers("auto") == [CPU]


def test_auto_takes_nothing_that_was_not_asked_for(built_with):
    built_with(OPENVINO, "AzureExecutionProvider", CPU)
    assert resolve_providers() == [CPU]


def test_the_cpu_is_named_once(built_with):
    built_with(CUDA, CPU)
    assert resolve_providers("cpu") == [CPU]
    assert resolve_providers("cuda") == [CUDA, CPU]


def test_openvino_is_told_to_compute_in_single_precision(built_with):
    built_with(OPENVINO, CPU)
    assert resolve_providers("openvino") == [(OPENVINO, {"precision": "FP32"}), CPU]


def test_an_unknown_provider_is_refused_with_those_there_are():
    with pytest.raises(SKDError) as refusal:
        resolve_providers("CUDA")
    assert refusal.value.code == "invalid"
    assert "'CUDA'" in refusal.value.thing
    assert "auto, cuda, rocm, openvino, directml, coreml, cpu" in refusal.value.remedy


def test_a_provider_that_is_not_built_in_is_refused_with_those_that_are(built_with):
    built_with(CUDA, CPU)
    with pytest.raises(SKDError) as refusal:
        resolve_providers("rocm")
    assert refusal.value.code == "not_installed"
    assert "auto, cuda, cpu," in refusal.value.remedy
