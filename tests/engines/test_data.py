"""Views are a function of (seed, epoch, index, view); samplers cover every image."""

import ignite.distributed as idist
import numpy as np
import pytest
import torch
from monai.data import get_track_meta, set_track_meta
from PIL import Image

from MonaiSKD.engines import ViewsDataset, eval_loader, sample_images, train_loader
from MonaiSKD.errors import SKDError
from MonaiSKD.transforms import ReadCanonicald, brain_mri_augmentation


@pytest.fixture
def items(tmp_path):
    generator = np.random.default_rng(0)
    rows = []
    for index in range(11):
        path = tmp_path / f"{index}.png"
        Image.fromarray(generator.integers(0, 255, (24, 24), dtype=np.uint8)).save(path)
        rows.append({"image": str(path), "label": index % 2})
    return rows


def dataset(items, **options):
    return ViewsDataset(items, ReadCanonicald("image", "brain_mri", 16), brain_mri_augmentation(16), views=2, **options)


def test_a_view_can_be_drawn_again_and_differs_from_every_other(items):
    first, second = dataset(items, seed=3), dataset(items, seed=3)
    item = first[(2, 5)]
    first[(7, 1)]  # what was drawn in between does not matter
    assert torch.equal(item["image"], second[(2, 5)]["image"])
    assert torch.equal(item["image_2"], first[(2, 5)]["image_2"])
    others = [item["image_2"], first[(3, 5)]["image"], first[(2, 6)]["image"], dataset(items, seed=4)[(2, 5)]["image"]]
    assert not any(torch.equal(item["image"], other) for other in others)


def test_the_loader_does_not_change_the_views(items):
    batch = next(iter(train_loader(dataset(items), batch_size=4)))
    again = dataset(items)
    for row, index in enumerate(batch["index"].tolist()):
        assert torch.equal(batch["image_2"][row], again[(0, index)]["image_2"])


@pytest.mark.parametrize("tracked", [True, False])
def test_views_do_not_depend_on_what_was_drawn_before(items, tracked):
    before = get_track_meta()
    set_track_meta(tracked)
    try:
        forward, backward = dataset(items), dataset(items)
        places = [(epoch, index) for epoch in range(3) for index in range(len(items))]
        first = {place: forward[place] for place in places}
        second = {place: backward[place] for place in reversed(places)}
    finally:
        set_track_meta(before)
    for place in places:
        assert torch.equal(first[place]["image"], second[place]["image"])
        assert torch.equal(first[place]["image_2"], second[place]["image_2"])


def test_views_are_canonical(items):
    item = dataset(items)[(0, 0)]
    assert item["image"].shape == (1, 16, 16)
    assert item["image"].dtype == torch.float32
    assert 0 <= item["image"].min() <= item["image"].max() <= 1
    assert item["label"] == 0


def test_distinct_epochs_make_the_views_return(items):
    data = dataset(items, distinct_epochs=2)
    assert torch.equal(data[(0, 3)]["image"], data[(2, 3)]["image"])
    assert not torch.equal(data[(0, 3)]["image"], data[(1, 3)]["image"])
    assert data[(5, 3)]["epoch"] == 1


def test_the_disk_cache_notices_a_replaced_file(items, tmp_path):
    data = ViewsDataset(items, ReadCanonicald("image", "brain_mri", 16), cache_dir=str(tmp_path / "cache"))
    before = data[0]["image"]
    Image.fromarray(np.full((24, 24, 3), 200, np.uint8)).save(items[0]["image"])
    again = ViewsDataset(items, ReadCanonicald("image", "brain_mri", 16), cache_dir=str(tmp_path / "cache"))
    assert not torch.equal(before, again[0]["image"])
    assert torch.equal(data[1]["image"], again[1]["image"])


def test_the_disk_cache_notices_another_size_and_rule(items, tmp_path):
    def read(modality, size):
        return ViewsDataset(items, ReadCanonicald("image", modality, size), cache_dir=str(tmp_path / "cache"))[0][
            "image"
        ]

    assert read("brain_mri", 16).shape == (1, 16, 16)
    assert read("brain_mri", 20).shape == (1, 20, 20)
    assert len({path.name for path in (tmp_path / "cache").iterdir()}) == 2
    read("lung_ct", 20)
    assert len({path.name for path in (tmp_path / "cache").iterdir()}) == 3


def test_training_batches_are_shuffled_anew_and_tiny_remainders_dropped(items):
    loader = train_loader(dataset(items), batch_size=4)
    epochs = []
    for epoch in (0, 1):
        loader.sampler.set_epoch(epoch)
        batches = list(loader)
        assert [len(batch["label"]) for batch in batches] == [4, 4, 3]
        assert all((batch["epoch"] == epoch).all() for batch in batches)
        epochs.append(torch.cat([batch["index"] for batch in batches]).tolist())
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(11))
    assert epochs[0] != epochs[1]
    assert [len(batch["label"]) for batch in train_loader(dataset(items), batch_size=10)] == [10]
    assert [len(batch["label"]) for batch in train_loader(dataset(items), batch_size=64)] == [11]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_loaders_leave_the_random_stream_of_the_training_alone(items, num_workers):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    torch.rand(2)
    for loader in (train_loader(dataset(items), 4, num_workers=num_workers), eval_loader(dataset(items), 4)):
        for _ in range(2):
            next(iter(loader))
    assert torch.equal(torch.rand(2), expected[2:])


def test_evaluation_sees_each_image_once_in_order(items):
    data = ViewsDataset(items, ReadCanonicald("image", "brain_mri", 16))
    seen = torch.cat([batch["index"] for batch in eval_loader(data, 4)])
    assert seen.tolist() == list(range(11))


def test_a_split_that_leaves_a_process_without_images_is_refused(items, monkeypatch):
    data = ViewsDataset(items, ReadCanonicald("image", "brain_mri", 16))
    monkeypatch.setattr(idist, "get_world_size", lambda: 11)
    assert len(eval_loader(data, 4)) == 1
    monkeypatch.setattr(idist, "get_world_size", lambda: 12)
    with pytest.raises(SKDError, match=r"there are 11 for 12 processes.*fewer processes"):
        eval_loader(data, 4)


def test_a_sample_is_drawn_without_repetition(items):
    images = sample_images(dataset(items), 5, seed=1)
    assert images.shape == (5, 1, 16, 16)
    assert len({image.numpy().tobytes() for image in images}) == 5
    assert len(sample_images(dataset(items), 99)) == 11
    assert sample_images(dataset(items), 0) is None


def test_images_without_labels_are_left_out_and_the_views_stay(items):
    data = dataset([*items[:8], *({**item, "label": -1} for item in items[8:])], seed=3)
    labelled = data.labelled()
    assert (len(data), len(labelled)) == (11, 8)
    assert torch.equal(labelled[(1, 7)]["image"], data[(1, 7)]["image"])


def test_images_without_labels_stand_last(items):
    with pytest.raises(ValueError, match="behind"):
        dataset([{**items[0], "label": -1}, *items[1:]]).labelled()
