"""Two students in one engine are two students: neither learns from the other unless it is coupled to it."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from MonaiSKD.distillation import EMATeachers, Objective
from MonaiSKD.engines import (
    AutocastInferer,
    DualTrainer,
    EpochMeans,
    FollowStudents,
    StageCheckpoint,
    parameter_groups,
)
from MonaiSKD.models import Classifier
from MonaiSKD.models.pair import StudentPair


def batches(count: int = 3) -> DataLoader:
    generator = torch.Generator().manual_seed(0)
    rows = [
        {"image": torch.rand(1, 32, 32, generator=generator), "image_2": torch.rand(1, 32, 32, generator=generator),
         "label": index % 2, "index": index, "epoch": 0}
        for index in range(4 * count)
    ]  # fmt: skip
    return DataLoader(rows, batch_size=4)


def student(seed: int) -> Classifier:
    torch.manual_seed(seed)
    return Classifier("test_vit", 2, 32)


def train(
    students: list[Classifier], coupling: str = "own", handlers: Sequence[Any] = (), **options
) -> tuple[StudentPair, EpochMeans]:
    pair, means = StudentPair(students), EpochMeans("dual", dict)
    ema = EMATeachers(pair.students)
    DualTrainer(
        device=torch.device("cpu"),
        max_epochs=2,
        train_data_loader=batches(),
        network=pair,
        ema=ema,
        optimizer=torch.optim.SGD(parameter_groups(pair, 0.0), lr=0.05),
        objective=Objective(torch.ones(2), ramp_epochs=0, coupling=coupling),
        train_handlers=[FollowStudents(ema, pair.students), means, *handlers],
        **options,
    ).run()
    return pair, means


def weights(classifier: Classifier) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in classifier.parameters()])


def test_a_student_learns_in_a_pair_what_it_learns_alone():
    pair, _ = train([student(0), student(1)])
    alone, _ = train([student(0)])
    assert torch.equal(weights(pair.students[0]), weights(alone.students[0]))
    assert not torch.equal(weights(alone.students[0]), weights(student(0)))


def test_a_student_coupled_to_the_other_learns_something_else():
    own, _ = train([student(0), student(1)])
    cross, _ = train([student(0), student(1)], coupling="cross")
    assert not torch.equal(weights(own.students[0]), weights(cross.students[0]))


def test_the_means_of_the_parts_add_up_to_the_loss():
    _, means = train([student(0), student(1)])
    for row in means.history:
        parts = sum(value for name, value in row.items() if "/" in name)
        assert row["loss"] == pytest.approx(parts)
    assert means.seconds == sum(row["seconds"] for row in means.history) > 0
    assert {name for name in means.history[0] if "/" in name} == {"0/labels", "0/skd", "1/labels", "1/skd"}


def test_each_students_gradient_is_clipped_by_itself():
    start = weights(student(0))
    pair, _ = train([student(0), student(1)], max_grad_norm=1e-6)
    assert 0 < (weights(pair.students[0]) - start).norm() < 6 * 0.05 * 1.01e-6


@pytest.mark.parametrize(("dtype", "scaled"), [(torch.float16, True), (torch.float32, False)])
def test_in_float16_the_scale_of_the_gradients_is_saved(tmp_path, dtype, scaled):
    checkpoint = StageCheckpoint(tmp_path / "dual.pt", {})
    train([student(0)], inferer=AutocastInferer(dtype), handlers=[checkpoint])
    assert ("scale" in torch.load(checkpoint.path, weights_only=True)["scaler"]) == scaled
