"""The classifier takes canonical images of any size and carries its temperature."""

import pytest
import torch
from torch import nn

from MonaiSKD.errors import SKDError
from MonaiSKD.models import Classifier
from MonaiSKD.models.classifier import resize

NAMES = ["tf_efficientnet_lite_xs", "vit_tiny_patch14_dinov2", "convnext_atto"]


@pytest.mark.parametrize("name", NAMES)
def test_any_size_goes_in_and_tokens_fit_their_width(name):
    network = Classifier(name, 3, 56).eval()
    with torch.no_grad():
        output = network.forward_tokens(torch.rand(2, 1, 70, 90))
        assert output.logits.shape == (2, 3)
        assert output.tokens.shape[::2] == (2, network.num_features)


def test_logits_and_tokens_come_from_one_pass():
    network, images = Classifier("tf_efficientnet_lite_xs", 3, 32).eval(), torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        assert torch.allclose(network(images), network.forward_tokens(images).logits, atol=1e-6)


def test_normalisation_is_the_backbones_own():
    network = Classifier("tf_efficientnet_lite_xs", 2, 8)  # mean = std = 0.5
    prepared = network.prepare(torch.tensor([0.0, 0.5, 1.0, 0.25]).view(1, 1, 2, 2).repeat(1, 1, 4, 4))
    assert prepared.shape == (1, 3, 8, 8)
    assert prepared[0, :, 0, :2].tolist() == [[-1.0, 0.0]] * 3
    assert prepared[0, :, 1, :2].tolist() == [[1.0, -0.5]] * 3


def test_the_temperature_divides_the_logits_and_travels_with_the_weights():
    network, images = Classifier("tf_efficientnet_lite_xs", 2, 32).eval(), torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        before = network(images)
        network.temperature.fill_(2.0)
        again = Classifier("tf_efficientnet_lite_xs", 2, 32).eval()
        again.load_state_dict(network.state_dict())
        assert torch.allclose(again(images), before / 2)


def test_another_networks_normalisation_travels_with_the_weights():
    network = Classifier("tf_efficientnet_lite_xs", 2, 32)
    network.normalise_as((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    other = Classifier("tf_efficientnet_lite_xs", 2, 32)
    other.load_state_dict(network.state_dict())
    assert torch.allclose(other.prepare(torch.full((1, 1, 32, 32), 0.9))[0, :, 0, 0], torch.tensor([2.0, 1.4, 1.0]))


def test_weights_of_a_file_without_normalisation_load_strictly_and_leave_the_networks_own():
    network = Classifier("tf_efficientnet_lite_xs", 2, 32)
    state = network.state_dict()
    older = {name: tensor for name, tensor in state.items() if name not in ("mean", "std")}
    network.load_state_dict(older)
    assert torch.equal(network.mean, state["mean"])
    assert set(older) == set(state) - {"mean", "std"}


def test_a_new_head_is_nearly_undecided():
    network = Classifier("tf_efficientnet_lite_xs", 4, 32)
    assert isinstance(network.backbone.get_classifier(), nn.Linear)
    assert network.backbone.get_classifier().weight.abs().max() < 0.05
    assert network.backbone.get_classifier().bias.abs().max() == 0


def test_resize_is_the_identity_at_the_right_size_and_averages_when_shrinking():
    image = torch.rand(1, 1, 8, 8)
    assert resize(image, 8) is image
    checkerboard = torch.eye(2).repeat(4, 4)[None, None]
    assert resize(checkerboard, 2).sub(0.5).abs().max() < 0.05


def test_unknown_names_and_sizes_that_do_not_fit_are_refused():
    with pytest.raises(SKDError, match=r"tf_efficientnet_lite9: timm knows no .*tf_efficientnet_lite4 or"):
        Classifier("tf_efficientnet_lite9", 2, 32)
    with pytest.raises(SKDError, match="Choose 112 or 126"):
        Classifier("vit_tiny_patch14_dinov2", 2, 113)
