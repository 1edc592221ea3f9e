from __future__ import annotations

from pathlib import Path

import pytest

from MonaiSKD.datasets import image_items, with_unlabeled
from MonaiSKD.errors import SKDError


def item(path: Path) -> dict:
    return {"image": str(path), "label": -1, "patient_id": None}


def test_every_image_below_a_folder_in_order(write) -> None:
    folder = write(["b/2.png", "b/deep/1.bmp", "a.png", ".hidden.png"])
    (folder / "notes.txt").write_text("text")
    (folder / "folder.png").mkdir()
    expected = [item(folder / name) for name in ("a.png", "b/2.png", "b/deep/1.bmp")]
    assert image_items(folder) == expected
    assert image_items(str(folder)) == expected


def test_one_file(write) -> None:
    path = write(["a.png"]) / "a.png"
    assert image_items(path) == [item(path)]


def test_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("text")
    for where in (tmp_path, tmp_path / "absent"):
        with pytest.raises(SKDError, match="there are no images") as caught:
            image_items(where)
        assert caught.value.thing == str(where)


def test_unlabeled_images_come_behind_the_labeled_ones(write) -> None:
    folder = write(["1.png", "2.png"])
    labeled = [{"image": "0.png", "label": 1, "patient_id": "p"}]
    assert with_unlabeled(labeled, None) == labeled
    assert with_unlabeled(labeled, folder) == [*labeled, item(folder / "1.png"), item(folder / "2.png")]
    assert len(labeled) == 1
    with pytest.raises(SKDError, match="there are no images"):
        with_unlabeled(labeled, folder / "absent")
