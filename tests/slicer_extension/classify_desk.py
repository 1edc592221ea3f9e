"""The tab "Classify" with its services, and what a user does there, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from classify_parts import make_services
from harness import wait_until
from SKDClassifierLib.classify.ClassifyTab import ClassifyTab


class Desk(SimpleNamespace):
    """A tab with its services, and what a user does there."""

    def choose(self, node: Any, model: str = "") -> None:
        self.tab.ui.volumeSelector.setCurrentNode(node)
        if model:
            self.tab.chooser.choose(str(self.models / f"{model}.onnx"))

    def press(self) -> None:
        self.tab.ui.classifyButton.click()

    def classify(self, seconds: float = 30) -> Any:
        self.press()
        wait_until(lambda: self.idle or self.errors, seconds)
        return self.tab.view.stored

    @property
    def idle(self) -> bool:
        return self.tab.ui.classifyButton.text == "&Classify"

    @property
    def hint(self) -> str:
        return "" if self.tab.ui.hintLabel.isHidden() else self.tab.ui.hintLabel.text


def open_desk(app: Any, tmp_path: Path) -> Iterator[Desk]:
    """A desk with two models in tmp_path / "models"."""
    services, errors = make_services(app, tmp_path / "models")
    tab = ClassifyTab(services)
    yield Desk(tab=tab, services=services, errors=errors, models=tmp_path / "models", app=app)
    tab.cleanup()


def action(desk: Desk, text: str) -> Any:
    return next(one for one in desk.tab.ui.modelMenuButton.menu().actions() if one.text == text)
