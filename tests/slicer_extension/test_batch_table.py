"""The table of many cases: the case of a row is loaded again, and rows are sorted, by the thousand too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import qt
import slicer
from batch_desk import open_desk, save_picture
from classify_parts import ct_values, longest_block, radiograph_values, write_study
from harness import screenshot, wait_until
from PySide6.QtTest import QTest
from SKDClassifierLib.batch.BatchSection import FOLDER, SCENE
from SKDClassifierLib.batch.BatchTable import BatchTable, Row
from SKDClassifierLib.batch.Cases import open_case

from MonaiSKD.errors import SKDError
from MonaiSKD.runtime import Failure, ModelIdentity, Result


@pytest.fixture
def desk(app, tmp_path):
    yield from open_desk(app, tmp_path)


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
    open_case(Row("second", result(1), f"{file}#2"))
    odd = file.rename(tmp_path / "x#3")
    open_case(Row("odd", result(1), str(odd)))
    assert loads == [str(file), str(odd)]
    with pytest.raises(SKDError, match="is not there any more"):
        open_case(Row("gone", result(1), f"{file}#2"))


def test_of_a_folder_the_first_dicom_image_is_loaded(app, loads, tmp_path):
    first, *_rest = write_study(tmp_path, 1, "CT", slices=3)
    save_picture(tmp_path / "0.png", np.zeros((8, 8)))
    (tmp_path / "0 README").write_text("none")
    head = bytearray(first.read_bytes()[:1024])
    directory = b"\x02\x00\x02\x00UI\x14\x001.2.840.10008.1.3.10\x00"
    head[132 : 132 + len(directory)] = directory
    (tmp_path / "0 DICOMDIR").write_bytes(head)
    (tmp_path / ".0.dcm").write_bytes(first.read_bytes())
    open_case(Row("series", result(1), str(tmp_path)))
    assert loads == [str(first)]
    (tmp_path / "empty").mkdir()
    with pytest.raises(SKDError, match="cannot be loaded"):
        open_case(Row("empty", result(1), str(tmp_path / "empty")))


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
