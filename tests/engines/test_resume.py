"""Killed anywhere and resumed, a run ends with the weights of the uninterrupted one."""

import pytest
import torch

from MonaiSKD.bundle import find_bundle, run_training
from MonaiSKD.engines import StageCheckpoint
from MonaiSKD.errors import SKDError


class Killed(Exception):
    pass


def train(out, options, **more):
    run_training(find_bundle("brain_mri"), {**options, "output_dir": str(out), **more})
    return torch.load(out / "model.pt", weights_only=True)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, small_options):
    return train(tmp_path_factory.mktemp("run"), small_options)


def same(first, second) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(tmp_path, uninterrupted, small_options):
    assert same(train(tmp_path / "again", small_options), uninterrupted)
    assert not same(train(tmp_path / "other", small_options, seed=1), uninterrupted)


@pytest.mark.parametrize(
    ("stage", "epoch", "saved"),
    [
        ("features", 1, True),
        ("teacher", 1, False),
        ("dual", 1, True),
        ("dual", 2, False),
        ("dual", 3, True),
        ("finetune", 1, False),
    ],
)
def test_resumed_run_ends_alike(tmp_path, monkeypatch, uninterrupted, small_options, stage, epoch, saved):
    save = StageCheckpoint.__call__

    def save_and_die(self, engine):
        here = self.path.stem == stage and engine.state.epoch == epoch
        if here and not saved:
            raise Killed
        save(self, engine)
        if here:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(StageCheckpoint, "__call__", save_and_die)
        with pytest.raises(RuntimeError) as caught:
            train(tmp_path, small_options)
        assert isinstance(caught.value.__cause__, Killed)
    assert not (tmp_path / "model.pt").exists()
    assert same(train(tmp_path, small_options), uninterrupted)


def test_a_checkpoint_of_other_options_is_refused(tmp_path, small_options):
    train(tmp_path, small_options)
    with pytest.raises(RuntimeError) as caught:
        train(tmp_path, small_options, epochs=5)
    assert isinstance(caught.value.__cause__, SKDError)
    assert "plans 3 epochs, this run 5" in str(caught.value.__cause__)


def test_a_damaged_checkpoint_is_refused(tmp_path, small_options):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "dual.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(RuntimeError) as caught:
        train(tmp_path, small_options)
    assert "dual.pt: does not fit this run" in str(caught.value.__cause__)
