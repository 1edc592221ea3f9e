"""Class heat maps as part of the forward pass: where the evidence for each class lies, without gradients.

Convolutional students: class activation maps (Zhou et al., "Learning Deep Features for Discriminative Localization",
CVPR 2016, arXiv 1512.04150). A stride of 32 would leave 4 x 4 cells of a 112 pixel image, so the last stages run once
more with their strides turned into dilations (Yu et al., "Dilated Residual Networks", CVPR 2017, arXiv 1705.09914).
That changes no weight and computes the same network at the positions in between: the coarse map is exactly a subset of
the fine one.

Transformers: the classification head reads every patch token of the last block as it reads the class token.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from MonaiSKD.errors import SKDError
from MonaiSKD.models.classifier import Classifier, build_backbone

DENSE_STRIDE = 8


def class_evidence(classifier: Classifier) -> nn.Module:
    """The module that maps the network's normalised input to the evidence for each class, place by place.

    The softmax does not see what all logits share, so the mean over the classes is taken off: positive speaks for a
    class, negative against it, in logits.

    Args:
        classifier: a trained student; its weights are shared, not copied.

    Returns:
        a module: normalised images [N, 3, S, S] -> evidence [N, K, h, w].

    Raises:
        SKDError: the backbone is neither a timm EfficientNet, ConvNeXt nor Vision Transformer.

    Example:
        >>> import torch
        >>> network = Classifier("tf_efficientnet_lite_xs", num_classes=3, image_size=64).eval()
        >>> class_evidence(network)(torch.zeros(2, 3, 64, 64)).shape
        torch.Size([2, 3, 8, 8])
    """
    backbone = classifier.backbone
    if hasattr(backbone, "patch_embed") and hasattr(backbone, "cls_token"):
        return TokenEvidence(backbone, classifier.temperature)
    if hasattr(backbone, "conv_head") or hasattr(backbone, "stages"):
        return DenseEvidence(backbone, classifier.temperature, classifier.num_classes, classifier.image_size)
    name = type(backbone).__name__
    raise SKDError(f"network {name}", "no heat map is known for it", "Use an EfficientNet, ConvNeXt or ViT student")


class DenseEvidence(nn.Module):
    """Class activation maps of a convolutional backbone, at stride 8."""

    def __init__(self, backbone: Any, temperature: Tensor, num_classes: int, image_size: int) -> None:
        super().__init__()
        name = backbone.default_cfg["architecture"]
        self.dense: Any = build_backbone(name, num_classes, image_size, output_stride=DENSE_STRIDE)
        _share_tensors(backbone, self.dense)
        self.norm = getattr(getattr(backbone, "head", None), "norm", nn.Identity())
        self.register_buffer("temperature", temperature, persistent=False)
        self.shift = _shift(self.dense)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images [N, 3, S, S] -> evidence [N, K, S / 8, S / 8]."""
        features = self.dense.forward_features(images)
        if not isinstance(self.norm, nn.Identity):
            features = self._normalised(features)
        head = self.dense.get_classifier()
        # The mean over places plus the bias is the logit, so the bias belongs to no place.
        evidence = functional.conv2d(features, _contrast(head.weight)[:, :, None, None]) / self.temperature
        return _moved(evidence, self.shift)

    def _normalised(self, features: Tensor) -> Tensor:
        """What the layer norm behind the pooling does to the pooled features, done to every place alike."""
        pooled = features.mean((2, 3), keepdim=True)
        centre = pooled.mean(1, keepdim=True)
        scale = (pooled.var(1, correction=0, keepdim=True) + self.norm.eps).rsqrt()
        return (features - centre) * scale * self.norm.weight[:, None, None]


class TokenEvidence(nn.Module):
    """Class evidence of a Vision Transformer's patch tokens."""

    def __init__(self, backbone: Any, temperature: Tensor) -> None:
        super().__init__()
        self.backbone = backbone
        self.register_buffer("temperature", temperature, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images [N, 3, S, S] -> evidence [N, K, S / patch, S / patch]."""
        tokens = self.backbone.forward_features(images)[:, self.backbone.num_prefix_tokens :]
        head = self.backbone.get_classifier()
        evidence = self.backbone.fc_norm(tokens) @ _contrast(head.weight).T / self.temperature
        side = self.backbone.patch_embed.grid_size
        return evidence.transpose(1, 2).unflatten(2, side)


def _contrast(weight: Tensor) -> Tensor:
    return weight - weight.mean(0, keepdim=True)


def _share_tensors(source: nn.Module, target: nn.Module) -> None:
    """Let `target` use the very tensors of `source`, so that the file holds them once."""
    modules = dict(target.named_modules())
    for path, module in source.named_modules():
        for name, parameter in module._parameters.items():
            modules[path]._parameters[name] = parameter
        for name, buffer in module._buffers.items():
            modules[path]._buffers[name] = buffer
    target.eval()


def _shift(dense: nn.Module) -> float:
    """By how many cells the centres of the receptive fields lie right of, and below, the cells' own centres.

    TensorFlow pads strided convolutions after the image only, PyTorch before it; both move the map by almost half a
    cell. Followed through the strided convolutions, output position o sees the input around stride * o + offset.
    """
    stride, offset = 1, 0.0
    for module in dense.modules():
        if isinstance(module, nn.Conv2d) and module.stride[0] > 1:
            kernel, step = module.kernel_size[0], module.stride[0]
            same = type(module).__name__ == "Conv2dSame"
            before = max(kernel - step, 0) // 2 if same else int(module.padding[0])
            offset += stride * ((kernel - 1) / 2 - before)
            stride *= step
    return (offset - (stride - 1) / 2) / stride


def _moved(maps: Tensor, shift: float) -> Tensor:
    """Sample the maps [N, K, h, w] `shift` cells (between -1 and 1) up and left, repeating the border."""
    if shift == 0:
        return maps
    part = abs(shift)
    before, after = (1, 0) if shift > 0 else (0, 1)
    padded = functional.pad(maps, (before, after, before, after), mode="replicate")
    near, far = (slice(1, None), slice(None, -1)) if shift > 0 else (slice(None, -1), slice(1, None))
    rows = (1 - part) * padded[:, :, near] + part * padded[:, :, far]
    return (1 - part) * rows[..., near] + part * rows[..., far]
