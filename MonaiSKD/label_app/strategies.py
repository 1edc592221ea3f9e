"""Which image to label next: any, the first, the one the model is least sure of, or where two students disagree."""

from __future__ import annotations

import random
import threading
from abc import abstractmethod
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monailabel.interfaces.tasks.strategy import Strategy

from MonaiSKD.errors import SKDError
from MonaiSKD.label_app.answers import ANSWER_KEY, answer
from MonaiSKD.label_app.datastore import ReaderDatastore
from MonaiSKD.label_app.served import ServedModel
from MonaiSKD.label_app.students import Students, entropy, has_students

# Images that one request looks at for the first time; a reader waits for it.
_AT_ONCE = 200

Pick = dict[str, Any] | None
Score = Callable[[str, Path], float]  # of an image by its id and its place


class RandomImage(Strategy):
    """Any image without a label."""

    def __init__(self) -> None:
        super().__init__("Any image without a label")

    def __call__(self, request: Mapping[str, Any], datastore: ReaderDatastore) -> Pick:
        """Its id; None where all are labelled."""
        # MONAI Label's own fails where all images were offered within this second.
        images = datastore.get_unlabeled_images()
        return {"id": random.choice(images)} if images else None


class FirstImage(Strategy):
    """The first image without a label, by its id."""

    def __init__(self) -> None:
        super().__init__("The first image without a label")

    def __call__(self, request: Mapping[str, Any], datastore: ReaderDatastore) -> Pick:
        """Its id; None where all are labelled."""
        images = datastore.get_unlabeled_images()
        return {"id": images[0]} if images else None


class _ByScore(Strategy):
    """The image with the highest score among those without a label; scores are kept per model and image."""

    def __init__(self, description: str, models: Mapping[str, ServedModel]) -> None:
        super().__init__(description)
        self.models = models
        self._known: dict[tuple[Hashable, str, int], float] = {}
        # Requests come in several threads; taken image by image, so that none waits for another's whole search.
        self._alone = threading.Lock()

    @abstractmethod
    def scorer(self, model: ServedModel, datastore: ReaderDatastore) -> tuple[Hashable, Score]:
        """What the model is now, and what it says of an image, whichever answers by then.

        Returns:
            what tells it from others, and: how much a label of an image would teach, NaN where it cannot be read.
        """

    def __call__(self, request: Mapping[str, Any], datastore: ReaderDatastore) -> Pick:
        """Its id and score, and how many images were looked at; None where none has a score.

        Args:
            request: "model": whose; the first one's by default.
            datastore: where the images are.

        Raises:
            SKDError: there is no such model.
        """
        model = self._model(request.get("model"))
        images = datastore.get_unlabeled_images()
        random.shuffle(images)
        with self._alone:
            version, score = self.scorer(model, datastore)
        scores: dict[str, float] = {}
        new = 0
        for image in images:
            try:
                path = datastore.image_path(image)
                key = (version, image, path.stat().st_mtime_ns)
            except (OSError, SKDError):  # taken away since it was listed: nothing to offer
                continue
            with self._alone:
                if key not in self._known:
                    if new == _AT_ONCE:
                        continue
                    new += 1
                    self._known[key] = score(image, path)
                scores[image] = self._known[key]
        answered = {image: value for image, value in scores.items() if not np.isnan(value)}
        if not answered:
            return None
        best = max(sorted(answered), key=lambda image: answered[image])
        return {"id": best, "model": model.name, "score": answered[best], "considered": len(scores), "of": len(images)}

    def _model(self, name: Any) -> ServedModel:
        models = self.candidates()
        if name is None and models:
            return next(iter(models.values()))
        if not isinstance(name, str) or name not in models:
            known = ", ".join(models) or "none"
            raise SKDError(f"model {str(name)[:80]!r}", "cannot be asked for this", f"Use one of: {known}", "not_found")
        return models[name]

    def candidates(self) -> dict[str, ServedModel]:
        """The models that can be asked."""
        return dict(self.models)


class HighestEntropy(_ByScore):
    """The image whose probabilities are closest to even."""

    def __init__(self, models: Mapping[str, ServedModel]) -> None:
        super().__init__("The image that the model is least sure of (highest entropy)", models)

    def scorer(self, model: ServedModel, datastore: ReaderDatastore) -> tuple[Hashable, Score]:
        """Entropy in bits; what /batch/infer has stored of this model is not computed again."""
        classifier = model.classifier
        digest = classifier.model.sha256

        def score(image: str, path: Path) -> float:
            stored = datastore.models_answer(image)
            line = stored[ANSWER_KEY] if stored else {}
            if line.get("model", {}).get("sha256") != digest:
                line = answer(classifier, path, image).line
            return entropy(list(line["probabilities"].values())) if "probabilities" in line else float("nan")

        return digest, score


class StudentsDisagree(_ByScore):
    """The image that the two students of the model's run answer most differently."""

    def __init__(self, models: Mapping[str, ServedModel]) -> None:
        super().__init__("The image that the two students of a run disagree on most", models)
        self._open: tuple[Hashable, Students] | None = None

    def candidates(self) -> dict[str, ServedModel]:
        """Those whose run folder keeps both students."""
        return {name: model for name, model in self.models.items() if has_students(model.current.file)}

    def scorer(self, model: ServedModel, datastore: ReaderDatastore) -> tuple[Hashable, Score]:
        """Jensen-Shannon divergence in bits."""
        file = model.current.file
        version = (file, file.stat().st_mtime_ns)
        if self._open is None or self._open[0] != version:
            self._open = (version, Students(file.parent))
        students = self._open[1]
        return version, lambda image, path: float(students.disagreement([path])[0])


def strategies(models: Mapping[str, ServedModel]) -> dict[str, Strategy]:
    """All of them, by the name they are asked by."""
    return {
        "random": RandomImage(),
        "first": FirstImage(),
        "entropy": HighestEntropy(models),
        "disagreement": StudentsDisagree(models),
    }


def is_offered(strategy: Strategy) -> bool:
    """Whether there is a model that it can ask, now."""
    candidates: Callable[[], Mapping[str, Any]] | None = getattr(strategy, "candidates", None)
    return candidates is None or bool(candidates())
