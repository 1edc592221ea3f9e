"""Reading a file of pretrained weights without ever running code that it may hold."""

from __future__ import annotations

import hashlib
import pickle
import pickletools
import re
import warnings
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models import clean_state_dict

from MonaiSKD.errors import SKDError

SUFFIXES = (".safetensors", ".pth", ".pt")


def find_weights(path: str | Path) -> Path:
    """The weights file at `path`: the file itself, or the only weights file in a folder.

    Raises:
        SKDError: nothing is there, the type is unknown, or the folder does not hold exactly one weights file.
    """
    path = Path(path)
    known = ", ".join(SUFFIXES)
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
        if len(found) != 1:
            names = ", ".join(file.name for file in found[:3]) or "none"
            raise SKDError(
                path,
                f"a folder of weights must hold exactly one weights file ({known}), found {names}",
                "Name the file",
            )
        return found[0]
    if not path.is_file():
        raise SKDError(path, "there is no such weights file", "Check the path")
    if path.suffix not in SUFFIXES:
        raise SKDError(path, f"its type is not one of {known}", "Save the weights as safetensors")
    return path


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dictionary in float32, on the CPU.

    A checkpoint that keeps its weights under `state_dict` or `model` is unwrapped, and the prefixes of wrappers
    (`module.`, `_orig_mod.`) are removed.

    Args:
        path: a `.safetensors`, `.pth` or `.pt` file. The last two are opened with `weights_only=True`.

    Raises:
        SKDError: the file is damaged, holds no weights or values that are not finite, or is a pickle with code inside.
    """
    try:
        content = load_file(path) if path.suffix == ".safetensors" else _load_pickled_tensors(path)
    except (
        SafetensorError,
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        LookupError,
        ValueError,
        TypeError,
    ) as error:
        if isinstance(error, pickle.UnpicklingError) and (code := _code_in(path, error)):
            raise SKDError(
                path,
                f"it is refused because loading this pickle would run code on this computer ({code})",
                "Save the state dictionary alone, best as safetensors",
            ) from error
        raise SKDError(path, "it is damaged or no file of weights", "Fetch or save it again") from error
    except OSError as error:
        raise SKDError(path, f"cannot be read ({error.strerror or error})", "Check the file") from error
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not content or not all(isinstance(v, torch.Tensor) for v in content.values()):
        raise SKDError(path, "it holds no state dictionary", "Save `model.state_dict()` alone")
    state = {
        str(key): value.float() if value.is_floating_point() else value
        for key, value in clean_state_dict(content).items()
    }
    for key, value in state.items():
        if not torch.isfinite(value).all():
            raise SKDError(path, f"its entry {key} holds values that are not finite", "Fetch or save it again")
    return state


def fingerprint(path: Path) -> str:
    """File name and the first 12 hexadecimal digits of its SHA-256, to name a file without saying where it lies."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return f"{path.name} (sha256 {digest.hexdigest()[:12]})"


def _load_pickled_tensors(path: Path) -> object:
    with warnings.catch_warnings():
        # torch warns about unusual pickle protocols just before it refuses them.
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=True)


def _code_in(path: Path, error: pickle.UnpicklingError) -> str | None:
    """What a refused pickle calls, as far as it can be told without loading it; None if it seems no pickle at all."""
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    if named:
        return f"it calls {named.group(1)}"
    try:
        operations = {operation.name for operation, _, _ in pickletools.genops(path.read_bytes())}
    except ValueError:
        return None
    return "it calls functions" if operations & {"REDUCE", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX"} else None
