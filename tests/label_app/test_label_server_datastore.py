"""The datastore without its server: what readers say is kept, whatever becomes of the files around it."""

from __future__ import annotations

import json
import os
import shutil
import threading
import zipfile
from pathlib import Path

import pytest
from tinymodel import write_tiny_model

from MonaiSKD.errors import SKDError
from MonaiSKD.label_app.datastore import ReaderDatastore
from MonaiSKD.label_app.opinions import LARGEST
from MonaiSKD.label_app.served import ServedModel
from MonaiSKD.label_app.strategies import HighestEntropy
from MonaiSKD.label_app.tasks import ClassifyAll
from MonaiSKD.label_app.training import training_set


@pytest.fixture
def folder(tmp_path, images) -> Path:
    """Six pictures, 0.png to 5.png."""
    home = tmp_path / "images"
    home.mkdir()
    for number in range(6):
        shutil.copy(images / "a.png", home / f"{number}.png")
    return home


def opened(folder: Path) -> ReaderDatastore:
    return ReaderDatastore(str(folder), auto_reload=False, read_only=False)


def give(store: ReaderDatastore, folder: Path, image: str, content: object) -> Path:
    """Save a label; gives the file that it is kept in."""
    sent = folder.parent / "sent.json"
    sent.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")
    store.save_label(image, str(sent), "final", {})
    return folder / "labels" / "final" / f"{image}.json"


@pytest.mark.parametrize("broken", [b'{"labels": [', b"{}", b"\xff\xfe"])
def test_a_label_that_cannot_be_read_is_not_written_over(folder, broken):
    store = opened(folder)
    path = give(store, folder, "0", {"label": "a", "reader": "A"})
    path.write_bytes(broken)
    with pytest.raises(SKDError, match="cannot be read"):
        give(store, folder, "0", {"label": "b", "reader": "B"})
    assert path.read_bytes() == broken
    assert store.opinions() == {"0": []}
    path.unlink()
    give(store, folder, "0", {"label": "b", "reader": "B"})
    assert [one.reader for one in store.opinions()["0"]] == ["B"]


def test_a_label_that_was_laid_there_by_hand_is_joined(folder):
    store = opened(folder)
    (folder / "labels" / "final" / "0.json").write_text('{"label": "a", "reader": "A"}')
    give(store, folder, "0", {"label": "b", "reader": "B"})
    assert [one.reader for one in store.opinions()["0"]] == ["A", "B"]


def test_what_many_readers_say_is_kept_and_only_uploads_are_bounded(folder):
    store = opened(folder)
    many = [{"label": "a", "reader": f"{number:04d}"} for number in range(1500)]
    path = give(store, folder, "0", {"labels": many})
    assert path.stat().st_size > LARGEST
    give(store, folder, "0", {"label": "b", "reader": "one more"})
    assert len(opened(folder).opinions()["0"]) == 1501
    with pytest.raises(SKDError, match="larger than"):
        give(store, folder, "0", {"label": "a", "reader": "B", "remark": "x" * LARGEST})


def test_nothing_is_lost_where_files_do_not_tell_when_they_were_written(folder):
    first, second = opened(folder), opened(folder)  # as two processes see it
    for number in range(6):
        store = (first, second)[number % 2]
        path = give(store, folder, "0", {"label": "a", "reader": f"R{number}"})
        os.utime(path, (1e9, 1e9))
        assert len(store.opinions()["0"]) == number + 1
    for number in range(6):
        give((first, second)[number % 2], folder, str(number), {"label": "b", "reader": "B"})
        os.utime(folder / "datastore_v2.json", (1e9, 1e9))
        for store in (first, second):
            assert sorted(store.opinions()) == [str(known) for known in range(number + 1)]
    assert len(opened(folder).opinions()["0"]) == 7


def test_labels_that_cannot_be_read_are_no_ties(folder):
    store = opened(folder)
    for number in range(6):
        path = give(store, folder, str(number), {"label": "ab"[number % 2], "reader": "A"})
    path.write_text("{")
    with pytest.raises(SKDError, match="1 left out, the label file cannot be read"):
        training_set(store)
    assert store.status()["ties"] == []


def test_labels_of_an_image_that_went_are_not_given_to_an_upload(folder, images):
    store = opened(folder)
    give(store, folder, "0", {"label": "a", "reader": "A"})
    (folder / "0.png").rename(folder.parent / "elsewhere.png")
    store.refresh()
    with pytest.raises(SKDError, match="its labels are kept"):
        store.add_image("0", str(images / "a.png"), {})
    assert not (folder / "0.png").exists()
    (folder.parent / "elsewhere.png").rename(folder / "0.png")
    store.refresh()
    assert len(store.opinions()["0"]) == 1
    store.remove_image("0")
    assert store.add_image("0", str(images / "a.png"), {}) == "0"
    assert store.opinions() == {}


