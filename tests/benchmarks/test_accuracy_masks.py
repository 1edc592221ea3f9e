"""Where the organ is sought, on drawn slices and on phantoms whose lesions are known."""

import numpy as np
import pytest
import torch
from accuracy.masks import blank, brain, lung_box, lung_hull, regions

from MonaiSKD.datasets.phantoms import make_phantom
from MonaiSKD.reading import RULES, canonicalise

ROWS, COLUMNS = np.mgrid[:100, :100]


def disc(row, column, radius):
    return (ROWS - row) ** 2 + (COLUMNS - column) ** 2 <= radius**2


def chest():
    """A body in air with two lungs, the right one half opaque."""
    picture = 0.8 * disc(50, 50, 46).astype(np.float32)
    picture[disc(50, 30, 15) | disc(50, 70, 15)] = 0.1
    picture[(ROWS > 50) & disc(50, 30, 15)] = 0.8
    picture[disc(50, 30, 15) & (ROWS > 60)] = 0.1
    return picture


def test_a_box_over_both_lungs_of_a_radiograph():
    mask = lung_box(np.zeros((100, 200), dtype=np.float32))
    assert mask.sum() == 83 * 176
    assert mask[5, 12]
    assert mask[87, 187]
    assert not mask[4].any()
    assert not mask[:, 188].any()


def test_lungs_of_a_ct_slice_with_what_is_opaque_in_them():
    mask = lung_hull(chest())
    assert mask[disc(50, 30, 14) | disc(50, 70, 14)].all()
    assert mask[56, 30]  # opaque
    assert not mask[~disc(50, 50, 44)].any()  # skin and air


def test_air_within_a_white_frame_is_no_lung():
    framed = np.ones((104, 104), dtype=np.float32)
    framed[2:-2, 2:-2] = chest()
    assert (lung_hull(framed)[2:-2, 2:-2] ^ lung_hull(chest())).mean() < 0.01


def test_lungs_of_a_slice_that_is_cut_close():
    mask = lung_hull(chest()[25:75, 13:87])
    assert mask[25, 5]
    assert mask[25, 69]
    assert not mask[0, 0]


def test_a_slice_without_lungs_gets_the_box():
    picture = 0.8 * disc(50, 50, 46).astype(np.float32)
    assert (lung_hull(picture) == lung_box(picture)).all()


def test_brain_is_the_head_without_its_rim():
    picture = np.where(disc(50, 50, 40), 0.3, 0.02).astype(np.float32)
    picture[disc(50, 50, 40) & ~disc(50, 50, 37)] = 1
    picture[5, 5] = 1  # a marker in the air
    mask = brain(picture)
    assert mask[disc(50, 50, 33)].all()  # 0.08 of the diameter of 80 is taken off
    assert not mask[~disc(50, 50, 35)].any()
    assert not mask[5, 5]


def test_a_head_that_is_cut_off_has_no_rim_there():
    mask = brain(np.where(disc(99, 50, 40), 0.5, 0.0).astype(np.float32))
    assert mask[99, 50]
    assert not mask[61, 50]


@pytest.mark.parametrize(("data", "modality", "label"), [("ct", "lung_ct", "nodule"), ("mri", "brain_mri", "tumor")])
def test_lesions_of_phantoms_lie_within(data, modality, label):
    for seed in range(4):
        phantom = make_phantom(modality, label, np.random.default_rng(seed), size=224)
        pixels = canonicalise(phantom.pixels, RULES[modality]) if data == "ct" else phantom.pixels[None]
        mask = regions(torch.from_numpy(pixels)[None], data)[0, 0]
        top, left, bottom, right = phantom.box
        assert mask[top:bottom, left:right].double().mean() > 0.95
        assert 0.1 < mask.double().mean() < 0.7


def test_what_is_hidden_leaves_no_trace():
    outside = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    where = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    where[..., 1:3, 1:3] = True
    bright, dark = torch.where(where[:1], 0.9, outside), torch.where(where[:1], 0.1, outside)
    images = torch.cat([bright, dark])
    hidden = blank(images, where)
    assert torch.equal(hidden[0], hidden[1])
    assert torch.equal(hidden[~where], images[~where])
    assert hidden[where].unique().tolist() == [images.mean().item()]
