"""Which of ONNX Runtime's execution providers runs the model."""

from __future__ import annotations

from MonaiSKD.errors import SKDError
from MonaiSKD.runtime.quiet_onnxruntime import load_onnxruntime

_PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
_AUTO = ("cuda", "cpu")


def resolve_providers(name: str = "auto") -> list[str | tuple[str, dict[str, str]]]:
    """The providers to hand to ONNX Runtime, the CPU always last.

    Args:
        name: "auto" (CUDA where this ONNX Runtime has it, else the CPU), or a short name such as "openvino".

    Raises:
        SKDError: the name is unknown, or this ONNX Runtime was built without it.

    Example:
        >>> resolve_providers("cpu")
        ['CPUExecutionProvider']
    """
    available = set(load_onnxruntime().get_available_providers())
    if name == "auto":
        return [_PROVIDERS[key] for key in _AUTO if _PROVIDERS[key] in available]
    if name not in _PROVIDERS:
        raise SKDError(f"provider {name!r}", "it is unknown", f"Use one of auto, {', '.join(_PROVIDERS)}")
    if _PROVIDERS[name] not in available:
        present = ", ".join(key for key, value in _PROVIDERS.items() if value in available)
        remedy = f"Use one of auto, {present}, or install a build of ONNX Runtime with it (such as onnxruntime-gpu)"
        raise SKDError(f"provider {name!r}", "this ONNX Runtime was built without it", remedy, code="not_installed")
    if name == "openvino":
        # OpenVINO computes in bfloat16 where the processor can; that moves probabilities by up to 4e-3.
        return [(_PROVIDERS[name], {"precision": "FP32"}), _PROVIDERS["cpu"]]
    return list(dict.fromkeys([_PROVIDERS[name], _PROVIDERS["cpu"]]))
