"""From a volume in the scene to a result in the scene, with a model whose answers can be worked out by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import slicer
from SKDClassifierLib.scene import Inputs, ResultNodes
from SKDClassifierLib.scene.Logic import Cancelled, Logic
from tinymodel import write_tiny_model

from MonaiSKD.errors import SKDError


@pytest.fixture
def logic(scene) -> Logic:
    return Logic()


@pytest.fixture
def models(tmp_path) -> dict[str, str]:
    return {rule: str(write_tiny_model(tmp_path / f"{rule}.onnx", rule)) for rule in ("chest_xray", "lung_ct")}


@pytest.fixture
def ct(add_volume) -> Any:
    """Six slices from air to 200 HU, so that each is brighter than the one before."""
    values = np.linspace(-1300, 400, 6)[:, None, None] + np.random.default_rng(0).normal(0, 5, (6, 16, 16))
    return add_volume(values.astype(np.int16), name="chest")


def nodes_of(scene: Any) -> set[str]:
    names = (scene.GetNthNode(index).GetName() for index in range(scene.GetNumberOfNodes()))
    return {name for name in names if not name.startswith("VolumeDisplay")}  # numbered anew each time


def test_a_volume_becomes_a_result_with_its_nodes(scene, logic, models, ct):
    stored = logic.classify(ct, models["lung_ct"])
    assert stored.result.label in ("dark", "bright")
    assert len(stored.result.slices.probabilities) == 6
    assert np.all(np.diff(stored.result.slices.probabilities[:, 1]) >= 0)
    assert stored.volume_node is ct
    assert stored.heat_node.GetName() == "chest tiny_lung_ct heat map"
    np.testing.assert_allclose(stored.points_ras[0], [-7.5, -7.5, 0.0])
    table = stored.table_node.GetTable()
    assert [table.GetColumnName(index) for index in range(4)] == ["class", "probability", "threshold", "decision"]
    assert [table.GetValue(row, 0).ToString() for row in range(2)] == ["dark", "bright"]
    assert sum(table.GetValue(row, 1).ToDouble() for row in range(2)) == pytest.approx(1.0)
    assert "chest" in json.loads(stored.text_node.GetText())["answer"]["input"]


def test_a_radiograph_is_one_picture(logic, models, add_volume):
    stored = logic.classify(add_volume(np.linspace(0, 4095, 64 * 48).reshape(1, 64, 48)), models["chest_xray"])
    assert stored.result.slices is None
    assert slicer.util.arrayFromVolume(stored.heat_node).shape == (1, 64, 48)
    assert stored.points_ras.shape == (1, 3)


def test_again_replaces_and_another_model_adds(scene, logic, models, ct, tmp_path):
    logic.classify(ct, models["lung_ct"])
    before = nodes_of(scene), scene.GetNumberOfNodes()
    logic.classify(ct, models["lung_ct"])
    assert (nodes_of(scene), scene.GetNumberOfNodes()) == before
    other = write_tiny_model(tmp_path / "other.onnx", "lung_ct", name="other")
    logic.classify(ct, other)
    assert [one.result.model.name for one in ResultNodes.for_volume(scene, ct)] == ["tiny_lung_ct", "other"]


def test_results_survive_saving_and_loading_the_scene(scene, logic, models, ct, tmp_path):
    stored = logic.classify(ct, models["lung_ct"])
    heat = slicer.util.arrayFromVolume(stored.heat_node).copy()
    wanted = stored.result
    for node in slicer.util.getNodesByClass("vtkMRMLStorableNode", scene):
        node.AddDefaultStorageNode()
        storage = node.GetStorageNode()
        storage.SetFileName(str(tmp_path / f"{node.GetID()}.{storage.GetDefaultWriteFileExtension()}"))
        assert storage.WriteData(node)
    scene.SetRootDirectory(str(tmp_path))
    scene.SetURL(str(tmp_path / "scene.mrml"))
    assert scene.Commit()
    scene.Clear(True)
    assert ResultNodes.find(scene) == []
    scene.SetURL(str(tmp_path / "scene.mrml"))
    assert scene.Connect()
    (back,) = ResultNodes.find(scene)
    assert back.volume_node.GetName() == "chest"
    assert back.result.probabilities == pytest.approx(wanted.probabilities, abs=1e-6)
    assert (back.result.decision, back.result.atypical) == (wanted.decision, wanted.atypical)
    assert back.result.slices.key == wanted.slices.key
    np.testing.assert_allclose(back.points_ras, stored.points_ras, atol=1e-3)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(back.heat_node), heat)
    assert back.table_node.GetTable().GetNumberOfRows() == 2


def test_a_damaged_result_is_told_and_the_others_are_found(scene, logic, models, ct):
    logic.classify(ct, models["lung_ct"])
    broken = scene.AddNewNodeByClass("vtkMRMLTextNode", "broken")
    broken.SetAttribute(ResultNodes.ATTRIBUTE, ResultNodes.FORMAT)
    broken.SetText("{}")
    told = []
    assert len(ResultNodes.find(scene, lambda name, error: told.append(name))) == 1
    assert told == ["broken"]


def test_it_lies_in_the_study_of_its_volume(scene, logic, models, ct):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "study")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(ct) or hierarchy.CreateItem(study, ct), study)
    stored = logic.classify(ct, models["lung_ct"])
    for node in (stored.text_node, stored.table_node, stored.heat_node):
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == study


@pytest.mark.parametrize("change", ["deleted", "other values", "moved"])
def test_a_volume_that_changed_meanwhile_gets_no_result(scene, logic, models, ct, change):
    answer = logic.task(ct, models["lung_ct"])(lambda done, total: None)
    if change == "deleted":
        scene.RemoveNode(ct)
    elif change == "moved":
        ct.SetOrigin(1, 2, 3)
    else:
        slicer.util.arrayFromVolume(ct)[0] = 7
        slicer.util.arrayFromVolumeModified(ct)
    before = scene.GetNumberOfNodes()
    with pytest.raises(SKDError, match=r"was (deleted|changed) while it was classified"):
        logic.show(answer)
    assert scene.GetNumberOfNodes() == before


def test_a_task_runs_on_when_its_volume_is_gone(scene, logic, models, ct):
    """The voxels are held: nothing is read from freed memory."""
    expected = logic.task(ct, models["lung_ct"])(lambda done, total: None).result.probabilities
    run = logic.task(ct, models["lung_ct"])
    scene.RemoveNode(ct)
    scene.Clear(True)
    assert run(lambda done, total: None).result.probabilities == expected


def test_progress_tells_slices_and_may_cancel(logic, models, ct):
    told = []
    logic.task(ct, models["lung_ct"])(lambda done, total: told.append((done, total)))
    assert {total for _, total in told} == {6}

    def cancel(done: int, total: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        logic.task(ct, models["lung_ct"])(cancel)


def test_no_half_made_nodes_are_left(scene, logic, models, ct, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError("no")

    before = scene.GetNumberOfNodes()
    answer = logic.task(ct, models["lung_ct"])(lambda done, total: None)
    monkeypatch.setattr(ResultNodes, "_beside", fail)
    with pytest.raises(OSError, match="no"):
        logic.show(answer)
    left = nodes_of(scene) - {"SKD heat"}  # the colour table is no part of a result
    assert scene.GetNumberOfNodes() <= before + 3
    assert not any("tiny" in name for name in left)


def test_a_model_is_opened_once_until_its_file_changes(logic, models, tmp_path):
    first = logic.classifier(models["lung_ct"])
    assert logic.classifier(models["lung_ct"]) is first
    write_tiny_model(tmp_path / "lung_ct.onnx", "lung_ct", version="0.0.22")
    assert logic.classifier(models["lung_ct"]).contract.version == "0.0.22"
    (tmp_path / "lung_ct.onnx").write_bytes(b"damaged")
    with pytest.raises(SKDError, match="is not a model file"):
        logic.classifier(models["lung_ct"])
    (tmp_path / "lung_ct.onnx").unlink()
    with pytest.raises(SKDError, match="no such file"):
        logic.classifier(models["lung_ct"])


def test_twenty_scenes_leave_nothing_behind(scene, logic, models, add_volume):
    counts = []
    for _ in range(20):
        node = add_volume(np.random.default_rng(0).integers(-1000, 400, (6, 16, 16)).astype(np.int16))
        logic.classify(node, models["lung_ct"])
        counts.append(scene.GetNumberOfNodes())
        scene.Clear(False)
    assert len(set(counts)) == 1


BAD = {
    "none": (lambda add: None, "none is chosen"),
    "label map": (lambda add: add(np.zeros((4, 8, 8), dtype=np.uint8), kind="LabelMap"), "is a segmentation"),
    "two values": (lambda add: add((np.arange(256).reshape(4, 8, 8) % 2).astype(np.int16)), "mask"),
    "NaN": (lambda add: add(np.full((4, 8, 8), np.nan, dtype=np.float32)), "NaN"),
    "colours": (
        lambda add: add(np.random.default_rng(0).integers(0, 255, (1, 8, 8, 3)).astype(np.uint8), kind="Vector"),
        "is a colour image",
    ),
    "not Hounsfield units": (lambda add: add(np.arange(256, dtype=np.int16).reshape(4, 8, 8)), "Hounsfield"),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_is_no_image_is_refused_with_a_remedy(scene, logic, models, add_volume, bad):
    make, words = BAD[bad]
    node = make(add_volume)
    before = scene.GetNumberOfNodes()
    with pytest.raises(SKDError, match=words) as caught:
        logic.classify(node, models["lung_ct"])
    assert caught.value.remedy
    assert scene.GetNumberOfNodes() == before


def test_a_volume_without_voxels_a_segmentation_and_a_model_are_refused(scene, logic, models):
    for kind, words in (("ScalarVolume", "no voxels"), ("Segmentation", "segmentation"), ("Model", "is no volume")):
        with pytest.raises(SKDError, match=words):
            logic.classify(scene.AddNewNodeByClass(f"vtkMRML{kind}Node", "x"), models["lung_ct"])


def test_a_volume_is_no_radiograph(logic, models, ct):
    with pytest.raises(SKDError, match="a radiograph is one picture"):
        logic.classify(ct, models["chest_xray"])


def test_a_grey_picture_saved_in_colours_is_grey(logic, models, add_volume):
    grey = np.random.default_rng(0).integers(0, 255, (1, 16, 16)).astype(np.uint8)
    plain = logic.classify(add_volume(grey), models["chest_xray"])
    colours = logic.classify(add_volume(np.repeat(grey[..., None], 3, axis=3), kind="Vector"), models["chest_xray"])
    assert colours.result.probabilities == plain.result.probabilities


def test_files_behind_a_volume_come_from_the_database(ct):
    class Database:
        def fileForInstance(self, uid: str) -> str:
            return {"1.2": "/a.dcm"}.get(uid, "")

    assert Inputs.dicom_files(ct, Database()) == ()
    ct.SetAttribute(Inputs.INSTANCE_UIDS, "1.2 1.3")
    assert Inputs.dicom_files(ct, Database()) == ("/a.dcm",)
