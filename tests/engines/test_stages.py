"""Which parameters decay."""

import pytest
from torch import nn

from MonaiSKD.engines import parameter_groups
from MonaiSKD.models import Classifier
from MonaiSKD.models.pair import StudentPair


def names(network: nn.Module) -> tuple[set[str], set[str]]:
    """Of the parameters that decay, and of those that do not."""
    known = {id(parameter): name for name, parameter in network.named_parameters()}
    decayed, spared = parameter_groups(network, 0.05)
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.05, 0.0)
    found = [[known[id(parameter)] for parameter in group["params"]] for group in (decayed, spared)]
    assert sorted([*found[0], *found[1]]) == sorted(known.values())  # each once
    return set(found[0]), set(found[1])


@pytest.mark.parametrize("paired", [False, True])
def test_tokens_and_position_embedding_of_a_transformer_do_not_decay(paired):
    network = Classifier("vit_tiny_patch14_dinov2", 3, 28)
    shapes = {name: parameter.ndim for name, parameter in network.named_parameters()}
    prefix = "members.0.classifier." if paired else ""
    decayed, spared = names(StudentPair([network], 8) if paired else network)
    named = {f"{prefix}backbone.{name}" for name in ("cls_token", "pos_embed")}
    assert named <= spared
    assert {name for name in spared if name.startswith(prefix)} - named >= {
        f"{prefix}{name}" for name, ndim in shapes.items() if ndim <= 1
    }
    assert f"{prefix}backbone.blocks.0.attn.qkv.weight" in decayed
    assert ("members.0.projection.weight" in decayed) == paired


def test_of_a_convolutional_network_all_but_vectors_decay():
    network = Classifier("tf_efficientnet_lite_xs", 3, 32)
    decayed, spared = parameter_groups(network, 0.05)
    assert [p.shape for p in decayed["params"]] == [p.shape for p in network.parameters() if p.ndim > 1]
    assert [p.shape for p in spared["params"]] == [p.shape for p in network.parameters() if p.ndim <= 1]


def test_frozen_parameters_are_left_out():
    network = Classifier("test_vit", 3, 32).requires_grad_(False)
    network.backbone.get_classifier().requires_grad_(True)
    assert [len(group["params"]) for group in parameter_groups(network, 0.05)] == [1, 1]
