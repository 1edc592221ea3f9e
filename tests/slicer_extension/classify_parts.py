"""What the tests of the classify tab share: services around tiny models, a server that is none, volumes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import slicer
from SKDClassifierLib.Jobs import BackgroundTask, ChildJob
from SKDClassifierLib.Logic import Logic
from SKDClassifierLib.Models import Catalogue
from SKDClassifierLib.ParameterNode import SKDParameterNode
from SKDClassifierLib.Protocols import Services
from tinymodel import write_tiny_model


class Installer:
    """All is there, or the user says no."""

    def __init__(self) -> None:
        self.agrees, self.asked = True, 0

    def ensure_light(self, parent: Any = None) -> bool:
        self.asked += 1
        return self.agrees

    ensure_training = ensure_reports = ensure_light


class Place:
    """Where classifying runs; `answer` is called in the server's place."""

    def __init__(self) -> None:
        self.remote, self.agrees, self.url = False, True, "http://10.0.0.1:8000"
        self.models: Mapping[str, tuple[str, ...]] = {"far_model": ("dark", "bright")}
        self.answer: Callable[[str, Path], Any] = lambda model, file: None
        self.sent: list[tuple[str, str, bytes]] = []
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    def choose(self, remote: bool) -> None:
        self.remote = remote
        for listener in self._listeners:
            listener()

    def consent(self, parent: Any = None) -> bool:
        return self.agrees

    def infer(self, model: str, file: str | Path) -> Any:
        self.sent.append((model, str(file), Path(file).read_bytes()))
        return self.answer(model, Path(file))


def make_services(app: Any, folder: Path, models: tuple[str, ...] = ("chest_xray", "lung_ct")) -> tuple[Services, list]:
    """Services with tiny models in their folder, the first of them chosen; and the errors that they show."""
    folder.mkdir(exist_ok=True)
    paths = [write_tiny_model(folder / f"tiny_{rule}.onnx", rule, title=f"Tiny {rule}") for rule in models]
    shown: list[Exception] = []
    services = Services(
        logic=Logic(),
        catalogue=Catalogue(folder),
        installer=Installer(),
        server=Place(),
        settings=app.settings,
        background=BackgroundTask,
        child=ChildJob,
        show_error=shown.append,
        use_model=lambda model: None,
        parameter_node=new_parameter_node(),
    )
    if paths:
        services.parameter_node.model = str(paths[0])
    return services, shown


def new_parameter_node() -> Any:
    """That of the present scene."""
    return SKDParameterNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "SKDClassifier"))


def ct_values(slices: int = 6, side: int = 16) -> np.ndarray:
    """Slices from air to 400 HU, so that each is brighter than the one before."""
    values = np.linspace(-1300, 400, slices)[:, None, None] + np.random.default_rng(0).normal(
        0, 5, (slices, side, side)
    )
    return values.astype(np.int16)


def radiograph_values(side: int = 64) -> np.ndarray:
    """A grey picture."""
    return np.random.default_rng(0).integers(0, 4095, (1, side, side)).astype(np.int16)
