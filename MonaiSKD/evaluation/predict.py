"""Logits of a network for a whole data set."""

from __future__ import annotations

import torch
from monai.data import DataLoader
from monai.utils import evenly_divisible_all_gather
from torch import Tensor

from MonaiSKD.models.classifier import Classifier


@torch.no_grad()
def predict(network: Classifier, loader: DataLoader, device: torch.device) -> tuple[Tensor, Tensor]:
    """Logits [N, K] and labels [N] of every image of `loader`, in the data set's order, on the CPU, in float32.

    In a distributed run every rank gets the images of all ranks.
    """
    network = network.to(device).eval()
    parts: list[list[Tensor]] = [[], [], []]
    for batch in loader:
        row = network(batch["image"].to(device)).float(), batch["label"].to(device), batch["index"].to(device)
        for part, values in zip(parts, row, strict=True):
            part.append(values)
    logits, labels, indices = (evenly_divisible_all_gather(torch.cat(part)).cpu() for part in parts)
    order = indices.argsort()
    return logits[order], labels[order]
