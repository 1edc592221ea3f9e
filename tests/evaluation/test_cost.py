from __future__ import annotations

import torch
from torch import nn

from MonaiSKD.evaluation import count_parameters, multiply_adds, peak_memory_bytes


class Attention(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.scaled_dot_product_attention(x, x, x)


def test_convolution_and_linear() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.Flatten(), nn.Linear(4 * 8 * 8, 2))
    assert count_parameters(network) == 4 * 9 + 4 * 8 * 8 * 2 + 2
    assert multiply_adds(network, torch.zeros(1, 1, 8, 8)) == 4 * 9 * 64 + 4 * 64 * 2


def test_grows_with_the_batch() -> None:
    network = nn.Linear(5, 3)
    assert multiply_adds(network, torch.zeros(4, 5)) == 4 * 15


def test_fused_attention_is_counted() -> None:
    # Two products of [heads, 6, 8] by 6 keys.
    assert multiply_adds(Attention(), torch.zeros(1, 2, 6, 8)) == 2 * (2 * 6 * 6 * 8)


def test_peak_memory_is_that_of_a_process_with_torch() -> None:
    peak = peak_memory_bytes()
    assert peak is None or 50e6 < peak < 1e12
