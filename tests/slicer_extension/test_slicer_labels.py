"""Labels given case by case: on disk at once, readable by the training, never half written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image as PILImage
from SKDClassifierLib.train.Labels import LabelFile, cases_in

from MonaiSKD.datasets import load_datalist
from MonaiSKD.errors import SKDError


@pytest.fixture
def images(tmp_path) -> list[Path]:
    paths = [tmp_path / "data" / name for name in ("a.png", "b, c.png", "sub/ü.png", "sub/d.png")]
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        PILImage.new("L", (8, 8), 20 * number).save(path)
    (tmp_path / "data" / "notes.txt").write_text("none")
    (tmp_path / "data" / ".hidden.png").write_bytes(paths[0].read_bytes())
    return paths


def test_the_images_of_a_folder_are_its_cases(images, tmp_path):
    assert cases_in(tmp_path / "data") == sorted(images)
    for empty in (tmp_path / "none", tmp_path / "data" / "notes.txt"):
        with pytest.raises(SKDError, match="holds no image"):
            cases_in(empty)


def test_labels_are_a_data_set_that_training_reads(images, tmp_path):
    labels = LabelFile(tmp_path / "data" / "labels.csv")
    for image, label in zip(images, ("normal", "sick", "sick", "normal"), strict=True):
        labels.give(image, label)
    again = LabelFile(labels.path)
    assert [again.label_of(image) for image in images] == ["normal", "sick", "sick", "normal"]
    assert again.counts(("sick", "normal", "other")) == {"sick": 2, "normal": 2, "other": 0}
    datalist = load_datalist(labels.path)
    found = {Path(case.path): case.label for split in ("train", "val", "test") for case in datalist.of(split)}
    assert found == dict(zip(images, ("normal", "sick", "sick", "normal"), strict=True))


def test_a_new_label_replaces_and_undo_takes_it_back(images, tmp_path):
    labels = LabelFile(tmp_path / "labels.csv")
    labels.give(images[0], "normal")
    labels.give(images[0], "sick")
    assert (len(labels), labels.label_of(images[0])) == (1, "sick")
    assert labels.undo() == images[0]
    assert LabelFile(labels.path).label_of(images[0]) == "normal"
    assert labels.undo() == images[0]
    assert LabelFile(labels.path).label_of(images[0]) is None
    assert labels.undo() is None


def test_the_next_case_is_the_next_without_a_label_and_round_again(images, tmp_path):
    labels = LabelFile(tmp_path / "labels.csv")
    assert labels.next_unlabelled(images) == images[0]
    labels.give(images[1], "x")
    assert labels.next_unlabelled(images, after=images[0]) == images[2]
    assert labels.next_unlabelled(images, after=images[3]) == images[0]
    for image in images:
        labels.give(image, "x")
    assert labels.next_unlabelled(images, after=images[0]) is None


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_a_killed_program_loses_no_label(images, tmp_path):
    code = (
        "import sys; sys.path[:0] = sys.argv[1:3]\n"
        "from SKDClassifierLib.train.Labels import LabelFile\n"
        "labels = LabelFile(sys.argv[3])\n"
        "number = 0\n"
        "while True:\n"
        "    labels.give(f'{number}.png', 'x'); number += 1; print(number, flush=True)\n"
    )
    root = Path(__file__).parents[2]
    file = tmp_path / "labels.csv"
    command = [sys.executable, "-c", code, str(root / "SlicerExtension" / "SKDClassifier"), str(root), str(file)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    said = 0
    while said < 40:
        said = int(child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    rest = child.communicate()[0].split()
    said = max([said, *map(int, rest)])
    assert said <= len(LabelFile(file)) <= said + 1


def test_two_programs_label_into_one_file_and_lose_nothing(tmp_path):
    code = (
        "import sys; sys.path[:0] = sys.argv[1:3]\n"
        "from SKDClassifierLib.train.Labels import LabelFile\n"
        "labels = LabelFile(sys.argv[3])\n"
        "for number in range(40): labels.give(f'{sys.argv[4]}{number}.png', sys.argv[4])\n"
    )
    root = Path(__file__).parents[2]
    file = tmp_path / "labels.csv"
    command = [sys.executable, "-c", code, str(root / "SlicerExtension" / "SKDClassifier"), str(root), str(file)]
    for program in [subprocess.Popen([*command, name]) for name in ("a", "b")]:
        assert program.wait(timeout=60) == 0
    assert LabelFile(file).counts() == {"a": 40, "b": 40}


def test_a_label_that_another_gave_meanwhile_is_not_replaced_unseen(images, tmp_path):
    mine, other = LabelFile(tmp_path / "labels.csv"), LabelFile(tmp_path / "labels.csv")
    other.give(images[0], "sick")
    with pytest.raises(SKDError, match="given the label 'sick' by another program"):
        mine.give(images[0], "normal")
    assert mine.label_of(images[0]) == "sick"
    mine.give(images[0], "normal")  # now on purpose
    with pytest.raises(SKDError, match="given the label 'normal' by another program"):
        other.undo()
    assert other.undo() is None
    mine.give(images[1], "normal")
    other.reload()
    assert other.counts(("sick",)) == {"sick": 0, "normal": 2}


def test_another_csv_is_not_touched(tmp_path):
    other = tmp_path / "labels.csv"
    other.write_text("name,diagnosis\na,b\n")
    with pytest.raises(SKDError, match="its columns are name, diagnosis"):
        LabelFile(other)
    assert other.read_text() == "name,diagnosis\na,b\n"


@pytest.mark.parametrize(
    "line", ["b.png", "b.png,normal", ",normal,2026-01-01", "b.png,,2026-01-01", "b, c.png,sick,2026"]
)
def test_a_line_that_is_not_whole_is_told_and_kept(tmp_path, line):
    path = tmp_path / "labels.csv"
    path.write_text("path,label,time\na.png,normal,2026-01-01\n")
    labels = LabelFile(path)
    path.write_text(f"path,label,time\na.png,normal,2026-01-01\n{line}\nd.png,sick,2026-01-01\n")
    before = path.read_bytes()
    with pytest.raises(SKDError, match="its line 3 is not whole"):
        LabelFile(path)
    with pytest.raises(SKDError, match="its line 3 is not whole"):
        labels.give(tmp_path / "e.png", "normal")
    assert path.read_bytes() == before


def test_blank_lines_and_a_time_that_nobody_wrote_are_no_harm(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("path,label,time\n\na.png,normal,\n\n")
    assert LabelFile(path).label_of(tmp_path / "a.png") == "normal"


def test_a_label_that_cannot_be_written_is_not_kept(images, tmp_path):
    labels = LabelFile(tmp_path / "data" / "a.png" / "labels.csv")  # a file stands where the folder should be
    with pytest.raises(SKDError, match="cannot be written"):
        labels.give(images[0], "normal")
    assert labels.label_of(images[0]) is None
