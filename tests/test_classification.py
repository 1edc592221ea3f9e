"""The whole job of classifying with a model that says how bright an image is: every output but DICOM, with numbers."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from classifying import lines_of, run
from known_images import ct_series, png, radiograph
from PIL import Image as PILImage
from tinymodel import write_tiny_model

from MonaiSKD.classification import Wishes, classify
from MonaiSKD.errors import SKDError
from MonaiSKD.runtime import Classifier


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A folder of a bright, a dark and an atypical picture, a damaged one, and two files that are no images."""
    folder = tmp_path / "in"
    png(folder / "a.png", 204), png(folder / "b.png", 51), png(folder / "c.png", 255)
    (folder / "d.png").write_bytes((folder / "a.png").read_bytes()[:-26])
    (folder / "notes.txt").write_text("none"), (folder / "sums.csv").write_text("1,2")
    return folder


def test_json_lines_are_valid_and_alone_on_standard_output(classifier, mixed, tmp_path):
    out, err, totals = run(classifier, mixed, json=True, heatmaps=tmp_path / "heat", explain=True)
    rows = lines_of(out)
    assert [Path(row["input"]).name for row in rows] == ["a.png", "b.png", "c.png", "d.png"]
    assert rows[0]["probabilities"] == {"dark": 0.2, "bright": 0.8}
    assert [row.get("label") for row in rows] == ["bright", "dark", "bright", None]
    assert [row.get("atypicality") for row in rows[:3]] == [0.3, 0.3, 0.5]
    assert [row.get("atypical") for row in rows[:3]] == [False, False, True]
    assert rows[3]["error"]["code"] == "damaged"
    assert rows[0]["applied"] == ["8 bits to [0, 1]"]
    assert (totals.inputs, totals.failed, totals.atypical, totals.labels) == (4, 1, 1, {"bright": 1, "dark": 1})
    assert "2 files are no images and were left out" in err


def test_one_file_that_is_no_image_is_counted_in_the_singular(classifier, tmp_path):
    png(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "notes.txt").write_text("none")
    assert run(classifier, tmp_path / "in")[1] == "1 file is no image and was left out\n"


@pytest.mark.parametrize("form", ["png", "secondary-capture"])
def test_what_was_written_into_the_folder_of_images_is_no_input_of_the_next_run(classifier, tmp_path, form):
    folder = tmp_path / "in"
    # A gradient, since an image of one value has no heat map.
    radiograph(folder / "a.dcm", np.add.outer(np.arange(8), np.arange(8)) * 200)
    wishes = {"heatmaps": folder, "heatmap_format": form, "sr": folder, "csv": folder / "t.csv", "json": True}
    first, _, _ = run(classifier, folder, **wishes)
    written = sorted(path.name for path in folder.iterdir())
    assert len(written) >= 4
    again, err, totals = run(classifier, folder, **wishes)
    assert (totals.inputs, totals.failed) == (1, 0)
    assert f"{len(written) - 1} files are no images" in err
    assert lines_of(again)[0]["probabilities"] == lines_of(first)[0]["probabilities"]
    assert len(list(folder.glob("*.png"))) == (1 if form == "png" else 0)


def test_a_heat_map_that_is_named_itself_is_refused(classifier, tmp_path):
    run(classifier, png(tmp_path / "a.png"), heatmaps=tmp_path / "heat")
    (heat,) = (tmp_path / "heat").iterdir()
    with PILImage.open(heat) as picture:
        assert picture.info == {"Software": "MonaiSKD"}
    out, _, totals = run(classifier, heat)
    assert totals.failed == 1
    assert "not_an_image" in out
    assert "heat map that this program drew" in out


def test_text_says_each_answer_then_the_totals_and_ends_with_research_only(classifier, mixed):
    out, err, _ = run(classifier, mixed)
    assert out.index("bright, 0.80") < out.index("dark, 0.80") < out.index("NOT RELIABLE") < out.index("FAILED")
    assert out.endswith("4 inputs: bright 1, dark 1, not reliable 1, failed 1.\nResearch only, not for clinical use.\n")
    assert "\x1b" not in out
    assert err == "2 files are no images and were left out\n"


@pytest.mark.parametrize("explain", [False, True])
def test_one_answer_needs_no_totals_and_says_research_only_once(classifier, tmp_path, explain):
    out, err, _ = run(classifier, png(tmp_path / "a.png"), explain=explain)
    assert out.endswith("Research only, not for clinical use.\n")
    assert out.count("Research only") == 1
    assert ("8 bits to [0, 1]" in out) is explain
    assert err == ""


def test_a_terminal_gets_colour(classifier, tmp_path):
    out = Terminal()
    classify(classifier, [str(png(tmp_path / "a.png"))], Wishes(), out=out, err=io.StringIO())
    assert "\x1b[1m" in out.getvalue()


