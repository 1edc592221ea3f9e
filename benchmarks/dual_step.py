"""What the dual step costs against its own arithmetic, and what share of it is waiting for data.

    python benchmarks/dual_step.py

A step of stage 1 is timed in turn with the forward and backward passes it consists of, each by itself: two students
forward and backward on view 1, two EMA teachers forward on view 2, the large teacher forward on view 1. The ratio is
formed pair by pair, so that a machine whose speed drifts does not distort it.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from ignite.engine import Events
from monai.data import set_track_meta
from sections import BENCHMARKS, write_section

from MonaiSKD import __version__
from MonaiSKD.datasets import load_datalist
from MonaiSKD.datasets.phantoms import write_phantoms
from MonaiSKD.distillation import EMATeachers, Objective, TeacherTargets, class_weights
from MonaiSKD.engines import (
    AutocastInferer,
    DualTrainer,
    FollowStudents,
    ViewsDataset,
    initialise_students,
    parameter_groups,
    teacher_classifier,
    train_loader,
)
from MonaiSKD.models import load_teacher
from MonaiSKD.transforms import ReadCanonicald, brain_mri_augmentation

SIZE, BATCH, CLASSES = 112, 32, 3


def build(folder: Path) -> DualTrainer:
    write_phantoms(folder, "brain_mri", per_class=(64, 2, 2), size=128)
    data = load_datalist(folder)
    dataset = ViewsDataset(
        data.items("train"), ReadCanonicald("image", "brain_mri", SIZE), brain_mri_augmentation(SIZE), views=2
    )
    teacher = load_teacher("tf_efficientnet_lite2", image_size=SIZE)
    pair = initialise_students(teacher, "tf_efficientnet_lite_xs", CLASSES, SIZE).pair
    ema = EMATeachers(pair.students)
    weights = class_weights(list(data.class_counts("train").values()))
    return DualTrainer(
        device=torch.device("cpu"),
        max_epochs=2,
        train_data_loader=train_loader(dataset, BATCH),
        network=pair,
        ema=ema,
        optimizer=torch.optim.AdamW(parameter_groups(pair, 0.05), lr=1e-3),
        objective=Objective(weights, features=1.0, teacher_logits=1.0),
        targets=TeacherTargets(teacher_classifier(teacher, CLASSES, SIZE)),
        inferer=AutocastInferer(),
        train_handlers=[FollowStudents(ema, pair.students)],
    )


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def parts(trainer: DualTrainer, images: torch.Tensor) -> list[Callable[[], object]]:
    pair = trainer.network

    def learn(index: int) -> None:
        output = pair.members[index](images)
        (output.logits.sum() + output.tokens.sum()).backward()

    @torch.no_grad()
    def answer(index: int) -> None:
        trainer.ema.teacher(index)(images)

    @torch.no_grad()
    def teach() -> None:
        trainer.targets.teacher.eval().forward_tokens(images)

    return [lambda: learn(0), lambda: learn(1), lambda: answer(0), lambda: answer(1), teach]


def step_against_parts(trainer: DualTrainer, repeats: int) -> tuple[list[float], list[float]]:
    batch = next(iter(trainer.data_loader))
    trainer.state.iteration, trainer.state.epoch_length = 1, len(trainer.data_loader)
    actions = parts(trainer, batch["image"])
    steps, sums = [], []
    for repeat in range(repeats + 2):
        # The trainer's step with the averaging that follows it, as in a run.
        step = seconds(lambda: (trainer._iteration(trainer, batch), trainer.ema.update(trainer.network.students, 100)))
        arithmetic = sum(seconds(action) for action in actions)
        if repeat >= 2:
            steps.append(step)
            sums.append(arithmetic)
    return steps, sums


def waiting(trainer: DualTrainer) -> float:
    """Share of the second epoch that is spent in the loader."""
    spent = {"data": 0.0, "all": 0.0}
    marks: dict[str, float] = {}
    later = Events.GET_BATCH_STARTED(event_filter=lambda engine, _: engine.state.epoch > 1)
    trainer.add_event_handler(later, lambda: marks.update(data=time.perf_counter()))

    @trainer.on(Events.GET_BATCH_COMPLETED)
    def _add_wait() -> None:
        if "data" in marks:
            spent["data"] += time.perf_counter() - marks["data"]

    @trainer.on(Events.ITERATION_COMPLETED)
    def _add_all() -> None:
        if "data" in marks:
            spent["all"] += time.perf_counter() - marks["data"]

    trainer.run()
    return spent["data"] / spent["all"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--document", type=Path, default=BENCHMARKS, help="where the table is written")
    options = parser.parse_args()
    set_track_meta(False)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        trainer = build(Path(folder) / "steps")
        steps, sums = step_against_parts(trainer, options.repeats)
        share = waiting(build(Path(folder) / "run"))
    ratios = [step / arithmetic for step, arithmetic in zip(steps, sums, strict=True)]
    median = statistics.median
    text = (
        f"<!-- python benchmarks/dual_step.py; MonaiSKD {__version__}; {datetime.date.today()} -->\n"
        f"| dual step, batch {BATCH} at {SIZE} px, CPU, {torch.get_num_threads()} threads | median | min to max |\n"
        "|---|---|---|\n"
        f"| step / sum of its parts | {median(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f} |\n"
        f"| seconds per step | {median(steps):.3f} | {min(steps):.3f} to {max(steps):.3f} |\n"
        f"| images per second | {BATCH / median(steps):.0f} | {BATCH / max(steps):.0f} to {BATCH / min(steps):.0f} |\n"
        f"| waiting for data after the first epoch | {100 * share:.1f} % | |\n"
    )
    print(text)
    write_section(options.document, "dual_step", text)


if __name__ == "__main__":
    main()
