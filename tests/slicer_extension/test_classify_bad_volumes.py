"""What is chosen in the tab "Classify" and cannot be classified is told in a sentence, or not offered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import slicer
from classify_desk import open_desk
from classify_parts import ct_values

from MonaiSKD.errors import SKDError


@pytest.fixture
def desk(app, tmp_path):
    yield from open_desk(app, tmp_path)


BAD: dict[str, tuple[str, Callable[[Callable[..., Any]], Any], str]] = {
    "colours": (
        "tiny_chest_xray",
        lambda add: add(np.random.default_rng(0).integers(0, 255, (1, 8, 8, 3)).astype(np.uint8), kind="Vector"),
        "is a colour image",
    ),
    "several values": (
        "tiny_lung_ct",
        lambda add: add(np.zeros((4, 8, 8, 6), dtype=np.int16), kind="Vector"),
        "holds 6 values a voxel",
    ),
    "NaN": ("tiny_lung_ct", lambda add: add(np.full((4, 8, 8), np.nan, dtype=np.float32)), "NaN"),
    "empty": (
        "tiny_lung_ct",
        lambda add: slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty"),
        "holds no voxels",
    ),
    "another modality": ("tiny_chest_xray", lambda add: add(ct_values()), "a radiograph is one picture"),
    "no Hounsfield units": (
        "tiny_lung_ct",
        lambda add: add(np.arange(256, dtype=np.int16).reshape(4, 8, 8)),
        "Hounsfield",
    ),
    "mask": ("tiny_lung_ct", lambda add: add((np.arange(256).reshape(4, 8, 8) % 2).astype(np.int16)), "mask"),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_is_no_image_is_told_in_a_sentence_and_the_tab_goes_on(desk, add_volume, bad):
    model, make, words = BAD[bad]
    desk.choose(make(add_volume), model)
    before = slicer.mrmlScene.GetNumberOfNodes()
    assert desk.classify() is None
    (error,) = desk.errors
    assert isinstance(error, SKDError)
    assert words in desk.hint
    assert error.remedy in desk.hint
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    desk.errors.clear()
    desk.choose(add_volume(ct_values()), "tiny_lung_ct")
    assert desk.hint == ""
    assert desk.classify() is not None


def test_segmentations_are_not_offered(desk, add_volume):
    add_volume(np.zeros((4, 8, 8), dtype=np.uint8), kind="LabelMap")
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "segments")
    assert desk.tab.ui.volumeSelector.nodeCount() == 0


def test_a_heat_map_is_no_image(desk, add_volume):
    desk.choose(add_volume(ct_values()), "tiny_lung_ct")
    heat = desk.classify().heat_node
    desk.choose(heat)
    assert not desk.tab.ui.classifyButton.enabled
    assert "heat map" in desk.hint
    with pytest.raises(SKDError, match="is a heat map"):
        desk.services.logic.task(heat, desk.models / "tiny_lung_ct.onnx")
