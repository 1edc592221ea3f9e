"""Dialogs that never open: what they say is recorded, and the test has prepared what the user answers."""

from __future__ import annotations

import inspect
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

import pytest
import qt
import slicer

# What an unprepared dialog answers: the user closes it.
_MESSAGES: dict[str, Any] = {
    "infoDisplay": None,
    "warningDisplay": None,
    "errorDisplay": None,
    "messageBox": qt.QMessageBox.Cancel,
    "confirmOkCancelDisplay": False,
    "confirmYesNoDisplay": False,
    "confirmRetryCloseDisplay": False,
    "delayDisplay": None,
    "showStatusMessage": True,
}
_FILES = {
    "getOpenFileName": "",
    "getOpenFileNames": (),
    "getSaveFileName": "",
    "getExistingDirectory": "",
}
_BOXES = ("information", "question", "warning", "critical")


class Dialogs:
    """Replaces the dialogs of slicer.util and of Qt."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.said: list[tuple[str, str]] = []
        self._answers: dict[str, deque[Any]] = defaultdict(deque)
        for name, default in _MESSAGES.items():
            patch.setattr(slicer.util, name, self._message(name, getattr(slicer.util, name), default))
        for name, default in _FILES.items():
            patch.setattr(qt.QFileDialog, name, staticmethod(self._file(name, default)))
        for name in _BOXES:
            patch.setattr(qt.QMessageBox, name, staticmethod(self._box(name)))
        patch.setattr(qt.QDesktopServices, "openUrl", staticmethod(self._open))
        for kind in (qt.QDialog, qt.QMessageBox, qt.QFileDialog, qt.QInputDialog, qt.QProgressDialog):
            for name in ("exec", "exec_"):
                patch.setattr(kind, name, lambda dialog: self._execute(dialog), raising=False)
        patch.setattr(qt.QMenu, "exec", lambda menu, *_: self._take("menu", "", None), raising=False)
        patch.setattr(qt.QMenu, "exec_", lambda menu, *_: self._take("menu", "", None), raising=False)

    def answer(self, kind: str, *values: Any) -> None:
        """Prepare the answers of the next dialogs of a kind."""
        self._answers[kind] += values

    def unused(self) -> list[str]:
        """Kinds of which an answer was prepared that no dialog asked for."""
        return [kind for kind, values in self._answers.items() if values]

    def _take(self, kind: str, text: str, default: Any) -> Any:
        self.said.append((kind, text))
        return self._answers[kind].popleft() if self._answers[kind] else default

    def _message(self, name: str, real: Callable[..., Any], default: Any) -> Callable[..., Any]:
        signature = inspect.signature(real)

        def show(*args: Any, **options: Any) -> Any:
            signature.bind(*args, **options)
            text = str(args[0] if args else options.get("text", options.get("message")))
            if name == "showStatusMessage":
                real(*args, **options)
            elif name == "delayDisplay":
                _run_for(signature.bind(*args, **options).arguments.get("autoCloseMsec", 1000))
            return self._take(name, text, default)

        return show

    def _file(self, name: str, default: Any) -> Callable[..., Any]:
        # The arguments of Qt 5, with what PythonQt takes for each.
        def ask(parent: Any = None, caption: str = "", dir: str = "", filter: str = "", *rest: Any) -> Any:
            for text in (caption, dir) if name == "getExistingDirectory" else (caption, dir, filter):
                if not isinstance(text, str):
                    raise TypeError(f"QFileDialog.{name}: {text!r} is no str")
            return self._take(name, caption, default)

        return ask

    def _box(self, name: str) -> Callable[..., Any]:
        return lambda parent, title, text, *rest: self._take(name, text, qt.QMessageBox.Cancel)

    def _open(self, url: Any) -> bool:
        return self._take("openUrl", url.toString(), True)

    def _execute(self, dialog: Any) -> Any:
        text = dialog.text if isinstance(dialog, qt.QMessageBox) else dialog.windowTitle
        return self._take("exec", text, 0)


def _run_for(milliseconds: int) -> None:
    """Let the event loop run, as while a dialog is shown."""
    loop = qt.QEventLoop()
    qt.QTimer.singleShot(max(milliseconds, 0), loop.quit)
    loop.exec()
