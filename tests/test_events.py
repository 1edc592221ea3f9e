"""Commands as the job of a parent program: a real child process, its events, its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image as PILImage
from tinymodel import write_tiny_model


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, grey in enumerate((50, 200)):
        PILImage.new("L", (64, 64), grey).save(folder / f"{number}.png")
    return folder


def start(*arguments: object, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "MonaiSKD", *map(str, arguments), "--events"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(command, text=True, encoding="utf-8", **{**pipes, **options})


def heard(child: subprocess.Popen[str]) -> str:
    """All that it says until it ends; its standard input stays open, for closing it is a stop."""
    out = child.stdout.read()
    child.wait(timeout=60)
    return out


def events_of(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_classify_tells_every_answer_and_its_end(tmp_path, pictures):
    model = write_tiny_model(tmp_path / "model.onnx")
    listed = tmp_path / "paths.txt"
    # An umlaut, a blank, and a file that is absent.
    (pictures / "1.png").rename(pictures / "ü 1.png")
    listed.write_text(f"{pictures / '0.png'}\n{pictures / 'ü 1.png'}\n\n{pictures / 'none.png'}\n", encoding="utf-8")
    with (tmp_path / "err.txt").open("w") as err:
        child = start("classify", model, f"@{listed}", stderr=err)
        events = events_of(heard(child))
    assert [event["event"] for event in events] == ["start", "total", "answer", "answer", "answer", "end"]
    assert events[0]["command"] == "classify"
    assert events[0]["pid"] == child.pid
    assert events[1]["inputs"] == 3
    answers = [event["answer"] for event in events[2:5]]
    assert [answer.get("label") for answer in answers] == ["dark", "bright", None]
    assert answers[2]["error"]["code"] == "not_found"
    assert events[5]["code"] == child.returncode == 1
    assert "3 inputs" in (tmp_path / "err.txt").read_text()  # words for people go there


def test_what_can_be_mended_comes_in_its_parts(tmp_path):
    child = start("classify", tmp_path / "absent.onnx", "a.png")
    events = events_of(heard(child))
    assert events[-1]["event"] == "error"
    assert events[-1]["code"] == child.returncode == 2
    assert "absent.onnx" in events[-1]["thing"]
    assert events[-1]["cause"]
    assert events[-1]["remedy"]


@pytest.mark.parametrize("how", ["word", "end of input"])
def test_a_parent_stops_it_by_a_word_or_by_leaving(tmp_path, pictures, how):
    model = write_tiny_model(tmp_path / "model.onnx")
    listed = tmp_path / "paths.txt"
    listed.write_text(f"{pictures / '0.png'}\n" * 20_000)
    child = start("classify", model, f"@{listed}", "--threads", 1)
    lines = [child.stdout.readline() for _ in range(5)]
    assert '"answer"' in lines[-1]
    if how == "word":
        child.stdin.write("stop\n")
        child.stdin.flush()
    else:
        child.stdin.close()
    rest = events_of(heard(child))
    assert child.returncode == 130
    assert rest[-1]["event"] == "error"
    assert rest[-1]["code"] == 130


@pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX")
def test_it_leads_a_group_that_can_be_killed(tmp_path, pictures):
    model = write_tiny_model(tmp_path / "model.onnx")
    listed = tmp_path / "paths.txt"
    listed.write_text(f"{pictures / '0.png'}\n" * 20_000)
    child = start("classify", model, f"@{listed}")
    assert '"start"' in child.stdout.readline()
    assert os.getpgid(child.pid) == child.pid != os.getpgrp()
    os.killpg(child.pid, signal.SIGKILL)
    rest = heard(child).splitlines()
    assert child.returncode == -signal.SIGKILL
    assert not any('"end"' in line or '"error"' in line for line in rest)  # so its parent knows


def test_without_a_parent_nothing_watches(tmp_path, pictures):
    """Standard input that is no pipe, as under cron, does not stop it."""
    model = write_tiny_model(tmp_path / "model.onnx")
    child = start("classify", model, pictures / "0.png", stdin=subprocess.DEVNULL)
    assert events_of(heard(child))[-1] == {"event": "end", "code": 0}


def test_numbers_that_json_does_not_know_become_null(capfd):
    from MonaiSKD import events

    with events.telling("test"):
        print("for people")
        events.emit("step", loss=float("nan"), auc=[float("inf"), 0.5])
    events.emit("step", loss=1.0)  # nobody listens any more
    out, err = capfd.readouterr()
    assert events_of(out)[1:] == [{"event": "step", "loss": None, "auc": [None, 0.5]}]
    assert "for people" in err


TINY = {
    "image_size": 32,
    "batch_size": 8,
    "teacher_epochs": 1,
    "epochs": 3,
    "feature_epochs": 1,
    "finetune_epochs": 1,
    "compensation_images": 8,
    "ramp_epochs": 1,
}


def test_a_training_tells_its_way_stops_and_goes_on(tmp_path, phantoms):
    """One training, stopped by its parent in the middle and started again with the same command."""
    settings = [part for name, value in TINY.items() for part in ("--set", f"{name}={value}")]
    command = ["train", "brain_mri", phantoms, "--out", tmp_path / "run", "--device", "cpu", *settings]
    with (tmp_path / "err.txt").open("w") as err:
        child = start(*command, stderr=err)
        first = []
        while not (first and first[-1]["event"] == "epoch" and first[-1]["stage"] == "dual"):
            first.append(json.loads(child.stdout.readline()))
        child.stdin.close()
        first += events_of(heard(child))
    assert (first[-1]["event"], first[-1]["code"], child.returncode) == ("error", 130, 130)
    plan = next(event for event in first if event["event"] == "plan")
    assert plan["stages"] == [
        {"name": "features", "epochs": 1},
        {"name": "teacher", "epochs": 1},
        {"name": "dual", "epochs": 3},
        {"name": "finetune", "epochs": 1},
    ]
    assert (tmp_path / "run" / "checkpoints" / "dual.pt").is_file()

    with (tmp_path / "err.txt").open("w") as err:
        child = start(*command, stderr=err)
        second = events_of(heard(child))
    assert child.returncode == 0, (tmp_path / "err.txt").read_text()[-2000:]
    stages = {event["name"]: event for event in second if event["event"] == "stage"}
    assert stages["teacher"]["epoch"] == 1  # nothing is left to do there
    assert stages["dual"]["epoch"] >= 1
    epochs = [event["epoch"] for event in second if event["event"] == "epoch" and event["stage"] == "dual"]
    assert epochs == [1, 2, 3]  # those of the stopped run, too
    assert all(0 <= value <= 1 for event in second for value in event.get("val_auc", ()))
    assert [event["name"] for event in second if event["event"] == "task"] == [
        "calibrate",
        "explain",
        "report",
        "export",
    ]
    told = next(event for event in second if event["event"] == "metrics")
    assert set(told["metrics"]) == {"val", "test"}
    assert Path(told["model"]).is_file()
    assert Path(told["report"]).is_file()
    assert second[-1] == {"event": "end", "code": 0}


def test_a_data_check_tells_its_report(phantoms):
    child = start("check-data", phantoms, "--modality", "brain_mri")
    events = events_of(heard(child))
    report = next(event for event in events if event["event"] == "report")
    assert report["text"]
    assert events[-1] == {"event": "end", "code": child.returncode}
