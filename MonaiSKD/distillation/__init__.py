"""What the students learn from besides labels: their EMA teachers and the large teacher's features and logits."""

from MonaiSKD.distillation.ema import EMATeachers, ema_decay
from MonaiSKD.distillation.features import feature_loss
from MonaiSKD.distillation.labels import class_weights, label_loss
from MonaiSKD.distillation.logits import couple, logit_loss, standardise
from MonaiSKD.distillation.mixing import Mixing
from MonaiSKD.distillation.objective import Objective
from MonaiSKD.distillation.ramps import sigmoid_ramp
from MonaiSKD.distillation.targets import TeacherTargets

__all__ = [
    "EMATeachers",
    "Mixing",
    "Objective",
    "TeacherTargets",
    "class_weights",
    "couple",
    "ema_decay",
    "feature_loss",
    "label_loss",
    "logit_loss",
    "sigmoid_ramp",
    "standardise",
]
