"""A stage: an engine, its checkpoint and its memory of the best; and the plain supervised stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.data import DataLoader
from monai.engines import SupervisedEvaluator, SupervisedTrainer, Trainer
from monai.handlers import LrScheduleHandler, TensorBoardStatsHandler
from monai.optimizers import WarmupCosineSchedule
from torch import Tensor, nn

from MonaiSKD import events
from MonaiSKD.distillation import EMATeachers
from MonaiSKD.distillation.labels import label_loss
from MonaiSKD.engines.checkpoint import StageCheckpoint
from MonaiSKD.engines.distributed import distributed, rank
from MonaiSKD.engines.handlers import EpochMeans, FollowStudents, GradientClipping, KeepBest, mean_parts, tell_epoch
from MonaiSKD.engines.precision import AutocastInferer
from MonaiSKD.engines.progress import Progress
from MonaiSKD.models.classifier import Classifier


@dataclass
class Stage:
    """One part of the training that can be interrupted and resumed.

    Attributes:
        name: "features", "teacher", "dual" or "finetune".
        trainer: its engine.
        best: which weights were best on the validation data; None for the stage that knows no labels.
        means: loss parts per epoch.
        checkpoint: its state on disk.
    """

    name: str
    trainer: Trainer
    best: KeepBest | None
    means: EpochMeans
    checkpoint: StageCheckpoint

    def run(self) -> None:
        """Run the stage, from its checkpoint if there is one; a finished stage is only loaded."""
        self.checkpoint.resume(self.trainer)
        self._tell()
        if self.trainer.state.epoch < self.trainer.state.max_epochs:
            self.trainer.run()

    def _tell(self) -> None:
        """Tell a parent program what this stage is, and the epochs that an earlier run has done."""
        if rank() > 0:
            return
        state = self.trainer.state
        steps = state.max_epochs * len(self.trainer.data_loader)
        events.emit("stage", name=self.name, epochs=state.max_epochs, epoch=state.epoch, steps=steps)
        for row in self.means.history:
            history = [] if self.best is None else self.best.history
            scores = [float(one["val_auc"]) for one in history if one["epoch"] == row["epoch"]]
            tell_epoch(self.name, row, scores, state.max_epochs)


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weights decay; biases, norms, scales, and what a backbone names itself do not (the usual practice since ViT).

    timm's transformers name their class token and position embedding. A network may hold several backbones.
    """
    named: set[int] = set()
    for module in network.modules():
        names: Any = getattr(module, "no_weight_decay", frozenset)
        named |= {id(parameter) for name, parameter in module.named_parameters() if name in names()}
    learning = [p for p in network.parameters() if p.requires_grad]
    decayed = [p for p in learning if p.ndim > 1 and id(p) not in named]
    others = [p for p in learning if p.ndim <= 1 or id(p) in named]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def warmup_cosine(optimizer: torch.optim.Optimizer, loader: DataLoader, epochs: int) -> WarmupCosineSchedule:
    """Learning rate per iteration: up linearly for one epoch, then down along a cosine to 0."""
    return WarmupCosineSchedule(optimizer, warmup_steps=len(loader), t_total=epochs * len(loader))


def supervised_stage(
    name: str,
    network: Classifier,
    loader: DataLoader,
    evaluator: SupervisedEvaluator,
    class_weights: Tensor,
    epochs: int,
    learning_rate: float,
    output_dir: str | Path,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    weight_decay: float = 0.05,
    ema_decay: float = 0.99,
    smoothing: float = 0.0,
    max_grad_norm: float = 1.0,
    interval: int = 1,
    initial: bool = False,
    quiet: bool = False,
) -> Stage:
    """Plain fine-tuning on labels with EMA: of the large teacher before stage 1, of the kept student after it.

    Args:
        name: of the stage; names its checkpoint and its logs.
        network: what to train, in place; its EMA is what is validated and kept.
        evaluator: MONAI evaluator with the validation data.
        class_weights: [K].
        max_grad_norm: largest gradient norm of a step.
        interval: epochs between validations.
        initial: the untouched network competes too (see :class:`KeepBest`).
        quiet: no progress bar.
    """
    network = network.to(device)
    ema = EMATeachers([network], ema_decay)
    optimizer = torch.optim.AdamW(parameter_groups(network, weight_decay), lr=learning_rate, fused=True)
    schedule = warmup_cosine(optimizer, loader, epochs)
    best = KeepBest(evaluator, ema.teachers, interval=interval, initial=initial)
    means = EpochMeans(name)
    objects = {
        "network": network, "ema": ema, "optimizer": optimizer, "schedule": schedule, "best": best, "means": means
    }  # fmt: skip
    checkpoint = StageCheckpoint(Path(output_dir) / "checkpoints" / f"{name}.pt", objects)
    weights = class_weights.to(device)
    log_dir = str(Path(output_dir) / "logs" / name)
    trainer = SupervisedTrainer(
        device=device,
        max_epochs=epochs,
        train_data_loader=loader,
        network=distributed(network, device),
        optimizer=optimizer,
        loss_function=lambda logits, labels: label_loss(logits, labels, weights, smoothing),
        inferer=AutocastInferer(dtype),
        amp=dtype == torch.float16,  # adds the gradient scaling that float16 needs
        decollate=False,
        train_handlers=[
            GradientClipping(network, max_grad_norm),
            LrScheduleHandler(schedule, print_lr=False, epoch_level=False),
            FollowStudents(ema, [network]),
            best,
            means,
            checkpoint,
            Progress(name, quiet),
            *([] if rank() else [TensorBoardStatsHandler(log_dir=log_dir, output_transform=means.parts)]),
        ],
    )
    return Stage(name, trainer, best, means, checkpoint)


def start_from(stage: Stage, weights: dict[str, Tensor]) -> None:
    """Give a supervised stage its initial weights: network and EMA alike."""
    for name in ("network", "ema"):
        module = stage.checkpoint.objects[name]
        target = module.teacher(0) if isinstance(module, EMATeachers) else module
        target.load_state_dict(weights)


def chosen(stage: Stage) -> KeepBest:
    """The memory of the best of a stage that was validated."""
    assert stage.best is not None, f"stage {stage.name} knows no labels"
    return stage.best


def kept(stages: Sequence[Stage]) -> dict[str, int | None]:
    """Which student was kept after which epochs; None for a stage that was left out."""
    best = {stage.name: stage.best for stage in stages if stage.best is not None}
    dual, finetune = best["dual"], best.get("finetune")
    return {
        "student": dual.index,
        "dual_epoch": dual.epoch,
        "finetune_epoch": None if finetune is None else finetune.epoch,
    }


def curves(stages: Sequence[Stage]) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Loss and validation AUC over the epochs of all stages but the large teacher's, one after the other."""
    losses: dict[str, list[tuple[float, float]]] = {}
    scores: dict[str, list[tuple[float, float]]] = {}
    offset = 0
    for stage in stages:
        if stage.name == "teacher":
            continue
        for row in stage.means.history:
            for line, value in mean_parts(row).items():
                line = "fine-tuning" if stage.name == "finetune" else line
                losses.setdefault(line, []).append((offset + row["epoch"], value))
        for row in [] if stage.best is None else stage.best.history:
            line = f"student {int(row['index'])}" if stage.name == "dual" else "fine-tuning"
            scores.setdefault(line, []).append((offset + row["epoch"], row["val_auc"]))
        offset += stage.trainer.state.max_epochs
    return {"loss": losses, "validation AUC": scores}
