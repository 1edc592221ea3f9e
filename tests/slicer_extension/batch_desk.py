"""The section "Many cases" with its tab, what a user does there, and pictures for it, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from classify_parts import make_services
from harness import wait_until
from SKDClassifierLib.classify.ClassifyTab import ClassifyTab

COLUMNS = ("case", "answer", "probability", "atypical", "decision", "seconds")


class Desk:
    """A tab whose section "Many cases" is used."""

    def __init__(self, app: Any, folder: Path) -> None:
        self.services, self.errors = make_services(app, folder)
        self.tab = ClassifyTab(self.services)
        self.batch, self.ui = self.tab.batch, self.tab.batch.ui
        self.models = folder

    def choose(self, source: int, model: str = "tiny_chest_xray") -> None:
        self.tab.chooser.choose(str(self.models / f"{model}.onnx"))
        self.ui.sourceSelector.setCurrentIndex(source)

    @property
    def idle(self) -> bool:
        return self.ui.runButton.text == "Classify &all"

    def run(self, seconds: float = 60) -> list[dict[str, str]]:
        assert self.ui.runButton.enabled, self.ui.totalsLabel.text
        self.ui.runButton.click()
        wait_until(lambda: self.idle and not self.batch.table._pace.running, seconds)
        return self.rows()

    def rows(self) -> list[dict[str, str]]:
        model = self.ui.batchTable.model()
        return [
            {name: model.index(row, column).data() for column, name in enumerate(COLUMNS)}
            for row in range(model.rowCount())
        ]

    def select(self, case: str) -> None:
        row = [one["case"] for one in self.rows()].index(case)
        self.ui.batchTable.setCurrentIndex(self.ui.batchTable.model().index(row, 0))


def open_desk(app: Any, tmp_path: Path) -> Iterator[Desk]:
    """A desk with two models in tmp_path / "models"."""
    one = Desk(app, tmp_path / "models")
    yield one
    one.tab.cleanup()


def save_picture(path: Path, values: np.ndarray) -> Path:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)
    return path


@pytest.fixture
def pictures(tmp_path) -> Path:
    """Twenty radiographs, four of them below, and one file that is damaged."""
    for number in range(20):
        low = tmp_path / "pictures" / ("below" if number >= 16 else "")
        save_picture(low / f"p{number:02}.png", np.random.default_rng(number).integers(0, 5 + 12 * number, (64, 64)))
    (tmp_path / "pictures" / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    return tmp_path / "pictures"
