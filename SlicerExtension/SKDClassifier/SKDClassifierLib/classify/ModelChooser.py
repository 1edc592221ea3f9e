"""Choosing a model: list, search, description, and the menu beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from SKDClassifierLib.Models import MODALITIES, SUFFIX, ModelEntry

if TYPE_CHECKING:
    from SKDClassifierLib.Protocols import Services

LATEST, LATEST_OF_SERVER = "SKDClassifier/model", "SKDClassifier/serverModel"


class ModelChooser:
    """The models of this computer, or of the server where one is chosen.

    Args:
        services: what the module has.
        ui: has `modelSelector`, `modelMenuButton`, `modelSearch` and `modelInfo`.
        on_change: called when another model is chosen.
        on_sample: called with the name of a model's sample data, when the user wants to try it.
    """

    def __init__(
        self, services: Services, ui: Any, on_change: Callable[[], None], on_sample: Callable[[str], None]
    ) -> None:
        self._services, self._ui, self._on_change, self._on_sample = services, ui, on_change, on_sample
        self._entries: list[ModelEntry] = []
        self._shown: list[ModelEntry] = []
        self._menu = qt.QMenu(ui.modelMenuButton)
        ui.modelMenuButton.setMenu(self._menu)
        self._sample_action = self._action(_("Try with sample data"), self._try)
        self._menu.addSeparator()
        self._add_action = self._action(_("Add model file…"), self._add)
        self._run_action = self._action(_("Choose a run folder…"), self._choose_run)
        self._folder_action = self._action(_("Open models folder"), self._open_folder)
        ui.modelSelector.connect("currentIndexChanged(int)", self._chosen)
        ui.modelSearch.connect("textChanged(QString)", self._searched)
        self._server_changed = self.refresh
        services.server.on_change(self._server_changed)

    @property
    def entry(self) -> ModelEntry | None:
        """The chosen model; None where none is, or its file is damaged."""
        index = self._ui.modelSelector.currentIndex
        chosen = self._shown[index] if 0 <= index < len(self._shown) else None
        return chosen if chosen is not None and not chosen.error else None

    def refresh(self) -> None:
        """Read the list anew, and choose what the scene or else the settings remember."""
        remote = self._services.server.remote
        for action in (self._add_action, self._run_action, self._folder_action):
            action.setEnabled(not remote)
        self._entries = self._of_server() if remote else self._services.catalogue.entries()
        wanted = self._remembered()
        if wanted and not remote and not any(entry.id == wanted for entry in self._entries):
            self._entries += self._elsewhere(wanted)
        self._fill(wanted)

    def choose(self, id_or_path: str) -> None:
        """Choose a model by its id or its file.

        Raises:
            SKDError: there is none such, or it is damaged.
        """
        entry = self._services.catalogue.find(id_or_path)
        self._remember(entry.id)
        self._ui.modelSearch.setText("")
        self.refresh()

    def _of_server(self) -> list[ModelEntry]:
        models = self._services.server.models
        return [ModelEntry(name, Path(name), name, classes=tuple(classes)) for name, classes in models.items()]

    def _elsewhere(self, wanted: str) -> list[ModelEntry]:
        """A model that lies outside of the models folder, such as in a run folder; in red words where it is gone."""
        from MonaiSKD.errors import SKDError

        try:
            return [self._services.catalogue.find(wanted)]
        except SKDError as error:
            return [ModelEntry(wanted, Path(wanted), Path(wanted).name or wanted, error=str(error))]

    def _remembered(self) -> str:
        if self._services.server.remote:
            return self._services.settings.value(LATEST_OF_SERVER) or ""
        node = self._services.parameter_node
        return (node.model if node is not None else "") or self._services.settings.value(LATEST) or ""

    def _remember(self, identifier: str) -> None:
        if self._services.server.remote:
            self._services.settings.setValue(LATEST_OF_SERVER, identifier)
            return
        if self._services.parameter_node is not None:
            self._services.parameter_node.model = identifier
        self._services.settings.setValue(LATEST, identifier)

    def _fill(self, wanted: str) -> None:
        """Show the entries that fit the search, and choose `wanted`, or else the first sound one."""
        combo = self._ui.modelSelector
        self._shown = [entry for entry in self._entries if entry.fits(self._ui.modelSearch.text)]
        bearers = Counter(entry.title for entry in self._entries)
        combo.blockSignals(True)
        combo.clear()
        for index, entry in enumerate(self._shown):
            combo.addItem(entry.title if bearers[entry.title] == 1 else f"{entry.title} ({_short_name(entry)})")
            combo.setItemData(index, entry.error or self._describe(entry), qt.Qt.ToolTipRole)
            if entry.error:
                combo.model().item(index).setEnabled(False)
        ids = [entry.id for entry in self._shown]
        sound = next((index for index, entry in enumerate(self._shown) if not entry.error), -1)
        combo.setCurrentIndex(ids.index(wanted) if wanted in ids else sound)
        combo.blockSignals(False)
        self._show_chosen()

    def _show_chosen(self) -> None:
        index = self._ui.modelSelector.currentIndex
        if not 0 <= index < len(self._shown):
            text = _("No model has these words.") if self._entries else _("There is no model. Add a model file.")
        else:
            text = self._shown[index].error or self._describe(self._shown[index])
        self._ui.modelInfo.setText(text)
        sample = bool(self.entry and self.entry.sample)
        self._sample_action.setEnabled(sample)
        self._on_change()

    def _describe(self, entry: ModelEntry) -> str:
        if self._services.server.remote:
            classes = ", ".join(entry.classes)
            return _("On {url}. Classes: {classes}").format(url=self._services.server.url, classes=classes)
        kind = MODALITIES.get(entry.modality, entry.modality)
        first = _("{modality}: {classes}").format(
            modality=kind[:1].upper() + kind[1:], classes=", ".join(entry.classes)
        )
        second = _("version {version}, {size:.1f} MB").format(version=entry.version, size=entry.megabytes)
        return "\n".join([first, "; ".join(part for part in (second, entry.metrics) if part)])

    def _chosen(self, *_args: Any) -> None:
        if self.entry is not None:
            self._remember(self.entry.id)
        self._show_chosen()

    def _searched(self, *_args: Any) -> None:
        self._fill(self.entry.id if self.entry is not None else self._remembered())

    def _action(self, text: str, function: Callable[[], None]) -> Any:
        def run(*_args: Any) -> None:
            try:
                function()
            except Exception as error:
                self._services.show_error(error)

        action = self._menu.addAction(text)
        action.connect("triggered(bool)", run)
        return action

    def _add(self) -> None:
        files = _("Model files") + f" (*{SUFFIX})"
        path = qt.QFileDialog.getOpenFileName(self._ui.modelSelector, _("Add a model file"), "", files)
        if path:
            self.choose(self._services.catalogue.add(path).id)

    def _choose_run(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(self._ui.modelSelector, _("Choose the run folder of a training"))
        if folder:
            self.choose(folder)

    def _open_folder(self) -> None:
        from MonaiSKD.errors import SKDError

        folder = self._services.catalogue.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            cause = f"cannot be made ({error.strerror or error})"
            raise SKDError(folder, cause, "Check the permissions of the folder above it") from error
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(folder)))

    def _try(self) -> None:
        if self.entry is not None and self.entry.sample:
            self._on_sample(self.entry.sample)


def _short_name(entry: ModelEntry) -> str:
    """Tells models of one title apart: a bundle's name, a file's, or a run folder's, in which all files are alike."""
    path = Path(entry.id)
    return path.parent.name if path.name == f"model{SUFFIX}" else path.stem
