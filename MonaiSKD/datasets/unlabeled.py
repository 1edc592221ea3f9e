"""Images without labels: to predict on, or to take part in distillation, which needs no label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from MonaiSKD.datasets.sources import IMAGE_KINDS, image_names
from MonaiSKD.errors import SKDError

UNLABELED = -1


def image_items(where: str | Path) -> list[dict[str, Any]]:
    """Items {"image": path, "label": -1} of every image below a folder, or of one file.

    Raises:
        SKDError: there is no image.
    """
    path = Path(where)
    files = [path] if path.is_file() else image_names(path, deep=True) if path.is_dir() else []
    if not files:
        raise SKDError(where, "there are no images", f"Name an image or a folder of images ({IMAGE_KINDS})")
    return [{"image": str(file), "label": UNLABELED} for file in files]


def with_unlabeled(items: Sequence[dict[str, Any]], folder: str | Path | None) -> list[dict[str, Any]]:
    """`items` and, behind them, every image below `folder` with the label -1; without a folder just `items`.

    Raises:
        SKDError: the folder holds no image.
    """
    return [*items, *([] if folder is None else image_items(folder))]
