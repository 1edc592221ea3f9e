"""Logits of a network for a whole data set."""

from __future__ import annotations

import torch
from monai.data import DataLoader
from monai.utils import evenly_divisible_all_gather
from torch import Tensor

from MonaiSKD.models.classifier import Classifier


@torch.no_grad()
def predict(network: Classifier, loader: DataLoader, device: torch.device) -> tuple[Tensor, Tensor]:
    """Logits [N, K] and labels [N] of every image of `loader`, in its order, on the CPU, in float32.

    In a distributed run every rank gets the images of all ranks, rank by rank.
    """
    network = network.to(device).eval()
    logits, labels = [], []
    for batch in loader:
        logits.append(network(batch["image"].to(device)).float())
        labels.append(batch["label"].to(device))
    gathered = evenly_divisible_all_gather(torch.cat(logits)), evenly_divisible_all_gather(torch.cat(labels))
    return gathered[0].cpu(), gathered[1].cpu()
