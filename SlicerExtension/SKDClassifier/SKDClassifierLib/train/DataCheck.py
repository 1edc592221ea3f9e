"""Checking a data set before anything is trained on it: the first part of the train tab."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from SKDClassifierLib.Protocols import Services

_COLOURS = {"leak": "#b3261e", "unusable": "#b3261e", "warnings": "#a05a00", "ok": "#2e7d32"}


class DataCheck:
    """Runs `check-data` in a child process and shows what it found.

    Args:
        ui: the widgets of TrainTab.ui.
        services: see :class:`Services`.
        get_data: gives the path of the data set and its modality.
        on_change: called when a check began or ended.
    """

    def __init__(
        self, ui: Any, services: Services, get_data: Callable[[], tuple[str, str]], on_change: Callable[[], None]
    ) -> None:
        self._ui, self._services = ui, services
        self._get_data, self._on_change = get_data, on_change
        self._child: Any = None
        self._checked: tuple[str, str] | None = None
        self._report: dict[str, Any] = {}
        self._stopping = False
        ui.checkText.setFont(qt.QFontDatabase.systemFont(qt.QFontDatabase.FixedFont))
        ui.checkText.hide()
        ui.checkButton.connect("clicked(bool)", self._on_clicked)

    @property
    def running(self) -> bool:
        """Whether a check runs."""
        return self._child is not None

    @property
    def refusal(self) -> str:
        """Why these images must not be trained on; empty where nothing speaks against it."""
        words = {
            "leak": _("A leak between the splits: {problem}"),
            "unusable": _("Not all images can be used: {problem}"),
        }
        verdict = self._report.get("verdict")
        return words[verdict].format(problem=self._report["problems"][0]) if verdict in words else ""

    def forget(self) -> None:
        """The images are others now, or have other labels: what was found holds no more."""
        if self._checked is None and not self.running:
            return
        self._checked, self._report = None, {}
        self._stop()
        self._show("")
        self._ui.checkText.hide()

    def refresh(self, busy: bool) -> None:
        """Show whether a check can be started; `busy`: something else runs."""
        data, _modality = self._get_data()
        if self._checked is not None and self._checked != self._get_data():
            self.forget()
        self._ui.checkButton.setText(_("Stop the check") if self.running else _("Check &data"))
        self._ui.checkButton.setEnabled(not self._stopping if self.running else bool(data) and not busy)

    def cleanup(self) -> None:
        """Stop, and let go of the widgets."""
        if self._child is not None:
            self._child.abandon()
        self._ui.checkButton.disconnect("clicked(bool)", self._on_clicked)

    def _on_clicked(self, *_arguments: Any) -> None:
        if self.running:
            self.forget()
            self._show(_("The check was stopped."))
            self._on_change()
            return
        # The check shares its parts with the training, and both are asked for once.
        if not self._services.installer.ensure_training(self._ui.checkButton):
            return
        self.forget()
        data, modality = self._checked = self._get_data()
        arguments = ["check-data", data, "--modality", modality, "--events"]
        child = self._services.child(arguments, self._on_event, lambda line: None, self._on_end)
        try:
            child.start()
        except Exception as error:
            self._checked = None
            self._services.show_error(error)
            return
        self._child, self._stopping = child, False
        self._show(_("Looking at each image…"))
        self._on_change()

    def _on_event(self, event: dict) -> None:
        if event.get("event") != "report" or self._stopping:
            return
        self._report = event["report"]
        self._ui.checkText.setPlainText(event["text"])
        self._ui.checkText.show()
        words = {
            "ok": _("Nothing found that would spoil a result."),
            "warnings": _("A result on these images needs a caveat; see below."),
            "unusable": _("Not all images can be used, so training refuses them. Is the bundle theirs? See below."),
            "leak": _("Leak: test results would be too good. Training refuses these images; see below."),
        }
        verdict = self._report["verdict"]
        self._show(words.get(verdict, verdict), _COLOURS.get(verdict, ""))

    def _on_end(self, end: Any) -> None:
        stopped, self._child, self._stopping = self._stopping, None, False
        if not stopped and not self._report:
            self._checked = None
            self._show(end.text or _("The check ended without a report. Start it again."), _COLOURS["leak"])
        self._on_change()

    def _stop(self) -> None:
        """What it still says counts no more."""
        if self._child is not None and not self._stopping:
            self._stopping = True
            self._child.stop()

    def _show(self, text: str, colour: str = "") -> None:
        style = f"background: {colour}; color: white; padding: 4px; border-radius: 4px;" if colour else ""
        self._ui.checkLabel.setStyleSheet(style)
        self._ui.checkLabel.setText(text)
