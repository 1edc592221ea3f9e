"""Small students that timm does not have, registered under timm names.

Importing this module makes both known to `timm.create_model`:

- `vit_tiny_patch14_dinov2` (5.5 M parameters): the ViT-Ti of DeiT (Touvron et al., arXiv 2012.12877) with the patch
  size and LayerScale of DINOv2 (Oquab et al., arXiv 2304.07193). It halves `vit_small_patch14_dinov2`: width 384 to
  192, heads 6 to 3, 12 blocks.
- `tf_efficientnet_lite_xs` (1.2 M parameters): EfficientNet-Lite2 (Tan and Le, arXiv 1905.11946, Lite variant) with
  every width halved and every block kept. Because each ratio is exactly two, the two plans of a dual initialisation
  share no channel, and each block has its own block of the teacher to start from.

Neither has pretrained weights: they are initialised from a teacher by :mod:`MonaiSKD.selection`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, IMAGENET_INCEPTION_MEAN, IMAGENET_INCEPTION_STD
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.efficientnet import EfficientNet, decode_arch_def, resolve_act_layer, resolve_bn_args, round_channels
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import nn

__all__ = ["tf_efficientnet_lite_xs", "vit_tiny_patch14_dinov2"]

# Half the widths of EfficientNet-Lite2 (16, 24, 48, 88, 120, 208, 352), its kernels, strides and repeats unchanged.
_LITE_XS = [
    ["ds_r1_k3_s1_e1_c8"],
    ["ir_r3_k3_s2_e6_c12"],
    ["ir_r3_k5_s2_e6_c24"],
    ["ir_r4_k3_s2_e6_c44"],
    ["ir_r4_k5_s1_e6_c60"],
    ["ir_r5_k5_s2_e6_c104"],
    ["ir_r1_k3_s1_e6_c176"],
]
_TF_BATCH_NORM_EPS = 1e-3

default_cfgs = generate_default_cfgs(
    {
        "vit_tiny_patch14_dinov2.untrained": {
            "url": "",
            "num_classes": 0,
            "input_size": (3, 518, 518),
            "pool_size": None,
            "crop_pct": 1.0,
            "interpolation": "bicubic",
            "fixed_input_size": True,
            "mean": IMAGENET_DEFAULT_MEAN,
            "std": IMAGENET_DEFAULT_STD,
            "first_conv": "patch_embed.proj",
            "classifier": "head",
        },
        "tf_efficientnet_lite_xs.untrained": {
            "url": "",
            "num_classes": 1000,
            "input_size": (3, 224, 224),
            "pool_size": (7, 7),
            "crop_pct": 0.875,
            "interpolation": "bicubic",
            "mean": IMAGENET_INCEPTION_MEAN,
            "std": IMAGENET_INCEPTION_STD,
            "first_conv": "conv_stem",
            "classifier": "classifier",
        },
    }
)


def vit_tiny_patch14_dinov2(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """Build ViT-Ti/14 as DINOv2 would: width 192, 3 heads, 12 blocks, LayerScale starting at 1e-5.

    Example:
        >>> model = vit_tiny_patch14_dinov2(img_size=112)
        >>> sum(p.numel() for p in model.parameters())
        5469120
    """
    arguments = {"patch_size": 14, "embed_dim": 192, "depth": 12, "num_heads": 3, "init_values": 1e-5, **kwargs}
    model: nn.Module = build_model_with_cfg(
        VisionTransformer,
        "vit_tiny_patch14_dinov2",
        pretrained,
        pretrained_filter_fn=checkpoint_filter_fn,
        feature_cfg={"out_indices": arguments.pop("out_indices", 3), "feature_cls": "getter"},
        **arguments,
    )
    return model


def tf_efficientnet_lite_xs(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """Build EfficientNet-Lite-XS: Lite2 at half its width, with TensorFlow's padding and batch-norm epsilon.

    Example:
        >>> model = tf_efficientnet_lite_xs(num_classes=4)
        >>> sum(p.numel() for p in model.parameters()) < 1_300_000
        True
    """
    kwargs.setdefault("bn_eps", _TF_BATCH_NORM_EPS)
    kwargs.setdefault("pad_type", "same")
    model: nn.Module = build_model_with_cfg(
        EfficientNet,
        "tf_efficientnet_lite_xs",
        pretrained,
        block_args=decode_arch_def(_LITE_XS),
        num_features=640,
        stem_size=16,
        fix_stem=True,
        # timm rounds widths to multiples of eight unless told not to, and 12, 44 and 60 are none.
        round_chs_fn=partial(round_channels, multiplier=0.0),
        act_layer=resolve_act_layer(kwargs, "relu6"),
        norm_layer=kwargs.pop("norm_layer", None) or partial(nn.BatchNorm2d, **resolve_bn_args(kwargs)),
        feature_cfg={"feature_cls": "getter"},
        **kwargs,
    )
    return model


# Called rather than written as decorators: timm's decorator carries no types.
register_model(vit_tiny_patch14_dinov2)
register_model(tf_efficientnet_lite_xs)
