from __future__ import annotations

from collections.abc import Callable

import pytest
import timm
import torch
from timm.layers import resample_abs_pos_embed, resample_patch_embed
from torch import nn

from MonaiSKD.selection import family_of, make_plan
from MonaiSKD.selection.families import FAMILIES

Build = Callable[..., nn.Module]

NAMES = [
    ("vit_small_patch14_dinov2", "vit_tiny_patch14_dinov2"),
    ("vit_small_patch14_dinov2", "vit_tiny_patch16_224"),
    ("vit_small_patch16_224", "vit_tiny_patch14_dinov2"),
    ("convnext_tiny", "convnext_nano"),
    ("convnext_tiny", "convnext_pico"),
    ("convnext_small", "convnext_femto"),
    ("convnext_tiny", "convnext_atto"),
    ("convnextv2_tiny", "convnextv2_femto"),
    ("tf_efficientnet_lite2", "tf_efficientnet_lite0"),
    ("tf_efficientnet_lite2", "tf_efficientnet_lite_xs"),
    ("efficientnet_b1", "efficientnet_b0"),
]


@pytest.mark.parametrize(("teacher", "student"), NAMES)
def test_named_pairs_load_strictly_and_run(teacher: str, student: str) -> None:
    source = timm.create_model(teacher, num_classes=3)
    target = timm.create_model(student, num_classes=3)
    plan = make_plan(source, target, depth="ends", width="random")
    assert (plan.teacher, plan.student) == (teacher, student)
    classifier = {key: tensor for key, tensor in target.state_dict().items() if key.startswith(_classifier(target))}
    assert len(classifier) == 2
    target.load_state_dict(plan.apply(source.state_dict()) | classifier, strict=True)
    size = target.pretrained_cfg["input_size"] if "vit" in student else (3, 64, 64)
    with torch.inference_mode():
        assert torch.isfinite(target.eval()(torch.randn(1, *size))).all()


def _classifier(model: nn.Module) -> str:
    name = model.pretrained_cfg["classifier"]  # type: ignore[index]
    return f"{name}."


@pytest.mark.parametrize("pair", [pair for family in FAMILIES for pair in family.pairs])
def test_every_pair_that_refusals_recommend_does_map(pair: tuple[str, str]) -> None:
    plan = make_plan(*pair)
    assert set(plan.tensors) == set(timm.create_model(pair[1], num_classes=0).state_dict())


@pytest.mark.parametrize(
    ("teacher", "student"),
    [("vit_small_patch14_dinov2", "vit_tiny_patch14_dinov2"), ("tf_efficientnet_lite2", "tf_efficientnet_lite_xs")],
)
def test_dual_plans_at_ratio_two_share_nothing(teacher: str, student: str) -> None:
    first, second = (make_plan(teacher, student, phase=phase) for phase in (0, 1))
    assert first.spaces.keys() == second.spaces.keys()
    narrowed = [name for name in first.spaces if not name.endswith("head_entries") and name != "q|k|v"]
    assert len(narrowed) == {"vit": 1 + 12 * 4, "tf_": 1 + 7 + 20 + 1}[teacher[:3]]
    assert all(not set(first.spaces[name]) & set(second.spaces[name]) for name in narrowed)


def test_one_index_set_runs_along_each_stream(vit: Build) -> None:
    plan = make_plan(vit(), vit(embed_dim=12, num_heads=3), width="random", seed=5)
    residual = {entry.axes for key, entry in plan.tensors.items() if key.startswith(("norm", "blocks.1.norm"))}
    assert residual == {("residual",)}
    assert plan.tensors["blocks.1.attn.qkv.weight"].axes == ("blocks.1.qkv", "residual")
    assert plan.tensors["blocks.1.mlp.fc2.weight"].axes == ("residual", "blocks.1.mlp")
    assert plan.spaces["blocks.0.mlp"] != plan.spaces["blocks.1.mlp"]


def test_whole_heads_are_the_same_in_queries_keys_values_and_projection(vit: Build) -> None:
    plan = make_plan(vit(), vit(embed_dim=12, num_heads=3), width="random", seed=1)
    heads = plan.spaces["blocks.2.heads"]
    entries = [4 * head + place for head in heads for place in range(4)]
    assert plan.spaces["blocks.2.attn"] == tuple(entries)
    assert plan.spaces["blocks.2.qkv"] == tuple(24 * part + entry for part in range(3) for entry in entries)