def test_the_table_is_complete(classifier, mixed, tmp_path):
    run(classifier, mixed, csv=tmp_path / "sub" / "t.csv")
    rows = list(csv.DictReader((tmp_path / "sub" / "t.csv").open(encoding="utf-8")))
    assert [Path(row["input"]).name for row in rows] == ["a.png", "b.png", "c.png", "d.png"]
    assert [row["p_bright"] for row in rows] == ["0.800000", "0.200000", "1.000000", ""]
    assert [row["p_dark"] for row in rows] == ["0.200000", "0.800000", "0.000000", ""]
    assert [row["label"] for row in rows] == [row["decision"] for row in rows] == ["bright", "dark", "bright", ""]
    assert [row["atypical"] for row in rows] == ["no", "no", "yes", ""]
    assert [row["error_code"] for row in rows] == ["", "", "", "damaged"]
    assert list(tmp_path.rglob("*.partial")) == []


def test_the_table_counts_the_slices_of_a_volume(lungs, tmp_path):
    ct_series(tmp_path / "ct", [0.0, 0.2, 0.4, 0.6])
    run(lungs, tmp_path / "ct", csv=tmp_path / "t.csv")
    row = next(csv.DictReader((tmp_path / "t.csv").open(encoding="utf-8")))
    assert (row["slices"], row["used"], row["p_bright"]) == ("4", "3", "0.400000")
    assert (row["label"], row["key_slices"]) == ("dark", "2 3 4")


