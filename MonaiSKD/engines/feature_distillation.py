"""The stage before the labels: students learn the pretrained teacher's features on every image, labelled or not."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from monai.data import DataLoader
from monai.handlers import LrScheduleHandler, TensorBoardStatsHandler

from MonaiSKD.distillation import Objective, TeacherTargets
from MonaiSKD.engines.checkpoint import StageCheckpoint
from MonaiSKD.engines.distributed import rank
from MonaiSKD.engines.dual import DualTrainer
from MonaiSKD.engines.handlers import EpochMeans
from MonaiSKD.engines.precision import AutocastInferer
from MonaiSKD.engines.progress import Progress
from MonaiSKD.engines.stages import Stage, parameter_groups, warmup_cosine
from MonaiSKD.models import Classifier
from MonaiSKD.models.pair import StudentPair


def feature_stage(
    pair: StudentPair,
    teacher: Classifier,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    output_dir: str | Path,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    weight_decay: float = 0.05,
    similarities: float = 0.0,
    remember: bool = False,
    max_grad_norm: float = 1.0,
    quiet: bool = False,
) -> Stage:
    """Feature distillation alone, with a schedule of its own; the weights of the last epoch are what it leaves.

    Args:
        pair: the students, trained in place, with their linear layers to the teacher's width.
        teacher: the large network. Before its own stage it is as pretrained.
        loader: all training images, those without labels included; the labels are not looked at.
        epochs: 0 leaves the stage out.
        learning_rate: at the peak.
        similarities: weight of the in-batch similarities (see :func:`~MonaiSKD.distillation.feature_loss`).
        remember: keep the teacher's answers (see :class:`~MonaiSKD.distillation.TeacherTargets`).
    """
    optimizer = torch.optim.AdamW(parameter_groups(pair, weight_decay), lr=learning_rate, fused=True)
    schedule = warmup_cosine(optimizer, loader, epochs)
    means = EpochMeans("features", dict)
    objects = {"students": pair, "optimizer": optimizer, "schedule": schedule, "means": means}
    checkpoint = StageCheckpoint(Path(output_dir) / "checkpoints" / "features.pt", objects)
    log_dir = str(Path(output_dir) / "logs" / "features")
    trainer = DualTrainer(
        device=device,
        max_epochs=epochs,
        train_data_loader=loader,
        network=pair,
        optimizer=optimizer,
        objective=Objective(torch.ones(1), label_start=math.inf, features=1.0, similarities=similarities),
        targets=TeacherTargets(teacher, remember),
        inferer=AutocastInferer(dtype),
        max_grad_norm=max_grad_norm,
        train_handlers=[
            LrScheduleHandler(schedule, print_lr=False, epoch_level=False),
            means,
            checkpoint,
            Progress("features", quiet),
            *([] if rank() else [TensorBoardStatsHandler(log_dir=log_dir, output_transform=dict)]),
        ],
    )
    return Stage("features", trainer, None, means, checkpoint)
