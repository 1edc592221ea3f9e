"""A whole session with the app over REST, written into docs/label_app.md: label 60 images, train, ask the new model.

    python benchmarks/label_session.py

The images are phantoms, drawn by a program; what the figures say is that everything works.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from label_server import Rest, running
from sections import write_section

from MonaiSKD.datasets.phantoms import write_phantoms

DOCUMENT = Path(__file__).parents[1] / "docs" / "label_app.md"
MODEL = "brain_mri_classification"
# 60 images are few steps an epoch, so there are more epochs and smaller batches than in the bundle's recipe.
RECIPE = {"image_size": 96, "batch_size": 8, "students": 2, "teacher_epochs": 16, "feature_epochs": 0, "epochs": 40,
          "label_start": 0.2, "features": 1.0, "teacher_logits": 1.0, "finetune_epochs": 4}  # fmt: skip


class Session:
    """Asks, and keeps what was asked and answered."""

    def __init__(self, server: Rest) -> None:
        self.server, self.lines, self.start = server, [], time.monotonic()

    def note(self, line: str) -> None:
        seconds = round(time.monotonic() - self.start)
        self.lines.append(f"[{seconds // 60:02d}:{seconds % 60:02d}] {line}")
        print(self.lines[-1], flush=True)

    def show(self, request: str, answer: Any) -> None:
        self.note(request)
        self.lines.append(f"        {json.dumps(answer, ensure_ascii=False)}")
        print(self.lines[-1], flush=True)


def short(line: Mapping[str, Any]) -> dict[str, Any]:
    return {name: line[name] for name in ("label", "probabilities", "decision", "atypical")}


def accuracy(server: Rest, files: list[Path]) -> str:
    right = sum(server.infer(MODEL, file).json()["monai_skd"]["label"] == file.parent.name for file in files)
    return f"{right} of {len(files)}"


def session(server: Rest, studies: Path, truth: Mapping[str, str], held_out: list[Path]) -> list[str]:
    said = Session(server)
    info = server.get("/info/")
    said.show("GET /info/", {"models": {MODEL: {"labels": info["models"][MODEL]["labels"]}},
                             "strategies": sorted(info["strategies"])})  # fmt: skip
    image = "ring_0000"
    said.show(f"POST /infer/{MODEL}?image={image}", short(server.infer(MODEL, image=image).json()["monai_skd"]))
    labelled = 0
    while (picked := server.ask("POST", "/activelearning/entropy", json={"model": MODEL}).json()).get("id"):
        name = picked["id"]
        server.label(name, truth[name], "Reader A").raise_for_status()
        labelled += 1
        if labelled == 1:
            kept = ("id", "score", "considered", "of")
            said.show("POST /activelearning/entropy", {entry: picked[entry] for entry in kept})
            said.note(f'PUT /datastore/label?image={name}  {{"label": "{truth[name]}", "reader": "Reader A", ...}}')
    said.note(f"... {labelled} images labelled in this order")
    for name, label in (("ring_0001", "ring"), ("ring_0002", "tumor")):
        server.label(name, label, "Reader B").raise_for_status()
        said.note(f'PUT /datastore/label?image={name}  {{"label": "{label}", "reader": "Reader B", ...}}')
    found = server.get("/datastore/")
    said.show("GET /datastore/", {name: found[name] for name in ("total", "completed", "disagreements", "ties")})
    server.ask("POST", f"/train/{MODEL}", json=RECIPE).raise_for_status()
    said.note(f"POST /train/{MODEL}  {json.dumps(RECIPE)}")
    told: set[str] = set()
    while (status := server.task("/train/"))["status"] in ("SUBMITTED", "RUNNING"):
        time.sleep(1)
        _tell(said, status, told)
    _tell(said, status, told)
    said.show("GET /train/", {"status": status["status"]})
    info = server.get("/info/")["models"][MODEL]
    said.show("GET /info/", {"labels": info["labels"], "current": info["current"]})
    said.show(f"POST /infer/{MODEL}?image={image}", short(server.infer(MODEL, image=image).json()["monai_skd"]))
    said.note(f"... {accuracy(server, held_out)} further phantoms, never labelled, answered right")
    said.show(f"DELETE /model/{MODEL}", server.ask("DELETE", f"/model/{MODEL}").json())
    again = server.infer(MODEL, image=image).json()["monai_skd"]
    said.show(f"POST /infer/{MODEL}?image={image}", short(again))
    return said.lines


def _tell(said: Session, status: Mapping[str, Any], told: set[str]) -> None:
    for line in status.get("details", []):
        if line not in told and not line.startswith("["):
            told.add(line)
            said.note(f"GET /train/  {line if len(line) < 160 else line[:157] + '...'}")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_phantoms(folder / "drawn", "brain_mri", per_class=(20, 0, 10), size=96, seed=11)
        studies = folder / "studies"
        studies.mkdir()
        truth = {}
        for path in (folder / "drawn").glob("train/*/*.png"):
            shutil.copy(path, studies)
            truth[path.stem] = path.parent.name
        held_out = sorted((folder / "drawn").glob("test/*/*.png"))
        with running(folder, studies, MODEL) as server:
            lines = session(server, studies, truth, held_out)
    text = "\n".join(["<!-- python benchmarks/label_session.py -->", "```", *lines, "```"])
    write_section(DOCUMENT, "label-session", text)


if __name__ == "__main__":
    main()
