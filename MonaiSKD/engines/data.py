"""Feeding the engines: cached canonical images, views that can be drawn again, samplers that know the epoch."""

from __future__ import annotations

import copy
import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from monai.data import CacheDataset, DataLoader, PersistentDataset, ThreadDataLoader
from monai.transforms import Compose, MapTransform, Randomizable
from monai.utils import convert_to_tensor
from torch import Tensor
from torch.utils.data import Dataset
from torch.utils.data.distributed import DistributedSampler

from MonaiSKD.datasets.unlabeled import UNLABELED
from MonaiSKD.errors import SKDError

Item = dict[str, Any]


def _fingerprint(transform: MapTransform, item: Item) -> bytes:
    """A cache key that changes with the file and with how it is read (rule, size), so that nothing stale is taken."""
    stat = Path(item["image"]).stat()
    text = f"{sorted(vars(transform).items())}|{Path(item['image']).resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
    return hashlib.sha256(text.encode()).hexdigest().encode()


class ViewsDataset(Dataset[Item]):
    """Images read once, then augmented anew for every view and epoch.

    The augmentation of a view depends on (seed, epoch, index, view) alone: not on workers, ranks, or whether the run
    was interrupted. So a resumed run sees what the uninterrupted one would have seen.

    Args:
        data: items {"image": path, "label": int}.
        transform: from path to canonical image; its result is cached.
        augment: random MONAI transforms; None yields the canonical image itself, as one view.
        views: views per image: keys "image", "image_2", ...
        seed: seed of the augmentations.
        distinct_epochs: after how many epochs the views repeat (0: never). Repeating views let the teacher's features
            be cached.
        cache_dir: keep the canonical images on disk there instead of in memory.

    Indexing takes (epoch, index), as :class:`EpochSampler` yields, or an index (epoch 0). An item has "index" and
    "epoch" beside the views and the label.
    """

    def __init__(
        self,
        data: Sequence[Item],
        transform: MapTransform,
        augment: Compose | None = None,
        views: int = 1,
        seed: int = 0,
        distinct_epochs: int = 0,
        cache_dir: str | None = None,
    ) -> None:
        self.data = list(data)
        self.augment = augment
        self.views = views
        self.seed = seed
        self.distinct_epochs = distinct_epochs
        self._state = np.random.RandomState()
        self.cached: Dataset[Item] = (
            CacheDataset(self.data, transform, num_workers=os.cpu_count(), progress=False)
            if cache_dir is None
            else PersistentDataset(
                self.data, transform, cache_dir=cache_dir, hash_func=partial(_fingerprint, transform)
            )
        )

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, position: int | tuple[int, int]) -> Item:
        epoch, index = position if isinstance(position, tuple) else (0, position)
        if self.distinct_epochs:
            epoch %= self.distinct_epochs
        canonical = self.cached[index]["image"]
        item: Item = {"label": self.data[index]["label"], "index": index, "epoch": epoch}
        for view in range(self.views):
            key = "image" if view == 0 else f"image_{view + 1}"
            item[key] = canonical if self.augment is None else self._augmented(canonical, epoch, index, view)
        return item

    def images(self) -> list[Tensor]:
        """The canonical images [1, S, S] themselves, without augmentation, in order."""
        return [torch.as_tensor(self.cached[index]["image"]) for index in range(len(self))]

    def single_view(self) -> ViewsDataset:
        """The same images, read once for both, with one view per item."""
        other = copy.copy(self)
        other.views = 1
        other._state = np.random.RandomState()
        return other

    def labelled(self) -> ViewsDataset:
        """The same images, read once for both, without those behind the last that has a label."""
        other = copy.copy(self)
        other._state = np.random.RandomState()
        other.data = [item for item in self.data if item["label"] != UNLABELED]
        if other.data != self.data[: len(other.data)]:
            raise ValueError("images without labels must stand behind those with labels")
        return other

    def _augmented(self, canonical: Any, epoch: int, index: int, view: int) -> Any:
        assert self.augment is not None
        key = f"{self.seed}|{epoch}|{index}|{view}".encode()
        # One random state for all the transforms, seeded anew: making one for each, or for each view, would cost more
        # than many a transform does. It is given to them for every view because MONAI's DataLoader gives them states of
        # its own.
        state = self._state
        state.seed(int.from_bytes(hashlib.blake2s(key, digest_size=4).digest(), "big"))
        for transform in self.augment.transforms:
            if isinstance(transform, Randomizable):
                transform.set_random_state(state=state)
        return convert_to_tensor(self.augment({"image": canonical})["image"], track_meta=False)


class EpochSampler(DistributedSampler[Any]):
    """Yields (epoch, index), shuffled anew each epoch from (seed, epoch), a disjoint share per rank.

    MONAI's workflows call `set_epoch` at the start of every epoch. A share is padded by repetition so that all ranks
    make the same number of steps.
    """

    def __init__(self, dataset: ViewsDataset, seed: int = 0) -> None:
        super().__init__(dataset, idist.get_world_size(), idist.get_rank(), shuffle=True, seed=seed)

    def __iter__(self) -> Iterator[Any]:
        return ((self.epoch, index) for index in super().__iter__())


class ShardSampler(DistributedSampler[Any]):
    """Each rank's share of a data set in order, without repetition: what evaluation needs."""

    def __init__(self, dataset: ViewsDataset) -> None:
        super().__init__(dataset, idist.get_world_size(), idist.get_rank(), shuffle=False)
        self.count = len(dataset)

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.rank, self.count, self.num_replicas))

    def __len__(self) -> int:
        return len(range(self.rank, self.count, self.num_replicas))


def train_loader(dataset: ViewsDataset, batch_size: int, seed: int = 0, num_workers: int = 0) -> DataLoader:
    """Batches of (on all ranks together) `batch_size` images, shuffled; a last batch below half of that is dropped.

    BatchNorm statistics of a handful of images would harm more than those images could help. A thread draws the views
    of the next batches while the network learns from this one; `num_workers` > 0 takes processes instead.
    """
    share = max(1, batch_size // idist.get_world_size())
    sampler = EpochSampler(dataset, seed)
    remainder = len(sampler) % share
    options = {
        "batch_size": share,
        "sampler": sampler,
        "drop_last": len(sampler) > share and remainder < math.ceil(share / 2),
        "generator": _own_generator(seed),
    }
    if num_workers:
        return DataLoader(dataset, num_workers=num_workers, persistent_workers=True, **options)
    return ThreadDataLoader(dataset, buffer_size=2, num_workers=0, **options)


def sample_images(dataset: ViewsDataset, count: int, seed: int = 0) -> Tensor | None:
    """`count` canonical images [n, 1, S, S] drawn at random without augmentation, or all if fewer; None for 0."""
    if count == 0:
        return None
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed))[:count]
    return torch.stack([dataset.cached[int(index)]["image"] for index in order])


def eval_loader(dataset: ViewsDataset, batch_size: int) -> DataLoader:
    """Every image once, in order, over all ranks.

    Raises:
        SKDError: a rank would have none.
    """
    if len(dataset) < idist.get_world_size():
        cause = f"there are {len(dataset)} for {idist.get_world_size()} processes, and each needs one"
        raise SKDError("images of a split", cause, "Use fewer processes, or add images to the split")
    sampler = ShardSampler(dataset)
    return DataLoader(dataset, batch_size=batch_size, sampler=sampler, num_workers=0, generator=_own_generator())


def _own_generator(seed: int = 0) -> torch.Generator:
    """For a loader. It would draw from the training's random numbers, and once more in a run that goes on."""
    return torch.Generator().manual_seed(seed)
