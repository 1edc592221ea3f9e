"""Which number format a device and a network are fastest in."""

from __future__ import annotations

import os

import torch
from monai.inferers import SimpleInferer
from torch import Tensor, nn

from MonaiSKD.errors import SKDError

FORMATS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def resolve_device(name: str) -> torch.device:
    """The device behind "auto", "cpu" or "cuda" (of this rank, in a distributed run).

    Raises:
        SKDError: CUDA was asked for and is not there, or PyTorch knows no device of this name.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise SKDError("device cuda", "PyTorch sees no CUDA device", "Use --device cpu or auto")
    if name == "cuda":
        name = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise SKDError(f"device {name!r}", "PyTorch knows none of this name", "Use auto, cpu or cuda") from error


def resolve_precision(name: str, device: torch.device, network: nn.Module) -> torch.dtype:
    """The format behind "auto": bfloat16 where the hardware multiplies it, float16 on older GPUs, else float32.

    On CPUs depthwise convolutions are slower in bfloat16 than in float32, so convolutional networks stay there.

    Raises:
        SKDError: `name` is none of "auto", "float32", "bfloat16", "float16".
    """
    if name != "auto":
        if name not in FORMATS:
            raise SKDError(f"precision {name!r}", "it is unknown", f"Use auto, {', '.join(FORMATS)}")
        return FORMATS[name]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    convolutional = any(isinstance(module, nn.Conv2d) and module.groups > 1 for module in network.modules())
    if device.type == "cpu" and not convolutional and _has_amx():
        return torch.bfloat16
    return torch.float32


def _has_amx() -> bool:
    """Whether the CPU has the matrix unit that makes bfloat16 pay; PyTorch tells only under a private name."""
    probe = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(probe and probe())


class AutocastInferer(SimpleInferer):
    """MONAI's plain inferer under automatic mixed precision, on CPU too (MONAI's own `amp` is for CUDA only).

    Args:
        dtype: format of the matrix products; float32 switches autocast off.
    """

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.dtype = dtype

    def __call__(self, inputs: Tensor, network: nn.Module, *args: object, **kwargs: object) -> Tensor:
        """network(inputs), returned in float32."""
        with autocast(inputs.device, self.dtype):
            output: Tensor = network(inputs, *args, **kwargs)
        return output.float()


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """The autocast context of `dtype` on `device`; without effect for float32."""
    enabled = dtype != torch.float32
    return torch.autocast(device.type, dtype=dtype if enabled else torch.bfloat16, enabled=enabled)
