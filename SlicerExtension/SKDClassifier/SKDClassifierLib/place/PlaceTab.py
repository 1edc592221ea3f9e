"""The tab "Where it runs": this computer or a server, and the packages that are installed here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from SKDClassifierLib.place.Install import WHEELS_SETTING
from SKDClassifierLib.place.Server import Connection, LabelServer

if TYPE_CHECKING:
    from SKDClassifierLib.place.Place import Place
    from SKDClassifierLib.Protocols import Services, Task

UI = Path(__file__).parents[2] / "Resources" / "UI" / "PlaceTab.ui"


class PlaceTab:
    """Chooses where classifying runs, tests servers, and installs packages.

    Args:
        services: what the module has.
        place: the choice; `services.server`.
    """

    def __init__(self, services: Services, place: Place) -> None:
        self._services, self._place = services, place
        self._testing: Task | None = None
        self.widget = slicer.util.loadUI(str(UI))
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.ui.wheelsEdit.filters = self.ui.wheelsEdit.Dirs
        self.ui.wheelsEdit.setCurrentPath(services.settings.value(WHEELS_SETTING) or "")
        self.ui.localButton.connect("clicked(bool)", self._choose_local)
        self.ui.serverButton.connect("clicked(bool)", self._choose_server)
        self.ui.testButton.connect("clicked(bool)", self._test)
        self.ui.urlCombo.connect("editTextChanged(QString)", self._url_edited)
        self.ui.withdrawButton.connect("clicked(bool)", self._withdraw)
        self.ui.lightButton.connect("clicked(bool)", self._install_light)
        self.ui.trainingButton.connect("clicked(bool)", self._install_training)
        self.ui.wheelsEdit.connect("currentPathChanged(QString)", self._wheels_chosen)
        self.ui.wheelsEdit.connect("validInputChanged(bool)", self._wheels_chosen)  # it was emptied
        place.on_change(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what is chosen and installed now."""
        place = self._place
        for url in reversed(place.history):
            if self.ui.urlCombo.findText(url) < 0:
                self.ui.urlCombo.insertItem(0, url)
        if not self.ui.urlCombo.currentText:
            self.ui.urlCombo.setEditText(place.url)
        self.ui.localButton.setChecked(not place.remote)
        self.ui.serverButton.setChecked(place.remote)
        self.ui.serverRow.setVisible(self.ui.serverButton.checked)
        if place.remote and not self.ui.stateLabel.text:
            names = ", ".join(place.models)
            self.ui.stateLabel.setText(_("In use: {url}, with {names}").format(url=place.url, names=names))
        self.ui.consentLabel.setText(self._consent_text())
        asked = place.remote and not LabelServer(place.url).is_local
        self.ui.withdrawButton.setVisible(asked and place.agreed(place.url))
        self._show_packages()

    def scene_closing(self) -> None:
        """Nothing here belongs to a scene."""

    def cleanup(self) -> None:
        """End a test that runs."""
        if self._testing is not None:
            self._testing.abandon()

    def _consent_text(self) -> str:
        place = self._place
        if not place.remote:
            return _("No image leaves this computer.")
        if LabelServer(place.url).is_local:
            return _("The server is this computer: no image leaves it.")
        if place.agreed(place.url):
            return _("You agreed that images are sent to {url}.").format(url=place.url)
        return _("You will be asked before the first image is sent to {url}.").format(url=place.url)

    def _choose_local(self, *_args: Any) -> None:
        if self._testing is not None:  # its end would choose the server
            self._testing.abandon()
            self._test_ended()
            self.ui.stateLabel.setText("")
        self._place.use_this_computer()

    def _choose_server(self, *_args: Any) -> None:
        """Show the address; a server is used once a test found it ready."""
        self.ui.serverButton.setChecked(True)
        self.ui.serverRow.setVisible(True)
        if not self._place.remote:
            self.ui.stateLabel.setText(_("Classifying stays on this computer until a test finds the server ready."))

    def _url_edited(self, *_args: Any) -> None:
        self.ui.testButton.setEnabled(bool(self.ui.urlCombo.currentText.strip()) and self._testing is None)

    def _test(self, *_args: Any) -> None:
        url = self.ui.urlCombo.currentText.strip()
        try:
            server = LabelServer(url)
        except Exception as error:
            self._services.show_error(error)
            return
        self.ui.testButton.setEnabled(False)
        self.ui.stateLabel.setText(_("Asking {url}…").format(url=server.url))
        self._testing = self._services.background(
            lambda progress: server.test(),
            lambda done, total: None,
            lambda connection: self._tested(server.url, connection),
            self._failed,
            self._test_ended,
        )
        self._testing.start()

    def _tested(self, url: str, connection: Connection) -> None:
        self._test_ended()
        self.ui.stateLabel.setText(connection.text)
        self.ui.stateLabel.setStyleSheet("" if connection.state == "ready" else "color: #b3261e;")
        if connection.state != "ready":
            return
        self._place.use_server(url, connection)

    def _failed(self, error: Exception) -> None:
        self._test_ended()
        self.ui.stateLabel.setText("")
        self._services.show_error(error)

    def _test_ended(self) -> None:
        self._testing = None
        self._url_edited()

    def _withdraw(self, *_args: Any) -> None:
        self._place.withdraw()

    def _show_packages(self) -> None:
        installer = self._services.installer
        self.ui.packagesLabel.setText(installer.check_text().replace("\n", "\n\n"))
        self.ui.lightButton.setEnabled(bool(installer.missing_light()))
        self.ui.trainingButton.setEnabled(bool(installer.missing_training()))

    def _install_light(self, *_args: Any) -> None:
        self._install(self._services.installer.ensure_light)

    def _install_training(self, *_args: Any) -> None:
        self._install(self._services.installer.ensure_training)

    def _install(self, ensure: Any) -> None:
        try:
            ensure(self.widget)
        except Exception as error:
            self._services.show_error(error)
        self._show_packages()

    def _wheels_chosen(self, *_args: Any) -> None:
        folder = self.ui.wheelsEdit.currentPath.strip()
        if folder and not Path(folder).is_dir():
            self.ui.wheelsLabel.setText(_("There is no such folder; packages come from the package index."))
            folder = ""
        else:
            self.ui.wheelsLabel.setText(_("Packages come from this folder alone.") if folder else "")
        self._services.settings.setValue(WHEELS_SETTING, folder)
