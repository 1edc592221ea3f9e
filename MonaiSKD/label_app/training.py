"""A training as the job of MONAI Label: from its datastore's labels to a model that answers.

MONAI Label runs a training in a process of its own, keeps its last lines as the status and kills it to stop it. In that
process this starts `monai-skd train`, whose events become those lines.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from monailabel.interfaces.tasks.train import TrainTask

from MonaiSKD.bundle import Bundle, find_bundle
from MonaiSKD.errors import SKDError
from MonaiSKD.files import atomic_path, read_json, write_json
from MonaiSKD.label_app.datastore import ReaderDatastore
from MonaiSKD.label_app.opinions import majority
from MonaiSKD.label_app.recipe import chosen, offered
from MonaiSKD.label_app.served import ServedModel
from MonaiSKD.runtime.contract import short_metrics

_PROGRESS = "progress.json"
_FEWEST = 3  # images of a class: one for each split


class Training(TrainTask):
    """Trains a served model anew with its modality's recipe; the result answers as soon as it is finished."""

    def __init__(self, model: ServedModel) -> None:
        super().__init__(f"Trains {model.name} on the labels of the datastore")
        self.model = model

    @property
    def bundle(self) -> Bundle:
        """The bundle of the model's modality, whose recipe it is trained with."""
        return find_bundle(self.model.contract.rule.modality)

    def config(self) -> dict[str, Any]:
        """What a request may set, with defaults."""
        return offered(self.bundle)

    def stats(self) -> dict[str, Any]:
        """How far the last training is, or how it ended."""
        found = sorted(self.model.home.glob(f"*/{_PROGRESS}"))
        progress: dict[str, Any] = read_json(found[-1]) if found else {}
        if progress.get("state") not in (None, "done", "failed") and not psutil.pid_exists(progress["pid"]):
            progress["state"] = "stopped"  # it was killed, and could not write so itself
        return progress

    def __call__(self, request: Mapping[str, Any], datastore: ReaderDatastore) -> dict[str, Any]:
        """Train.

        Raises:
            SKDError: the labels or the entries of the request do not make a training, or it failed.
        """
        options = chosen(self.bundle, request)
        images, told = training_set(datastore)
        out = self.model.new_folder()
        labels = out / "labels.csv"
        write_labels(images, labels)
        _say(f"{len(images)} images: {told}")
        progress = Progress(out / _PROGRESS, self.model.name, out.name)
        for event in _events(self.bundle, labels, out, options):
            line = progress.consume(event)
            if line:
                _say(line)
        if progress.error:
            raise SKDError("training", progress.error, "Change what it names, then train again")
        note = {"origin": "training", "images": len(images), "labels": told, "metrics": progress.metrics}
        version = self.model.adopt(out, note)
        progress.finish()
        _say(f"{self.model.name} now answers with {version.id}")
        return {"model": self.model.name, "version": version.id, **note}


def training_set(datastore: ReaderDatastore) -> tuple[list[tuple[Path, str]], str]:
    """The images whose readers have a majority, with it; and what was counted and left out, in words.

    Raises:
        SKDError: too few are labelled.
    """
    found: list[tuple[Path, str]] = []
    ties = folders = unreadable = 0
    for image, opinions in sorted(datastore.opinions().items()):
        label, path = majority(opinions), datastore.image_path(image)
        if not opinions:
            unreadable += 1
        elif label is None:
            ties += 1
        elif path.is_dir():
            folders += 1
        else:
            found.append((path, label))
    counts = Counter(label for _, label in found)
    told = ", ".join(f"{count} {label}" for label, count in sorted(counts.items())) or "none labelled"
    told += f"; {ties} left out, as many readers say one thing as another" if ties else ""
    told += f"; {folders} left out, a series is not trained on" if folders else ""
    told += f"; {unreadable} left out, the label file cannot be read" if unreadable else ""
    few = [label for label, count in sorted(counts.items()) if count < _FEWEST]
    if len(counts) < 2 or few:
        cause = f"are too few ({told})"
        raise SKDError("labels", cause, f"Label {_FEWEST} images or more of each class, and two classes or more")
    return found, told


def write_labels(images: Sequence[tuple[Path, str]], path: Path) -> None:
    """A data set as `monai-skd train` takes it, which keeps the DICOM images of one patient together by itself."""
    with atomic_path(path) as beside, beside.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("path", "label"))
        writer.writerows((str(image), label) for image, label in images)


def _events(bundle: Bundle, labels: Path, out: Path, options: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Run the training; it ends with this process, because its standard input does."""
    command = [sys.executable, "-m", "MonaiSKD", "train", str(bundle.folder), str(labels), "--out", str(out)]
    command += ["--events", "--quiet"]
    for name, value in options.items():
        command += ["--set", f"{name}={json.dumps(value)}"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *_python_path()])}
    log = (out / "train.log").open("wb")
    with (
        log,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, encoding="utf-8", env=environment
        ) as child,
    ):
        assert child.stdout is not None
        ended = False
        for line in child.stdout:
            event = json.loads(line)
            ended = ended or event["event"] in ("end", "error")
            yield event
        if not ended:
            yield {"event": "error", "message": f"it ended without a word (code {child.wait()}); see {log.name}"}


def _python_path() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


class Progress:
    """How far a training is: lines for the status of MONAI Label, and a file for `/info/`.

    Args:
        path: the file.
        model: which is trained.
        version: what the result will be called.
    """

    def __init__(self, path: Path, model: str, version: str) -> None:
        self.path, self.metrics, self.error = path, {}, ""  # type: ignore[var-annotated]
        self._told: dict[str, Any] = {
            "model": model,
            "version": version,
            "pid": os.getpid(),
            "state": "starting",
        }
        write_json(self.path, self._told)

    def consume(self, event: Mapping[str, Any]) -> str:
        """Take in an event; gives a line where there is something to tell."""
        line = self._line(event)
        if line:
            write_json(self.path, self._told)
        return line

    def finish(self) -> None:
        """The model answers."""
        self._told.update(state="done")
        write_json(self.path, self._told)

    def _line(self, event: Mapping[str, Any]) -> str:
        kind = event["event"]
        if kind == "stage":
            self._told.update(state="running", stage=event["name"], epoch=event["epoch"], epochs=event["epochs"])
            return f"stage {event['name']}: {event['epochs']} epochs"
        if kind == "epoch":
            auc = max((value for value in event.get("val_auc") or [] if value is not None), default=None)
            self._told.update(stage=event["stage"], epoch=event["epoch"], loss=event["loss"], val_auc=auc)
            told = "" if auc is None else f", validation AUC {auc:.3f}"
            return f"stage {event['stage']}: epoch {event['epoch']} of {event['epochs']}{told}"
        if kind == "task":
            self._told.update(state=event["name"])
            return str(event["name"])
        if kind == "metrics":
            self.metrics = {split: short_metrics(of) for split, of in event["metrics"].items()}
            self._told.update(metrics=self.metrics)
            return "metrics: " + json.dumps(self.metrics)
        if kind == "error":
            self.error = str(event["message"]).rstrip(".")
            self._told.update(state="failed", error=self.error)
            return f"failed: {self.error}"
        return ""


def _say(line: str) -> None:
    print(line, flush=True)
