from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import nn

from MonaiSKD.errors import SKDError
from MonaiSKD.selection import make_plan

Build = Callable[..., nn.Module]


@pytest.mark.parametrize(
    ("teacher", "student", "reason", "nearest"),
    [
        ("resnet50", "resnet18", "ResNet is none of the families", "convnext_tiny -> convnext_pico"),
        ("mobilenetv3_large_100", "mobilenetv3_small_100", "MobileNetV3 is none", "lite2 -> tf_efficientnet_lite_xs"),
        (
            "convnext_tiny",
            "vit_tiny_patch16_224",
            "family ConvNeXt, the student of ViT",
            "convnext_tiny -> convnext_fem",
        ),
        (
            "vit_tiny_patch16_224",
            "vit_small_patch16_224",
            "384 entries along residual",
            "vit_small_patch16_224 -> vit_t",
        ),
        ("efficientnet_b0", "efficientnet_b1", "2 blocks in blocks.0 and the teacher only 1", "b1 -> efficientnet_b0"),
        (
            "efficientnet_b1",
            "tf_efficientnet_lite0",
            r"no place for .*se\.conv_reduce",
            "lite2 -> tf_efficientnet_lite0",
        ),
        ("convnext_tiny", "convnextv2_femto", "nothing for the student's .*grn", "convnext_tiny -> convnext_femto"),
        ("convnext_tiny", "convnext_atto_ols", "axis 2 of stem.0.weight", "convnext_tiny -> convnext_atto"),
        ("vit_small_patch14_reg4_dinov2", "vit_tiny_patch14_dinov2", "4 registers", "vit_small_patch14_dinov2 ->"),
        ("efficientnet_es", "efficientnet_es", "neither a depthwise", "efficientnet_b1 -> efficientnet_b0"),
        ("efficientnet_b3_gn", "efficientnet_b0_gn", "no batch normalisations", "efficientnet_b1 -> efficientnet_b0"),
    ],
)
def test_pairs_that_cannot_map_name_the_reason_and_the_nearest_that_can(
    teacher: str, student: str, reason: str, nearest: str
) -> None:
    with pytest.raises(
        SKDError, match=rf"^{teacher} -> {student}: .*{reason}.* The nearest pair that maps is .*{nearest}"
    ):
        make_plan(teacher, student)


def test_an_unknown_name_is_refused_with_near_ones() -> None:
    with pytest.raises(SKDError, match=r"convnext_tinny: timm knows no network.*convnext_tiny"):
        make_plan("convnext_tinny", "convnext_atto")


def test_more_heads_than_the_teacher_has_are_refused(vit: Build) -> None:
    with pytest.raises(SKDError, match=r"8 entries along blocks\.0\.heads and the teacher only 6"):
        make_plan(vit(), vit(num_heads=8))


def test_other_input_channels_and_kernels_are_refused(vit: Build, convnext: Build) -> None:
    with pytest.raises(SKDError, match=r"axis 1 of patch_embed.proj.weight has 1 entries, the teacher's 3"):
        make_plan(vit(), vit(in_chans=1))
    with pytest.raises(SKDError, match=r"axis 1 of patch_embed.proj.weight has 1 entries, the teacher's 3"):
        make_plan(vit(), vit(in_chans=1, patch_size=4))
    with pytest.raises(SKDError, match=r"axis 2 of stages.0.blocks.0.conv_dw.weight has 5 entries, the teacher's 7"):
        make_plan(convnext(), convnext(kernel_sizes=5))


def test_parts_that_would_be_lost_are_refused(vit: Build) -> None:
    with pytest.raises(SKDError, match=r"no place for the teacher's blocks\.0\.attn\.qkv\.bias"):
        make_plan(vit(), vit(qkv_bias=False))
    with pytest.raises(SKDError, match=r"q_norm\.weight"):
        make_plan(vit(qk_norm=True), vit())


def test_parts_of_an_unknown_kind_are_refused(vit: Build) -> None:
    with pytest.raises(SKDError, match=r"attn_pool\..* is of a kind unknown in the family ViT"):
        make_plan(vit(global_pool="map"), vit(global_pool="map"))
