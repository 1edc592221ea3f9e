"""Two gloo processes on half the batch each learn what one process learns on the whole batch.

What a group of GPUs does to the networks is tried without one.
"""

import gc
import json
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch

from MonaiSKD.engines import distributed
from MonaiSKD.models import Classifier

CONFIGS = Path(__file__).parents[2] / "bundles" / "brain_mri_classification" / "configs"

# timm's test_vit has LayerNorm only: BatchNorm would normalise by each rank's share of the batch. Without selection.
# The stages are those of the bundles' own recipes: one trains the features alone, the next the rest of the same
# network.
OPTIONS = {
    "recipe#student": "test_vit", "recipe#initialisation": "random", "recipe#teacher_epochs": 0,
    "recipe#precision": "float32", "recipe#image_size": 32, "recipe#batch_size": 8, "recipe#epochs": 2,
    "recipe#feature_epochs": 1, "recipe#finetune_epochs": 1, "recipe#quiet": True, "recipe#compensation_images": 0,
    "recipe#allow_leaks": True,
}  # fmt: skip


def launch(out: Path, options: dict, processes: int) -> None:
    arguments = [f"--{key}={value}" for key, value in options.items()]
    files = [str(CONFIGS / name) for name in ("train.json", "multi_gpu_train.json")]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    command = [*torchrun, "-m", "monai.bundle", "run", "--config_file", str(files), f"--output_dir={out}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def runs(tmp_path_factory, small_options):
    options = {**OPTIONS, "dataset_dir": small_options["dataset_dir"], "class_names": small_options["class_names"]}
    folders = {}
    for processes in (1, 2):
        folders[processes] = tmp_path_factory.mktemp(f"ranks{processes}")
        launch(folders[processes], options, processes)
    return folders


def checkpoint(folder: Path, stage: str) -> dict:
    return torch.load(folder / "checkpoints" / f"{stage}.pt", weights_only=True)


def test_losses_of_the_stage_before_the_labels_agree(runs):
    one, two = (checkpoint(runs[processes], "features")["means"]["history"] for processes in (1, 2))
    assert [row["loss"] for row in one] == pytest.approx([row["loss"] for row in two], rel=1e-3)


@pytest.mark.parametrize("stage", ["dual", "finetune"])
def test_losses_and_validation_scores_agree(runs, stage):
    one, two = (checkpoint(runs[processes], stage) for processes in (1, 2))
    for first, second in zip(one["means"]["history"], two["means"]["history"], strict=True):
        del first["seconds"], second["seconds"]
        assert first == pytest.approx(second, rel=1e-3)
    for first, second in zip(one["best"]["history"], two["best"]["history"], strict=True):
        assert first == pytest.approx(second, rel=1e-2, abs=1e-2)


def test_students_and_their_ema_teachers_agree(runs):
    one, two = (checkpoint(runs[processes], "dual") for processes in (1, 2))
    for name in ("students", "ema"):
        for key, value in one[name].items():
            assert torch.allclose(value, two[name][key], atol=2e-3), (name, key)


def test_the_test_set_is_measured_once_not_once_per_rank(runs):
    counts = [json.loads((runs[processes] / "metrics.json").read_text())["test"]["n"] for processes in (1, 2)]
    assert counts[0] == counts[1] == 12


@pytest.fixture
def group(monkeypatch):
    """As if there were one."""
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "DistributedDataParallel", lambda network, *args, **options: network)
    yield
    distributed._wrapped.cache_clear()


@torch.no_grad()
def test_on_gpus_a_network_stays_the_function_that_it_was(group):
    network, images = Classifier("tf_efficientnet_lite_xs", 2, 32).eval(), torch.rand(2, 1, 32, 32)
    before = network.forward_tokens(images).tokens
    for _ in range(2):  # the stages that train it
        wrapped = distributed.distributed(network, torch.device("cuda:0"))
    assert any(isinstance(module, torch.nn.SyncBatchNorm) for module in network.modules())
    assert torch.allclose(wrapped.forward_tokens(images).tokens, before, atol=1e-6)


def test_nothing_holds_a_network_beyond_the_group(group):
    network = Classifier("test_vit", 2, 32)
    held = weakref.ref(distributed.distributed(network, torch.device("cpu")))
    del network
    distributed.stop_process_group()
    gc.collect()
    assert held() is None
