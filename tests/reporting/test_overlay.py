from __future__ import annotations

import base64
import dataclasses
import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from MonaiSKD.errors import SKDError
from MonaiSKD.reporting.overlay import (
    blend,
    colour_table,
    data_uri,
    heat_overlay,
    heat_values,
    save_overlays,
    thumbnail,
)


def test_the_colour_table_grows_lighter_step_by_step() -> None:
    table = colour_table()
    assert table.shape == (256, 3)
    assert table.dtype == np.uint8
    assert table[0].tolist() == [0, 0, 4]
    assert table[255].tolist() == [0xFC, 0xFF, 0xA4]
    lightness = table @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(lightness) > -1).all()
    assert np.diff(lightness[::16]).min() > 0


def test_heat_is_in_parts_of_its_own_maximum(make_heatmap) -> None:
    heat = heat_values(make_heatmap(), (3, 3))
    assert heat.dtype == np.float32
    assert heat.tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 1]]  # -1 speaks against the class and is left out
    large = heat_values(make_heatmap(), (30, 60))
    assert large.shape == (30, 60)
    assert large.min() == 0
    assert large[-1, -1] == pytest.approx(1, abs=0.05)
    assert large[0, 0] == 0


@pytest.mark.parametrize("values", [[[-1.0, -2.0]], [[0.0, 0.0]], [[np.nan, -np.inf]]])
def test_no_evidence_is_no_heat(make_heatmap, values) -> None:
    none = dataclasses.replace(make_heatmap(), values=np.array(values, dtype=np.float32))
    assert not heat_values(none, (5, 4)).any()
    grey = np.asarray(blend(none, (5, 4)))
    assert (grey == 128).all()
    heat_overlay(none)


def test_heat_colours_where_the_evidence_is_and_nowhere_else(make_heatmap) -> None:
    picture = np.asarray(blend(make_heatmap(), (64, 48))).astype(int)
    assert (abs(picture[:20, :20] - 128) <= 1).all()
    red, _, blue = picture[-1, -1]
    assert red > blue + 20


@pytest.mark.parametrize("shape", [(64, 48), (1, 7), (600, 300), (40, 900)])
def test_the_picture_is_large_enough_and_has_a_caption(make_heatmap, shape) -> None:
    picture = heat_overlay(make_heatmap(shape=shape))
    rows, columns = shape
    factor = max(1, 512 / max(shape))
    assert picture.mode == "RGB"
    assert picture.width == max(360, round(columns * factor))
    strip = np.asarray(picture)[max(1, round(rows * factor)) :]
    assert strip.shape[0] >= 40
    assert (strip.max(axis=2) > 200).sum() > 50  # words


@pytest.mark.parametrize(
    ("peak", "words"),
    [(0.00234, "0 to 0.0023 logits"), (0.04, "0 to 0.04 logits"), (2, "0 to 2 logits"), (123.4, "0 to 120 logits")],
)
def test_the_caption_says_what_the_brightest_colour_stands_for(make_heatmap, monkeypatch, peak, words) -> None:
    written: list[str] = []
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", lambda self, place, text, **_: written.append(text))
    heat_overlay(dataclasses.replace(make_heatmap(), values=np.array([[0, -1], [peak, 0]], dtype=np.float32)))
    assert words in written


@pytest.mark.parametrize("label", ["a" * 200, "肺炎", "\udcff\n", ""])
def test_any_class_name_can_be_written(make_heatmap, label) -> None:
    assert heat_overlay(dataclasses.replace(make_heatmap(), label=label)).width == 384


def test_thumbnails_are_small(make_heatmap) -> None:
    small = thumbnail(np.full((1, 1000, 500), 0.5, dtype=np.float32))
    assert (small.mode, small.size) == ("L", (128, 256))
    assert np.unique(np.asarray(small)).tolist() == [128]
    assert thumbnail(np.zeros((10, 20), dtype=np.float32)).size == (20, 10)
    kind, _, data = data_uri(small).partition(",")
    assert kind == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (128, 256)


def test_saved_names_tell_input_slice_and_class(volume, tmp_path) -> None:
    paths = save_overlays(volume, tmp_path / "new")
    assert [path.name for path in paths] == [
        "series_7-03487cd1-slice003-covid.png",
        "series_7-03487cd1-slice002-covid.png",
    ]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(path.name for path in paths)
    with Image.open(paths[0]) as picture:
        assert picture.format == "PNG"
        assert picture.info == {"Software": "MonaiSKD"}  # and pixels


def test_equal_names_in_different_folders_stay_apart(make_result, make_heatmap, tmp_path) -> None:
    inputs = ["a/1.png", "b/1.png", "a/1.dcm", "a/1.nii.gz"]
    saved = [save_overlays(make_result(input=name, heatmaps=[make_heatmap()]), tmp_path)[0] for name in inputs]
    assert len(set(saved)) == 4
    assert all(path.name.startswith("1-") for path in saved)
    again = save_overlays(make_result(input="a/1.png", heatmaps=[make_heatmap()]), tmp_path)
    assert again == (saved[0],)


@pytest.mark.parametrize(
    "name", ["../../etc/..", "x" * 400 + ".png", "肺" * 200, "\udcff.png", "a/.png", "con.png", ""]
)
def test_any_input_gives_a_safe_name(make_result, make_heatmap, tmp_path, name) -> None:
    label = "CON/..\\<b>" + "é" * 100
    heatmaps = [make_heatmap(label), make_heatmap(label.replace("/", ":"))]
    paths = save_overlays(make_result(input=name, heatmaps=heatmaps), tmp_path)
    assert len(set(paths)) == 2
    for path in paths:
        assert path.parent == tmp_path
        assert path.is_file()
        assert len(path.name.encode()) < 200
        assert not set(path.name) & set('/\\:*?"<>|')


def test_nothing_to_save_writes_nothing(make_result, tmp_path) -> None:
    assert save_overlays(make_result(), tmp_path / "none") == ()
    assert not (tmp_path / "none").exists()


def test_unwritable_place_is_one_sentence(volume, tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SKDError, match="cannot be written"):
        save_overlays(volume, tmp_path / "file")
