"""Many cases from the DICOM database: which studies are chosen, and what is told of them."""

from __future__ import annotations

from typing import Any

import pytest
import qt
import slicer
from batch_desk import Desk, open_desk
from classify_parts import write_study
from harness import wait_until
from SKDClassifierLib.batch.BatchJobs import FileBatch, Listener
from SKDClassifierLib.batch.BatchSection import STUDIES


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
        batch = FileBatch(desk.services, files.paths, desk.tab.chooser.entry, listener, names=files.names)
        assert batch._name(f"{files.paths[0]}#2") == f"{files.names[files.paths[0]]}#2"
        batch.cancel()
