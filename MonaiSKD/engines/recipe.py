"""The entries of a recipe and the settings beside it: what each may be, asked before a training begins.

Also which of a recipe's entries decide the weights, and which a student of another family needs otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import timm
import torch

from MonaiSKD.distillation.logits import Coupling
from MonaiSKD.engines.initialise import Initialisation
from MonaiSKD.engines.precision import FORMATS
from MonaiSKD.errors import SKDError
from MonaiSKD.reading import RULES
from MonaiSKD.selection.families import CannotMap, family_of
from MonaiSKD.selection.rules import DepthRule, HeadRule, WidthRule

UnlabeledIn = Literal["features", "all"]

# A run may go on with others of these: they leave the weights as they are, but for rounding.
OUTWARD = ("allow_leaks", "cache_dir", "compile", "export", "num_workers", "quiet", "sensitivity")

_WHOLE_NUMBERS = {
    "[0, 4294967295]": ("seed",),  # what NumPy takes for one
    "[1, 2]": ("students",),
    "[1, inf)": ("epochs", "batch_size"),
    "[16, inf)": ("image_size",),  # what is typical is learned from crops of an eighth of the side, too
    "[0, inf)": (
        "teacher_epochs", "feature_epochs", "finetune_epochs", "compensation_images", "distinct_epochs", "num_workers",
    ),
}  # fmt: skip
_NUMBERS = {
    "(0, inf)": (
        "teacher_learning_rate", "feature_learning_rate", "learning_rate", "finetune_learning_rate", "temperature",
        "max_grad_norm",
    ),
    "[0, inf)": (
        "weight_decay", "features", "similarities", "teacher_logits", "skd", "ramp_epochs", "mixup", "cutmix",
    ),
    "[0, 1)": ("label_start", "ema_decay", "smoothing", "drop_path_rate"),
    "(0, 1]": ("sensitivity",),
}  # fmt: skip
_SWITCHES = ("allow_leaks", "compile", "quiet")
_NAMES = ("teacher", "student")
_PATHS = ("teacher_weights", "unlabeled", "cache_dir")
_SELECTION = {"depth": get_args(DepthRule), "width": get_args(WidthRule), "heads": get_args(HeadRule)}

_Rule = tuple[Callable[[Any], bool], str]  # does a value fit, and the ones that do, in words


def check_recipe(recipe: Mapping[str, Any]) -> None:
    """Refuse a recipe that cannot be trained with, before hours are spent on it.

    Raises:
        SKDError: an entry is unknown or absent, has a value that it cannot have, or two of them contradict each other.
    """
    rules = _rules()
    for name in sorted(rules.keys() ^ recipe.keys()):
        cause = "the recipe has no such entry" if name in rules else "there is no such entry"
        raise SKDError(f"option {name!r}", cause, f"The entries are {', '.join(rules)}")
    _ask(rules, recipe)
    if recipe["unlabeled"] is not None and recipe["unlabeled_in"] == "all" and (recipe["mixup"] or recipe["cutmix"]):
        cause = "mixing blends labels, and images without labels take part in stage 1"
        raise SKDError("options 'mixup' and 'cutmix'", cause, "Set unlabeled_in=features, or both to 0")
    follows = recipe["features"] or (recipe["teacher_logits"] and recipe["teacher_epochs"])
    if follows and round(recipe["label_start"] * recipe["epochs"]) == recipe["epochs"]:
        cause = f"it leaves none of {recipe['epochs']} epochs for the labels"
        raise SKDError("option 'label_start'", cause, "Use a smaller share, or more epochs")


def check_settings(title: Any, model: Any, modality: Any, device: Any, val_interval: Any) -> None:
    """Refuse settings beside the recipe that a training, or the model file at its end, could not use.

    Raises:
        SKDError: one has a value that it cannot have.
    """
    rules: dict[str, _Rule] = {
        "title": (_is_text, "a text in UTF-8"),
        "model": (_names_a_model, 'texts for both, as in {"name": "mine", "version": "1.0"}'),
        "modality": (list(RULES).__contains__, _either(list(RULES))),
        "device": (lambda value: isinstance(value, torch.device), "--device, or $engines.resolve_device('cpu')"),
        "val_interval": (partial(_lies_in, "[1, inf)", int), "a whole number in [1, inf)"),
    }
    values = {"title": title, "model": model, "modality": modality, "device": device, "val_interval": val_interval}
    _ask(rules, values)


def decisive(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that decide the weights, but for paths: what lies there decides, wherever it lies."""
    found = {name: value for name, value in recipe.items() if name not in (*OUTWARD, *_PATHS)}
    strength = found["augmentation"]
    found["augmentation"] = list(strength) if isinstance(strength, Sequence) else [strength] * 2
    return found


