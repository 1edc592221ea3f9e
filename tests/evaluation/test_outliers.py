from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from MonaiSKD.evaluation import outliers as module
from MonaiSKD.evaluation.outliers import outliers, typical_variants
from MonaiSKD.reading import Modality

COUNT, SIDE = 8, 48


def pictures(count: int = COUNT, side: int = SIDE) -> Tensor:
    """A bright blob in the upper left quarter, with fine noise: no turn of it looks like itself."""
    generator = torch.Generator().manual_seed(0)
    images = 0.2 * torch.rand(count, 1, side, side, generator=generator)
    images[:, :, side // 8 : side // 2, side // 4 : side // 2] += 0.7
    return images


def drawn(images: Tensor, seed: int = 0, modality: Modality = "brain_mri") -> dict[str, Tensor]:
    return outliers(images, modality, np.random.default_rng(seed))


@pytest.fixture(scope="module", autouse=True)
def _few_phantoms() -> Iterator[None]:
    """Six of a kind do here; drawing 150 takes seconds."""
    whole = module._phantoms
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_phantoms", lambda modality, count, *rest: whole(modality, 6, *rest))
        yield


@pytest.fixture(scope="module")
def kinds() -> dict[str, Tensor]:
    return drawn(pictures())


def test_no_kind_is_empty_and_all_are_images(kinds: dict[str, Tensor]) -> None:
    assert len(kinds) == 15
    for kind, images in kinds.items():
        assert len(images) > 0, kind
        assert images.shape[1:] == (1, SIDE, SIDE), kind
        assert images.dtype == torch.float32, kind
        assert 0 <= images.min() <= images.max() <= 1 + 1e-6, kind
    assert len(kinds["turned 90"]) == len(kinds["upside down"]) == COUNT
    assert len(kinds["negative"]) == COUNT // 2
    assert len(kinds["crop"]) == COUNT // 4


@pytest.mark.parametrize(("count", "side"), [(1, 32), (3, 30), (2, 65)])
def test_few_images_of_any_side(count: int, side: int) -> None:
    for kind, images in drawn(pictures(count, side)).items():
        assert len(images) > 0, kind
        assert images.shape[1:] == (1, side, side), kind
        assert bool(images.isfinite().all()), kind


def test_seed_alone_decides(kinds: dict[str, Tensor]) -> None:
    torch.manual_seed(5)
    again, other = drawn(pictures()), drawn(pictures(), seed=1)
    assert again.keys() == other.keys() == kinds.keys()
    for kind, images in kinds.items():
        assert torch.equal(images, again[kind]), kind
        assert kind == "negative" or not torch.equal(images, other[kind]), kind


@pytest.mark.parametrize("modality", get_args(Modality))
def test_phantoms_are_those_of_the_other_modalities(modality: Modality) -> None:
    found = {kind for kind in drawn(pictures(1, 32), modality=modality) if kind.startswith("phantom")}
    assert found == {f"phantom {other}" for other in get_args(Modality) if other != modality}


def agreement(first: Tensor, second: Tensor) -> float:
    """Correlation of two images."""
    return float(torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1])


@pytest.mark.parametrize("k", [1, 2, 3])
def test_turned_is_turned_up_to_the_variation(kinds: dict[str, Tensor], k: int) -> None:
    for image, turned in zip(pictures(), kinds[f"turned {90 * k}"], strict=True):
        fits = [agreement(image.rot90(n, (1, 2)), turned) for n in range(4)]
        assert int(np.argmax(fits)) == k
        assert fits[k] > 0.5


def test_upside_down_is_flipped_up_to_the_variation(kinds: dict[str, Tensor]) -> None:
    for image, flipped in zip(pictures(), kinds["upside down"], strict=True):
        assert agreement(image.flip(1), flipped) > 0.5 > agreement(image, flipped)


def test_negative_is_exact(kinds: dict[str, Tensor]) -> None:
    assert torch.equal(kinds["negative"], 1 - pictures()[::2])


def test_shuffled_keeps_the_histogram_and_not_the_picture(kinds: dict[str, Tensor]) -> None:
    for image, shuffled in zip(pictures()[::2], kinds["shuffled"], strict=True):
        assert torch.equal(image.flatten().sort().values, shuffled.flatten().sort().values)
        assert not torch.equal(image, shuffled)
        # Each of the sixteen pieces is there, whole.
        cells = [part.unfold(1, 12, 12).unfold(2, 12, 12).reshape(16, -1) for part in (image, shuffled)]
        assert sorted(map(tuple, cells[0].tolist())) == sorted(map(tuple, cells[1].tolist()))


def test_crop_is_a_small_part_blown_up() -> None:
    side = 96
    ramp = (torch.arange(side) / side).expand(4, 1, side, side).contiguous()
    crops = drawn(ramp)["crop"]
    spread = crops.amax((1, 2, 3)) - crops.amin((1, 2, 3))
    assert bool(((1 / 8 - 2 / side <= spread) & (spread <= 1 / 3)).all())


def test_flat_images_are_flat(kinds: dict[str, Tensor]) -> None:
    assert float(kinds["flat"].std((1, 2, 3)).max()) < 1e-6


def test_typical_variants_move_little() -> None:
    images = pictures()
    moved = typical_variants(images, np.random.default_rng(0))
    assert moved.shape == images.shape
    assert 0 <= moved.min() <= moved.max() <= 1 + 1e-6
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    for before, after in zip(images, moved, strict=True):
        assert not torch.equal(before, after)
        assert agreement(before, after) > 0.5
        # Of the blob's centre: 5 % from the shift; 12 degrees and 10 % of at most a quarter of the side; and rounding.
        for places in (rows, columns):
            centres = [float((places * (image[0] > 0.5)).sum() / (image[0] > 0.5).sum()) for image in (before, after)]
            assert abs(centres[0] - centres[1]) < (0.05 + 0.21 * 0.25 + 0.1 * 0.25 + 0.03) * SIDE
