"""Harmed images: what each corruption does, and that it does the same at every look."""

import pytest
import torch
from accuracy.corruptions import CORRUPTIONS, corrupt


@pytest.fixture(scope="module")
def images():
    """Two smooth images [2, 1, 64, 64] with values from 0 to 1."""
    ramp = torch.linspace(0, 1, 64)
    return torch.stack([ramp.expand(64, 64), ramp[:, None] * ramp])[:, None].contiguous()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_stronger_harm_is_farther_from_the_image_and_the_same_at_every_look(images, name):
    distances = []
    for strength in CORRUPTIONS[name].strengths:
        harmed = corrupt(images, name, strength)
        assert harmed.dtype == torch.float32
        assert 0 <= harmed.min() <= harmed.max() <= 1
        assert torch.equal(harmed, corrupt(images, name, strength))
        stretched = torch.nn.functional.interpolate(harmed, (64, 64), mode="bilinear")
        distances.append((stretched - images).abs().mean().item())
    assert 0 < distances[0] < distances[1] < distances[2]


def test_noise_has_its_deviation_and_differs_between_images_alone():
    grey = torch.full((2, 1, 200, 200), 0.5)
    harmed = corrupt(grey, "noise", 0.12)
    assert harmed.std().item() == pytest.approx(0.12, rel=0.01)
    assert not torch.equal(harmed[0], harmed[1])
    assert torch.equal(harmed[:1], corrupt(grey[:1], "noise", 0.12))


def test_blur_spreads_a_point_over_its_deviation():
    point = torch.zeros(1, 1, 65, 65)
    point[..., 32, 32] = 1
    spread = corrupt(point, "blur", 3)[0, 0]
    assert spread.sum().item() == pytest.approx(1, abs=1e-4)
    assert spread[32, 35].item() / spread[32, 32].item() == pytest.approx(2.718282**-0.5, rel=1e-3)


def test_contrast_keeps_the_mean():
    image = torch.tensor([[0.25, 0.75], [0.75, 0.25]])[None, None]
    assert torch.allclose(corrupt(image, "contrast", 0.4), torch.tensor([[0.4, 0.6], [0.6, 0.4]])[None, None])


def test_every_other_image_turns_the_other_way_into_black_corners():
    bar = torch.zeros(1, 63, 63)
    bar[:, :, 29:34] = 1
    first, second = corrupt(torch.stack([bar, bar]), "rotation", 30)
    assert torch.allclose(first, second.flip(-1), atol=1e-5)
    assert not torch.allclose(first, second, atol=0.5)
    assert corrupt(torch.ones(1, 1, 63, 63), "rotation", 30)[0, 0, 0, 0] == 0


def test_crop_keeps_the_middle_as_it_is(images):
    assert torch.equal(corrupt(images, "crop", 0.75), images[..., 8:56, 8:56])
