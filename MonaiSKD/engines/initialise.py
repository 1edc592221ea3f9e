"""The students at the start of stage 1: two complementary selections of one teacher's weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from MonaiSKD.errors import SKDError
from MonaiSKD.models import Classifier, Teacher
from MonaiSKD.models.features import feature_maps
from MonaiSKD.models.pair import StudentPair
from MonaiSKD.selection import SelectionPlan, compensate, make_plan
from MonaiSKD.selection.compensation import CompensationReport
from MonaiSKD.selection.importance import evaluating

Initialisation = Literal["selection", "random"]


@dataclass(frozen=True)
class Initialised:
    """Students ready for stage 1.

    Attributes:
        pair: the students.
        plans: the plan each was selected by; empty for students that start at random.
        reports: layer-wise errors before and after compensation, one per student; empty without it.
    """

    pair: StudentPair
    plans: list[SelectionPlan]
    reports: list[CompensationReport]


def initialise_students(
    teacher: Teacher,
    student: str,
    num_classes: int,
    image_size: int,
    count: int = 2,
    initialisation: Initialisation = "selection",
    selection: Mapping[str, Any] | None = None,
    compensation: Tensor | None = None,
    features: bool = True,
    drop_path_rate: float = 0.0,
    seed: int = 0,
) -> Initialised:
    """Build the students and give each the weights of its own plan.

    Args:
        teacher: the large network.
        student: timm name of the small one.
        num_classes: K.
        image_size: side in pixels.
        count: 2 for the dual initialisation, 1 for a single student.
        initialisation: "selection", or "random" to leave the students at their random start (the control).
        selection: options of :func:`MonaiSKD.selection.make_plan` (depth, width, heads); the plans differ in `phase`.
        compensation: canonical images [n, 1, H, W], unlabeled, for least-squares compensation after the selection and
            for the importances of `width="importance"`; None does without.
        features: add the linear layers of feature distillation.
        drop_path_rate: stochastic depth of the students.
        seed: of the random parts (heads, linear layers, random selections).

    Raises:
        SKDError: the pair of networks does not map (see :func:`~MonaiSKD.selection.make_plan`), the student is of a
            kind that has no heat maps, or `initialisation` is unknown.
    """
    if initialisation not in get_args(Initialisation):
        known = " or ".join(get_args(Initialisation))
        raise SKDError(f"initialisation {initialisation!r}", "it is unknown", f"Use {known}")
    torch.manual_seed(seed)
    students = [Classifier(student, num_classes, image_size, drop_path_rate) for _ in range(count)]
    plans: list[SelectionPlan] = []
    reports: list[CompensationReport] = []
    if initialisation == "selection":
        weights = teacher.module.state_dict()
        for network in students:
            network.normalise_as(teacher.mean, teacher.std)
        images = None if compensation is None else students[0].prepare(compensation)
        for phase, network in enumerate(students):
            options = dict(selection or {})
            if options.get("width") == "importance" and images is not None:
                options["images"] = images
            plan = make_plan(teacher.module, network.backbone, phase=phase, seed=seed, **options)
            if images is None:
                load_selected(network, plan.apply(weights))
            else:
                state, report = compensate(teacher.module, network.backbone, plan, images)
                load_selected(network, state)
                reports.append(report)
            plans.append(plan)
    large: Any = teacher.module
    pair = StudentPair(students, large.num_features if features else None)
    _try_out(pair, student, image_size)
    return Initialised(pair, plans, reports)


def _try_out(pair: StudentPair, student: str, image_size: int) -> None:
    """Have a student do now what else the end of a training would be the first to ask of it."""
    image = torch.zeros(1, 1, image_size, image_size)
    try:
        with evaluating(pair), torch.no_grad():
            pair.members[0](image)
            feature_maps(pair.students[0], image)
    except Exception as error:  # timm's families fail each in a way of its own
        cause = f"its features cannot be learned, or heat maps be read off them ({error})"
        raise SKDError(f"student {student!r}", cause, "Choose one such as tf_efficientnet_lite_xs") from error


def load_selected(network: Classifier, state: Mapping[str, Tensor]) -> None:
    """Load selected weights strictly: everything but the classifier must be there."""
    absent, unexpected = network.backbone.load_state_dict(state, strict=False)
    head = {f"{network.backbone.default_cfg['classifier']}.{part}" for part in ("weight", "bias")}
    if unexpected or set(absent) - head:
        raise ValueError(f"plan and student disagree: absent {sorted(set(absent) - head)}, unexpected {unexpected}")


def teacher_classifier(teacher: Teacher, num_classes: int, image_size: int, seed: int = 0) -> Classifier:
    """The large network as a classifier of canonical images, with a new head, ready to be fine-tuned.

    Its weights are the teacher's own tensors, not copies: select students from it first.
    """
    torch.manual_seed(seed)
    network: Any = teacher.module
    network.reset_classifier(num_classes)
    return Classifier(network.requires_grad_(True), num_classes, image_size)
