"""The whole loss of stage 1, as named parts."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from MonaiSKD.distillation.features import feature_loss
from MonaiSKD.distillation.labels import label_loss
from MonaiSKD.distillation.logits import Coupling, logit_loss
from MonaiSKD.distillation.ramps import sigmoid_ramp
from MonaiSKD.models.classifier import Output


@dataclass
class Objective:
    """Loss of a student at a given epoch: the sum of the parts below.

    | part | when | what |
    |---|---|---|
    | features | weight `features` | tokens of the large teacher on the same view |
    | teacher | weight `teacher_logits` | logits of the fine-tuned large teacher on the same view |
    | labels | from epoch `label_start` on | class-weighted cross-entropy |
    | skd | like labels, ramped over `ramp_epochs` to weight `skd` | EMA teacher's logits on another view |

    Args:
        class_weights: [K], see :func:`~MonaiSKD.distillation.labels.class_weights`.
        label_start: epochs before labels and self-distillation come in, infinity for never. Where no part follows the
            large teacher there is nothing else to learn from, and it becomes 0.
        similarities: weight of the in-batch similarities within the part "features".
        features, teacher_logits, skd: weights >= 0; 0 leaves the part (and the forward pass it needs) out.
        ramp_epochs: length of the self-distillation ramp.
        temperature: softening of both logit losses.
        coupling: which EMA teacher each student follows.
        smoothing: label smoothing in [0, 1).
    """

    class_weights: Tensor
    label_start: float = 0.0
    similarities: float = 0.0
    features: float = 0.0
    teacher_logits: float = 0.0
    skd: float = 1.0
    ramp_epochs: float = 5.0
    temperature: float = 2.0
    coupling: Coupling = "own"
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not (self.features or self.teacher_logits):
            self.label_start = 0.0

    def uses_labels(self, epoch: float) -> bool:
        """Whether labels (and self-distillation) take part at `epoch`, counted from 0."""
        return epoch >= self.label_start

    def __call__(
        self,
        output: Output,
        labels: Tensor,
        epoch: float,
        target: Tensor | None = None,
        teacher: Output | None = None,
    ) -> dict[str, Tensor]:
        """Named parts of one student's loss, weights applied, and their sum under "loss".

        Args:
            output: the student's output on view 1: logits [N, K], tokens [N, T, C].
            labels: [N], -1 = unlabeled; or shares of classes [N, K].
            epoch: epochs done, fractional, from 0.
            target: logits [N, K] of the EMA teacher (or teachers) it follows, on view 2; without them no "skd".
            teacher: the large teacher's output on view 1; without it no "features" and no "teacher".
        """
        parts: dict[str, Tensor] = {}
        if teacher is not None and self.features:
            parts["features"] = self.features * feature_loss(output.tokens, teacher.tokens, self.similarities)
        if teacher is not None and self.teacher_logits:
            loss = logit_loss(output.logits, teacher.logits, self.temperature, standardised=False)
            parts["teacher"] = self.teacher_logits * loss
        if self.uses_labels(epoch):
            parts["labels"] = label_loss(output.logits, labels, self.class_weights, self.smoothing)
            if target is not None:
                ramp = sigmoid_ramp(epoch - self.label_start, self.ramp_epochs)
                loss = logit_loss(output.logits, target, self.temperature)
                parts["skd"] = self.skd * ramp * loss
        return {"loss": sum(parts.values(), start=output.logits.new_zeros(())), **parts}
