"""From a file to the canonical image, through the reader that serving uses too."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from MonaiSKD.models.classifier import resize
from MonaiSKD.reading import RULES, read_image


class ReadCanonicald(MapTransform):
    """Replace the path under each key by the canonical image, float32 [1, S, S] in [0, 1].

    Args:
        keys: keys whose values are paths.
        modality: which canonical-image rule applies ("chest_xray", "lung_ct" or "brain_mri").
        image_size: S, the side in pixels; None keeps the file's own size [1, H, W].

    Raises:
        SKDError: the file cannot be read as an image (see :func:`MonaiSKD.reading.read_image`).
    """

    def __init__(self, keys: KeysCollection, modality: str, image_size: int | None = None) -> None:
        super().__init__(keys)
        self.rule = RULES[modality]
        self.image_size = image_size

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of `data` with images in place of paths."""
        result = dict(data)
        for key in self.key_iterator(result):
            pixels = torch.from_numpy(read_image(result[key], self.rule).pixels)
            result[key] = pixels if self.image_size is None else resize(pixels[None], self.image_size)[0]
        return result
