"""One process or many: the same code."""

from __future__ import annotations

import atexit
import gc
import os
from functools import cache

import ignite.distributed as idist
import torch
from timm.layers import convert_sync_batchnorm
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def distributed(network: nn.Module, device: torch.device, *, find_unused_parameters: bool = False) -> nn.Module:
    """`network` wrapped for gradient averaging when a process group is up, else `network` itself.

    On GPUs BatchNorm statistics are taken over all ranks; PyTorch has no such layer for CPUs, so there each rank
    normalises by its own share of the batch (networks with LayerNorm are exact on both).
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return network
    return _wrapped(network, device, find_unused_parameters)


@cache  # Stages that train one network share its wrapper: two would both wait for its gradients.
def _wrapped(network: nn.Module, device: torch.device, find_unused_parameters: bool) -> nn.Module:
    if device.type == "cuda":
        # timm's keeps the activations that its BatchNorm layers hold; PyTorch's would drop them.
        network = convert_sync_batchnorm(network)
    device_ids = [device] if device.type == "cuda" else None
    return DistributedDataParallel(network, device_ids, find_unused_parameters=find_unused_parameters)


@torch.no_grad()
def average_buffers(network: nn.Module) -> None:
    """Average the floating-point buffers (BatchNorm statistics) over the ranks, which each saw other images."""
    if idist.get_world_size() > 1:
        for buffer in network.buffers():
            if buffer.is_floating_point():
                buffer.copy_(idist.all_reduce(buffer.clone()) / idist.get_world_size())


def start_process_group() -> None:
    """Join the group that torchrun describes in the environment: nccl where there is CUDA, gloo elsewhere."""
    if "LOCAL_RANK" in os.environ and not torch.distributed.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        idist.initialize("nccl" if torch.cuda.is_available() else "gloo")
        # The threads of a group live as long as a network that was wrapped, and one that outlives Python aborts this
        # process: torchrun would then end rank 0, which is still evaluating.
        atexit.register(gc.collect)


def stop_process_group() -> None:
    """Leave the group, if there is one."""
    _wrapped.cache_clear()
    idist.finalize()


def rank() -> int:
    """This process's number in the group; 0 when there is none."""
    return int(idist.get_rank())
