"""What the tests of the classify tab share: services around tiny models, a server that is none, volumes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import slicer
from dicom_writing import made, write
from harness import BlockTimer
from SKDClassifierLib.jobs.Jobs import BackgroundTask, ChildJob
from SKDClassifierLib.Models import Catalogue
from SKDClassifierLib.ParameterNode import SKDParameterNode
from SKDClassifierLib.Protocols import Services
from SKDClassifierLib.scene.Logic import Logic
from tinymodel import write_tiny_model


class Installer:
    """All is there, or the user says no."""

    def __init__(self) -> None:
        self.agrees, self.asked = True, 0

    def ensure_light(self, parent: Any = None) -> bool:
        self.asked += 1
        return self.agrees

    ensure_training = ensure_light


class Place:
    """Where classifying runs; `answer` is called in the server's place."""

    def __init__(self) -> None:
        self.remote, self.agrees, self.url = False, True, "http://10.0.0.1:8000"
        self.models: Mapping[str, tuple[str, ...]] = {"far_model": ("dark", "bright")}
        self.answer: Callable[[str, Path], Any] = lambda model, file: None
        self.sent: list[tuple[str, str, bytes]] = []
        self.asked: list[str] = []
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    def choose(self, remote: bool) -> None:
        self.remote = remote
        for listener in self._listeners:
            listener()

    def consent(self, parent: Any = None) -> bool:
        return self.agrees

    def infer(self, model: str, file: str | Path, url: str) -> Any:
        self.asked.append(url)
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


def write_study(folder: Path, number: int, modality: str = "CR", slices: int = 1, side: int = 32) -> list[Path]:
    """The DICOM files of one study of one series: a radiograph, or axial slices of 2 mm.

    Its patient is called "Secret^Name<number>", its date is the `number`th of January 2024.
    """
    from pydicom.uid import generate_uid

    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    values = ct_values(slices, side) + 1400 if modality == "CT" else radiograph_values(side)
    patient = {"PatientName": f"Secret^Name{number}", "PatientID": f"S{number}"}
    patient |= {"PatientBirthDate": "", "PatientSex": ""}
    about = {"StudyDate": f"202401{number:02}", "StudyTime": "101112", "StudyID": "1", "AccessionNumber": ""}
    about |= {"StudyDescription": f"study {number}", "SeriesDescription": f"series {number}", "SeriesNumber": 1}
    about |= {"StudyInstanceUID": study, "SeriesInstanceUID": series, "FrameOfReferenceUID": frame}
    about |= {"ReferringPhysicianName": "", "Manufacturer": "none", "Laterality": ""}
    kind: dict[str, Any] = {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "PixelSpacing": [1.0, 1.0]}
    kind["ViewPosition"] = "PA" if modality == "CR" else ""
    if modality == "CT":
        kind |= {"RescaleSlope": 1, "RescaleIntercept": -1400, "SliceThickness": 2}
    files = []
    for index, picture in enumerate(values.astype(np.uint16)):
        place: dict[str, Any] = {"InstanceNumber": index + 1}
        if modality == "CT":
            place |= {"ImagePositionPatient": [0, 0, 2 * index], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
        one = made(picture, modality, **patient, **about, **kind, **place)
        files.append(write(folder / f"{number}-{index:03}.dcm", one))
    return files


def longest_block(action: Callable[[], Any], tries: int = 3) -> tuple[float, float]:
    """For how many milliseconds the event loop stood still at most, and how many it may: the best of some tries.

    It may stand 100 ms where nothing else runs, and longer by half more than the processors are wanted by programs:
    whoever shares a processor with others waits for its turn by pieces.
    """
    best, limit = float("inf"), 100.0
    for _ in range(tries):
        with BlockTimer() as blocked:
            action()
        best = min(best, blocked.longest)
        limit = 100 * max(1.0, 1.5 * os.getloadavg()[0] / (os.cpu_count() or 1))
        if best < 100:
            break
    return best, limit
