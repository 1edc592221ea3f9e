"""MONAI Label's tasks around the classifier: one image, and all images of the datastore."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from monailabel.interfaces.tasks.batch_infer import BatchInferTask
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from MonaiSKD.errors import SKDError
from MonaiSKD.label_app.answers import answer
from MonaiSKD.label_app.heatmaps import HeatFormat, parse_format
from MonaiSKD.label_app.served import ServedModel

# Modalities whose images are volumes.
_VOLUMES = ("lung_ct", "brain_mri")


class ClassifyTask(InferTask):
    """A served model as MONAI Label sees it."""

    def __init__(self, model: ServedModel) -> None:
        self.model = model
        contract = model.contract
        dimension = 3 if contract.rule.modality in _VOLUMES else 2
        super().__init__(InferType.CLASSIFICATION.value, list(contract.class_names), dimension, contract.title)

    def info(self) -> dict[str, Any]:
        """What it is now: a training may have given it other classes since it was made."""
        contract, current = self.model.contract, self.model.current
        return {
            "type": self.type,
            "labels": list(contract.class_names),
            "dimension": self.dimension,
            "description": f"{contract.title} ({contract.intended_use})",
            "version": contract.version,
            "sha256": self.model.classifier.model.sha256,
            "metrics": dict(contract.metrics),
            "thresholds": dict(contract.thresholds),
            "current": current.id,
            "versions": [{"id": version.id, **version.note} for version in self.model.versions],
            "config": {"heatmap": ["", *get_args(HeatFormat)]},
        }

    def is_valid(self) -> bool:
        """Always: a model that does not load stops the server from starting."""
        return True

    def get_path(self, validate: bool = True) -> str:
        """The current model file, for download."""
        return str(self.model.current.file)

    def __call__(self, request: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """Classify; the file is the answer itself where it is to be saved as a label, else the heat map.

        Args:
            request: "image", a path; "shown", what to call it; "heatmap"; "save_label"; "folder", where files go, with
                one of these two.
        """
        save = bool(request.get("save_label"))
        heatmap = None if save else parse_format(request.get("heatmap"))
        folder = Path(request["folder"]) if save or heatmap else None
        found = answer(self.model.classifier, request["image"], request.get("shown") or "image", heatmap, folder)
        if folder is None or not save:
            return (str(found.heatmap) if found.heatmap else None), found.params
        file = folder / "answer.json"
        file.write_text(json.dumps(found.params), encoding="utf-8")
        return str(file), found.params


class ClassifyAll(BatchInferTask):
    """All, the labelled or the unlabelled images of the datastore; each answer is stored with the tag "original"."""

    def __call__(self, request: dict[str, Any], datastore: Any, infer: Callable[..., Any]) -> dict[str, Any]:
        """Classify; an image that cannot be answered has its error stored, and one that was taken away is passed over.

        MONAI Label's own choice of a device fails where there is none, and its files, once stored, are in the way.
        """
        if request.get("images") not in (None, "all", "labeled", "unlabeled"):
            raise SKDError("images", "are neither all, labeled nor unlabeled", "Ask for one of these")
        with tempfile.TemporaryDirectory(prefix="monai-skd-") as folder:
            wanted = {**request, "multi_gpu": False, "device": "cpu", "max_workers": 1, "folder": folder}
            found: dict[str, Any] = super().__call__(wanted, datastore, _unless_gone(infer))
        return found


def _unless_gone(infer: Callable[..., Any]) -> Callable[..., Any]:
    """An image of the datastore may be taken away after it was listed: no reason to leave the others unanswered."""

    def infer_or_pass(*arguments: Any) -> Any:
        try:
            return infer(*arguments)
        except SKDError as error:
            if error.code != "not_found":
                raise
            return {}

    return infer_or_pass
