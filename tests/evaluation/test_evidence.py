"""Heat maps foretell what blanking a place costs, and repeat themselves by seed."""

import pytest
import torch
from torch import nn

from MonaiSKD.errors import SKDError
from MonaiSKD.evaluation import fit_evidence, occlusion_r2
from MonaiSKD.evaluation.evidence import _random_regions, _sums
from MonaiSKD.models import Classifier
from MonaiSKD.models.evidence import contrast
from MonaiSKD.models.features import feature_maps

CPU = torch.device("cpu")
SIZE = 64


class BrightSpot(nn.Module):
    """Feature maps that hold the image, and a head that counts its brightness: evidence is known place by place."""

    def __init__(self) -> None:
        super().__init__()
        self.default_cfg = {"mean": (0.0,) * 3, "std": (1.0,) * 3}
        self.feature_info = [{"reduction": r} for r in (4, 8, 16)]
        self.num_features = 1

    def get_classifier(self) -> nn.Module:
        return nn.Identity()

    def forward_intermediates(self, images, indices, intermediates_only):
        return [nn.functional.avg_pool2d(images[:, :1], (4, 8, 16)[k]) for k in indices]

    def forward(self, images):
        brightness = images[:, 0].mean((1, 2)) * 100
        return torch.stack([brightness, -brightness], 1)


def spots(count: int) -> tuple[list[torch.Tensor], list[tuple[int, int]]]:
    """Dark images with one bright square on the grid of 8 pixels."""
    generator = torch.Generator().manual_seed(0)
    images, places = [], []
    for _ in range(count):
        row, column = (int(v) for v in torch.randint(0, SIZE // 8, (2,), generator=generator))
        image = torch.zeros(1, SIZE, SIZE)
        image[:, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 1.0
        images.append(image)
        places.append((row, column))
    return images, places


@pytest.fixture(scope="module")
def fitted():
    network = Classifier(BrightSpot(), num_classes=2, image_size=SIZE)
    images, _ = spots(96)
    return network, fit_evidence(network, images, CPU)


@torch.no_grad()
def test_the_map_peaks_where_the_evidence_is(fitted) -> None:
    network, evidence = fitted
    images, places = spots(40)
    maps = evidence(feature_maps(network, torch.stack(images)))
    peaks = [divmod(int(m[0].argmax()), SIZE // 8) for m in maps]
    assert sum(peak == place for peak, place in zip(peaks, places, strict=True)) >= 39


def test_it_foretells_what_blanking_costs(fitted) -> None:
    network, evidence = fitted
    assert occlusion_r2(network, evidence, spots(30)[0], CPU) > 0.9


@torch.no_grad()
def test_what_all_classes_share_is_no_evidence(fitted) -> None:
    network, evidence = fitted
    maps = evidence(feature_maps(network, torch.rand(3, 1, SIZE, SIZE)))
    torch.testing.assert_close(maps.sum(1), torch.zeros(3, 8, 8), atol=1e-4, rtol=0)
    assert contrast(torch.tensor([[1.0, 3.0]]), 1).tolist() == [[-1.0, 1.0]]


def test_the_seed_decides_and_nothing_else_random_is_touched(fitted) -> None:
    network, evidence = fitted
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    again = fit_evidence(network, spots(96)[0], CPU)
    assert torch.equal(torch.rand(1), expected)
    for one, other in zip(evidence.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    other_seed = fit_evidence(network, spots(96)[0], CPU, seed=1)
    assert not torch.equal(other_seed.state_dict()["head.0.weight"], evidence.state_dict()["head.0.weight"])


def test_regions_are_rectangles_of_at_most_a_third_of_the_side() -> None:
    import numpy as np

    regions = _random_regions(6, 9, np.random.default_rng(0))
    assert regions.shape[0] == 6
    assert set(regions.unique().tolist()) == {0.0, 1.0}
    areas = regions.sum((2, 3))
    assert areas.min() >= 1
    assert areas.max() <= 2 * 3 * 3


def test_the_sum_over_a_region_is_what_is_compared() -> None:
    maps = torch.arange(8.0).view(1, 2, 2, 2)
    regions = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 0.0]]]])
    assert _sums(maps, regions).tolist() == [[[3.0, 11.0], [1.0, 5.0]]]


def test_without_images_there_is_nothing_to_fit_on() -> None:
    with pytest.raises(SKDError, match="no training images"):
        fit_evidence(Classifier(BrightSpot(), 2, SIZE), [], CPU)
