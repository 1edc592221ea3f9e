"""Killed anywhere and resumed, a run ends with the weights of the uninterrupted one."""

import pytest
import torch
from ignite.engine import Engine

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
    kill(monkeypatch, stage, epoch, saved, tmp_path, small_options)
    assert same(train(tmp_path, small_options), uninterrupted)


def test_random_parts_of_the_training_go_on_as_well(tmp_path, monkeypatch, small_options):
    """What draws from PyTorch's random numbers, while worker processes draw the views."""
    random = {"teacher_epochs": 0, "feature_epochs": 0, "finetune_epochs": 0, "compensation_images": 0,
              "epochs": 2, "mixup": 0.4, "drop_path_rate": 0.2, "num_workers": 1}  # fmt: skip
    options = {**small_options, **random}
    uninterrupted = train(tmp_path / "whole", options)
    kill(monkeypatch, "dual", 1, True, tmp_path / "killed", options)
    assert same(train(tmp_path / "killed", options), uninterrupted)


def kill(monkeypatch, stage, epoch, saved, out, options) -> None:
    """Train, and die at the end of an epoch of a stage, before or after it is saved."""
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
            train(out, options)
        assert isinstance(caught.value.__cause__, Killed)
    assert not (out / "model.pt").exists()


@pytest.fixture
def checkpoint(tmp_path) -> StageCheckpoint:
    """Of three epochs of a stage that has nothing to remember."""
    checkpoint = StageCheckpoint(tmp_path / "stage.pt", {})
    engine = Engine(lambda engine, batch: None)
    checkpoint.attach(engine)
    engine.run([0, 1], max_epochs=3)
    return checkpoint


def new_engine(epochs: int) -> Engine:
    engine = Engine(lambda engine, batch: None)
    engine.state.max_epochs = epochs
    return engine


def test_a_checkpoint_of_another_length_is_refused(checkpoint):
    assert checkpoint.resume(new_engine(3))
    with pytest.raises(SKDError, match="plans 3 epochs, this run 5"):
        checkpoint.resume(new_engine(5))


def test_a_damaged_checkpoint_is_refused(checkpoint):
    checkpoint.path.write_bytes(b"not a checkpoint")
    with pytest.raises(SKDError, match=r"stage.pt: does not fit this run"):
        checkpoint.resume(new_engine(3))
