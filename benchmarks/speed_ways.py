"""Ways to train the same single student, which `speed.py` times: the bundle's stages, and a plain loop."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from ignite.engine import Events
from monai.data import DataLoader as MonaiLoader
from monai.data.utils import worker_init_fn
from monai.engines import Trainer
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from MonaiSKD.bundle import find_bundle, prepare_training
from MonaiSKD.datasets import load_datalist
from MonaiSKD.datasets.phantoms import PHANTOM_CLASSES
from MonaiSKD.distillation import class_weights
from MonaiSKD.transforms import ReadCanonicald, brain_mri_augmentation

BUNDLE = find_bundle("brain_mri")
RECIPE = BUNDLE.recipe
SIZE, BATCH, STUDENT = RECIPE["image_size"], RECIPE["batch_size"], "tf_efficientnet_lite_xs"
CLASSES = PHANTOM_CLASSES["brain_mri"]
# One student that learns from labels alone, and validation only where the trainer insists on it.
SINGLE = {
    "student": STUDENT, "class_names": list(CLASSES), "students": 1, "initialisation": "random",
    "compensation_images": 0, "teacher_epochs": 0, "feature_epochs": 0, "features": 0.0, "teacher_logits": 0.0,
    "skd": 0.0, "quiet": True, "allow_leaks": True, "val_interval": 10**6,
}  # fmt: skip

Epoch = Callable[[], float]  # trains for one more epoch; images per second


@dataclass(frozen=True)
class Ways:
    """Builds the ways to train on the phantoms of a folder."""

    folder: Path
    device: torch.device

    @property
    def precision(self) -> str:
        return "bfloat16" if self.device.type == "cuda" and self.has_bfloat16 else "float32"

    @property
    def has_bfloat16(self) -> bool:
        """Whether the device multiplies it by itself; PyTorch tells of processors only under private names."""
        if self.device.type == "cuda":
            return torch.cuda.is_bf16_supported(including_emulation=False)
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())

    def trainer(self, stage: str = "dual", **options: Any) -> Trainer:
        """That of the bundle's stage "dual" or "finetune"; `options` are the bundle's."""
        out = tempfile.mkdtemp(dir=self.folder)
        places = {"dataset_dir": str(self.folder), "output_dir": out, "device": f"$torch.device('{self.device}')"}
        workflow = prepare_training(BUNDLE, {**SINGLE, "precision": self.precision, **places, **options})
        workflow.initialize()
        content = workflow.parser.get_parsed_content
        return content("train#trainer") if stage == "dual" else content("finetune").trainer

    def ours(self, stage: str = "dual", **options: Any) -> Epoch:
        return self.timed(self.trainer(stage, **options))

    def timed(self, trainer: Trainer) -> Epoch:
        last = Events.ITERATION_COMPLETED(event_filter=lambda engine, step: step % engine.state.epoch_length == 0)
        marks: dict[str, float] = {}
        trainer.add_event_handler(Events.EPOCH_STARTED, lambda: marks.update(start=self._now()))
        trainer.add_event_handler(last, lambda: marks.update(end=self._now()))

        def epoch() -> float:
            trainer.state.max_epochs = trainer.state.epoch + 1
            trainer.run()
            return len(trainer.data_loader.dataset) / (marks["end"] - marks["start"])

        return epoch

    def plain(self, num_workers: int = 0) -> Epoch:
        data = load_datalist(self.folder, class_names=CLASSES)
        dataset = Cached(data.items("train"))
        loader = DataLoader(
            dataset, BATCH, shuffle=True, num_workers=num_workers, worker_init_fn=worker_init_fn,
            persistent_workers=num_workers > 0,
        )  # fmt: skip
        network = timm.create_model(STUDENT, num_classes=len(CLASSES))
        network = network.to(self.device, memory_format=torch.channels_last)
        config = network.default_cfg
        mean, std = (torch.tensor(config[name]).view(1, 3, 1, 1).to(self.device) for name in ("mean", "std"))
        weights = class_weights(list(data.class_counts("train").values())).to(self.device)
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=RECIPE["learning_rate"], weight_decay=RECIPE["weight_decay"], fused=True
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, RECIPE["epochs"] * len(loader))

        def epoch() -> float:
            start = self._now()
            network.train()
            for images, labels in loader:
                images, labels = images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
                    logits = network((images.expand(-1, 3, -1, -1) - mean) / std)
                optimizer.zero_grad()
                functional.cross_entropy(logits.float(), labels, weights).backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), RECIPE["max_grad_norm"])
                optimizer.step()
                schedule.step()
            return len(dataset) / (self._now() - start)

        return epoch

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


class Cached(Dataset[tuple[Tensor, int]]):
    """Canonical images in memory, augmented anew at each look."""

    def __init__(self, items: Sequence[dict[str, Any]]) -> None:
        read = ReadCanonicald("image", "brain_mri", SIZE)
        self.images = [read(item)["image"] for item in items]
        self.labels = [item["label"] for item in items]
        self.transform = brain_mri_augmentation(SIZE)  # MONAI's `worker_init_fn` looks for this name

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform({"image": self.images[index]})["image"], self.labels[index]


def without_thread(trainer: Trainer) -> Trainer:
    """Draw the views between the steps."""
    loader = trainer.data_loader
    trainer.data_loader = MonaiLoader(loader.dataset, batch_size=BATCH, sampler=loader.sampler)
    return trainer


def contiguous(trainer: Trainer) -> Trainer:
    """PyTorch's default layout."""
    for networks in (trainer.network, trainer.ema):
        networks.to(memory_format=torch.contiguous_format)
    return trainer
