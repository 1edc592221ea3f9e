"""What the tabs need from the parts behind them: small interfaces, so that each can be replaced and tested alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from SKDClassifierLib.Models import ModelEntry
    from SKDClassifierLib.scene.Logic import Answer
    from SKDClassifierLib.scene.ResultNodes import StoredResult


class Progress(Protocol):
    """Told how much of a task is done; may raise :class:`SKDClassifierLib.scene.Logic.Cancelled` to end it."""

    def __call__(self, done: int, total: int) -> None:
        """`done` of `total` steps are finished."""


class Logic(Protocol):
    """Classifies volumes of the scene. See :class:`SKDClassifierLib.scene.Logic.Logic`."""

    def classifier(self, model: str | Path) -> Any:
        """The opened model (kept for the next time); SKDError when the file is damaged or gone."""

    def task(self, node: Any, model: str | Path, heat: bool = True) -> Callable[[Progress], Answer]:
        """Capture `node` (main thread); what comes back touches no MRML and may run in any thread."""

    def remote_task(self, node: Any, model: str, server: ServerChoice) -> Callable[[Progress], Answer]:
        """The same on a server."""

    def show(self, answer: Answer) -> StoredResult:
        """Put an answer into the scene, whole or not at all (main thread)."""


class Catalogue(Protocol):
    """The models that can be chosen. See :class:`SKDClassifierLib.Models.Catalogue`."""

    folder: Path

    def entries(self) -> list[ModelEntry]:
        """All of them; damaged files appear, too, with their `error`."""

    def search(self, text: str) -> list[ModelEntry]:
        """Those that fit all words of `text`."""

    def add(self, path: str | Path) -> ModelEntry:
        """Check a model file and copy it into the models folder; SKDError when it is none."""

    def find(self, id_or_path: str) -> ModelEntry:
        """The entry of an id or of a model file's path; SKDError where there is none."""


class Installer(Protocol):
    """Gets missing packages, after asking. See :class:`SKDClassifierLib.place.Install.Installer`."""

    def ensure_light(self, parent: Any = None) -> bool:
        """Whether what classifying needs is there; asks before it installs anything; False when the user refuses."""

    def ensure_training(self, parent: Any = None) -> bool:
        """The same for what training needs."""


class ServerChoice(Protocol):
    """Where classifying runs: on this computer, or on a server that the user named."""

    @property
    def remote(self) -> bool:
        """Whether a server is chosen."""

    @property
    def url(self) -> str:
        """The server's address."""

    @property
    def models(self) -> Mapping[str, tuple[str, ...]]:
        """The server's models that classify, name -> classes."""

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever the choice changes."""

    def consent(self, parent: Any = None) -> bool:
        """Whether the user lets images go to this server; asks the first time (main thread)."""

    def infer(self, model: str, file: str | Path, url: str) -> Any:
        """The Outcome of the server that was chosen at the click, for an image file (any thread); SKDError when it
        gives none, or images may not go there any more.
        """


class Task(Protocol):
    """Work in a thread of this process. See :class:`SKDClassifierLib.jobs.Jobs.BackgroundTask`."""

    running: bool

    def start(self) -> None:
        """Begin."""

    def cancel(self) -> None:
        """Ask it to end; `on_cancelled` follows."""

    def abandon(self) -> None:
        """Ask it to end, and call nothing any more."""


class TaskFactory(Protocol):
    """Makes a task that is not started yet; its callbacks come on the main thread."""

    def __call__(
        self,
        function: Callable[[Progress], Any],
        on_progress: Callable[[int, int], None],
        on_done: Callable[[Any], None],
        on_error: Callable[[Exception], None],
        on_cancelled: Callable[[], None],
    ) -> Task:
        """A task that will run `function(progress)`."""


class Child(Protocol):
    """`python -m MonaiSKD …` in a process of its own. See :class:`SKDClassifierLib.jobs.Jobs.ChildJob`."""

    running: bool

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """Ask it to end in order; after a grace time its process tree is killed. `on_end` follows."""

    def abandon(self) -> None:
        """Stop it, and call nothing any more."""


class ChildFactory(Protocol):
    """Makes a child job that is not started yet; its callbacks come on the main thread."""

    def __call__(
        self,
        arguments: list[str],
        on_event: Callable[[dict], None],
        on_log: Callable[[str], None],
        on_end: Callable[[Any], None],
    ) -> Child:
        """A job that will run `python -m MonaiSKD *arguments`; `on_end` gets a `JobEnd`."""


@dataclass
class Services:
    """What the tabs are given.

    Args:
        logic: classifies.
        catalogue: the models.
        installer: gets packages.
        server: this computer or a server.
        settings: `qt.QSettings`; keys begin with "SKDClassifier/".
        background: makes a :class:`Task`.
        child: makes a :class:`Child`.
        show_error: shows an exception to the user; a MonaiSKD.errors.SKDError as the sentence that it is.
        use_model: chooses a model (an id or a file) in the classify tab and shows that tab.
        parameter_node: the wrapped parameter node of the current scene; replaced when the scene changes, None while no
            scene is open.
    """

    logic: Logic
    catalogue: Catalogue
    installer: Installer
    server: ServerChoice
    settings: Any
    background: TaskFactory
    child: ChildFactory
    show_error: Callable[[Exception], None]
    use_model: Callable[[str], None]
    parameter_node: Any = None