def test_the_page_is_there_with_pictures_and_needs_no_heat_map_folder(classifier, mixed, tmp_path):
    out, _, _ = run(classifier, mixed, report=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert all(name in page for name in ("a.png", "b.png", "c.png", "d.png"))
    assert "data:image/jpeg;base64," in page
    assert "heat map:" not in out
    assert {path.name for path in tmp_path.iterdir()} == {"in", "page.html"}


def test_heat_maps_of_pictures_are_png_and_are_named_in_the_answer(classifier, mixed, tmp_path):
    out, _, _ = run(classifier, mixed, heatmaps=tmp_path / "heat", json=True)
    named = [path for row in lines_of(out) for path in row.get("heatmap") or ()]
    assert sorted(named) == sorted(str(path) for path in (tmp_path / "heat").iterdir())
    assert len(named) == 3
    with PILImage.open(named[0]) as picture:
        assert (picture.format, picture.mode, picture.width) == ("PNG", "RGB", 512)
    text, _, _ = run(classifier, mixed / "a.png", heatmaps=tmp_path / "heat")
    assert f"  heat map: {tmp_path / 'heat'}" in text


def test_notes_cannot_steer_a_terminal_by_a_files_name(classifier, tmp_path):
    _, err, _ = run(classifier, png(tmp_path / "a\x1b[2J\n.png"), sr=tmp_path / "sr")
    assert "\x1b" not in err
    assert len(err.splitlines()) == 1


class Ascii(io.TextIOWrapper):
    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="ascii", newline="\n")

    def text(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode("ascii")


def test_where_output_knows_ascii_only_everything_is_written_all_the_same(classifier, tmp_path):
    out = Ascii()
    wishes = Wishes(heatmaps=str(tmp_path / "Wärme"))
    paths = [str(png(tmp_path / name)) for name in ("Röntgen.png", "日本.png")]
    classify(classifier, paths, wishes, out=out, err=io.StringIO())
    assert "R\\xf6ntgen.png" in out.text()
    assert "W\\xe4rme" in out.text()


IDENTIFIED = ["json", "csv", "html"]


def everything(classifier: Classifier, folder: Path, tmp_path: Path, identify: bool) -> dict[str, str]:
    """All text that is written, by kind."""
    name = f"out{identify}"
    wishes = {"csv": tmp_path / name / "t.csv", "report": tmp_path / name / "p.html", "identify": identify}
    heat = {"heatmaps": tmp_path / name / "heat"}
    out, err, _ = run(classifier, folder, json=True, explain=True, **heat, **wishes)
    text, more, _ = run(classifier, folder, explain=True, **heat, **wishes)
    written = {"csv": wishes["csv"].read_text(), "html": wishes["report"].read_text()}
    names = " ".join(str(path) for path in (tmp_path / name).rglob("*"))
    return {"json": out, "err": err + more, "text": text, "names": names, **written}


def test_nothing_says_whose_an_image_is_unless_asked_to(classifier, tmp_path, caplog, capfd):
    caplog.set_level("DEBUG")
    person = {"PatientName": "Secret^Person", "PatientID": "Secret17"}
    folder = tmp_path / "in"
    whole = radiograph(folder / "a.dcm", **person).read_bytes()
    (folder / "b.dcm").write_bytes(whole[:-30])
    (folder / "c.dcm").write_bytes(whole[: whole.index(b"Secret17") + 4])
    written = everything(classifier, folder, tmp_path, identify=False)
    assert [kind for kind, text in written.items() if "Secret" in text] == []
    assert "Secret" not in caplog.text
    assert "Secret" not in "".join(capfd.readouterr())
    written = everything(classifier, folder, tmp_path, identify=True)
    assert [kind for kind in IDENTIFIED if "Secret^Person" not in written[kind]] == []
    assert [kind for kind in IDENTIFIED if "Secret17" not in written[kind]] == []
    assert json.loads(written["json"].splitlines()[0])["identity"]["patient_name"] == "Secret^Person"


@pytest.mark.parametrize("content", [None, "notes.txt"])
def test_nothing_to_classify_is_said_and_leaves_no_file(classifier, tmp_path, content):
    (tmp_path / "in").mkdir()
    if content:
        (tmp_path / "in" / content).write_text("none")
    with pytest.raises(SKDError, match=r"there is no image.*--recursive") as refusal:
        run(classifier, tmp_path / "in", csv=tmp_path / "t.csv", report=tmp_path / "p.html")
    assert refusal.value.code == "not_found"
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_folders_below_are_walked_when_asked(classifier, tmp_path):
    png(tmp_path / "in" / "a.png"), png(tmp_path / "in" / "sub" / "b.png")
    assert run(classifier, tmp_path / "in")[2].inputs == 1
    assert run(classifier, tmp_path / "in", recursive=True)[2].inputs == 2


def test_an_output_that_cannot_be_written_stops_before_the_first_answer(classifier, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SKDError, match="cannot be written"):
        run(classifier, png(tmp_path / "a.png"), csv=tmp_path / "file" / "t.csv")


@pytest.mark.parametrize("wish", ["sr", "heatmaps"])
def test_a_folder_that_cannot_be_written_stops_before_the_first_answer(classifier, tmp_path, wish):
    taken = png(tmp_path / "taken.png")
    out = io.StringIO()
    with pytest.raises(SKDError, match="cannot be written"):
        classify(classifier, [str(radiograph(tmp_path / "a.dcm"))], Wishes(json=True, **{wish: str(taken)}), out=out)
    assert out.getvalue() == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.dcm", "taken.png"]


def test_an_error_on_the_way_keeps_the_table_under_another_name(classifier, tmp_path):
    pictures, maps = (png(tmp_path / "a.png"), png(tmp_path / "b.png")), tmp_path / "maps"
    run(classifier, *pictures, heatmaps=maps)
    first = min(maps.iterdir())
    first.unlink()
    first.mkdir()
    with pytest.raises(SKDError, match="cannot be written"):
        run(classifier, *pictures, csv=tmp_path / "t.csv", heatmaps=maps)
    assert not (tmp_path / "t.csv").exists()
    assert len((tmp_path / "t.csv.partial").read_text().splitlines()) == 2


@pytest.mark.parametrize(("terminal", "count", "bar"), [(True, 5, True), (True, 4, False), (False, 5, False)])
def test_a_progress_bar_is_for_terminals_and_for_several_inputs(classifier, tmp_path, terminal, count, bar):
    paths = [str(png(tmp_path / f"{index}.png")) for index in range(count)]
    out, err = io.StringIO(), Terminal() if terminal else io.StringIO()
    classify(classifier, paths, Wishes(json=True), out=out, err=err)
    assert ("/5 [" in err.getvalue()) is bar
    assert len(lines_of(out.getvalue())) == count


def test_a_progress_bar_is_not_drawn_across_answers_on_the_same_terminal(classifier, tmp_path):
    paths, screen = [str(png(tmp_path / f"{index}.png")) for index in range(6)], Terminal()
    classify(classifier, paths, Wishes(), out=screen, err=screen)
    assert "/6 [" not in screen.getvalue()
    assert screen.getvalue().count("dark, 0.80") == 6


class Counting(Classifier):
    """How many sources were taken."""

    taken = 0

    def each(self, sources, *, heatmaps: bool = False) -> Iterator:
        def counted() -> Iterator:
            for source in sources:
                self.taken += 1
                yield source

        return super().each(counted(), heatmaps=heatmaps)


def test_when_output_fails_no_further_input_is_read(tmp_path):
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    counting = Counting(write_tiny_model(tmp_path / "model.onnx"), threads=2)
    paths = [str(png(tmp_path / "a.png"))] * 100
    with pytest.raises(BrokenPipeError):
        classify(counting, paths, Wishes(), out=Full(), err=io.StringIO())
    assert 1 <= counting.taken <= 6
