"""Killed anywhere and resumed, a run ends with the weights of the uninterrupted one."""

import pytest
import torch
from ignite.engine import Engine, Events

from MonaiSKD.bundle import find_bundle, run_training
from MonaiSKD.engines import StageCheckpoint, distributed
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
    return saved(StageCheckpoint(tmp_path / "stage.pt", {}), new_engine(3))


def saved(checkpoint: StageCheckpoint, engine: Engine) -> StageCheckpoint:
    checkpoint.attach(engine)
    engine.run([0, 1], max_epochs=engine.state.max_epochs)
    return checkpoint


def new_engine(epochs: int, device: str = "cpu") -> Engine:
    engine = Engine(lambda engine, batch: None)
    engine.state.max_epochs = epochs
    engine.state.device = torch.device(device)
    return engine


def test_a_checkpoint_of_another_length_is_refused(checkpoint):
    assert checkpoint.resume(new_engine(3))
    with pytest.raises(SKDError, match="plans 3 epochs, this run 5"):
        checkpoint.resume(new_engine(5))


def test_a_damaged_checkpoint_is_refused(checkpoint):
    checkpoint.path.write_bytes(b"not a checkpoint")
    with pytest.raises(SKDError, match=r"stage.pt: does not fit this run"):
        checkpoint.resume(new_engine(3))


def test_a_gradient_scaler_goes_on_where_it_was(tmp_path):
    first, second = new_engine(1), new_engine(1)
    first.scaler, second.scaler = (torch.amp.GradScaler("cpu", init_scale=scale) for scale in (8.0, 65536.0))
    checkpoint = saved(StageCheckpoint(tmp_path / "stage.pt", {}), first)
    checkpoint.attach(second)
    assert checkpoint.resume(second)
    second.fire_event(Events.STARTED)
    assert second.scaler.get_scale() == 8.0


def test_a_run_of_two_gpus_goes_on_with_one(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    gpus = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    monkeypatch.setattr(torch.cuda, "default_generators", gpus)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(torch.cuda.default_generators))
    checkpoint = saved(StageCheckpoint(tmp_path / "stage.pt", {}), new_engine(1, "cuda:1"))
    alone = torch.Generator()
    monkeypatch.setattr(torch.cuda, "default_generators", [alone])
    assert checkpoint.resume(new_engine(1, "cuda:0"))
    assert torch.equal(alone.get_state(), gpus[1].get_state())


def test_running_statistics_are_saved_as_all_ranks_go_on_with_them(tmp_path, monkeypatch):
    """Of two ranks, whose other one has 3 in each buffer."""
    monkeypatch.setattr(distributed.idist, "get_world_size", lambda: 2)
    monkeypatch.setattr(distributed.idist, "all_reduce", lambda buffer: buffer + 3)
    norm = torch.nn.BatchNorm1d(1)
    checkpoint = saved(StageCheckpoint(tmp_path / "stage.pt", {"network": norm}), new_engine(1))
    assert norm.running_var.item() == 2.0
    assert torch.load(checkpoint.path, weights_only=True)["network"]["running_var"].item() == 2.0