def test_head_entries_are_chosen_where_heads_get_narrower(vit: Build) -> None:
    plan = make_plan(vit(), vit(embed_dim=12, num_heads=6))
    assert plan.spaces["blocks.0.heads"] == (0, 1, 2, 3, 4, 5)
    assert plan.spaces["blocks.0.head_entries"] == (0, 2)


def test_a_layerscale_that_the_student_lacks_is_folded(vit: Build) -> None:
    teacher, student = vit(init_values=0.1), vit(seed=1, num_classes=0)
    student.load_state_dict(make_plan(teacher, student).apply(teacher.state_dict()), strict=True)
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(_features(student, images), _features(teacher, images))


def test_a_layerscale_that_the_teacher_lacks_is_one(vit: Build) -> None:
    teacher, student = vit(), vit(seed=1, init_values=1e-5, num_classes=0)
    student.load_state_dict(make_plan(teacher, student).apply(teacher.state_dict()), strict=True)
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(_features(student, images), _features(teacher, images))


def test_convnext_folds_its_layerscale_too(convnext: Build) -> None:
    teacher, student = convnext(), convnext(seed=1, ls_init_value=None, conv_mlp=True, num_classes=0)
    student.load_state_dict(make_plan(teacher, student).apply(teacher.state_dict()), strict=True)
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(_features(student, images), _features(teacher, images))


def test_patch_embedding_and_position_grid_are_resampled(vit: Build) -> None:
    teacher, student = vit(reg_tokens=2), vit(img_size=(30, 48), patch_size=6, embed_dim=12, num_heads=3, reg_tokens=2)
    state = teacher.state_dict()
    made = make_plan(teacher, student).apply(state)
    grid = resample_abs_pos_embed(state["pos_embed"][..., ::2], [5, 8], [4, 4], num_prefix_tokens=3)
    assert torch.equal(made["pos_embed"], grid)
    patches = resample_patch_embed(state["patch_embed.proj.weight"][::2], [6, 6])
    torch.testing.assert_close(made["patch_embed.proj.weight"], patches)
    assert torch.equal(made["reg_token"], state["reg_token"][..., ::2])
    with torch.inference_mode():
        student.load_state_dict(made, strict=False)
        assert torch.isfinite(student(torch.randn(1, 3, 30, 48))).all()


def test_the_norm_before_pooling_serves_the_norm_after_it(vit: Build) -> None:
    teacher = vit()
    made = make_plan(teacher, vit(global_pool="avg")).apply(teacher.state_dict())
    assert torch.equal(made["fc_norm.weight"], teacher.state_dict()["norm.weight"])
    assert "norm.weight" not in made


def test_the_classifier_alone_is_left_out(convnext: Build, efficientnet: Build) -> None:
    for model in (convnext(), efficientnet()):
        left_out = model.state_dict().keys() - make_plan(model, model).tensors.keys()
        assert len(left_out) == 2
        assert all("head.fc" in key or "classifier" in key for key in left_out)
    assert "head.norm.weight" in make_plan(convnext(), convnext()).tensors
    assert "conv_head.weight" in make_plan(efficientnet(), efficientnet()).tensors


def test_depth_rules_pick_blocks_per_stage(convnext: Build) -> None:
    plan = make_plan(convnext(), convnext(depths=(1, 1, 2, 1)), depth="ends")
    assert plan.blocks["stages.1.blocks.0"] == "stages.1.blocks.0"
    assert plan.blocks["stages.2.blocks.1"] == "stages.2.blocks.2"
    assert plan.tensors["stages.2.blocks.1.gamma"].source == "stages.2.blocks.2.gamma"


def test_running_statistics_follow_their_channels(efficientnet: Build) -> None:
    teacher = efficientnet(se="_se0.25")
    plan = make_plan(teacher, efficientnet(width=8, se="_se0.25"))
    made = plan.apply(teacher.state_dict())
    kept = list(plan.spaces["blocks.1.1.expanded"])
    assert torch.equal(made["blocks.1.1.bn2.running_var"], teacher.state_dict()["blocks.1.1.bn2.running_var"][kept])
    assert plan.tensors["blocks.1.1.se.conv_expand.weight"].axes == (
        "blocks.1.1.expanded", "blocks.1.1.squeezed", None, None,
    )  # fmt: skip
    assert made["bn1.num_batches_tracked"].shape == ()


def test_family_of_known_networks(vit: Build, convnext: Build, efficientnet: Build) -> None:
    assert [family_of(build()).name for build in (vit, convnext, efficientnet)] == ["ViT", "ConvNeXt", "EfficientNet"]


def _features(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        features: torch.Tensor = model.eval().forward_features(images)  # type: ignore[operator]
    return features