def test_a_folder_that_cannot_be_read_hides_no_other(folder, images, monkeypatch, caplog):
    shutil.copytree(images / "series", folder / "series")
    (folder / "gone").mkdir()
    (folder / "loop").symlink_to(folder / "loop")
    inside = Path.iterdir

    def going(path: Path):
        if path.name == "gone" and path.exists():  # somebody removes it just now
            path.rmdir()
        return inside(path)

    monkeypatch.setattr(Path, "iterdir", going)
    assert sorted(opened(folder).list_images()) == ["0", "1", "2", "3", "4", "5", "series"]
    assert "1 files or folders cannot be read" in caplog.text
    assert "gone" not in caplog.text


def test_a_series_is_found_among_much_else(folder, images):
    (folder / "series").mkdir()
    for number in range(200):
        (folder / "series" / f"{number}.txt").write_text("nothing")
    shutil.copy(images / "series" / "0.dcm", folder / "series" / "zz")
    assert "series" in opened(folder).list_images()


def test_files_older_than_a_zip_can_tell_are_in_the_archive(folder):
    store = opened(folder)
    give(store, folder, "0", {"label": "a", "reader": "A"})
    os.utime(folder / "0.png", (0, 0))
    archive = Path(store.get_dataset_archive(None))
    try:
        assert "image/0.png" in zipfile.ZipFile(archive).namelist()
    finally:
        archive.unlink()


def test_an_image_that_was_taken_away_is_left_out_of_the_archive(folder):
    store = opened(folder)
    for image in ("0", "1"):
        give(store, folder, image, {"label": "a", "reader": "A"})
    (folder / "0.png").unlink()
    archive = Path(store.get_dataset_archive(None))
    try:
        names = zipfile.ZipFile(archive).namelist()
    finally:
        archive.unlink()
    assert [name for name in names if name.startswith("image/")] == ["image/1.png"]
    assert len([name for name in names if name.startswith("label")]) == 1


def test_a_search_asks_one_model_and_goes_on_without_images_that_go(folder, tmp_path):
    """Another model becomes current, and an image is taken away, while images are looked at."""
    model = ServedModel("t", write_tiny_model(tmp_path / "t.onnx"), tmp_path / "home", 1)
    store, asked = opened(folder), []

    class Watched(HighestEntropy):
        def scorer(self, model, datastore):
            version, score = super().scorer(model, datastore)

            def watched(image: str, path: Path) -> float:
                if not asked:
                    new = model.new_folder()
                    write_tiny_model(new / "model.onnx", version="2")
                    model.adopt(new, {})
                    (folder / f"{'1' if image == '0' else '0'}.png").unlink()
                asked.append(version)
                return score(image, path)

            return version, watched

    search = Watched({"t": model})
    before = model.classifier.model.sha256
    found = search({}, store)
    assert found is not None
    assert found["considered"] == 5
    assert set(asked) == {before}
    search({}, store)
    assert set(asked) == {before, model.classifier.model.sha256}
    assert len(asked) == 10


def test_searches_at_the_same_time_look_at_each_image_once(folder, tmp_path):
    model = ServedModel("t", write_tiny_model(tmp_path / "t.onnx"), tmp_path / "home", 1)
    store, asked, together = opened(folder), [], threading.Barrier(4)

    class Counted(HighestEntropy):
        def scorer(self, model, datastore):
            version, score = super().scorer(model, datastore)
            return version, lambda image, path: (asked.append(image), score(image, path))[1]

    search, found = Counted({"t": model}), []

    def reader() -> None:
        together.wait()
        found.append(search({}, store))

    threads = [threading.Thread(target=reader) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(asked) == ["0", "1", "2", "3", "4", "5"]
    assert [one["considered"] for one in found] == [6] * 4


def test_of_a_link_the_link_alone_is_removed(folder, images, tmp_path):
    archive = tmp_path / "archive"
    shutil.copytree(images / "series", archive / "ct")
    shutil.copy(images / "a.png", archive / "x.png")
    (folder / "x.png").symlink_to(archive / "x.png")
    (folder / "ct").symlink_to(archive / "ct")
    store = opened(folder)
    label = give(store, folder, "x", {"label": "a", "reader": "A"})
    before = sorted(archive.rglob("*"))
    for image in ("x", "ct", "0"):
        assert image in store.list_images()
        store.remove_image(image)
        assert image not in store.list_images()
    assert sorted(archive.rglob("*")) == before
    assert not label.exists()
    assert not (folder / "x.png").is_symlink()
    assert not (folder / "ct").is_symlink()
    assert not (folder / "0.png").exists()


def test_a_batch_goes_on_without_an_image_that_goes(folder):
    store, answered = opened(folder), []

    def infer(request: dict, datastore: ReaderDatastore) -> dict:
        datastore.image_path(request["image"])
        answered.append(request["image"])
        (folder / "1.png").unlink(missing_ok=True)
        datastore.refresh()
        return {}

    assert list(ClassifyAll()({}, store, infer)) == ["0", "1", "2", "3", "4", "5"]
    assert answered == ["0", "2", "3", "4", "5"]
