"""What a run leaves behind, and how to load it again."""

from __future__ import annotations

import json
import logging
import pickle
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events

from MonaiSKD.datasets import DataList
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

_LOG = logging.getLogger(__name__)
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


def load_weights(
    network: Classifier,
    path: str | Path,
    *,
    student: str | None = None,
    class_names: Sequence[str] | None = None,
    modality: str | None = None,
) -> None:
    """Load a `model.pt` strictly, without unpickling anything but tensors.

    Weights fit networks of another image size, and classes of another order or meaning, without a word. So a file in a
    run folder is held to what :data:`CONFIG` says there; of one that lies elsewhere nothing is known.

    Args:
        network: what takes the weights; its image size is compared.
        path: the file.
        student: the timm name of the network's backbone; compared where given, as are the next two.
        class_names: what the logits stand for, in order.
        modality: the canonical-image rule of the images to come.

    Raises:
        SKDError: the file is absent, holds more than tensors, does not fit the network, or was trained as another.
    """
    settings = {"modality": modality, "student": student, "image_size": network.image_size}
    _refuse_others(path, {**settings, "class_names": None if class_names is None else list(class_names)})
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except FileNotFoundError as error:
        raise SKDError(path, "there is no such file", "Train first, or name a run folder") from error
    except pickle.UnpicklingError as error:
        raise SKDError(path, "it holds code, which is never run", "Use a file that holds tensors only") from error
    except (RuntimeError, OSError, TypeError, AttributeError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise SKDError(path, f"does not fit the network ({reason})", "Use the model.pt of the same run") from error


class LoadWeights:
    """Load an evaluator's weights as it starts, whoever starts it (see :func:`load_weights`, also for the arguments).

    MONAI's CheckpointLoader does not hold weights to the run they lie in.
    """

    def __init__(
        self, network: Classifier, path: str | Path, *, student: str, class_names: Sequence[str], modality: str
    ) -> None:
        self.network = network
        self.path = path
        self.trained_as: dict[str, Any] = {"student": student, "class_names": class_names, "modality": modality}

    def attach(self, engine: Engine) -> None:
        """Hook into the evaluator."""
        engine.add_event_handler(Events.STARTED, self._load)

    def _load(self, engine: Engine) -> None:
        load_weights(self.network, self.path, **self.trained_as)


def _refuse_others(path: str | Path, settings: Mapping[str, Any]) -> None:
    contract = _contract_beside(path)
    differing = [name for name, value in settings.items() if value is not None and contract.get(name, value) != value]
    if not differing:
        return
    told = "; ".join(f"{name} {contract[name]!r}, not {settings[name]!r}" for name in differing)
    options = [f"--{name}={shlex.quote(_plain(contract[name]))}" for name in differing]
    remedy = f"Give {' '.join(options)} (in evaluation --recipe#student and --recipe#image_size)"
    if "modality" in differing:
        remedy = f"Use a bundle for {contract['modality']}"
    raise SKDError(path, f"was trained with {told}", remedy)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _contract_beside(path: str | Path) -> Mapping[str, Any]:
    """What a run says of its weights; nothing for weights that lie elsewhere."""
    file = Path(path).parent / CONFIG
    config = read_json(file) if file.is_file() else None
    contract = config.get("contract") if isinstance(config, dict) else None  # other programs' files are called so, too
    return contract if isinstance(contract, dict) else {}


def held_out_items(datalist: DataList, path: str | Path) -> list[dict[str, Any]]:
    """The items of the test split, to measure the weights at `path` with (see :meth:`DataList.items`).

    A split that was drawn is a test split only of what was trained on the very same data, divided by the same seed.
    Anything else is refused where the run beside the weights says so; where there is none, the log says what is open.

    Raises:
        SKDError: see above.
    """
    known = _contract_beside(path).get("training_data_sha256")
    if known is not None and not datalist.is_split_of("test", known):
        cause = "they give no test split, and one drawn from them may hold images that the model was trained on"
        remedy = "Give the splits, or for the training's own images its --recipe#seed"
        raise SKDError("the images", cause, remedy)
    if known is None and "test" in datalist.drawn:
        _LOG.warning(
            "The images give no test split. One was drawn from them, and %s may have been trained on its images: the "
            "figures hold only if it was not.",
            path,
        )
    return datalist.items("test")


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
