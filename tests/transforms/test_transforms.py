"""Training reads through the reader of serving; augmentation keeps what the diagnosis rests on."""

import numpy as np
import pytest
import torch
from monai.transforms import RandAffined
from PIL import Image

from MonaiSKD.errors import SKDError
from MonaiSKD.models.classifier import resize
from MonaiSKD.reading import RULES, read_image
from MonaiSKD.transforms import (
    ReadCanonicald,
    brain_mri_augmentation,
    chest_xray_augmentation,
    lung_ct_augmentation,
)

AUGMENTATIONS = (chest_xray_augmentation, lung_ct_augmentation, brain_mri_augmentation)


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.arange(40 * 30, dtype=np.uint16).reshape(40, 30) * 50).save(path)
    return str(path)


def test_the_transform_gives_what_the_reader_gives(picture):
    item = ReadCanonicald("image", "chest_xray")({"image": picture, "label": 1})
    assert torch.equal(item["image"], torch.from_numpy(read_image(picture, RULES["chest_xray"]).pixels))
    assert item["label"] == 1


def test_the_transform_resizes_as_the_network_does(picture):
    whole = ReadCanonicald("image", "chest_xray")({"image": picture})["image"]
    small = ReadCanonicald("image", "chest_xray", 16)({"image": picture})["image"]
    assert small.shape == (1, 16, 16)
    assert torch.equal(small, resize(whole[None], 16)[0])


def test_an_unreadable_image_is_named(tmp_path):
    (tmp_path / "b.png").write_bytes(b"no")
    with pytest.raises(SKDError, match=r"b\.png"):
        ReadCanonicald("image", "lung_ct")({"image": str(tmp_path / "b.png")})


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_augmented_images_stay_canonical_and_differ(augmentation):
    augment, image = augmentation(32), torch.rand(1, 32, 32)
    augment.set_random_state(seed=0)
    views = [torch.as_tensor(augment({"image": image})["image"]) for _ in range(20)]
    assert all(view.shape == (1, 32, 32) and view.min() >= 0 and view.max() <= 1 for view in views)
    assert len({view.numpy().tobytes() for view in views}) == 20


@pytest.mark.parametrize(("augmentation", "flips"), zip(AUGMENTATIONS, (False, True, True), strict=True))
def test_only_modalities_with_mirror_symmetry_are_mirrored_and_none_is_turned_over(augmentation, flips):
    augment, image = augmentation(64), torch.zeros(1, 64, 64)
    image[0, 8:24, 8:24] = 1.0  # upper left
    augment.set_random_state(seed=1)
    left = upper = 0
    for _ in range(60):
        view = torch.as_tensor(augment({"image": image})["image"])[0]
        left += bool(view[:, :32].sum() > view[:, 32:].sum())
        upper += bool(view[:32].sum() > view[32:].sum())
    assert upper >= 58
    assert (15 < left < 45) if flips else left >= 58


def moved(augmentation, strength):
    """Deviations of place and of size along rows and columns: 200 views of a square in the middle, geometry alone."""
    image = torch.zeros(1, 96, 96)
    image[0, 36:60, 36:60] = 1.0
    (affine,) = [step for step in augmentation(96, strength).transforms if isinstance(step, RandAffined)]
    affine.set_random_state(seed=2)
    views = [torch.as_tensor(affine({"image": image})["image"])[0] > 0.5 for _ in range(200)]
    centres, sizes = [], []
    for view in views:
        places = view.nonzero().double()
        centres.append(places.mean(0))
        sizes.append(places.std(0))
    return torch.stack(centres).std(0), torch.stack(sizes).std(0)


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_images_move_and_grow_along_both_axes_as_many_times_as_far(augmentation):
    assert all((deviation < 1.0).all() for deviation in moved(augmentation, 0.0))
    single, double = moved(augmentation, 1.0), moved(augmentation, 2.0)
    for one, two in zip(single, double, strict=True):
        assert 0.8 < one[0] / one[1] < 1.25
        assert ((two / one > 1.6) & (two / one < 2.6)).all()


def test_a_second_strength_of_zero_leaves_the_columns_alone():
    # Rotation and one shear remain, which hardly move or widen what lies in the middle.
    shifts, sizes = moved(chest_xray_augmentation, (1.0, 0.0))
    assert shifts[1] < 0.2 * shifts[0]
    assert sizes[1] < 0.2 * sizes[0]
