"""The features that typicality reads, the small network on them, and its file."""

import pytest
import torch

from MonaiSKD.engines.checkpoint import save_state
from MonaiSKD.engines.runfolder import TYPICALITY, load_typicality
from MonaiSKD.errors import SKDError
from MonaiSKD.models import Classifier
from MonaiSKD.models.typicality import LIMIT, Typicality, typicality_features


@pytest.mark.parametrize(
    ("name", "side", "widths"),
    [
        # Channels of the stages of stride 8 and 16 (EfficientNet has two of stride 16), or of one transformer block.
        ("tf_efficientnet_lite_xs", 64, None),
        ("convnext_atto", 64, [80, 160]),
        ("vit_tiny_patch14_dinov2", 112, [192]),
    ],
)
def test_features_of_each_family(name, side, widths):
    network = Classifier(name, 2, side).eval()
    if widths is None:
        widths = [stage["num_chs"] for stage in network.backbone.feature_info if stage["reduction"] in (8, 16)]
        assert len(widths) >= 2
    with torch.no_grad():
        images = torch.rand(3, 1, side, side)
        features = typicality_features(network, images)
        assert features.shape == (3, 16 * sum(widths))
        # One by one and from another size as well; two images differ.
        assert torch.allclose(typicality_features(network, images[1:2]), features[1:2], atol=1e-4)
        assert typicality_features(network, torch.rand(1, 1, 50, 70)).shape == (1, 16 * sum(widths))
        assert not torch.allclose(features[0], features[1], atol=1e-3)


def filled(features: int = 12, seed: int = 0) -> Typicality:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        typicality = Typicality(features)
        typicality.mean.normal_()
        typicality.scale.uniform_(0.5, 2)
        typicality.projection.normal_()
        typicality.limit.fill_(0.3)
    return typicality.requires_grad_(False).eval()


def test_output_lies_between_0_and_1_and_rises_with_the_score():
    typicality, features = filled(), 5 * torch.randn(50, 12)
    values, scores = typicality(features), typicality.score(features)
    assert values.shape == scores.shape == (50,)
    assert 0 <= values.min() < values.max() <= 1
    assert torch.equal(values > LIMIT, scores > typicality.limit)
    assert torch.equal(values.argsort(), scores.argsort())
    extreme = typicality(torch.full((1, 12), 1e30))
    assert 0 <= float(extreme) <= 1


def test_the_limit_becomes_exactly_a_half():
    typicality, features = filled(), torch.randn(1, 12)
    typicality.limit.copy_(typicality.score(features)[0])
    assert typicality(features).tolist() == [LIMIT] == [0.5]


def test_projection_standardises_first():
    typicality = Typicality(2)
    typicality.mean.copy_(torch.tensor([1.0, 2.0]))
    typicality.scale.copy_(torch.tensor([2.0, 4.0]))
    typicality.projection[:, 0] = torch.tensor([1.0, 10.0])
    assert typicality.project(torch.tensor([[5.0, 6.0]]))[0, :2].tolist() == [12.0, 0.0]


def test_saved_and_loaded_it_answers_alike(tmp_path):
    typicality, features = filled(), torch.randn(4, 12)
    save_state(tmp_path / TYPICALITY, typicality.state_dict())
    loaded = load_typicality(tmp_path)
    assert not loaded.training
    assert torch.equal(loaded(features), typicality(features))


def whole_state():
    return dict(filled().state_dict())


def without(name):
    return {key: value for key, value in whole_state().items() if key != name}


@pytest.mark.parametrize(
    "state", [without("limit"), without("mean"), {**whole_state(), "projection": torch.zeros(3, 3)}, {}]
)
def test_a_file_of_other_tensors_is_refused(tmp_path, state):
    save_state(tmp_path / TYPICALITY, state)
    with pytest.raises(SKDError, match="is damaged"):
        load_typicality(tmp_path)


@pytest.mark.parametrize("damage", [lambda data: data[:-10], lambda data: b"not a tensor file", lambda data: b""])
def test_a_damaged_file_is_refused(tmp_path, damage):
    path = tmp_path / TYPICALITY
    save_state(path, whole_state())
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SKDError, match="is damaged"):
        load_typicality(tmp_path)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(SKDError, match="no such file"):
        load_typicality(tmp_path)
