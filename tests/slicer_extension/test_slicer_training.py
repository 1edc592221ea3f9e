"""Plans and events of a training, without a training."""

from __future__ import annotations

import json
import math

import pytest
from SKDClassifierLib.train.Training import (
    TrainingPlan,
    TrainingState,
    doubt,
    duration,
    metric_rows,
    options_of,
    run_folder,
)

from MonaiSKD.cli import build_parser


def test_a_plan_becomes_arguments_that_the_command_takes(tmp_path):
    teacher = f"resnet={tmp_path / 'a b.pth'}"
    (tmp_path / "a b.pth").write_bytes(b"")
    plan = TrainingPlan("brain_mri", str(tmp_path), str(tmp_path / "run"), 3, teacher, {"batch_size": 8})
    assert plan.is_valid() == (True, "")
    options = build_parser().parse_args(plan.arguments())
    assert (options.bundle, options.data, options.out) == ("brain_mri", str(tmp_path), str(tmp_path / "run"))
    assert (options.epochs, options.teacher, options.set, options.events) == (
        3,
        teacher,
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
        ({"teacher": "/no/such.pth"}, "no weights file /no/such.pth"),
        ({"teacher": "resnet18=/no/such"}, "no weights file /no/such"),
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


def test_a_finished_run_is_not_resumed_and_the_next_has_a_folder_of_its_own(tmp_path):
    (tmp_path / "data" / "normal").mkdir(parents=True)
    run = tmp_path / "data-brain_mri"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "dual.pt").write_bytes(b"")
    assert run_folder(tmp_path / "data", "brain_mri") == str(run)  # it goes on there
    assert run_folder(tmp_path / "data" / "labels.csv", "brain_mri") == str(run)
    metrics = {"val": {"n": 3}, "test": {"n": 4}, "cost": {}}
    (run / "metrics.json").write_text(json.dumps(metrics))
    (run / "model.onnx").write_bytes(b"")
    plan = TrainingPlan("brain_mri", str(tmp_path / "data"), str(run))
    assert (plan.finished, plan.resumes) == (True, False)
    assert run_folder(tmp_path / "data", "brain_mri") == f"{run}-2"
    state = TrainingState.of_run(run)
    assert (state.metrics, state.model, state.report) == (
        {"val": {"n": 3}, "test": {"n": 4}},
        str(run / "model.onnx"),
        "",
    )


def test_recipe_entries_are_lines():
    assert options_of("a=1\n\n train#x = [1, 2] \n") == {"a": "1", "train#x": "[1, 2]"}
    for wrong in ("a", "=1", "a="):
        with pytest.raises(ValueError, match=wrong):
            options_of(f"b=2\n{wrong}")


def measured(value, low, classes=3):
    per_class = {str(k): {"n": 5} for k in range(classes)} | {"absent": {"n": 0}}
    number = {"value": value, "low": low, "high": 1.0}
    return {"test": {"n": 15, "balanced_accuracy": number, "macro_auc": {"value": None}, "per_class": per_class}}


def test_metrics_are_rows_and_doubts_are_said():
    assert metric_rows(measured(0.5, 0.25)) == [
        ("images", "", "15"),
        ("balanced accuracy, %", "–", "50.0 (25.0–100.0)"),
        ("macro AUC, %", "–", "–"),
        ("ECE, %", "–", "–"),
    ]
    assert doubt(measured(1 / 3, 0.1)).startswith("Not better than chance (33%)")
    assert "told from chance (33%)" in doubt(measured(0.5, 0.25))
    assert doubt(measured(0.5, 0.4)) == ""
    assert "unknown" in doubt({"val": {}})


def test_a_figure_without_interval_is_shown_and_doubted():
    metrics = measured(1.0, None)
    metrics["test"]["balanced_accuracy"]["high"] = None
    assert metric_rows(metrics)[1] == ("balanced accuracy, %", "–", "100.0")
    assert "On so few test images" in doubt(metrics)


def test_times_are_rough():
    assert [duration(one) for one in (3, 61, 89, 200, 7200)] == ["10 s", "70 s", "90 s", "3 min", "2.0 h"]


def test_curves_lie_over_the_epochs_of_all_stages():
    state = TrainingState(stages={"teacher": 2, "dual": 4})
    x, columns = state.curves({"dual": ([1, 3], [0.5, 0.75]), "teacher": ([2], [0.25])})
    assert x == [2, 3, 5]
    assert list(columns) == ["large network", "students"]
    assert columns["students"][1:] == [0.5, 0.75]
    assert math.isnan(columns["students"][0])
    state.consume({"event": "epoch", "stage": "dual", "epoch": 1, "epochs": 4, "loss": None, "val_auc": [None, 0.5]})
    assert state.val_auc == {"dual": ([1], [0.5])}
    state.consume({"event": "epoch", "stage": "dual", "epoch": 2, "epochs": 4, "loss": 1, "val_auc": [None]})
    assert state.val_auc == {"dual": ([1], [0.5])}


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
    assert state.doing == "Training the students"
    state.consume({"event": "task", "name": "calibrate"})
    assert (state.fraction, state.doing) == (1.0, "Calibrating")
    state.consume({"event": "metrics", "metrics": {"test": {}}, "model": "/m.onnx", "report": "/r.html"})
    state.consume({"event": "something new"})
    state.consume({"event": "end", "code": 0})
    assert (state.model, state.report, state.doing) == ("/m.onnx", "/r.html", "Done")
