"""Where the bundles are, and running one: the configuration in the bundle is the only description of a training."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MonaiSKD.errors import SKDError
from MonaiSKD.files import read_json

if TYPE_CHECKING:
    from monai.bundle import ConfigWorkflow

SUFFIX = "_classification"
PACKAGE = Path(__file__).parent
# What MONAI's configuration gives a meaning: expressions, references, macros (where a text begins), and levels.
_BEGINNINGS = "$@%"
_MARKS = "$@%#"


@dataclass(frozen=True)
class Bundle:
    """A MONAI bundle of this project.

    Attributes:
        folder: its root.
        config: its `configs/train.json`.
        metadata: its `configs/metadata.json`.
    """

    folder: Path
    config: Mapping[str, Any]
    metadata: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The short name: the folder's without "_classification"."""
        return self.folder.name.removesuffix(SUFFIX)

    @property
    def recipe(self) -> Mapping[str, Any]:
        """The options that may be set."""
        recipe: Mapping[str, Any] = self.config["recipe"]
        return recipe


def bundles_folder() -> Path:
    """The folder of the bundles: in the installed package, or beside the package in a checkout."""
    installed = PACKAGE / "bundles"
    return installed if installed.is_dir() else PACKAGE.parent / "bundles"


def list_bundles() -> list[Bundle]:
    """The bundles that come with the package, by name."""
    return [_load(folder) for folder in sorted(bundles_folder().glob(f"*{SUFFIX}"))]


def find_bundle(name: str) -> Bundle:
    """The bundle of a short name ("chest_xray"), a full name, or a folder.

    Raises:
        SKDError: there is none.
    """
    for folder in (bundles_folder() / f"{name}{SUFFIX}", bundles_folder() / name, Path(name)):
        if (folder / "configs" / "train.json").is_file():
            return _load(folder)
    known = ", ".join(bundle.name for bundle in list_bundles())
    raise SKDError(f"bundle {name!r}", "there is none of this name and no such folder", f"Use one of: {known}")


def _load(folder: Path) -> Bundle:
    configs = folder / "configs"
    return Bundle(folder.resolve(), read_json(configs / "train.json"), read_json(configs / "metadata.json"))


def overrides(bundle: Bundle, options: Mapping[str, Any]) -> dict[str, Any]:
    """Configuration overrides for MONAI, from options by short name.

    An option of the recipe is written by its bare name ("epochs"), any other by its id in the configuration
    ("train#dataloader#batch_size", "class_names"). A text that begins with "$", "@" or "%" is MONAI's to resolve; any
    other value arrives as it is.

    Raises:
        SKDError: the configuration has no such entry.
    """
    result: dict[str, Any] = {}
    for name, value in options.items():
        key = f"recipe#{name}" if name.split("#")[0] in bundle.recipe else name
        node: Any = bundle.config
        for part in key.split("#"):
            if not isinstance(node, Mapping) or part not in node:
                raise SKDError(f"option {name!r}", f"{bundle.name} has none", f"Known: {', '.join(bundle.recipe)}")
            node = node[part]
        result[key] = literal(value, expressions=True)
    return result


def literal(value: Any, *, expressions: bool = False) -> Any:
    """A value as a configuration must hold it to mean itself: MONAI runs "$x" and takes each "#" for its "::".

    Args:
        value: a text, or lists and mappings of values.
        expressions: leave texts that begin as MONAI's expressions, references and macros do.

    Example:
        >>> literal(["a", "run#1"])
        ['a', "$'run\\\\x231'"]
    """
    if isinstance(value, Mapping):
        return {key: literal(part, expressions=expressions) for key, part in value.items()}
    if isinstance(value, list):
        return [literal(part, expressions=expressions) for part in value]
    if not isinstance(value, str) or not set(value) & set(_MARKS) or (expressions and value[0] in _BEGINNINGS):
        return value
    text = ascii(value)
    for mark in _MARKS:  # those inside an expression are rewritten as well
        text = text.replace(mark, f"\\x{ord(mark):02x}")
    return f"${text}"


def run_training(bundle: Bundle, options: Mapping[str, Any]) -> None:
    """Run the bundle's training in this process, as `python -m monai.bundle run` would.

    Args:
        bundle: which.
        options: see :func:`overrides`.

    Raises:
        SKDError: something the user can mend.
    """
    from tqdm.contrib.logging import logging_redirect_tqdm

    workflow = prepare_training(bundle, options)
    with logging_redirect_tqdm():  # log lines appear above the progress bar instead of across it
        workflow.initialize()
        workflow.run()
        workflow.finalize()


def prepare_training(bundle: Bundle, options: Mapping[str, Any]) -> ConfigWorkflow:
    """The bundle's training as a MONAI workflow that has not begun; nothing is read yet.

    Args:
        bundle: which.
        options: see :func:`overrides`. What a chosen student needs otherwise than the bundle's own is added where they
            do not say it (see :func:`MonaiSKD.engines.recipe.suited`).

    Raises:
        SKDError: an option is unknown.
    """
    from monai.bundle import ConfigWorkflow

    from MonaiSKD.engines.recipe import suited

    configs = bundle.folder / "configs"
    student = str(options.get("student", options.get("recipe#student", bundle.recipe["student"])))
    for chatty in ("ignite", "matplotlib"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # It warns of the absent logging file that is switched off on purpose: the command has a format of its own.
    logging.getLogger("monai.bundle.workflows").setLevel(logging.ERROR)
    return ConfigWorkflow(
        config_file=str(configs / "train.json"),
        meta_file=str(configs / "metadata.json"),
        logging_file=False,
        workflow_type="train",
        bundle_root=str(bundle.folder),
        **overrides(bundle, {**_left_open(suited(student), options), **options}),
    )


def _left_open(entries: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that no option sets, by its short name or its id."""
    return {name: value for name, value in entries.items() if not {name, f"recipe#{name}"} & options.keys()}
