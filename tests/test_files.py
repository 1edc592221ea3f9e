"""Writing files: what is refused beforehand, and what is never replaced."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from dicom_writing import item, made

from MonaiSKD.errors import SKDError
from MonaiSKD.files import atomic_path, output_file, read_json, run_files
from MonaiSKD.reporting.dicom_common import save

PROC = Path("/proc")


@pytest.fixture
def refused(tmp_path):
    """The sentence that refuses an output; the folder must hold the same as before."""

    def state() -> dict[Path, object]:
        return {path: path.read_bytes() if path.is_file() else path.lstat().st_mode for path in tmp_path.rglob("*")}

    def refused(path: Path, *kept: Path) -> str:
        before = state()
        with pytest.raises(SKDError) as refusal:
            output_file(path, kept)
        assert state() == before
        return str(refusal.value)

    return refused


def test_a_full_disk_is_told_in_the_systems_words_alone(small_disk):
    """pydicom raises what it meets anew, with a traceback as its text, where the end of the file still fits."""
    report = made(None, "SR", ContentSequence=[item(TextValue="x" * 500) for _ in range(30)])
    (small_disk / "others").write_bytes(bytes(1016 * 1024))
    with pytest.raises(SKDError) as refusal:
        save(report, small_disk)
    assert refusal.value.cause == "cannot be written (No space left on device)"


def test_an_output_may_be_new_or_replace_a_file_and_its_folder_is_made(tmp_path):
    (tmp_path / "old").write_text("old")
    for path in (tmp_path / "new" / "a.csv", tmp_path / "old"):
        assert output_file(path, [tmp_path / "gone", tmp_path / "new"]) == path
    assert [path.name for path in tmp_path.iterdir() if path.name == "new"] == ["new"]
    assert list((tmp_path / "new").iterdir()) == []
    assert (tmp_path / "old").read_text() == "old"


def test_an_output_is_no_folder_pipe_or_protected_file(refused, tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "kept.csv").write_text("1")
    (tmp_path / "kept.csv").chmod(0o444)
    assert "folder: cannot be written, since it is a folder. Name a file." in refused(tmp_path / "folder")
    assert "pipe: cannot be written, since it is a pipe or device. Name a file." in refused(tmp_path / "pipe")
    assert "kept.csv: is write-protected. " in refused(tmp_path / "kept.csv")
    assert "null: cannot be written, since it is a pipe or device" in refused(Path(os.devnull))
    assert "cannot be written" in refused(tmp_path / "kept.csv" / "a.csv")


def test_where_this_program_itself_writes_is_no_place_for_an_output(tmp_path):
    command = [sys.executable, "-c", "from MonaiSKD.files import output_file; output_file('/dev/stdout')"]
    with (tmp_path / "o.csv").open("w") as own:
        done = subprocess.run(command, stdout=own, stderr=subprocess.PIPE, text=True, timeout=60)
    assert "/dev/stdout: is where this program's own words go" in done.stderr
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "/dev/stdout: cannot be written, since it is a pipe or device" in done.stderr


def test_an_output_is_none_of_what_is_read_whatever_it_is_called(refused, tmp_path):
    image = tmp_path / "a.png"
    image.write_text("image")
    (tmp_path / "link.png").symlink_to("a.png")
    os.link(image, tmp_path / "second name.png")
    for path in (image, tmp_path / "link.png", tmp_path / "second name.png", tmp_path / ".." / tmp_path.name / "a.png"):
        assert "it is an input or part of the model, and would be lost" in refused(path, tmp_path / "b.png", image)


@pytest.mark.parametrize("there", [True, False])
def test_through_a_link_what_it_points_to_is_written(tmp_path, there):
    target = tmp_path / "real" / "t.csv"
    target.parent.mkdir()
    if there:
        target.write_text("old")
    (tmp_path / "link.csv").symlink_to(target)
    assert output_file(tmp_path / "link.csv") == target


def test_the_files_of_a_run_are_those_of_a_run_folder_alone(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert run_files(tmp_path) == []
    (tmp_path / "model.pt").write_text("")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "dual.pt").write_text("")
    (tmp_path / "results.csv").write_text("a person's own")
    names = {path.name for path in run_files(tmp_path)}
    assert names >= {"model.pt", "config.json", "report.html", "dual.pt"}
    assert "results.csv" not in names


@pytest.mark.skipif(not PROC.is_dir(), reason="needs a file system without new folders")
def test_a_folder_that_cannot_be_made_is_one_sentence():
    for attempt in (atomic_path(PROC / "x" / "model.onnx").__enter__, lambda: output_file(PROC / "x" / "model.onnx")):
        with pytest.raises(SKDError, match="cannot be written"):
            attempt()


def test_a_signal_as_the_file_is_made_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(handle: int) -> None:
        made.extend(tmp_path.iterdir())
        raise KeyboardInterrupt

    made: list[Path] = []
    monkeypatch.setattr(os, "close", interrupted)
    with pytest.raises(KeyboardInterrupt), atomic_path(tmp_path / "a.png"):
        pass
    monkeypatch.undo()
    assert len(made) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_the_block_misses_is_not_called_unwritable(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.txt"):
        (tmp_path / "gone").read_text()
    assert list(tmp_path.iterdir()) == []


def test_json_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "a.json") == {"a": 1}
