"""How good the models are on the images that readers have labelled, and how far the readers agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timezone
from itertools import combinations
from typing import Any

import numpy as np
from monailabel.interfaces.tasks.scoring import ScoringMethod

from MonaiSKD.errors import SKDError
from MonaiSKD.files import read_json, write_json
from MonaiSKD.label_app.answers import answer
from MonaiSKD.label_app.datastore import ReaderDatastore
from MonaiSKD.label_app.opinions import disagreements, majority
from MonaiSKD.label_app.served import ServedModel

_FILE = "scoring.json"


class Metrics(ScoringMethod):
    """A model's metrics on the labelled images, with intervals over patients where DICOM headers name them.

    They are also kept in APP/model/NAME/scoring.json.
    """

    def __init__(self, model: ServedModel) -> None:
        super().__init__(f"Metrics of {model.name} on the labelled images")
        self.model = model

    def info(self) -> dict[str, Any]:
        """With what was measured last."""
        file = self.model.home / _FILE
        return {**super().info(), "last": read_json(file) if file.exists() else None}

    def __call__(self, request: Mapping[str, Any], datastore: ReaderDatastore) -> dict[str, Any]:
        """Measure.

        The images that the model was trained on are among them, if it was trained here: "trained_here" tells, and then
        the figures are no estimate for new images. Those of the run's own test split stand in the model's metrics.

        Raises:
            SKDError: no image has a label that is one of the model's classes.
        """
        from MonaiSKD.datasets.cases import Case
        from MonaiSKD.datasets.patients import with_patients
        from MonaiSKD.evaluation import classification_metrics

        classifier, version = self.model.classifier, self.model.current
        names = list(classifier.contract.class_names)
        rows, cases, left = [], [], Counter[str]()
        for image, opinions in sorted(datastore.opinions().items()):
            label, path = majority(opinions), datastore.image_path(image)
            if label is None or label not in names:
                left["other class" if label else "tie" if opinions else "unreadable label"] += 1
                continue
            line = answer(classifier, path, image).line
            if "probabilities" not in line:
                left[str(line["error"]["code"])] += 1
                continue
            row = np.array([line["probabilities"][name] for name in names])
            rows.append(row / row.sum())  # the line's numbers are rounded
            cases.append(Case(str(path), label))
        if not rows:
            raise SKDError("labels", "none is one of the model's classes", f"Label images as {', '.join(names)}")
        labels = [names.index(case.label) for case in cases]
        patients = [case.sampled for case in with_patients(cases)]
        found = {
            "model": self.model.name,
            "version": version.id,
            "trained_here": version.note.get("origin") == "training",
            "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "left_out": dict(left),
            "metrics": classification_metrics(np.stack(rows), labels, names, groups=patients),
        }
        write_json(self.model.home / _FILE, found)
        return found


class Readers(ScoringMethod):
    """How far the readers agree, pair by pair, and on which images they do not."""

    def __init__(self) -> None:
        super().__init__("Agreement of the readers")

    def __call__(self, request: Mapping[str, Any], datastore: ReaderDatastore) -> dict[str, Any]:
        """Count."""
        of_images = datastore.opinions()
        both, same = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        for opinions in of_images.values():
            for one, other in combinations(opinions, 2):  # by the reader's name
                both[one.reader, other.reader] += 1
                same[one.reader, other.reader] += one.label == other.label
        pairs = [{"readers": list(pair), "images": both[pair], "agree": same[pair]} for pair in sorted(both)]
        return {"images": len(of_images), "pairs": pairs, "disagreements": disagreements(of_images)}
