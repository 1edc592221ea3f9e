"""The models that can be chosen: those of the bundles, and those in the user's models folder. No Qt."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from SKDClassifierLib import Package

if TYPE_CHECKING:
    from MonaiSKD.runtime import Contract

SUFFIX = ".onnx"
_NOTES = Path(__file__).parents[1] / "Resources" / "models.json"
MODALITIES = {"chest_xray": "chest radiograph", "lung_ct": "lung CT", "brain_mri": "brain MRI"}


@dataclass(frozen=True)
class ModelEntry:
    """A model in the list.

    Args:
        id: a bundle's short name, or the file's path; what parameter nodes remember.
        path: the model file.
        title: one line for people.
        modality: key of :data:`MODALITIES`; empty for a damaged file.
        classes: in the model's order.
        megabytes: of the file.
        version: of the model.
        metrics: balanced accuracy and AUC on its test images, in words; empty where the file tells none.
        description: a line more, for the bundles.
        sample: the name of the sample data to try it with.
        words: further search words.
        error: why the file cannot be used; empty for a sound one.
    """

    id: str
    path: Path
    title: str
    modality: str = ""
    classes: tuple[str, ...] = ()
    megabytes: float = 0.0
    version: str = ""
    metrics: str = ""
    description: str = ""
    sample: str = ""
    words: str = ""
    error: str = ""

    def text(self) -> str:
        """All that a search looks at."""
        kind = MODALITIES.get(self.modality, "")
        return " ".join((self.id, self.title, kind, *self.classes, self.description, self.words)).lower()

    def fits(self, text: str) -> bool:
        """Whether it holds all words of a text, in any case."""
        return all(word in self.text() for word in text.lower().split())


class Catalogue:
    """The models of the bundles, and those in a folder of the user's.

    Contracts are read without ONNX Runtime, so that the list is there before anything is installed.

    Args:
        folder: the models folder; need not exist.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def entries(self) -> list[ModelEntry]:
        """The bundles' models, then the user's by name; a damaged file appears with its error."""
        Package.make_importable()
        from MonaiSKD.bundle import list_bundles

        notes = json.loads(_NOTES.read_text(encoding="utf-8"))["models"]
        shipped = [(bundle.name, bundle.folder / "models" / "model.onnx") for bundle in list_bundles()]
        found = [_entry(name, path, notes.get(name, {})) for name, path in shipped if path.is_file()]
        own = sorted(self.folder.glob(f"*{SUFFIX}")) if self.folder.is_dir() else []
        return found + [_entry(str(path), path, {}) for path in own]

    def search(self, text: str) -> list[ModelEntry]:
        """The entries that hold all words of a text, in any case."""
        return [entry for entry in self.entries() if entry.fits(text)]

    def find(self, id_or_path: str) -> ModelEntry:
        """The entry of an id; of a model file that is not in the list, too.

        Raises:
            SKDError: there is none, or it cannot be used.
        """
        from MonaiSKD.errors import SKDError
        from MonaiSKD.runtime.contract import read_contract

        for entry in self.entries():
            if id_or_path in (entry.id, str(entry.path)):
                if entry.error:
                    read_contract(entry.path)  # raises what is wrong
                return entry
        path = Path(id_or_path)
        if path.is_dir():
            path = path / "model.onnx"
        if not path.is_file():
            cause = "there is no such model any more"
            raise SKDError(f"model {id_or_path!r}", cause, "Choose another, or add its file again", "not_found")
        read_contract(path)
        return _entry(str(path), path, {})

    def add(self, path: str | Path) -> ModelEntry:
        """Check a model file and copy it into the models folder; the same content is not copied twice.

        Raises:
            SKDError: it is no model file, or the folder cannot be written.
        """
        Package.make_importable()
        from MonaiSKD.files import atomic_path
        from MonaiSKD.runtime.contract import read_contract

        contract = read_contract(path)
        content = Path(path).read_bytes()
        target = self.folder / f"{_safe(contract.name)}-{_safe(contract.version)}{SUFFIX}"
        number = 1
        while target.exists() and target.read_bytes() != content:
            number += 1
            target = self.folder / f"{_safe(contract.name)}-{_safe(contract.version)}-{number}{SUFFIX}"
        if not target.exists():
            with atomic_path(target) as beside:
                beside.write_bytes(content)
        return _entry(str(target), target, {})


def _entry(identifier: str, path: Path, notes: dict[str, Any]) -> ModelEntry:
    from MonaiSKD.errors import SKDError
    from MonaiSKD.runtime.contract import read_contract

    try:
        contract = read_contract(path)
    except SKDError as error:
        return ModelEntry(identifier, path, path.name, error=str(error))
    return ModelEntry(
        id=identifier,
        path=path,
        title=contract.title or contract.name,
        modality=contract.rule.modality,
        classes=contract.class_names,
        megabytes=path.stat().st_size / 1e6,
        version=contract.version,
        metrics=_metrics(contract),
        description=notes.get("description", ""),
        sample=notes.get("sample", ""),
        words=" ".join(notes.get("words", ())),
    )


def _metrics(contract: Contract) -> str:
    """Such as "balanced accuracy 86.8 %, AUC 97.6 % on 600 test images"."""
    test = contract.metrics.get("test", {})
    parts = []
    for key, words in (("balanced_accuracy", "balanced accuracy"), ("macro_auc", "AUC")):
        value = test.get(key)
        value = value.get("value") if isinstance(value, dict) else value
        if isinstance(value, (int, float)):
            parts.append(f"{words} {100 * value:.1f} %")
    count = test.get("n")
    return ", ".join(parts) + (f" on {count} test images" if parts and count else "")


def _safe(text: str) -> str:
    return "".join(char if char.isalnum() or char in "._-" else "_" for char in text)[:60] or "model"
