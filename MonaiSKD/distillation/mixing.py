"""Mixing the images of a batch and their labels alike: mixup and CutMix, as torchvision has them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import v2


class Mixing:
    """Blend each image with its neighbour in the batch, or paste a rectangle of that one over it.

    Labels become shares of classes. All views of an image are mixed alike, so that students and EMA teachers see the
    same blend. With both, each batch takes one of the two at random. The random numbers are PyTorch's, whose state
    checkpoints keep.

    Zhang et al., "mixup", ICLR 2018, arXiv 1710.09412; Yun et al., "CutMix", ICCV 2019, arXiv 1905.04899.

    Args:
        num_classes: K.
        mixup: parameter of mixup's Beta distribution; 0: none.
        cutmix: the same of CutMix.

    Example:
        >>> mixed = Mixing(2, mixup=1.0)({"image": torch.rand(4, 1, 8, 8), "label": torch.tensor([0, 0, 1, 1])})
        >>> mixed["label"].shape, mixed["label"].sum(1)
        (torch.Size([4, 2]), tensor([1., 1., 1., 1.]))
    """

    def __init__(self, num_classes: int, mixup: float = 0.0, cutmix: float = 0.0) -> None:
        self.num_classes = num_classes
        ways: list[v2.Transform] = []
        if mixup > 0:
            ways.append(v2.MixUp(alpha=mixup, num_classes=num_classes))
        if cutmix > 0:
            ways.append(v2.CutMix(alpha=cutmix, num_classes=num_classes))
        self.way = v2.RandomChoice(ways) if ways else None

    def __call__(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The batch with mixed "image", "image_2", and "label" as shares [N, K]; as it is without any mixing.

        Raises:
            ValueError: the batch has images without labels.
        """
        if self.way is None:
            return batch
        if bool((batch["label"] < 0).any()):
            raise ValueError("images without labels cannot be mixed: set unlabeled_in to features")
        if len(batch["label"]) < 2:
            return {**batch, "label": functional.one_hot(batch["label"], self.num_classes).float()}
        views = [name for name in ("image", "image_2") if name in batch]
        images, labels = self.way(torch.cat([batch[name] for name in views], 1), batch["label"])
        return {**batch, **dict(zip(views, images.split(1, 1), strict=True)), "label": labels}
