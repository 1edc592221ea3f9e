"""Where classifying runs: on this computer, or on a MONAI Label server that the user named. No Qt.

The choice, the addresses and the consents lie in the application's settings. Nothing leaves this computer before the
user chose a server and agreed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from SKDClassifierLib.place.Server import Connection, LabelServer

if TYPE_CHECKING:
    from MonaiSKD.runtime import Failure, Result
    from SKDClassifierLib.Protocols import ServerChoice

PREFIX = "SKDClassifier/server"
_REMEMBERED = 8


class Place:
    """This computer or a server.

    Args:
        settings: `qt.QSettings`.

    Example:
        place = Place(slicer.app.userSettings())
        place.use_server("http://127.0.0.1:8000", LabelServer("http://127.0.0.1:8000").test())
        print(place.infer("chest_xray_classification", "radiograph.dcm", place.url))
    """

    def __init__(self, settings: Any) -> None:
        self._settings = settings
        self._listeners: list[Callable[[], None]] = []

    @property
    def remote(self) -> bool:
        """Whether a server is chosen."""
        return self._read("remote", False) and bool(self.url) and bool(self.models)

    @property
    def url(self) -> str:
        """The latest address; empty before the first."""
        return next(iter(self.history), "")

    @property
    def history(self) -> list[str]:
        """Addresses of servers that answered, the latest first."""
        return [str(url) for url in self._read("history", [])]

    @property
    def models(self) -> Mapping[str, tuple[str, ...]]:
        """The server's models that classify, name -> classes, as it told them last."""
        return {str(name): tuple(classes) for name, classes in self._read("models", {}).items()}

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever the choice changes."""
        self._listeners.append(listener)

    def use_this_computer(self) -> None:
        """Classify here."""
        self._write("remote", False)
        self._tell()

    def use_server(self, url: str, connection: Connection) -> None:
        """Classify there.

        Args:
            url: of the server.
            connection: a test of it that found it ready.

        Raises:
            SKDError: it is no address.
            ValueError: the test did not find it ready.
        """
        if connection.state != "ready":
            raise ValueError(f"a server that is {connection.state} cannot be used")
        address = LabelServer(url).url
        others = [other for other in self.history if other != address]
        self._write("history", [address, *others][:_REMEMBERED])
        self._write("models", {name: list(classes) for name, classes in connection.models.items()})
        self._write("remote", True)
        self._tell()

    def agreed(self, url: str) -> bool:
        """Whether images may go to a server: the user agreed, or it is this computer."""
        return LabelServer(url).is_local or url in self._read("consents", [])

    def consent(self, parent: Any = None) -> bool:
        """Whether images may go to the chosen server; asks the first time (main thread)."""
        url = self.url
        if self.agreed(url):
            return True
        if slicer.app.testingEnabled():  # its dialogs agree by themselves
            return False
        text = _(
            "Each image that you classify will be sent to\n{url}\n\nA DICOM file is sent as it is, with the name and"
            " the number of the patient in its header. Who runs the server can keep what is sent.\n\nSend images there"
            " from now on? You can withdraw this in the tab 'Where it runs'."
        ).format(url=url)
        if not slicer.util.confirmOkCancelDisplay(text, _("Send images to a server"), parent=parent):
            return False
        self._write("consents", sorted({*self._read("consents", []), url}))
        self._tell()
        return True

    def withdraw(self) -> None:
        """Ask anew before an image goes to any server."""
        self._write("consents", [])
        self._tell()

    def infer(self, model: str, file: str | Path, url: str) -> Result | Failure:
        """The server's answer to an image file; any thread.

        Args:
            model: one of :attr:`models`.
            file: DICOM, NIfTI, NRRD, PNG.
            url: :attr:`url` as it was when the user agreed; another server may be chosen since.

        Raises:
            SKDError: the user did not agree, chose this computer since, or the server gives no answer.
        """
        from MonaiSKD.errors import SKDError

        server = LabelServer(url)
        if not self.agreed(url):
            remedy = "Classify again and agree, or choose 'This computer' in the tab 'Where it runs'"
            raise SKDError(url, "you have not agreed to send images there", remedy)
        if not self.remote:
            raise SKDError(url, "is not used any more, so the image was not sent", "Classify it again on this computer")
        return server.infer(model, file)

    def _read(self, name: str, default: Any) -> Any:
        # JSON, since QSettings gives back lists of one, flags and numbers as text, by its format and version.
        text = self._settings.value(f"{PREFIX}/{name}")
        return default if not text else json.loads(text)

    def _write(self, name: str, value: Any) -> None:
        self._settings.setValue(f"{PREFIX}/{name}", json.dumps(value))

    def _tell(self) -> None:
        for listener in list(self._listeners):
            listener()


class KeptPlace:
    """A place as it was chosen at the start of a longer work, whatever is chosen since.

    Where this computer was chosen since, the server refuses to be used, as :meth:`Place.infer` says.

    Args:
        place: what is chosen now.
    """

    def __init__(self, place: ServerChoice) -> None:
        self._place = place
        self.remote, self.url, self.models = place.remote, place.url, place.models

    def on_change(self, listener: Callable[[], None]) -> None:
        """Never calls `listener`: this place does not change."""

    def consent(self, parent: Any = None) -> bool:
        """Whether the user lets images go to the server that is chosen now."""
        return self._place.consent(parent)

    def infer(self, model: str, file: str | Path, url: str) -> Any:
        """The server's answer to an image file; any thread. See :meth:`Place.infer`."""
        return self._place.infer(model, file, url)
