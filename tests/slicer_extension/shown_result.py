"""A result as the panel shows it: what its own tests and those of its export share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from classify_parts import ct_values, make_services
from SKDClassifierLib.classify.ResultView import ResultView


class Shown:
    """A view on a scene, with its services."""

    def __init__(self, app: Any, folder: Path) -> None:
        self.services, self.errors = make_services(app, folder / "models")
        self.models = folder / "models"
        self.view = ResultView(self.services)
        self.ui = self.view.ui

    def classify(self, node: Any, model: str = "tiny_lung_ct") -> Any:
        stored = self.services.logic.classify(node, self.models / f"{model}.onnx")
        self.view.show(stored, fresh=True)
        return stored

    def action(self, text: str) -> Any:
        return next(one for one in self.ui.exportButton.menu().actions() if one.text.startswith(text))


@pytest.fixture
def shown(app, tmp_path) -> Iterator[Shown]:
    one = Shown(app, tmp_path)
    yield one
    one.view.cleanup()


@pytest.fixture
def ct(add_volume) -> Any:
    return add_volume(ct_values(12, 32), name="chest")