def suited(student: str) -> dict[str, float]:
    """The entries in which a student of this name needs others than the bundles' own, whose students are EfficientNets.

    Nothing where timm does not know the name, or its family has nothing to say.

    Example:
        >>> suited("vit_tiny_patch14_dinov2"), suited("tf_efficientnet_lite0")
        ({'learning_rate': 0.0002, 'feature_learning_rate': 0.0002}, {})
    """
    if not timm.is_model(student):
        return {}
    with torch.device("meta"):  # only its type is asked for
        network = timm.create_model(student)
    try:
        rate = family_of(network).learning_rate
    except CannotMap:
        return {}
    return {} if rate is None else {"learning_rate": rate, "feature_learning_rate": rate}


def _ask(rules: Mapping[str, _Rule], values: Mapping[str, Any]) -> None:
    for name, (fits, words) in rules.items():
        if not fits(values[name]):
            raise SKDError(f"option {name!r}", f"it cannot be {values[name]!r}", f"Use {words}")


def _rules() -> dict[str, _Rule]:
    """By entry. The values that something else defines are taken from there."""
    from MonaiSKD.export.precision import PRECISIONS  # that package reads run folders, so it knows this one

    choices: dict[str, Sequence[Any]] = {
        "initialisation": get_args(Initialisation),
        "coupling": get_args(Coupling),
        "unlabeled_in": get_args(UnlabeledIn),
        "precision": ("auto", *FORMATS),
        "export": (None, *PRECISIONS),
    }
    rules: dict[str, _Rule] = {}
    for interval, names in _WHOLE_NUMBERS.items():
        rules |= dict.fromkeys(names, (partial(_lies_in, interval, int), f"a whole number in {interval}"))
    for interval, names in _NUMBERS.items():
        rules |= dict.fromkeys(names, (partial(_lies_in, interval, (int, float)), f"a number in {interval}"))
    for name, values in choices.items():
        rules[name] = (values.__contains__, _either(values))
    rules |= dict.fromkeys(_SWITCHES, (lambda value: isinstance(value, bool), "true or false"))
    rules |= dict.fromkeys(_NAMES, (lambda value: isinstance(value, str), "a name"))
    rules |= dict.fromkeys(_PATHS, (lambda value: value is None or _is_text(value), "a path, or null (names in UTF-8)"))
    rules["cache_dir"] = (_takes_files, "a folder, or null (names in UTF-8)")
    rules["augmentation"] = (_strengthens, "a number in [0, inf), or two: for rotation and height, and for width")
    rules["selection"] = (_selects, "; ".join(f"{name}: {_either(values)}" for name, values in _SELECTION.items()))
    return rules


def _lies_in(interval: str, kind: Any, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, kind):
        return False
    low, high = map(float, interval[1:-1].split(","))
    return (value > low or (value == low and interval[0] == "[")) and (
        value < high or (value == high and interval[-1] == "]")
    )


def _is_text(value: Any) -> bool:
    """Whether reports can say it; bytes of a name that are not UTF-8 are kept as surrogates, which no file takes."""
    return isinstance(value, str) and value == value.encode(errors="ignore").decode()


def _takes_files(value: Any) -> bool:
    return value is None or (_is_text(value) and (Path(value).is_dir() or not Path(value).exists()))


def _names_a_model(value: Any) -> bool:
    return isinstance(value, Mapping) and all(_is_text(value.get(part)) for part in ("name", "version"))


def _strengthens(value: Any) -> bool:
    values = value if isinstance(value, Sequence) and len(value) == 2 else [value]
    return all(_lies_in("[0, inf)", (int, float), one) for one in values)


def _selects(value: Any) -> bool:
    return isinstance(value, Mapping) and all(choice in _SELECTION.get(name, ()) for name, choice in value.items())


def _either(values: Sequence[Any]) -> str:
    *others, last = ["null" if value is None else str(value) for value in values]
    return f"{', '.join(others)} or {last}"
