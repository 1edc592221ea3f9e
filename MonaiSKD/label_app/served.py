"""A model that is served: the one it began with, those trained or uploaded since, and which of them answers now.

All of it lies on the disk, so that the server sees what a training in another process has made, without a restart:

    APP/model/NAME/current.json           {"id": ..., "before": [where it goes back to]}; absent: the original answers
    APP/model/NAME/ID/model.onnx          a run folder, or a model file that was uploaded
    APP/model/NAME/ID/served.json         written last; a folder without it is no model
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from MonaiSKD.bundle import SUFFIX, list_bundles
from MonaiSKD.errors import SKDError
from MonaiSKD.files import read_json, write_json
from MonaiSKD.runtime import Classifier
from MonaiSKD.runtime.contract import Contract
from MonaiSKD.runtime.models import MODEL_NAME, find_model

ORIGINAL = "original"
_CURRENT, _SERVED = "current.json", "served.json"
_TIME, _STEM = "%Y%m%d-%H%M%S", re.compile(r"\d{8}-\d{6}")


@dataclass(frozen=True)
class Version:
    """One of a served model's files.

    Attributes:
        id: "original", or the name of its folder.
        file: the model file.
        note: what is known of its making: time, images, metrics.
    """

    id: str
    file: Path
    note: Mapping[str, Any]


class ServedModel:
    """A model under the name it is served by.

    Args:
        name: of the model.
        original: its first model file.
        home: the folder of all further ones.
        threads: of each classifier (see :class:`MonaiSKD.runtime.Classifier`).
    """

    def __init__(self, name: str, original: Path, home: Path, threads: int | None = None) -> None:
        self.name, self.original, self.home, self.threads = name, original, home, threads
        self._opening = threading.Lock()
        self._open: tuple[tuple[Any, ...], Classifier] | None = None

    @property
    def versions(self) -> list[Version]:
        """All of them, the original first, then by age."""
        found = [Version(ORIGINAL, self.original, {})]
        for note in sorted(self.home.glob(f"*/{_SERVED}")):
            found.append(Version(note.parent.name, note.parent / MODEL_NAME, read_json(note)))
        return found

    @property
    def current(self) -> Version:
        """The one that answers."""
        return self._named(self._answering()[0])

    @property
    def classifier(self) -> Classifier:
        """The current model, opened; opened anew only when another one became current.

        Raises:
            SKDError: the file is absent, damaged or foreign.
        """
        file = self.current.file
        stat = file.stat() if file.is_file() else None
        key = (file, stat and (stat.st_mtime_ns, stat.st_size))
        with self._opening:
            if self._open is None or self._open[0] != key:
                self._open = (key, Classifier(file, threads=self.threads))
            return self._open[1]

    @property
    def contract(self) -> Contract:
        """What the current model says of itself."""
        return self.classifier.contract

    def new_folder(self) -> Path:
        """A folder for a further version, made now; named by the time, so that names sort by age."""
        self.home.mkdir(parents=True, exist_ok=True)
        now = datetime.now(timezone.utc).strftime(_TIME)
        # A clock that was set back must not put it before those that were made earlier.
        stem = max([now, *(found[0] for known in self.home.iterdir() if (found := _STEM.match(known.name)))])
        for number in range(1000):
            folder = self.home / (f"{stem}-{number:03d}" if number else stem)
            try:
                folder.mkdir()
                return folder
            except FileExistsError:
                continue
        raise SKDError(self.home, "takes no further folder", "Remove old models")

    def adopt(self, folder: Path, note: Mapping[str, Any], *, same_classes: bool = False) -> Version:
        """Let a new model answer from now on, once it has been opened and checked.

        Args:
            folder: one that :meth:`new_folder` gave, with a model file in it.
            note: what is to be known of its making.
            same_classes: whether it must have the classes of the current one.

        Raises:
            SKDError: it is damaged, foreign, of another modality, or has other classes. Nothing has changed then.
        """
        contract = Classifier(folder / MODEL_NAME, threads=1).contract
        mine = self.contract
        if contract.rule.modality != mine.rule.modality:
            cause = f"is made for {contract.rule.modality}, but {self.name} for {mine.rule.modality}"
            raise SKDError("model file", cause, "Choose the other model", code="model")
        if same_classes and set(contract.class_names) != set(mine.class_names):
            cause = f"has the classes {', '.join(contract.class_names)}, not {', '.join(mine.class_names)}"
            raise SKDError("model file", cause, "Serve it under a name of its own (--conf models FILE)", code="model")
        write_json(folder / _SERVED, {"time": _now(), **note})
        return self.choose(folder.name)

    def choose(self, version: str) -> Version:
        """Let one of the versions answer from now on.

        Raises:
            SKDError: there is none of this name.
        """
        found = self._named(version)
        current, before = self._answering()
        way = [*before, current]
        # Whoever goes back leaves what came after: what was withdrawn never answers because another one is withdrawn.
        way = way[: way.index(found.id)] if found.id in way else way
        write_json(self.home / _CURRENT, {"id": found.id, "before": way})
        return found

    def withdraw(self) -> Version:
        """Let the version that answered before the current one answer again; all stay in the list.

        Raises:
            SKDError: the original is the current one.
        """
        current, before = self._answering()
        if current == ORIGINAL:
            raise SKDError(self.name, "answers with its original model", "Nothing can be withdrawn")
        there = {version.id for version in self.versions}
        return self.choose(next((one for one in reversed(before) if one in there), ORIGINAL))

    def _answering(self) -> tuple[str, list[str]]:
        """The version that answers, and those that answered before it, the last one last."""
        file = self.home / _CURRENT
        if not file.exists():
            return ORIGINAL, []
        data = read_json(file)
        # A file of an older version does not tell which ones were withdrawn; the original never was.
        return str(data["id"]), list(data.get("before", [ORIGINAL]))

    def _named(self, version: str) -> Version:
        for one in self.versions:
            if one.id == version:
                return one
        known = ", ".join(one.id for one in self.versions)
        raise SKDError(f"version {version[:80]!r}", "there is none", f"Choose one of {known}", code="not_found")


def find_served(models: str, run_folders: str, home: Path, threads: int | None = None) -> dict[str, ServedModel]:
    """The models that the server's configuration names.

    Args:
        models: a list with commas: bundles by full or short name, "all" of them, run folders and .onnx files.
        run_folders: further run folders, with commas.
        home: the folder of all further versions, APP/model.
        threads: of each classifier.

    Returns:
        name -> model. A bundle is served by its full name ("chest_xray_classification"), a run folder by its own, a
        file by its name, or its folder's where it is called model.onnx.

    Raises:
        SKDError: one is absent, damaged or foreign, two have the same name, or there is none.
    """
    full = {bundle.name: f"{bundle.name}{SUFFIX}" for bundle in list_bundles()}
    served: dict[str, ServedModel] = {}
    for text in _listed(models, run_folders, list(full)):
        short = text.removesuffix(SUFFIX)
        file = find_model(short if short in full else text)
        name = full.get(short) or _name_of(file)
        if name in served:
            raise SKDError(f"model {text!r}", f"another one is called {name} too", "Rename its folder")
        served[name] = ServedModel(name, file.resolve(), home / name, threads)
        _ = served[name].classifier  # so that a server never starts with a model that does not load
    return served


def _listed(models: str, run_folders: str, bundles: Sequence[str]) -> list[str]:
    names = [text.strip() for text in f"{models},{run_folders}".split(",") if text.strip()]
    if not names:
        remedy = f"Add --conf models all, or a list of {', '.join(f'{name}{SUFFIX}' for name in bundles)}"
        raise SKDError("--conf models", "names no model", remedy)
    every = [name for text in names for name in (bundles if text == "all" else [text])]
    return list(dict.fromkeys(every))


def _name_of(file: Path) -> str:
    file = file.resolve()
    if file.name != MODEL_NAME:
        name = file.stem
    else:
        name = file.parents[1].name if file.parent.name == "models" else file.parent.name
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name).lstrip(".") or "model"


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
