"""Many cases from the DICOM database: which studies are chosen, and what is told of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import qt
import slicer
from batch_desk import Desk, open_desk
from classify_parts import write_study
from harness import wait_until
from SKDClassifierLib.batch.BatchJobs import FileBatch, Listener
from SKDClassifierLib.batch.BatchSection import STUDIES

from MonaiSKD.runtime import Failure


@pytest.fixture
def desk(app, tmp_path):
    yield from open_desk(app, tmp_path)


class TestStudies:
    """The DICOM database as the source."""

    @pytest.fixture
    def database(self, app, tmp_path) -> Any:
        files = [file for number in (1, 2, 3) for file in write_study(tmp_path / "db" / str(number), number)]
        files += write_study(tmp_path / "db" / "4", 4, "CT", slices=8)
        return app.use_database(*files)

    def open(self, desk: Desk, model: str = "tiny_chest_xray") -> Any:
        desk.choose(STUDIES, model)
        wait_until(lambda: not desk.batch.studies._pace.running)
        return desk.ui.studyTree

    def test_names_are_shown_only_when_asked_for(self, desk, database):
        tree = self.open(desk)
        texts = [[tree.topLevelItem(row).text(column) for column in range(4)] for row in range(4)]
        assert texts[0] == ["2024-01-04", "CT", "study 4", ""]
        assert tree.isColumnHidden(3)
        desk.ui.showNamesCheck.setChecked(True)
        assert tree.topLevelItem(0).text(3) == "Secret^Name4"
        assert not tree.isColumnHidden(3)
        desk.ui.showNamesCheck.setChecked(False)
        assert tree.topLevelItem(0).text(3) == ""

    def test_the_study_of_the_chosen_volume_is_checked(self, desk, database):
        from DICOMLib import DICOMUtils

        series = database.seriesForStudy(database.studiesForPatient("S2")[0])[0]
        (identity,) = DICOMUtils.loadSeriesByUID([series])
        desk.tab.ui.volumeSelector.setCurrentNode(slicer.mrmlScene.GetNodeByID(identity))
        self.open(desk)
        assert desk.batch.studies.checked() == list(database.studiesForPatient("S2"))

    def test_the_series_of_a_study_is_one_case_and_is_loaded_from_the_database(self, desk, database):
        tree = self.open(desk, "tiny_lung_ct")
        assert not desk.ui.runButton.enabled
        assert desk.ui.totalsLabel.text == "Choose studies."
        tree.topLevelItem(0).setCheckState(0, qt.Qt.Checked)
        (row,) = desk.run()
        assert row["case"] == "2024-01-04 CT series 4"
        assert len(desk.batch.table.rows[0].outcome.slices.used) == 8
        desk.select(row["case"])
        desk.ui.loadButton.click()
        wait_until(lambda: desk.tab.view.stored is not None)
        assert desk.tab.ui.volumeSelector.currentNode().GetName() == "series 4"
        assert desk.tab.view.stored.result.probabilities == pytest.approx(
            desk.batch.table.rows[0].outcome.probabilities, abs=1e-4
        )

    def test_all_studies(self, desk, database, app, tmp_path):
        self.open(desk)
        desk.ui.allStudiesCheck.setChecked(True)
        rows = desk.run()
        assert len(rows) == 11  # radiographs are files; the eight slices of the CT are none, each with its reason
        assert "failed 8" in desk.ui.totalsLabel.text
        assert all("Secret" not in " ".join(map(str, row.values())) for row in rows)
        app.answer("getSaveFileName", str(tmp_path / "all.csv"))
        desk.ui.csvButton.click()
        wait_until(lambda: "Saved" in desk.ui.totalsLabel.text)
        written = (tmp_path / "all.csv").read_text()
        assert written.count("2024-01-04 CT series 4") >= 8
        assert str(tmp_path) not in written

    def test_volumes_of_one_file_have_its_name(self, desk, database):
        self.open(desk)
        desk.ui.allStudiesCheck.setChecked(True)
        files = desk.batch.studies.files()
        listener = Listener(lambda total: None, lambda row: None, lambda end: None)
        batch = FileBatch(desk.services, files.paths, desk.tab.chooser.entry, listener, studies=files)
        row = batch._row(Failure(f"{files.paths[0]}#2", "damaged", "it ends", "Copy it again"))
        assert row.case == f"{files.names[files.series_of(files.paths[0])]}#2"
        batch.cancel()


def another_of_the_study(file: Path, path: Path, **changes: Any) -> Path:
    """A DICOM file like another one, with an instance UID of its own and some changes; None removes an entry."""
    header = pydicom.dcmread(file)
    header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    for name, value in changes.items():
        if value is None:
            delattr(header, name)
        else:
            setattr(header, name, value)
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
    header.save_as(path, enforce_file_format=True)
    return path


def run_the_study(desk: Desk, model: str) -> list[dict[str, str]]:
    """Classify the one study of the database."""
    desk.choose(STUDIES, model)
    wait_until(lambda: not desk.batch.studies._pace.running)
    desk.ui.studyTree.topLevelItem(0).setCheckState(0, qt.Qt.Checked)
    return desk.run()


def load(desk: Desk, row: int) -> Any:
    """The volume that "Load this case" shows."""
    desk.ui.batchTable.setCurrentIndex(desk.ui.batchTable.model().index(row, 0))
    desk.ui.loadButton.click()
    wait_until(lambda: desk.tab.ui.classifyButton.text == "&Classify")
    return desk.tab.ui.volumeSelector.currentNode()


def test_a_series_beside_a_report_in_one_folder_has_its_own_name_and_is_loaded(desk, app, tmp_path):
    """As on a disc of which all files lie in one folder."""
    slices = write_study(tmp_path / "disc", 4, "CT", slices=8)
    report = another_of_the_study(
        slices[0],
        tmp_path / "disc" / "0-report.dcm",
        SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33",
        SeriesInstanceUID=pydicom.uid.generate_uid(),
        Modality="SR",
        SeriesDescription="dose report",
        PixelData=None,
        Rows=None,
        Columns=None,
    )
    app.use_database(report, *slices)
    rows = run_the_study(desk, "tiny_lung_ct")
    assert [row["case"] for row in rows] == ["2024-01-04 SR dose report", "2024-01-04 CT series 4"]
    node = load(desk, 1)
    assert desk.errors == []
    assert slicer.util.arrayFromVolume(node).shape[0] == 8
    assert node.GetName() == "series 4"
    app.answer("getSaveFileName", str(tmp_path / "all.csv"))
    desk.ui.csvButton.click()
    wait_until(lambda: "Saved" in desk.ui.totalsLabel.text)
    written = (tmp_path / "all.csv").read_text()
    assert written.count("CT series 4") == 1
    assert str(tmp_path) not in written


def test_each_radiograph_of_a_series_is_loaded_by_its_own_file(desk, app, tmp_path):
    (first,) = write_study(tmp_path / "disc", 1)
    pixels = np.full((32, 32), 10, np.uint16)
    pixels[:4] = 4000
    second = another_of_the_study(first, tmp_path / "disc" / "2.dcm", InstanceNumber=2, PixelData=pixels.tobytes())
    lateral = another_of_the_study(first, tmp_path / "disc" / "3.dcm", InstanceNumber=3, ViewPosition="LL")
    app.use_database(first, second, lateral)
    rows = run_the_study(desk, "tiny_chest_xray")
    assert [row.origin for row in desk.batch.table.rows] == [str(first), str(second), str(lateral)]
    for number, file in enumerate((first, second, lateral)):
        node = load(desk, number)
        shown = slicer.util.arrayFromVolume(node)
        np.testing.assert_array_equal(shown, pydicom.dcmread(file).pixel_array[None])
        assert node.GetName() == rows[number]["case"]
        outcome = desk.batch.table.rows[number].outcome
        if not isinstance(outcome, Failure):
            assert desk.tab.view.stored.result.probabilities == pytest.approx(outcome.probabilities, abs=1e-4)
    assert [isinstance(row.outcome, Failure) for row in desk.batch.table.rows] == [False, False, True]


def test_a_series_without_an_answer_is_loaded_whole(desk, app, tmp_path):
    slices = write_study(tmp_path / "disc", 4, "CT", slices=8)
    files = [another_of_the_study(file, file, BodyPartExamined="FOOT") for file in slices]
    app.use_database(*files)
    (row,) = run_the_study(desk, "tiny_lung_ct")
    assert isinstance(desk.batch.table.rows[0].outcome, Failure), row
    assert slicer.util.arrayFromVolume(load(desk, 0)).shape[0] == 8
