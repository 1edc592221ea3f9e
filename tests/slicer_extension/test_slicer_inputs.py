"""Real DICOM files through Slicer's own reader: the node gives the answer that the file gives."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import slicer
from classify_parts import radiograph_values
from SKDClassifierLib.scene import Inputs
from SKDClassifierLib.scene.Logic import Logic

from MonaiSKD.errors import SKDError
from MonaiSKD.reading import RULES, read_image
from MonaiSKD.reading.dicom.dataset import open_dataset
from MonaiSKD.runtime import Classifier


class Database:
    """Where a header is found by its UID, as ctkDICOMDatabase does it."""

    def __init__(self, files: list[Path]) -> None:
        self.files = {str(open_dataset(file, pixels=False).SOPInstanceUID): str(file) for file in files}

    def fileForInstance(self, uid: str) -> str:
        return self.files.get(uid, "")


def load(scene: Any, file: Path, database: Database) -> Any:
    """A volume node of a DICOM file, as Slicer's scalar volume plugin loads it."""
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(file))
    storage.SetSingleFile(True)
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", file.stem)
    scene.AddNode(storage)
    if not storage.ReadData(node):
        pytest.skip(f"Slicer itself does not read {file.name}")
    uid = next(uid for uid, path in database.files.items() if path == str(file))
    node.SetAttribute(Inputs.INSTANCE_UIDS, uid)
    return node


def radiographs(shared: Path) -> list[Path]:
    """Those among the real files that the chest model answers."""
    folder = shared / "data" / "dicom"
    with (folder / "manifest.csv").open() as rows:
        names = [row["file"] for row in csv.DictReader(rows)]
    classifier = Classifier("chest_xray")
    found = []
    for name in names:
        file = folder / name
        try:
            if file.is_file():
                classifier(file, heatmaps=False)
                found.append(file)
        except SKDError:
            continue
    return found


def test_radiographs_give_the_same_answer_as_node_and_as_file(shared, scene):
    files = radiographs(shared)
    assert files, "the real files hold no radiograph"
    database = Database(files)
    logic, compared, inverted = Logic(database=database), 0, 0
    for file in files:
        try:
            node = load(scene, file, database)
        except pytest.skip.Exception:
            continue
        if slicer.util.arrayFromVolume(node).shape[0] != 1:
            continue
        from_node = logic.classify(node, "chest_xray").result
        from_file = Classifier("chest_xray")(file)
        assert from_node.label == from_file.label, file.name
        np.testing.assert_allclose(
            list(from_node.probabilities.values()), list(from_file.probabilities.values()), atol=1e-4, err_msg=file.name
        )
        compared += 1
        inverted += open_dataset(file, pixels=False).PhotometricInterpretation == "MONOCHROME1"
    assert compared >= 3
    assert inverted >= 1, "none of the compared radiographs is MONOCHROME1"


@pytest.mark.parametrize("directions", [(-1, -1), (1, -1), (-1, 1), (1, 1)])
def test_a_radiograph_without_a_header_is_turned_as_its_file_is(app, tmp_path, directions):
    file, rule = tmp_path / "a.nii.gz", RULES["chest_xray"]
    nibabel.save(nibabel.Nifti1Image(radiograph_values()[0].T[:, :, None], np.diag([*directions, 1, 1])), file)
    series = Inputs.prepare(slicer.util.loadVolume(str(file), {"show": False}), rule).series
    np.testing.assert_allclose(series.read(0).pixels, read_image(file, rule).pixels, atol=1e-6)
    assert any("window is unknown" in warning for warning in series.warnings)


def test_a_volume_of_another_modality_is_refused_by_its_header(shared, scene):
    with (shared / "data" / "dicom" / "manifest.csv").open() as rows:
        of_ct = [row["file"] for row in csv.DictReader(rows) if row["modality"] == "CT" and row["file"][:3] == "ct/"]
    file = shared / "data" / "dicom" / of_ct[0]
    database = Database([file])
    node = load(scene, file, database)
    with pytest.raises(SKDError, match="not a chest radiograph") as caught:
        Logic(database=database).classify(node, "chest_xray")
    assert caught.value.code == "wrong_modality"


VOLUMES = {
    "lung_ct/lung_ct_baseline_small.mha": "lung_ct",
    "lung_ct/lung_ct_baseline_mask.mha": "lung_ct",
    "brain_mri/brain1_image.nrrd": "brain_mri",
    "brain_mri/brain1_label.nrrd": "brain_mri",
    "brain_mri/chris_t1.nii.gz": "brain_mri",
    "brain_mri/spm152.nii.gz": "brain_mri",
    "brain_mri/MR_Gd.nii.gz": "brain_mri",
    "brain_mri/sag_anon_3yo_t1.nii.gz": "brain_mri",
    "other/CT_AVM.nii.gz": "lung_ct",
    "other/fmri_pitch.nii.gz": "brain_mri",
}


# Slicer reads it as a sequence, and not as a volume.
SEQUENCES = {"other/example4d.nii.gz"}


def test_every_volume_is_known(shared):
    with (shared / "data" / "volumes" / "manifest.csv").open() as rows:
        assert {row["file"] for row in csv.DictReader(rows)} == set(VOLUMES) | SEQUENCES


@pytest.mark.parametrize("name", VOLUMES)
def test_a_volume_gives_the_same_answer_as_node_and_as_file(shared, app, name):
    """Slicer's reader and ours, in all orientations; a refusal is for the same reason."""
    file = shared / "data" / "volumes" / name
    node = slicer.util.loadVolume(str(file), {"show": False})
    outcomes = []
    for classify in (
        lambda: Logic().classify(node, VOLUMES[name], heat=False).result,
        lambda: Classifier(VOLUMES[name])(str(file), heatmaps=False),
    ):
        try:
            outcomes.append(classify())
        except SKDError as error:
            outcomes.append(error)
    from_node, from_file = outcomes
    assert type(from_node) is type(from_file), f"{from_node} / {from_file}"
    if isinstance(from_node, SKDError):
        assert from_node.code == from_file.code
        return
    assert (from_node.label, from_node.atypical) == (from_file.label, from_file.atypical)
    np.testing.assert_allclose(
        list(from_node.probabilities.values()), list(from_file.probabilities.values()), atol=2e-3
    )
    assert len(from_node.slices.probabilities) == len(from_file.slices.probabilities)
