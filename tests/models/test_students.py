from __future__ import annotations

import timm
import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import nn

import MonaiSKD.models.students  # noqa: F401


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_vit_tiny_is_half_of_dinov2_small() -> None:
    model = timm.create_model("vit_tiny_patch14_dinov2", img_size=112, num_classes=4)
    assert (model.embed_dim, model.blocks[0].attn.num_heads, len(model.blocks)) == (192, 3, 12)
    assert torch.equal(model.blocks[11].ls2.gamma, torch.full((192,), 1e-5))
    assert parameters(model) == 5_469_892
    assert model.pretrained_cfg["mean"] == IMAGENET_DEFAULT_MEAN
    assert model.pretrained_cfg["std"] == IMAGENET_DEFAULT_STD
    with torch.inference_mode():
        assert model.eval()(torch.zeros(2, 3, 112, 112)).shape == (2, 4)
        assert model.forward_features(torch.zeros(1, 3, 112, 112)).shape == (1, 65, 192)
    assert timm.create_model("vit_tiny_patch14_dinov2").state_dict()["pos_embed"].shape == (1, 1370, 192)


def test_efficientnet_lite_xs_is_half_of_lite2() -> None:
    model = timm.create_model("tf_efficientnet_lite_xs", num_classes=4)
    teacher = timm.create_model("tf_efficientnet_lite2", num_classes=4)
    assert parameters(model) == 1_285_028
    assert parameters(model) <= 1_300_000
    assert model.bn1.eps == teacher.bn1.eps == 1e-3
    mine, theirs = model.state_dict(), teacher.state_dict()
    assert mine.keys() == theirs.keys()
    assert {theirs[key].shape[0] // mine[key].shape[0] for key in mine if mine[key].ndim > 1} == {1, 2}
    assert [type(module) for module in model.modules()] == [type(module) for module in teacher.modules()]
    assert model.pretrained_cfg["mean"] == (0.5, 0.5, 0.5)
    with torch.inference_mode():
        assert model.eval()(torch.zeros(2, 3, 97, 97)).shape == (2, 4)


def test_both_serve_as_feature_extractors_of_timm() -> None:
    network = timm.create_model("tf_efficientnet_lite_xs", features_only=True)
    with torch.inference_mode():
        shapes = [feature.shape[1:] for feature in network(torch.zeros(1, 3, 64, 64))]
    assert shapes == [(8, 32, 32), (12, 16, 16), (24, 8, 8), (60, 4, 4), (176, 2, 2)]
    network = timm.create_model("vit_tiny_patch14_dinov2", features_only=True, img_size=56)
    with torch.inference_mode():
        assert [feature.shape[1:] for feature in network(torch.zeros(1, 3, 56, 56))] == [(192, 4, 4)] * 3
