"""The grid on which each family's evidence is read."""

import pytest
import torch

from MonaiSKD.models import Classifier
from MonaiSKD.models.evidence import Evidence
from MonaiSKD.models.features import feature_maps


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "size", "shape"),
    [
        ("tf_efficientnet_lite_xs", 112, (12 + 24 + 60, 14)),
        ("convnext_atto", 64, (40 + 80 + 160, 8)),
        ("vit_tiny_patch14_dinov2", 112, (3 * 192, 8)),
    ],
)
def test_features_of_three_depths_lie_on_one_grid(name, size, shape) -> None:
    network = Classifier(name, 3, size).eval()
    features = feature_maps(network, torch.rand(2, 1, 90, 130))
    channels, side = shape
    assert features.shape == (2, channels, side, side)
    assert Evidence(channels, 3)(features).shape == (2, 3, side, side)
