"""What a network costs: parameters, multiply-adds, memory."""

from __future__ import annotations

import importlib
import sys

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def count_parameters(module: nn.Module) -> int:
    """Number of trainable and frozen parameters.

    Example:
        >>> count_parameters(nn.Linear(3, 2))
        8
    """
    return sum(parameter.numel() for parameter in module.parameters())


@torch.no_grad()
def multiply_adds(module: nn.Module, example: torch.Tensor) -> int:
    """Multiply-adds of one forward pass: matrix products and convolutions, as PyTorch's own counter sees them.

    Args:
        module: left in the mode (training or evaluation) it is in.
        example: a batch; the result is for the whole of it.

    Example:
        >>> multiply_adds(nn.Linear(3, 2), torch.zeros(1, 3))
        6
    """
    # Fused attention is an operator of its own per device, and not every one is known to the counter.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module(example)
    return int(counter.get_total_flops()) // 2


def peak_memory_bytes(device: torch.device | str = "cpu") -> int | None:
    """Highest memory use so far: of the allocator for a CUDA device, of this process (resident) otherwise.

    Returns:
        Bytes, or None where the system does not tell (Windows).
    """
    if torch.device(device).type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        resource = importlib.import_module("resource")
    except ImportError:
        return None
    peak = int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return peak if sys.platform == "darwin" else peak * 1024
