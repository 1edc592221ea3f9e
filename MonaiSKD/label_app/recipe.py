"""Which entries of the recipe a request may set: numbers, switches and names, but nothing that is run or opened.

In a configuration, a text that begins with "$" is Python and one that names a path is read, so neither is taken from a
client.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from MonaiSKD.bundle import Bundle
from MonaiSKD.errors import SKDError

# Entries that hold paths or decide where files go, and those that only this app sets.
_KEPT = {"teacher_weights", "unlabeled", "cache_dir", "export", "quiet", "selection", "num_workers"}
# Entries of one number or two.
_PAIRS = {"augmentation"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_LARGEST = 10_000
# MONAI Label's clients call these so.
_ALSO = {"max_epochs": "epochs", "train_batch_size": "batch_size"}
# What MONAI Label and its clients add to every request for a training.
_STOCK = {
    "model", "device", "name", "pretrained", "dataset", "dataset_limit", "dataset_randomize", "tracking",
    "tracking_uri", "tracking_experiment_name", "run_id", "multi_gpu", "gpus", "local_rank", "bundle_path", "val_split",
    "val_batch_size", "early_stop_patience", "dataloader", "amp", "force",
}  # fmt: skip


def offered(bundle: Bundle) -> dict[str, Any]:
    """The entries that a request may set, with what holds where it does not."""
    return {name: value for name, value in bundle.recipe.items() if name not in _KEPT}


def chosen(bundle: Bundle, request: Mapping[str, Any]) -> dict[str, Any]:
    """What a request sets.

    Args:
        bundle: whose recipe it is.
        request: entries by name; what MONAI Label adds of its own is left aside.

    Raises:
        SKDError: it sets what it may not, or to what it cannot be.

    Example:
        >>> from MonaiSKD.bundle import find_bundle
        >>> chosen(find_bundle("brain_mri"), {"model": "brain_mri", "max_epochs": 3, "learning_rate": 0.001})
        {'epochs': 3, 'learning_rate': 0.001}
    """
    known = offered(bundle)
    found: dict[str, Any] = {}
    for given, value in request.items():
        name = _ALSO.get(given, given)
        if name in known:
            found[name] = _checked(name, value, known[name])
        elif given not in _STOCK:
            raise SKDError(f"entry {given[:80]!r}", "cannot be set here", f"Known: {', '.join(known)}")
    return found


def _checked(name: str, value: Any, default: Any) -> Any:
    values = value if name in _PAIRS and isinstance(value, list) and len(value) == 2 else [value]
    like = default[0] if isinstance(default, list) else default
    if not all(_fits(one, like) for one in values):
        raise SKDError(f"entry {name!r}", f"cannot be {str(value)[:80]!r}", f"Give it as in its default, {default!r}")
    return value


def _fits(value: Any, default: Any) -> bool:
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, (int, float)):
        whole = not isinstance(default, int) or isinstance(value, int)
        return isinstance(value, (int, float)) and not isinstance(value, bool) and whole and 0 <= value <= _LARGEST
    return isinstance(value, str) and _NAME.fullmatch(value) is not None
