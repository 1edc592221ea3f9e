"""Many cases: loaded volumes in this process, folders and DICOM studies in a child process."""

from __future__ import annotations

import csv
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import qt
import slicer
from classify_parts import ct_values, longest_block, make_services, radiograph_values, write_study
from harness import pixels_of, screenshot, wait_until
from PySide6.QtTest import QTest
from SKDClassifierLib.batch.BatchJobs import FileBatch, Listener
from SKDClassifierLib.batch.BatchSection import FOLDER, SCENE, STUDIES
from SKDClassifierLib.batch.BatchTable import BatchTable, Row, in_words
from SKDClassifierLib.batch.Cases import open_case
from SKDClassifierLib.classify.ClassifyTab import ClassifyTab
from SKDClassifierLib.scene import ResultNodes

from MonaiSKD.errors import SKDError
from MonaiSKD.runtime import Failure, ModelIdentity, Result

COLUMNS = ("case", "answer", "probability", "atypical", "decision", "seconds")


class Desk:
    """A tab whose section "Many cases" is used."""

    def __init__(self, app: Any, folder: Path) -> None:
        self.services, self.errors = make_services(app, folder)
        self.tab = ClassifyTab(self.services)
        self.batch, self.ui = self.tab.batch, self.tab.batch.ui
        self.models = folder

    def choose(self, source: int, model: str = "tiny_chest_xray") -> None:
        self.tab.chooser.choose(str(self.models / f"{model}.onnx"))
        self.ui.sourceSelector.setCurrentIndex(source)

    @property
    def idle(self) -> bool:
        return self.ui.runButton.text == "Classify &all"

    def run(self, seconds: float = 60) -> list[dict[str, str]]:
        assert self.ui.runButton.enabled, self.ui.totalsLabel.text
        self.ui.runButton.click()
        wait_until(lambda: self.idle and not self.batch.table._pace.running, seconds)
        return self.rows()

    def rows(self) -> list[dict[str, str]]:
        model = self.ui.batchTable.model()
        return [
            {name: model.index(row, column).data() for column, name in enumerate(COLUMNS)}
            for row in range(model.rowCount())
        ]

    def select(self, case: str) -> None:
        row = [one["case"] for one in self.rows()].index(case)
        self.ui.batchTable.setCurrentIndex(self.ui.batchTable.model().index(row, 0))


@pytest.fixture
def desk(app, tmp_path) -> Iterator[Desk]:
    one = Desk(app, tmp_path / "models")
    yield one
    one.tab.cleanup()


def save_picture(path: Path, values: np.ndarray) -> Path:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)
    return path


