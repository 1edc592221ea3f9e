"""Writing what an inference engine predicts."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from torch import Tensor

from MonaiSKD.engines.distributed import rank
from MonaiSKD.files import atomic_path


class SavePredictions:
    """Collect the logits [N, K] of an evaluator and write `predictions.csv`: image, label, one probability per class.

    MONAI's ClassificationSaver writes no header and needs metadata in every batch; this file explains itself.

    Args:
        output_dir: where the file goes; it appears whole when the engine is done.
        class_names: K names.
        items: the data set's items, whose "image" names the rows.
    """

    def __init__(self, output_dir: str | Path, class_names: Sequence[str], items: Sequence[dict[str, Any]]) -> None:
        self.path = Path(output_dir) / "predictions.csv"
        self.class_names = list(class_names)
        self.items = items
        self.rows: dict[int, Tensor] = {}

    def attach(self, engine: Engine) -> None:
        """Hook into the evaluator."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _collect(self, engine: Engine) -> None:
        probabilities = engine.state.output["pred"].softmax(1).cpu()
        self.rows.update(zip(engine.state.batch["index"].tolist(), probabilities, strict=True))

    def _write(self, engine: Engine) -> None:
        if rank() > 0:
            return
        with atomic_path(self.path) as beside, beside.open("w", newline="", encoding="utf-8") as stream:
            table = csv.writer(stream)
            table.writerow(["image", "label", *self.class_names])
            for index in sorted(self.rows):
                row = self.rows[index]
                label = self.class_names[int(row.argmax())]
                table.writerow([self.items[index]["image"], label, *(f"{value:.6f}" for value in row.tolist())])
