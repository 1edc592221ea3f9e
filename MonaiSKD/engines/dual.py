"""Stage 1: two students learn from labels, from their EMA teachers and from the large teacher, in one engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.data import DataLoader
from monai.engines import Trainer, Workflow
from monai.engines.utils import IterationEvents
from torch import Tensor, nn

from MonaiSKD.distillation import EMATeachers, Mixing, Objective, couple
from MonaiSKD.distillation.targets import TeacherTargets
from MonaiSKD.engines.distributed import distributed
from MonaiSKD.engines.precision import AutocastInferer, autocast
from MonaiSKD.models.classifier import Output
from MonaiSKD.models.pair import StudentPair


class DualTrainer(Trainer):
    """MONAI trainer of a :class:`~MonaiSKD.models.pair.StudentPair` (self-knowledge distillation, stage 1).

    A step: every student sees view 1 ("image"), every EMA teacher view 2 ("image_2"), the large teacher view 1; each
    student's loss (see :class:`~MonaiSKD.distillation.Objective`) flows into that student alone and its gradient is
    clipped by itself. Forward passes that no part of the loss needs are left out. The EMA teachers are moved by a
    handler (:class:`~MonaiSKD.engines.handlers.FollowStudents`).

    Args:
        device: where to run.
        max_epochs: epochs.
        train_data_loader: yields "image", "image_2", "label" (-1 = unlabeled), "index", "epoch".
        network: the students.
        optimizer: over the pair's parameters.
        objective: the loss.
        ema: their EMA teachers; without them no self-distillation.
        targets: the large teacher; asked only when a part of the loss needs it.
        mixing: of images and labels; None leaves them as they are.
        inferer: its number format is that of the step; float16 adds gradient scaling. Float32 without it.
        max_grad_norm: per student.
        compile: `torch.compile` the students (slow first step, faster ones after).
        train_handlers: MONAI / Ignite handlers.

    State after each iteration: `state.output` holds the parts, "0/labels", "1/skd", ..., and their sum "loss".
    """

    def __init__(
        self,
        device: torch.device,
        max_epochs: int,
        train_data_loader: DataLoader,
        network: StudentPair,
        optimizer: torch.optim.Optimizer,
        objective: Objective,
        ema: EMATeachers | None = None,
        targets: TeacherTargets | None = None,
        mixing: Mixing | None = None,
        inferer: AutocastInferer | None = None,
        max_grad_norm: float = 1.0,
        compile: bool = False,
        train_handlers: Sequence[Any] | None = None,
    ) -> None:
        super().__init__(
            device=device, max_epochs=max_epochs, data_loader=train_data_loader, decollate=False,
            handlers=train_handlers,
        )  # fmt: skip
        self.network = network
        self.ema = ema
        self.optimizer = optimizer
        self.objective = objective
        self.targets = targets
        self.mixing = mixing
        self.dtype = torch.float32 if inferer is None else inferer.dtype
        self.max_grad_norm = max_grad_norm
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype == torch.float16)
        if compile:
            for member in network.members:
                member.compile()
        # Heads have no gradient before the labels come in, projections none without a teacher.
        self._learners = [distributed(member, device, find_unused_parameters=True) for member in network.members]

    def run(self) -> None:
        """Train with the gradient scaler that is there; MONAI's trainers make one here, for CUDA alone."""
        Workflow.run(self)

    def _iteration(self, engine: Trainer, batchdata: dict[str, Tensor]) -> dict[str, float]:
        batch = {key: value.to(self.state.device, non_blocking=True) for key, value in batchdata.items()}
        if self.mixing is not None:
            batch = self.mixing(batch)
        epoch = (self.state.iteration - 1) / self.state.epoch_length
        if not self.network.training:  # walking the modules takes as long as many a kernel
            self.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.state.device, self.dtype):
            targets = self._ask_ema(batch, epoch)
            teacher = self._ask_teacher(batch)
        # One student after the other: only one graph is in memory at a time.
        parts = {}
        for index, (learner, target) in enumerate(zip(self._learners, targets, strict=True)):
            with autocast(self.state.device, self.dtype):
                output = learner(batch["image"])
            losses = self.objective(output, batch["label"], epoch, target, teacher)
            self.scaler.scale(losses["loss"]).backward()
            parts.update({f"{index}/{name}": value.item() for name, value in losses.items()})
        self.fire_event(IterationEvents.LOSS_COMPLETED)
        self._step()
        self.fire_event(IterationEvents.MODEL_COMPLETED)
        total = sum(parts.pop(f"{index}/loss") for index in range(len(self._learners)))
        return {"loss": total, **parts}

    def _ask_ema(self, batch: dict[str, Tensor], epoch: float) -> Sequence[Tensor | None]:
        if self.ema is not None and self.objective.skd > 0 and self.objective.uses_labels(epoch):
            return couple(self.ema(batch["image_2"]), self.objective.coupling)
        return [None] * len(self._learners)

    def _ask_teacher(self, batch: dict[str, Tensor]) -> Output | None:
        if self.targets is None or not (self.objective.features > 0 or self.objective.teacher_logits > 0):
            return None
        return self.targets(batch["image"], batch["epoch"], batch["index"])

    def _step(self) -> None:
        self.scaler.unscale_(self.optimizer)
        for member in self.network.members:
            nn.utils.clip_grad_norm_(member.parameters(), self.max_grad_norm)
        self.fire_event(IterationEvents.BACKWARD_COMPLETED)
        self.scaler.step(self.optimizer)
        self.scaler.update()
