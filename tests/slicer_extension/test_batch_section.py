"""Many cases: loaded volumes in this process, folders in a child process."""

from __future__ import annotations

import csv
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from batch_desk import open_desk, save_picture
from classify_parts import ct_values, longest_block, radiograph_values
from harness import pixels_of, screenshot, wait_until
from SKDClassifierLib.batch.BatchSection import FOLDER, SCENE, STUDIES
from SKDClassifierLib.batch.BatchTable import in_words
from SKDClassifierLib.classify import Exports
from SKDClassifierLib.scene import Inputs, ResultNodes

from MonaiSKD.errors import SKDError
from MonaiSKD.runtime import ModelIdentity, Result


@pytest.fixture
def desk(app, tmp_path):
    yield from open_desk(app, tmp_path)


def far_answer() -> Result:
    """What a server says of a volume."""
    return Result(
        input="image",
        label="bright",
        probabilities={"dark": 0.25, "bright": 0.75},
        thresholds={"dark": 0.5, "bright": 0.5},
        atypicality=0.1,
        atypicality_threshold=1.0,
        model=ModelIdentity("far_model", "1", "0"),
        milliseconds=1.0,
    )


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


class TestThePlaceIsKept:
    """What is chosen in the tab 'Where it runs' in the middle holds for the next batch."""

    @pytest.fixture
    def volumes(self, desk, add_volume) -> list[Any]:
        desk.services.server.answer = lambda model, file: far_answer()
        return [add_volume(ct_values(6, 16), name=f"v{number}") for number in range(3)]

    def run(self, desk: Any, monkeypatch: Any, module: Any, step: str, change: Callable[[], None]) -> None:
        """Classify all; once the first volume is at a step, something is changed."""
        real, at_it, go_on = getattr(module, step), threading.Event(), threading.Event()

        def held(*arguments: Any) -> Any:
            at_it.set()
            assert go_on.wait(20)
            return real(*arguments)

        monkeypatch.setattr(module, step, held)
        desk.ui.runButton.click()
        wait_until(at_it.is_set)
        change()
        go_on.set()
        wait_until(lambda: desk.idle and not desk.batch.table._pace.running)

    def test_a_server_chosen_in_the_middle_gets_nothing(self, desk, volumes, monkeypatch, app, tmp_path):
        desk.choose(SCENE, "tiny_lung_ct")
        server = desk.services.server
        self.run(desk, monkeypatch, Inputs, "read", lambda: server.choose(True))
        assert server.sent == []
        assert [set(row.outcome.probabilities) for row in desk.batch.table.rows] == [{"dark", "bright"}] * 3
        app.answer("getSaveFileName", str(tmp_path / "all.csv"))
        desk.ui.csvButton.click()
        wait_until(lambda: "Saved" in desk.ui.totalsLabel.text)
        assert len((tmp_path / "all.csv").read_text().splitlines()) == 4

    def test_the_server_of_the_start_gets_all(self, desk, volumes, monkeypatch):
        desk.choose(SCENE)
        server = desk.services.server
        server.choose(True)
        self.run(desk, monkeypatch, Exports, "write_image", lambda: setattr(server, "url", "http://10.0.0.2:8000"))
        assert server.asked == ["http://10.0.0.1:8000"] * 3
        assert [row.outcome.label for row in desk.batch.table.rows] == ["bright"] * 3

    def test_none_is_classified_here_after_a_server_was_left(self, desk, volumes, monkeypatch):
        desk.choose(SCENE)
        server = desk.services.server
        server.choose(True)
        self.run(desk, monkeypatch, Exports, "write_image", lambda: server.choose(False))
        assert [model for model, _file, _content in server.sent] == ["far_model"] * 3


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


def test_it_looks_right(desk, pictures, tmp_path):
    desk.choose(FOLDER)
    desk.ui.folderEdit.setCurrentPath(str(pictures))
    desk.run()
    desk.tab.ui.batchButton.setCollapsed(False)
    desk.tab.widget.resize(420, 820)
    image = screenshot(desk.tab.widget, tmp_path / "batch.png")
    assert image.width() == 420
    assert len(np.unique(pixels_of(image).reshape(-1, 3), axis=0)) > 20
