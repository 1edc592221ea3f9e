"""Plans and events of a training, without a training."""

from __future__ import annotations

import pytest
from SKDClassifierLib.Training import TrainingPlan, TrainingState

from MonaiSKD.cli import build_parser


def test_a_plan_becomes_arguments_that_the_command_takes(tmp_path):
    plan = TrainingPlan("brain_mri", str(tmp_path), str(tmp_path / "run"), 3, "resnet=a b.pth", {"batch_size": 8})
    assert plan.is_valid() == (True, "")
    options = build_parser().parse_args(plan.arguments())
    assert (options.bundle, options.data, options.out) == ("brain_mri", str(tmp_path), str(tmp_path / "run"))
    assert (options.epochs, options.teacher, options.set, options.events) == (
        3,
        "resnet=a b.pth",
        ["batch_size=8"],
        True,
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"bundle": ""}, "Choose a bundle"),
        ({"data": ""}, "Choose labelled images"),
        ({"data": "/no/such"}, "There is no /no/such"),
        ({"out": ""}, "Choose a folder for the run"),
        ({"out": __file__}, "is a file"),
        ({"epochs": 0}, "one epoch at least"),
    ],
)
def test_a_plan_says_what_is_missing(tmp_path, change, reason):
    fields = {"bundle": "brain_mri", "data": str(tmp_path), "out": str(tmp_path / "run"), **change}
    valid, why = TrainingPlan(**fields).is_valid()
    assert not valid
    assert reason in why


def test_a_run_folder_with_a_checkpoint_resumes(tmp_path):
    plan = TrainingPlan("brain_mri", str(tmp_path), str(tmp_path / "run"))
    assert not plan.resumes
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "dual.pt").write_bytes(b"")
    assert plan.resumes


def test_events_become_curves_progress_and_time_left():
    now = [100.0]
    state = TrainingState(clock=lambda: now[0])
    state.consume({"event": "plan", "stages": [{"name": "teacher", "epochs": 2}, {"name": "dual", "epochs": 8}]})
    state.consume({"event": "stage", "name": "teacher", "epochs": 2, "epoch": 2, "steps": 20})
    for epoch in (1, 2):  # of an interrupted run
        state.consume(
            {"event": "epoch", "stage": "teacher", "epoch": epoch, "epochs": 2, "loss": 1 / epoch, "seconds": 1}
        )
    state.consume({"event": "stage", "name": "dual", "epochs": 8, "epoch": 0, "steps": 80})
    assert state.fraction == pytest.approx(0.2)
    assert state.seconds_left is None
    state.consume({"event": "step", "stage": "dual", "step": 1, "steps": 80, "loss": 0.5})
    now[0] += 30
    state.consume({"event": "step", "stage": "dual", "step": 41, "steps": 80, "loss": 0.4})
    assert state.fraction == pytest.approx((2 + 4.1) / 10)
    assert state.seconds_left == pytest.approx(30 / 0.4 * 0.39)
    event = {
        "event": "epoch",
        "stage": "dual",
        "epoch": 4,
        "epochs": 8,
        "loss": 0.4,
        "seconds": 9,
        "val_auc": [0.7, 0.8],
    }
    state.consume(event)
    state.consume(event)  # told twice, kept once
    assert state.loss == {"teacher": ([1, 2], [1.0, 0.5]), "dual": ([4], [0.4])}
    assert state.val_auc == {"dual": ([4], [0.8])}
    assert state.doing == "Training two students"
    state.consume({"event": "task", "name": "calibrate"})
    assert (state.fraction, state.doing) == (1.0, "Calibrating")
    state.consume({"event": "metrics", "metrics": {"test": {}}, "model": "/m.onnx", "report": "/r.html"})
    state.consume({"event": "something new"})
    state.consume({"event": "end", "code": 0})
    assert (state.model, state.report, state.doing) == ("/m.onnx", "/r.html", "Done")
