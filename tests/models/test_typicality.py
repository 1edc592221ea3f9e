"""The features that typicality reads, the small network on them, and its file."""

import pytest
import torch

from MonaiSKD.engines.checkpoint import save_state
from MonaiSKD.engines.runfolder import TYPICALITY, load_typicality
from MonaiSKD.errors import SKDError
from MonaiSKD.models.typicality import LIMIT, Typicality


def filled(channels: int = 12, seed: int = 0) -> Typicality:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        typicality = Typicality(channels)
        typicality.mean.normal_()
        typicality.scale.uniform_(0.5, 2)
        typicality.limit.fill_(0.3)
    return typicality.requires_grad_(False).eval()


def test_output_lies_between_0_and_1_and_rises_with_the_score():
    typicality, features = filled(), 5 * torch.randn(50, 12, 8, 8)
    values, scores = typicality(features), typicality.score(features)
    assert values.shape == scores.shape == (50,)
    assert 0 <= values.min() < values.max() <= 1
    assert torch.equal(values > LIMIT, scores > typicality.limit)
    assert torch.equal(values.argsort(), scores.argsort())
    extreme = typicality(torch.full((1, 12, 8, 8), 1e30))
    assert 0 <= float(extreme) <= 1


def test_the_limit_becomes_exactly_a_half():
    typicality, features = filled(), torch.randn(1, 12, 8, 8)
    typicality.limit.copy_(typicality.score(features)[0])
    assert typicality(features).tolist() == [LIMIT] == [0.5]


def test_any_grid_is_looked_at_as_eight_by_eight():
    typicality, features = filled(), torch.randn(2, 12, 8, 8)
    assert torch.equal(Typicality.coarse(features), features)
    fine = features.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.allclose(typicality(fine), typicality(features), atol=1e-5)


def test_features_are_standardised_channel_by_channel():
    typicality = Typicality(2)
    typicality.mean.copy_(torch.tensor([1.0, 2.0]).view(1, 2, 1, 1))
    typicality.scale.copy_(torch.tensor([2.0, 4.0]).view(1, 2, 1, 1))
    standard = typicality.standardise(torch.full((1, 2, 8, 8), 6.0))
    assert standard[0, :, 0, 0].tolist() == [2.5, 1.0]


def test_saved_and_loaded_it_answers_alike(tmp_path):
    typicality, features = filled(), torch.randn(4, 12, 8, 8)
    save_state(tmp_path / TYPICALITY, typicality.state_dict())
    loaded = load_typicality(tmp_path)
    assert not loaded.training
    assert torch.equal(loaded(features), typicality(features))


def whole_state():
    return dict(filled().state_dict())


def without(name):
    return {key: value for key, value in whole_state().items() if key != name}


@pytest.mark.parametrize(
    "state", [without("limit"), without("mean"), {**whole_state(), "head.0.weight": torch.zeros(3, 3)}, {}]
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
