"""What a run leaves behind, and how to load it again."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from MonaiSKD.engines.checkpoint import save_state
from MonaiSKD.errors import SKDError
from MonaiSKD.files import read_json, write_json
from MonaiSKD.models.classifier import Classifier
from MonaiSKD.models.evidence import Evidence
from MonaiSKD.models.typicality import Typicality

MODEL, EVIDENCE, TYPICALITY = "model.pt", "evidence.pt", "typicality.pt"
MODEL_FILE, CONFIG, METRICS, PLAN = "model.onnx", "config.json", "metrics.json", "plan.json"
RUN, CHECKPOINTS = "run.json", "checkpoints"
REPORT, SUMMARY = "report.html", "summary.png"

# What the fingerprints in run.json are of.
_OTHER = {
    "data": "other images, classes or splits",
    "unlabeled": "other images without labels",
}


def claim(folder: str | Path, run: Mapping[str, Any]) -> None:
    """Note what a run folder is of, or refuse to go on from checkpoints of anything else.

    Images that an earlier run has learned from may be test images of this one: its results would be worth nothing.

    Args:
        folder: the run folder. Without checkpoints it is taken, whatever it was of before; results of an earlier
            run stay until the new ones are there.
        run: JSON data, by name: all that decides the weights, options and fingerprints.

    Raises:
        SKDError: there are checkpoints of another run, or without a note, as older versions left them.
    """
    note = Path(folder) / RUN
    if not any((Path(folder) / CHECKPOINTS).glob("*.pt")):
        write_json(note, run)
        return
    anew = f"use another --out folder, or remove its {CHECKPOINTS}"
    if not note.is_file():
        cause = f"there is no {RUN}, so its {CHECKPOINTS} do not say what they were trained on"
        raise SKDError(folder, cause, f"To start anew, {anew}")
    before, now = read_json(note), json.loads(json.dumps(run))
    if isinstance(before.get("augmentation"), int | float):
        before["augmentation"] = [before["augmentation"], 0.0]  # older versions varied one axis alone
    differing = [name for name in {**before, **now} if before.get(name, "none") != now.get(name, "none")]
    if differing:
        told = [_OTHER.get(n) or f"{n} {before.get(n, 'none')!r} instead of {now.get(n, 'none')!r}" for n in differing]
        cause = f"it holds a training with {'; '.join(told)}"
        raise SKDError(folder, cause, f"Use the same data and options again; to start anew, {anew}")


@dataclass(frozen=True)
class TrainedModel:
    """A trained student with its contract.

    Attributes:
        network: on the CPU, in evaluation mode, calibrated.
        config: what `config.json` of its run says: contract and recipe.
    """

    network: Classifier
    config: Mapping[str, Any]

    @property
    def class_names(self) -> list[str]:
        """Classes in the order of the logits."""
        return list(self.config["contract"]["class_names"])

    @property
    def modality(self) -> str:
        """Which canonical-image rule its images go through."""
        return str(self.config["contract"]["modality"])


def save_model(folder: str | Path, network: Classifier) -> None:
    """Write the network's weights as `model.pt`: a plain state dict, as MONAI bundles keep them.

    A model file is removed: it may hold other weights or thresholds, and where one is wanted it is written last.
    """
    (Path(folder) / MODEL_FILE).unlink(missing_ok=True)
    save_state(Path(folder) / MODEL, {key: value.cpu().contiguous() for key, value in network.state_dict().items()})


def load_weights(network: Classifier, path: str | Path) -> None:
    """Load a `model.pt` strictly, without unpickling anything but tensors.

    Raises:
        SKDError: the file is absent, holds more than tensors, or does not fit the network.
    """
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except FileNotFoundError as error:
        raise SKDError(path, "there is no such file", "Train first, or name a run folder") from error
    except pickle.UnpicklingError as error:
        raise SKDError(path, "it holds code, which is never run", "Use a file that holds tensors only") from error
    except (RuntimeError, OSError, TypeError, AttributeError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise SKDError(path, f"does not fit the network ({reason})", "Use the model.pt of the same run") from error


def load_run(path: str | Path) -> TrainedModel:
    """Load the trained student of a run.

    Args:
        path: the run folder, or the `model.pt` in it (`config.json` must lie beside).

    Raises:
        SKDError: something is absent or does not fit.
    """
    file = Path(path)
    folder = file if file.is_dir() else file.parent
    if not (folder / CONFIG).is_file():
        raise SKDError(path, f"there is no {CONFIG}, so this is no run folder", "Name the --out folder of a training")
    config = read_json(folder / CONFIG)
    contract = config["contract"]
    network = Classifier(contract["student"], len(contract["class_names"]), contract["image_size"])
    load_weights(network, folder / MODEL if file.is_dir() else file)
    return TrainedModel(network.eval(), config)


def load_evidence(folder: str | Path) -> Evidence:
    """Load the heat maps of a run (:data:`EVIDENCE`).

    Raises:
        SKDError: the file is absent or damaged.
    """
    state = _load_tensors(Path(folder) / EVIDENCE)
    try:
        evidence = Evidence(state["mean"].shape[1], len(state["head.2.bias"]))
        evidence.load_state_dict(state)
    except (KeyError, IndexError, TypeError, RuntimeError) as error:
        raise _damaged(Path(folder) / EVIDENCE, error) from error
    return evidence.requires_grad_(False).eval()


def load_typicality(folder: str | Path) -> Typicality:
    """Load what tells typical images from others (:data:`TYPICALITY`).

    Raises:
        SKDError: the file is absent or damaged.
    """
    state = _load_tensors(Path(folder) / TYPICALITY)
    try:
        typicality = Typicality(state["mean"].shape[1])
        typicality.load_state_dict(state)
    except (KeyError, IndexError, TypeError, RuntimeError) as error:
        raise _damaged(Path(folder) / TYPICALITY, error) from error
    return typicality.requires_grad_(False).eval()


def _load_tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        state: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise SKDError(path, "there is no such file", "Train again: the run is older or not complete") from error
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError) as error:
        raise _damaged(path, error) from error
    return state


def _damaged(path: Path, error: Exception) -> SKDError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return SKDError(path, f"is damaged ({reason})", "Run the same training command again: it ends with what is missing")
