"""The network that every stage trains and every export contains: canonical image in, logits out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from MonaiSKD.models.networks import check_known, check_tiled


class Output(NamedTuple):
    """What one forward pass yields.

    Attributes:
        logits: [N, K].
        tokens: [N, T, C], the backbone's last features; a convolutional map [N, C, h, w] as T = h * w tokens.
    """

    logits: Tensor
    tokens: Tensor


def resize(images: Tensor, size: int) -> Tensor:
    """Bring images [N, C, H, W] to [N, C, size, size] by antialiased bilinear interpolation.

    Training caches, evaluation and export all call this one function.
    """
    # A trace would keep this shortcut for images of every size.
    traced = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    if not traced and images.shape[-2:] == (size, size):
        return images
    return functional.interpolate(images, (size, size), mode="bilinear", antialias=True, align_corners=False)


def build_backbone(name: str, num_classes: int, image_size: int, **options: Any) -> nn.Module:
    """Create a timm network without pretrained weights.

    Raises:
        SKDError: timm does not know the name, or a transformer's patches do not tile `image_size`.
    """
    check_known(name)
    # Only networks with a position grid are tied to a size, and timm names the option for just those.
    if timm.get_pretrained_cfg(name).fixed_input_size:
        options["img_size"] = image_size
    backbone: nn.Module = timm.create_model(name, pretrained=False, num_classes=num_classes, **options)
    patch = getattr(getattr(backbone, "patch_embed", None), "patch_size", None)
    if patch is not None:
        check_tiled(name, patch[0], image_size)
    return backbone


class Classifier(nn.Module):
    """A timm backbone that reads canonical images.

    Args:
        backbone: a timm name (built without weights), or a timm module with its head in place.
        num_classes: K, the number of classes.
        image_size: side in pixels that every image is resized to.
        drop_path_rate: stochastic depth, in [0, 1).

    Shapes:
        input: [N, 1, H, W] float in [0, 1], bright = dense (the canonical image), any H and W.
        output: logits [N, K], divided by :attr:`temperature`.

    Attributes:
        temperature: 1 until calibration sets it.
        mean, std: per channel, of the input in [0, 1]: the network's own, or its teacher's where it has the teacher's
            weights. Like the temperature they are part of the state dict, so that weights never travel without them;
            a state dict without them, as the bundles' first weights are, leaves the network's own.

    Raises:
        SKDError: see :func:`build_backbone`.

    Example:
        >>> network = Classifier("tf_efficientnet_lite_xs", num_classes=3, image_size=64)
        >>> network.eval()(torch.zeros(2, 1, 80, 100)).shape
        torch.Size([2, 3])
    """

    backbone: Any  # timm networks carry methods that nn.Module does not declare
    mean: Tensor
    std: Tensor
    temperature: Tensor

    def __init__(
        self, backbone: str | nn.Module, num_classes: int, image_size: int = 112, drop_path_rate: float = 0.0
    ) -> None:
        super().__init__()
        if isinstance(backbone, str):
            options = {"drop_path_rate": drop_path_rate} if drop_path_rate else {}
            backbone = build_backbone(backbone, num_classes, image_size, **options)
        self.backbone = backbone
        self.image_size = image_size
        self.num_classes = num_classes
        config = self.backbone.default_cfg
        _small_head(self.backbone.get_classifier())
        self.register_buffer("mean", torch.tensor(config["mean"]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(config["std"]).view(1, 3, 1, 1))
        self.register_buffer("temperature", torch.ones(()))
        # Depthwise convolutions run about half as fast again in this layout on CPU and GPU alike.
        if any(isinstance(module, nn.Conv2d) and module.groups > 1 for module in self.backbone.modules()):
            self.to(memory_format=torch.channels_last)

    @property
    def num_features(self) -> int:
        """C, the width of :attr:`Output.tokens`."""
        return int(self.backbone.num_features)

    def normalise_as(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Take over another network's normalisation, whose weights this one is about to get."""
        self.mean.copy_(torch.tensor(mean).view(1, 3, 1, 1))
        self.std.copy_(torch.tensor(std).view(1, 3, 1, 1))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        for name in ("mean", "std"):
            state_dict.setdefault(prefix + name, getattr(self, name))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def prepare(self, images: Tensor) -> Tensor:
        """Canonical images [N, 1, H, W] -> normalised network input [N, 3, S, S]."""
        images = resize(images, self.image_size).expand(-1, 3, -1, -1)
        return (images - self.mean) / self.std

    def forward(self, images: Tensor) -> Tensor:
        """Canonical images [N, 1, H, W] -> logits [N, K]."""
        logits: Tensor = self.backbone(self.prepare(images)) / self.temperature
        return logits

    def forward_tokens(self, images: Tensor) -> Output:
        """Canonical images [N, 1, H, W] -> logits [N, K] and the features they came from."""
        features = self.backbone.forward_features(self.prepare(images))
        return Output(self.backbone.forward_head(features) / self.temperature, self._tokens(features))

    @staticmethod
    def _tokens(features: Tensor) -> Tensor:
        return features.flatten(2).transpose(1, 2) if features.dim() == 4 else features


def _small_head(head: nn.Module) -> None:
    """Start a new head near zero: timm scales EfficientNet's by 1 / sqrt(K), for a few classes far too much."""
    if isinstance(head, nn.Linear):
        nn.init.trunc_normal_(head.weight, std=0.01)
        nn.init.zeros_(head.bias)
