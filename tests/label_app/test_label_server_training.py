"""Labelled over REST, trained, answering, chosen back; and stopped. Real trainings, as small as they come."""

from __future__ import annotations

import shutil
import time

import psutil
import pytest
from label_server import BRAIN
from tinymodel import write_tiny_model

from MonaiSKD.runtime import Classifier

# The smallest network of timm, without the large teacher's own training.
RECIPE = {
    "student": "test_vit", "students": 2, "initialisation": "random", "image_size": 32, "batch_size": 8,
    "teacher_epochs": 0, "epochs": 2, "feature_epochs": 1, "finetune_epochs": 0, "compensation_images": 0,
    "allow_leaks": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def labelled(server, studies):
    """All 60 phantoms labelled, one of them a tie, two with a third reader's dissent."""
    names = sorted(path.stem for path in studies.glob("*_*.png"))
    assert len(names) == 60
    for name in names:
        server.label(name, name.rsplit("_", 1)[0], "A").raise_for_status()
    server.label("ring_0000", "tumor", "B").raise_for_status()
    for image, reader in (("ring_0001", "B"), ("ring_0001", "C")):
        server.label(image, "tumor", reader).raise_for_status()
    yield names
    for name in names:
        server.unlabel(name)


@pytest.fixture(scope="module")
def trained(server, labelled):
    """How the status was while it trained, and at the end."""
    before = server.infer(BRAIN, image="tumor_0000").json()["monai_skd"]
    server.ask("POST", f"/train/{BRAIN}", json=RECIPE).raise_for_status()
    told = []
    while (status := server.task("/train/"))["status"] in ("SUBMITTED", "RUNNING"):
        told.append((status["status"], server.get("/info/")["train_stats"][BRAIN].get("state")))
        time.sleep(0.5)
    return {"before": before, "told": told, "end": status}


def test_progress_is_told_while_it_trains(server, trained):
    assert trained["end"]["status"] == "DONE", "\n".join(trained["end"]["details"])
    assert ("RUNNING", "running") in trained["told"]
    said = trained["end"]["details"]
    assert any(line.startswith("59 images: 20 no_tumor, 18 ring, 21 tumor; 1 left out") for line in said)
    assert any(line.startswith("stage dual: epoch 2 of 2, validation AUC") for line in said)
    stats = server.get("/info/")["train_stats"][BRAIN]
    assert stats["state"] == "done"
    assert stats["metrics"]["test"]["n"] > 0


def test_the_new_model_answers_without_a_restart(server, trained):
    assert set(trained["before"]["probabilities"]) == {"glioma", "meningioma", "no_tumor", "pituitary"}
    after = server.infer(BRAIN, image="tumor_0000").json()["monai_skd"]
    assert set(after["probabilities"]) == {"no_tumor", "ring", "tumor"}
    info = server.get("/info/")["models"][BRAIN]
    assert info["labels"] == ["no_tumor", "ring", "tumor"]
    assert info["sha256"] == after["model"]["sha256"] != trained["before"]["model"]["sha256"]
    assert [version["id"] for version in info["versions"]] == ["original", info["current"]]
    assert info["versions"][1]["images"] == 59


def test_where_the_students_disagree_is_offered_now(server, trained):
    assert "disagreement" in server.get("/info/")["strategies"]
    server.unlabel("tumor_0019")
    server.unlabel("ring_0019")
    found = server.ask("POST", "/activelearning/disagreement", json={"model": BRAIN}).json()
    server.label("tumor_0019", "tumor")
    server.label("ring_0019", "ring")
    assert found["id"] in ("tumor_0019", "ring_0019")  # the radiograph and the series cannot be compared
    assert 0 <= found["score"] <= 1
    scored = server.ask("POST", f"/scoring/{BRAIN}", params={"run_sync": True}).json()
    assert scored["trained_here"] is True


def test_the_former_model_can_be_chosen_back_and_the_new_one_again(server, trained):
    new = server.get("/info/")["models"][BRAIN]["current"]
    assert server.ask("DELETE", f"/model/{BRAIN}").json() == {"current": "original"}
    line = server.infer(BRAIN, image="tumor_0000").json()["monai_skd"]
    assert line["probabilities"] == trained["before"]["probabilities"]
    assert server.ask("DELETE", f"/model/{BRAIN}").status_code == 400
    assert server.ask("PUT", f"/model/{BRAIN}", params={"version": "20200101"}).status_code == 404
    assert server.ask("PUT", f"/model/{BRAIN}", params={"version": new}).json() == {"current": new}
    assert server.infer(BRAIN, image="tumor_0000").json()["monai_skd"]["model"]["sha256"] != line["model"]["sha256"]


def test_an_uploaded_model_answers_if_it_fits_exactly(server, tiny, tmp_path):
    fitting = write_tiny_model(tmp_path / "new.onnx", version="9")
    put = server.ask("PUT", "/model/tiny", files={"file": ("new.onnx", fitting.read_bytes())})
    assert put.json()["current"] != "original"
    assert server.get("/info/")["models"]["tiny"]["version"] == "9"
    whole = bytearray(fitting.read_bytes())
    whole[100] ^= 1
    others = {
        "damaged": bytes(whole),
        "another modality": write_tiny_model(tmp_path / "ct.onnx", "lung_ct").read_bytes(),
        "other classes": write_tiny_model(
            tmp_path / "c.onnx", class_names=("a", "b"), thresholds={"a": 0.5, "b": 0.5}
        ).read_bytes(),
        "weights": b"PK\x03\x04 model.pt",
        "nothing": b"",
    }
    for what, content in others.items():
        refused = server.ask("PUT", "/model/tiny", files={"file": ("m.onnx", content)})
        assert refused.status_code == 400, what
        assert "model file" in refused.json()["detail"], what
        assert str(server.home) not in refused.text
    assert server.get("/info/")["models"]["tiny"]["version"] == "9"
    server.ask("DELETE", "/model/tiny").raise_for_status()
    assert server.get("/info/")["models"]["tiny"]["version"] == "0.0.1"
    assert server.ask("GET", "/model/tiny").content == tiny.read_bytes()


def test_a_training_stops_and_leaves_the_model_as_it_was(server, trained):
    before = server.get("/info/")["models"][BRAIN]
    server.ask("POST", f"/train/{BRAIN}", json={**RECIPE, "epochs": 500}).raise_for_status()
    end = time.monotonic() + 300
    while server.get("/info/")["train_stats"][BRAIN].get("state") != "running" and time.monotonic() < end:
        time.sleep(0.3)
    assert server.ask("POST", f"/train/{BRAIN}", json=RECIPE).status_code == 429  # one at a time
    children = _trainings()
    assert children
    assert server.ask("DELETE", "/train/").json()["status"] == "STOPPED"
    _, alive = psutil.wait_procs(children, 20)
    assert not alive
    after = server.get("/info/")
    assert after["train_stats"][BRAIN]["state"] == "stopped"
    assert after["models"][BRAIN] == before


def _trainings() -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        if "--events" in process.cmdline():
            found.append(process)
    return found


def test_a_training_that_cannot_be_ends_with_its_reason(server, labelled):
    server.ask("POST", f"/train/{BRAIN}", json={**RECIPE, "title": "$__import__('os').system('id')"}).raise_for_status()
    end = server.finished("/train/")
    assert end["status"] == "ERROR"
    assert any("entry 'title': cannot be set here" in line for line in end["details"]), end["details"]


def test_a_checkpoint_that_does_not_fit_is_refused(server, trained, tmp_path):
    from MonaiSKD.errors import SKDError
    from MonaiSKD.files import read_json, write_json
    from MonaiSKD.label_app.students import Students, has_students

    current = server.get("/info/")["models"][BRAIN]["current"]
    run = tmp_path / "run"
    shutil.copytree(server.home / "app" / "model" / BRAIN / current, run)
    assert has_students(run / "model.onnx")
    Students(run)
    config = read_json(run / "config.json")
    config["contract"]["class_names"].append("another")
    write_json(run / "config.json", config)
    with pytest.raises(SKDError, match="does not fit"):
        Students(run)
    assert Classifier(run, threads=1).contract.class_names == ("no_tumor", "ring", "tumor")
