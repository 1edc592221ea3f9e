from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reading.handmade import header, save

from MonaiSKD.datasets import image_items, with_unlabeled
from MonaiSKD.errors import SKDError
from MonaiSKD.reading import RULES, find_sources, read_image
from MonaiSKD.reading.own import PRODUCER


def item(path: Path) -> dict:
    return {"image": str(path), "label": -1}


def test_every_image_below_a_folder_in_order(write) -> None:
    folder = write(["b/2.png", "b/deep/1.bmp", "a.png", ".hidden.png"])
    (folder / "notes.txt").write_text("text")
    (folder / "folder.png").mkdir()
    expected = [item(folder / name) for name in ("a.png", "b/2.png", "b/deep/1.bmp")]
    assert image_items(folder) == expected
    assert image_items(str(folder)) == expected


def test_dicom_is_an_image_by_its_content_as_for_classifying(write) -> None:
    """A PACS exports it as IM0001, or under a UID, whose end looks like a suffix."""
    folder = write(["a.png"])
    rule = RULES["chest_xray"]
    for name in ("IM0001", "1.2.840.113", "4.IMA", "5.dcm", ".hidden"):
        save(folder / name, np.arange(64, dtype=np.uint16).reshape(8, 8), header("CR"))
    own = header("CR")
    own.Manufacturer = PRODUCER
    save(folder / "HEATMAP", np.arange(64, dtype=np.uint16).reshape(8, 8), own)
    (folder / "README").write_text("text")
    (folder / "6.nrrd").write_bytes((folder / "IM0001").read_bytes())
    (folder / "IM0002").symlink_to(folder / "absent")
    names = [Path(found["image"]).name for found in image_items(folder)]
    assert names == ["1.2.840.113", "4.IMA", "5.dcm", "IM0001", "a.png"]
    classified = {Path(source.path).name for source in find_sources([folder], rule) if source.error is None}
    assert classified - {"6.nrrd"} == set(names)
    for found in image_items(folder):
        read_image(found["image"], rule)


def test_one_file(write) -> None:
    path = write(["a.png"]) / "a.png"
    assert image_items(path) == [item(path)]


def test_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("text")
    for where in (tmp_path, tmp_path / "absent"):
        with pytest.raises(SKDError, match=r"there are no images. Name .*\.png.*DICOM under any name") as caught:
            image_items(where)
        assert caught.value.thing == str(where)


def test_unlabeled_images_come_behind_the_labeled_ones(write) -> None:
    folder = write(["1.png", "2.png"])
    labeled = [{"image": "0.png", "label": 1}]
    assert with_unlabeled(labeled, None) == labeled
    assert with_unlabeled(labeled, folder) == [*labeled, item(folder / "1.png"), item(folder / "2.png")]
    assert len(labeled) == 1
    with pytest.raises(SKDError, match="there are no images"):
        with_unlabeled(labeled, folder / "absent")
