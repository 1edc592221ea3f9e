"""One process or many: the same code."""

from __future__ import annotations

import os
from typing import Any

import ignite.distributed as idist
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def distributed(network: nn.Module, device: torch.device, **options: Any) -> nn.Module:
    """`network` wrapped for gradient averaging when a process group is up, else `network` itself.

    On GPUs BatchNorm statistics are taken over all ranks; PyTorch has no such layer for CPUs, so there each rank
    normalises by its own share of the batch (networks with LayerNorm are exact on both).
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return network
    if device.type == "cuda":
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    return DistributedDataParallel(network, device_ids=[device] if device.type == "cuda" else None, **options)


def start_process_group() -> None:
    """Join the group that torchrun describes in the environment: nccl where there is CUDA, gloo elsewhere."""
    if "LOCAL_RANK" in os.environ and not torch.distributed.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        idist.initialize("nccl" if torch.cuda.is_available() else "gloo")


def stop_process_group() -> None:
    """Leave the group, if there is one."""
    idist.finalize()


def rank() -> int:
    """This process's number in the group; 0 when there is none."""
    return int(idist.get_rank())