@pytest.fixture
def pictures(tmp_path) -> Path:
    """Twenty radiographs, four of them below, and one file that is damaged."""
    for number in range(20):
        low = tmp_path / "pictures" / ("below" if number >= 16 else "")
        save_picture(low / f"p{number:02}.png", np.random.default_rng(number).integers(0, 5 + 12 * number, (64, 64)))
    (tmp_path / "pictures" / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    return tmp_path / "pictures"


def test_it_says_why_it_cannot_start(desk, add_volume, tmp_path, app):
    desk.choose(SCENE)
    assert not desk.ui.runButton.enabled
    assert desk.ui.totalsLabel.text == "No volume is loaded."
    desk.choose(FOLDER)
    assert desk.ui.totalsLabel.text == "Choose a folder with images."
    desk.ui.folderEdit.setCurrentPath(str(tmp_path / "absent"))
    assert not desk.ui.runButton.enabled
    desk.ui.folderEdit.setCurrentPath(str(tmp_path))
    assert desk.ui.runButton.enabled
    desk.choose(STUDIES)
    assert "holds no studies" in desk.ui.totalsLabel.text
    desk.services.server.choose(True)
    assert "on this computer only" in desk.ui.totalsLabel.text
    desk.services.server.choose(False)
    desk.choose(SCENE)
    add_volume(radiograph_values())
    desk.batch.refresh()
    assert desk.ui.runButton.enabled


def test_twenty_volumes_of_the_scene_get_rows_and_results(desk, add_volume):
    nodes = [add_volume(radiograph_values() + np.int16(number), name=f"v{number:02}") for number in range(20)]
    desk.choose(SCENE)
    longest, limit = longest_block(desk.run)
    assert longest < limit
    rows = desk.rows()
    assert [row["case"] for row in rows] == [f"v{number:02}" for number in range(20)]
    assert {row["answer"] for row in rows} <= {"dark", "bright"}
    assert desk.ui.totalsLabel.text.startswith("20 inputs: ")
    assert all(len(ResultNodes.for_volume(slicer.mrmlScene, node)) == 1 for node in nodes)
    desk.tab.ui.volumeSelector.setCurrentNode(nodes[7])
    assert desk.tab.view.stored.volume_node is nodes[7]
    assert desk.errors == []
    desk.batch.refresh()
    assert len(desk.run()) == 20  # heat maps are no images


def test_the_chosen_row_is_told_in_sentences(desk, add_volume):
    add_volume(radiograph_values(), name="good")
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    desk.choose(SCENE)
    desk.run()
    assert desk.ui.detailLabel.isHidden()
    desk.select("empty")
    assert desk.ui.detailLabel.text == "holds no voxels. Load the image again."
    desk.select("good")
    assert "." in desk.ui.detailLabel.text


def test_a_bad_volume_among_good_ones_is_a_row_with_its_remedy(desk, add_volume):
    add_volume(radiograph_values(), name="good")
    add_volume(ct_values(), name="many slices")
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    add_volume(np.full((1, 8, 8), np.nan, dtype=np.float32), name="NaN")
    desk.choose(SCENE)
    rows = {row["case"]: row for row in desk.run()}
    assert rows["good"]["probability"]
    assert "a radiograph is one picture" in rows["many slices"]["answer"]
    assert "Load the image again" in rows["empty"]["answer"]
    assert "NaN" in rows["NaN"]["answer"]
    assert "failed 3" in desk.ui.totalsLabel.text
    assert desk.errors == []


def test_a_scene_closed_in_the_middle_ends_the_batch(desk, add_volume, app):
    for number in range(20):
        add_volume(ct_values(60, 64), name=f"v{number}")
    desk.choose(SCENE, "tiny_lung_ct")
    desk.ui.runButton.click()
    wait_until(lambda: len(desk.batch.table.rows) >= 2)
    desk.tab.scene_closing()
    app.close_scene()
    assert desk.idle
    assert "Cancelled" in desk.ui.totalsLabel.text
    wait_until(lambda: not desk.batch.table._pace.running)
    assert 2 <= len(desk.rows()) < 20
    assert slicer.util.getNodesByClass("vtkMRMLTextNode") == []


def test_volumes_deleted_in_the_middle_are_told(desk, add_volume):
    nodes = [add_volume(radiograph_values(), name=f"v{number}") for number in range(6)]
    desk.choose(SCENE)
    desk.ui.runButton.click()
    for node in nodes[3:]:
        slicer.mrmlScene.RemoveNode(node)
    wait_until(lambda: desk.idle and not desk.batch.table._pace.running)
    rows = desk.batch.table.rows
    assert [row.case for row in rows] == [f"v{number}" for number in range(6)]
    assert {in_words(row.outcome) for row in rows[3:]} == {"was deleted before it was classified. Load it again."}
    assert "failed 3" in desk.ui.totalsLabel.text


def test_a_folder_is_classified_by_a_child_process(desk, pictures, app, tmp_path):
    desk.choose(FOLDER)
    desk.ui.folderEdit.setCurrentPath(str(pictures))
    longest, limit = longest_block(desk.run)
    assert longest < limit
    rows = desk.rows()
    assert len(rows) == 21
    names = {row["case"] for row in rows}
    assert {"p00.png", str(Path("below") / "p19.png"), "damaged.png"} <= names
    assert "21 inputs" in desk.ui.totalsLabel.text
    assert "failed 1" in desk.ui.totalsLabel.text
    desk.ui.recursiveCheck.setChecked(False)
    assert len(desk.run()) == 17
    app.answer("getSaveFileName", str(tmp_path / "all.csv"))
    desk.ui.csvButton.click()
    wait_until(lambda: "Saved" in desk.ui.totalsLabel.text)
    with (tmp_path / "all.csv").open() as lines:
        table = list(csv.DictReader(lines))
    assert len(table) == 17
    assert all(float(row["p_dark"]) >= 0 for row in table if not row["error_code"])
    assert desk.errors == []


def test_a_table_that_cannot_be_written_is_told(desk, add_volume, app, tmp_path):
    add_volume(radiograph_values())
    desk.choose(SCENE)
    desk.run()
    (tmp_path / "file").write_text("")
    app.answer("getSaveFileName", str(tmp_path / "file" / "a.csv"))
    desk.ui.csvButton.click()
    wait_until(lambda: desk.errors)
    assert isinstance(desk.errors[0], SKDError)
    assert "cannot be written" in str(desk.errors[0])


def test_a_folder_without_images_is_told(desk, tmp_path):
    (tmp_path / "nothing").mkdir()
    desk.choose(FOLDER)
    desk.ui.folderEdit.setCurrentPath(str(tmp_path / "nothing"))
    assert desk.run() == []
    assert "there is no image" in desk.ui.totalsLabel.text


@pytest.fixture
def many(tmp_path) -> Path:
    """So many pictures that there is time to stop."""
    first = save_picture(tmp_path / "many" / "0.png", np.random.default_rng(0).integers(0, 255, (512, 512)))
    for number in range(1, 3000):
        os.link(first, first.with_name(f"{number}.png"))
    return first.parent


def test_cancel_keeps_what_came(desk, many):
    desk.choose(FOLDER)
    desk.ui.folderEdit.setCurrentPath(str(many))
    desk.ui.runButton.click()
    wait_until(lambda: len(desk.batch.table.rows) > 10, 60)
    assert desk.ui.runButton.text == "C&ancel"
    assert not desk.ui.sourceSelector.enabled
    assert desk.ui.batchProgress.maximum == 3000
    desk.ui.runButton.click()
    assert desk.idle
    wait_until(lambda: not desk.batch.table._pace.running)
    kept = len(desk.rows())
    assert 10 < kept < 3000
    assert "Cancelled" in desk.ui.totalsLabel.text
    assert desk.ui.totalsLabel.text.startswith(f"{kept} inputs")


def test_a_killed_child_is_told_and_what_came_stays(desk, many, monkeypatch):
    pids: list[int] = []
    desk.choose(FOLDER)
    desk.ui.folderEdit.setCurrentPath(str(many))
    real = desk.services.child

    def child(arguments: list[str], on_event: Callable[[dict], None], on_log: Any, on_end: Any) -> Any:
        def event(one: dict) -> None:
            if one["event"] == "start":
                pids.append(one["pid"])
            on_event(one)

        return real(arguments, event, on_log, on_end)

    desk.services.child = child
    desk.ui.runButton.click()
    wait_until(lambda: len(desk.batch.table.rows) > 5, 60)
    os.kill(pids[0], signal.SIGKILL)
    wait_until(lambda: desk.idle, 30)
    assert "was killed" in desk.ui.totalsLabel.text
    assert len(desk.rows()) > 5
    assert desk.ui.runButton.enabled


def test_a_case_is_loaded_classified_and_shown(desk, pictures, monkeypatch):
    desk.choose(FOLDER)
    desk.ui.folderEdit.setCurrentPath(str(pictures))
    desk.run()
    loaded: list[tuple[str, dict]] = []

    def load(path: str, properties: dict) -> Any:  # slicer-core has no reader for PNG
        loaded.append((path, properties))
        return slicer.util.addVolumeFromArray(radiograph_values(), name=Path(path).stem)

    monkeypatch.setattr(slicer.util, "loadVolume", load)
    assert not desk.ui.loadButton.enabled
    desk.select("p03.png")
    assert desk.ui.loadButton.enabled
    desk.ui.loadButton.click()
    wait_until(lambda: desk.tab.view.stored is not None)
    assert loaded == [(str(pictures / "p03.png"), {"singleFile": True, "show": True})]
    assert desk.tab.view.stored.volume_node.GetName() == "p03"
    (pictures / "p04.png").unlink()
    desk.select("p04.png")
    desk.ui.loadButton.click()
    assert "p04.png: is not there any more" in str(desk.errors[0])


def test_a_case_of_the_scene_is_chosen_again(desk, add_volume, tmp_path):
    nodes = [add_volume(radiograph_values(), name=f"v{number}") for number in range(3)]
    desk.choose(SCENE)
    desk.run()
    desk.tab.ui.volumeSelector.setCurrentNode(nodes[0])
    desk.select("v2")
    table = desk.ui.batchTable
    desk.tab.ui.batchButton.setCollapsed(False)
    screenshot(desk.tab.widget, tmp_path / "laid out.png")
    centre = table.visualRect(table.currentIndex()).center()
    QTest.mouseClick(table.viewport(), qt.Qt.LeftButton, pos=centre)
    QTest.mouseDClick(table.viewport(), qt.Qt.LeftButton, pos=centre)
    assert desk.tab.ui.volumeSelector.currentNode() is nodes[2]
    wait_until(lambda: desk.tab.ui.classifyButton.text == "&Classify")


def test_a_volume_added_after_the_scene_was_closed_is_not_taken_for_a_case(desk, add_volume, app):
    """The scene gives the same ID out again."""
    first = add_volume(radiograph_values(), name="A").GetID()
    desk.choose(SCENE)
    desk.run()
    desk.tab.scene_closing()
    app.close_scene()
    other = add_volume(radiograph_values(), name="B")
    assert other.GetID() == first
    desk.tab.ui.volumeSelector.setCurrentNode(None)
    desk.select("A")
    desk.ui.loadButton.click()
    assert "A: is not there any more" in str(desk.errors[0])
    assert desk.tab.ui.volumeSelector.currentNode() is None
    desk.tab.ui.volumeSelector.setCurrentNode(other)
    desk.run()
    desk.select("B")
    desk.ui.loadButton.click()
    assert len(desk.errors) == 1


@pytest.fixture
def loads(monkeypatch) -> list[str]:
    """The files that Slicer is told to load."""
    paths: list[str] = []

    def load(path: str, properties: dict) -> Any:
        paths.append(path)
        return slicer.util.addVolumeFromArray(ct_values(), name="loaded")

    monkeypatch.setattr(slicer.util, "loadVolume", load)
    return paths


def test_a_volume_of_several_in_one_file_is_loaded_by_that_file(app, loads, tmp_path):
    (file,) = write_study(tmp_path, 1)
    open_case(Row("second", result(1), f"{file}#2"), "")
    odd = file.rename(tmp_path / "x#3")
    open_case(Row("odd", result(1), str(odd)), "")
    assert loads == [str(file), str(odd)]
    with pytest.raises(SKDError, match="is not there any more"):
        open_case(Row("gone", result(1), f"{file}#2"), "")


def test_of_a_folder_the_first_dicom_image_is_loaded(app, loads, tmp_path):
    first, *_rest = write_study(tmp_path, 1, "CT", slices=3)
    save_picture(tmp_path / "0.png", np.zeros((8, 8)))
    (tmp_path / "0 README").write_text("none")
    head = bytearray(first.read_bytes()[:1024])
    directory = b"\x02\x00\x02\x00UI\x14\x001.2.840.10008.1.3.10\x00"
    head[132 : 132 + len(directory)] = directory
    (tmp_path / "0 DICOMDIR").write_bytes(head)
    (tmp_path / ".0.dcm").write_bytes(first.read_bytes())
    open_case(Row("series", result(1), str(tmp_path)), "")
    assert loads == [str(first)]
    (tmp_path / "empty").mkdir()
    with pytest.raises(SKDError, match="cannot be loaded"):
        open_case(Row("empty", result(1), str(tmp_path / "empty")), "")


def test_a_dicom_file_of_a_folder_gives_the_same_answer_once_loaded(desk, tmp_path):
    """Its window and polarity lie in its header, which a volume that Slicer loads from a file does not have."""
    (file,) = write_study(tmp_path / "dicom", 1)
    import pydicom

    header = pydicom.dcmread(file)
    header.PhotometricInterpretation, header.WindowCenter, header.WindowWidth = "MONOCHROME1", 30000, 20000
    header.save_as(file)
    desk.choose(FOLDER)
    desk.ui.folderEdit.setCurrentPath(str(file.parent))
    (row,) = desk.run()
    desk.select(row["case"])
    desk.ui.loadButton.click()
    wait_until(lambda: desk.tab.view.stored is not None)
    assert desk.errors == []
    wanted = desk.batch.table.rows[0].outcome.probabilities
    assert desk.tab.view.stored.result.probabilities == pytest.approx(wanted, abs=1e-4)


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


def result(number: int) -> Result:
    share = number % 101 / 100
    return Result(
        input=f"p{number}",
        label="a" if share < 0.5 else "b",
        probabilities={"a": 1 - share, "b": share},
        thresholds={"a": 0.5, "b": 0.5},
        atypicality=0.1 + number % 3,
        atypicality_threshold=1.0,
        model=ModelIdentity("m", "1", "0"),
        milliseconds=float(number % 977),
    )


def test_numbers_are_sorted_as_numbers(app):
    view = qt.QTableView()
    table = BatchTable(view, lambda: None)
    table.clear()
    outcomes = [result(number) for number in (9, 10, 100, 55)]
    for outcome in [*outcomes, Failure("f", "damaged", "f: it ends", "Copy it again")]:
        table.add(Row(outcome.input, outcome, outcome.input))
    table.finish()
    wait_until(lambda: len(table.rows) == 5 and not table._pace.running)
    model = view.model()
    assert [model.index(row, 0).data() for row in range(5)] == ["p9", "p10", "p100", "p55", "f"]  # as they came
    view.sortByColumn(5, qt.Qt.AscendingOrder)
    assert [model.index(row, 5).data() for row in range(5)] == ["", "0.01", "0.01", "0.06", "0.10"]
    view.sortByColumn(2, qt.Qt.DescendingOrder)
    assert [model.index(row, 2).data() for row in range(5)] == ["1.00", "0.91", "0.90", "0.55", ""]
    view.setCurrentIndex(model.index(3, 0))
    assert table.chosen().case == "p55"
    assert model.index(4, 1).data() == "it ends. Copy it again."


def test_ten_thousand_rows_do_not_stop_the_application(app):
    rows = [Row(f"p{number}", result(number), f"p{number}") for number in range(10_000)]
    view = qt.QTableView()
    view.resize(420, 300)
    view.show()
    table = BatchTable(view, lambda: None)

    def fill() -> None:
        table.clear()
        view.horizontalHeader().setSortIndicator(2, qt.Qt.AscendingOrder)
        for row in rows:
            table.add(row)
        table.finish()
        wait_until(lambda: len(table.rows) == 10_000 and not table._pace.running, 120)

    longest, limit = longest_block(fill)
    print(f"blocked for {longest:.0f} ms of {limit:.0f}")
    assert longest < limit
    assert view.model().rowCount() == 10_000


def test_it_looks_right(desk, pictures, tmp_path):
    desk.choose(FOLDER)
    desk.ui.folderEdit.setCurrentPath(str(pictures))
    desk.run()
    desk.tab.ui.batchButton.setCollapsed(False)
    desk.tab.widget.resize(420, 820)
    image = screenshot(desk.tab.widget, tmp_path / "batch.png")
    assert image.width() == 420
    assert len(np.unique(pixels_of(image).reshape(-1, 3), axis=0)) > 20
