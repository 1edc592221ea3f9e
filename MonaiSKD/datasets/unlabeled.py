"""Images without labels: they take part in distillation, which needs none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from MonaiSKD.datasets.sources import _image_names
from MonaiSKD.errors import SKDError

UNLABELED = -1


def with_unlabeled(items: Sequence[dict[str, Any]], folder: str | Path | None) -> list[dict[str, Any]]:
    """`items` and, behind them, every image below `folder` with the label -1.

    Raises:
        SKDError: the folder holds no image.
    """
    if folder is None:
        return list(items)
    files = _image_names(Path(folder), deep=True) if Path(folder).is_dir() else []
    if not files:
        raise SKDError(folder, "there are no images in it", "Name a folder of unlabeled images, or leave it out")
    return [*items, *({"image": str(file), "label": UNLABELED, "patient_id": None} for file in files)]
