"""The app that MONAI Label starts: which models, and what each kind of request does with them.

Written for MONAI Label 0.8.5. Of its unreleased main branch it uses nothing that 0.8.5 has not.
"""

from __future__ import annotations

import copy
import importlib.util
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.interfaces.tasks.strategy import Strategy

from MonaiSKD import __version__
from MonaiSKD.errors import SKDError
from MonaiSKD.label_app.datastore import ReaderDatastore
from MonaiSKD.label_app.scoring import Metrics, Readers
from MonaiSKD.label_app.served import ServedModel, find_served
from MonaiSKD.label_app.strategies import is_offered, strategies
from MonaiSKD.label_app.tasks import ClassifyAll, ClassifyTask
from MonaiSKD.label_app.training import Training

_LARGEST_MB = 1024


class MonaiSKDApp(MONAILabelApp):
    """Serves bundles and run folders for classification; see docs/label_app.md.

    Args:
        app_dir: where models and logs are kept.
        studies: the folder of images.
        conf: "models" and "run_folders" (see :func:`~MonaiSKD.label_app.served.find_served`); "threads" of each
            classifier; "max_upload_mb"; "origins" (see :class:`~MonaiSKD.label_app.guard.Guard`).

    Raises:
        SKDError: a model is absent or does not load, or the studies are not a folder.
    """

    def __init__(self, app_dir: str, studies: str, conf: Mapping[str, str]) -> None:
        # It quotes requests and images in its log, in warnings too, and a task's process, "__main__", its whole result.
        logging.getLogger("monailabel").setLevel(logging.ERROR)
        logging.getLogger("__main__").setLevel(logging.WARNING)
        if studies.startswith(("http://", "https://")):
            cause = "is a server: MONAI Label stores no class in one"
            raise SKDError(studies, cause, "Name a folder; for a PACS see docs/pacs.md")
        threads = conf.get("threads")
        self.served: dict[str, ServedModel] = find_served(
            conf.get("models", ""),
            conf.get("run_folders", ""),
            Path(app_dir) / "model",
            int(threads) if threads else None,
        )
        self._largest = int(conf.get("max_upload_mb", _LARGEST_MB)) * 2**20
        self._origins = {text.strip() for text in conf.get("origins", "").split(",") if text.strip()}
        super().__init__(
            app_dir,
            studies,
            dict(conf),
            "MonaiSKD",
            "Classification of medical images; not for clinical use",
            __version__,
        )
        # It would start a process that loads everything after each image that was asked for.
        self._auto_update_scoring = False

    def init_datastore(self) -> ReaderDatastore:
        """The folder of images."""
        reload, read_only = settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD, settings.MONAI_LABEL_DATASTORE_READ_ONLY
        return ReaderDatastore(self.studies, auto_reload=reload, read_only=read_only)

    def init_infers(self) -> dict[str, ClassifyTask]:
        """One for each model."""
        return {name: ClassifyTask(model) for name, model in self.served.items()}

    def init_trainers(self) -> dict[str, Training]:
        """One for each model, where the training half is installed."""
        if importlib.util.find_spec("timm") is None:
            return {}
        return {name: Training(model) for name, model in self.served.items()}

    def init_strategies(self) -> dict[str, Strategy]:
        """All; which can be used depends on what the models are now, see :meth:`names`."""
        return strategies(self.served)

    def init_scoring_methods(self) -> dict[str, ScoringMethod]:
        """The metrics of each model, by its name, and the readers."""
        return {**{name: Metrics(model) for name, model in self.served.items()}, "readers": Readers()}

    def init_batch_infer(self) -> ClassifyAll:
        """All images of the datastore."""
        return ClassifyAll()

    def names(self, kind: str) -> set[str]:
        """What can be asked for now: the "models", "trainers", "scoring" methods or "strategies"."""
        if kind == "strategies":
            return {name for name, strategy in self._strategies.items() if is_offered(strategy)}
        return set({"models": self._infers, "trainers": self._trainers, "scoring": self._scoring_methods}[kind])

    def info(self) -> dict[str, Any]:
        """What the app is and holds; strategies that have no model to ask are left out."""
        found: dict[str, Any] = super().info()
        offered = self.names("strategies")
        found["strategies"] = {name: what for name, what in found["strategies"].items() if name in offered}
        return found

    def infer_task(self, model: Any) -> ClassifyTask:
        """The task of a model.

        Raises:
            SKDError: there is none of this name.
        """
        if not isinstance(model, str) or model not in self._infers:
            known = ", ".join(self._infers)
            raise SKDError(f"model {str(model)[:80]!r}", "is not served", f"Use one of {known}", code="not_found")
        task: ClassifyTask = self._infers[model]
        return task

    def infer(self, request: Mapping[str, Any], datastore: Any = None) -> dict[str, Any]:
        """Classify an image of the datastore, and store the answer if that is wished for.

        Args:
            request: "model"; "image", an id; "save_label" and "label_tag"; see :class:`ClassifyTask`.
            datastore: the app's own by default.

        Raises:
            SKDError: there is no such model or image.
        """
        task, store = self.infer_task(request.get("model")), datastore or self.datastore()
        image = str(request.get("image", ""))
        wanted = {**copy.deepcopy(dict(request)), "image": str(store.image_path(image)), "shown": image}
        file, params = task(wanted)
        tag, label = request.get("label_tag") or "original", None
        if file is not None and request.get("save_label"):
            label = store.save_label(image, file, tag, {"model": request["model"]})
        return {"label": label, "tag": tag, "file": file, "params": params}

    def infer_wsi(self, request: Mapping[str, Any], datastore: Any = None) -> None:
        """Refuse.

        Raises:
            SKDError: always.
        """
        raise SKDError("slides", "are not classified by these models", "Send a radiograph, CT or MRI")

    def on_init_complete(self) -> None:
        """Put our own endpoints and the guard before MONAI Label's, once its server has started."""
        super().on_init_complete()
        # Imported here: in a training's process there is no server.
        from monailabel.app import app as server

        from MonaiSKD.label_app.endpoints import router
        from MonaiSKD.label_app.guard import Guard

        stock = len(server.router.routes)
        server.include_router(router())
        routes = server.router.routes
        routes[:] = [*routes[stock:], *routes[:stock]]
        # Starlette has built its chain by now, and builds it anew for the next request.
        server.middleware_stack = None
        server.add_middleware(Guard, names=self.names, largest=self._largest, origins=self._origins)
