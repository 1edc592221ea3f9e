from __future__ import annotations

import dataclasses
from xml.etree import ElementTree

import numpy as np
import pytest

from MonaiSKD.reporting.charts import atypicality_histogram, count_bars, probability_bars, slice_curves
from MonaiSKD.runtime.result import Slices


def parsed(svg: str) -> ElementTree.Element:
    """The element, which must be well formed, drawn within its frame, and explain itself."""
    assert "style=" not in svg  # a strict page would block it
    assert "http" not in svg
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img"
    assert [child.tag for child in root][:2] == ["title", "desc"]
    assert all("nan" not in value and "inf" not in value for part in root.iter() for value in part.attrib.values())
    assert [root.get("width"), root.get("height")] == root.get("viewBox", "").split()[2:]
    return root


def texts(root: ElementTree.Element) -> list[str]:
    return [part.text or "" for part in root.iter("text")]


def bars(root: ElementTree.Element) -> list[tuple[float, str]]:
    """Width and colour of what fills each track."""
    return [(float(part.get("width", "")), part.get("fill", "")) for part in root.iter("rect")][1::2]


def test_probability_bars_have_exact_lengths_and_ticks() -> None:
    root = parsed(probability_bars({"normal": 0.25, "covid": 0.75}, {"normal": 0.5, "covid": 0.75}))
    assert bars(root) == [(32.5, "#9db4c4"), (97.5, "#0072b2")]  # of 130
    assert [float(part.get("x1", "")) for part in root.iter("line")] == [185.0, 217.5]
    assert texts(root) == ["normal", "0.25", "covid", "0.75"]
    assert root[1].text == "normal 0.25, threshold 0.50; covid 0.75, threshold 0.75"
    weights = [part.get("font-weight") for part in root.iter("text")]
    assert weights == [None, None, "600", "600"]  # not by colour alone


def test_bars_stay_within_their_track_and_names_within_their_column() -> None:
    root = parsed(probability_bars({"x" * 60: 1.7, "<b>\n": -1.0}, {"x" * 60: 9.0, "<b>\n": -9.0}))
    assert [width for width, _ in bars(root)] == [130.0, 0.0]
    assert texts(root)[0] == "x" * 15 + "…"
    assert texts(root)[2] == r"<b>\n"


def test_count_bars_are_relative_to_the_largest() -> None:
    root = parsed(count_bars({"normal": 4, "covid": 1, "other": 0}))
    assert [width for width, _ in bars(root)] == [130.0, 32.5, 0.0]
    assert root[1].text == "normal 4; covid 1; other 0"
    assert bars(parsed(count_bars({"normal": 0}))) == [(0.0, "#0072b2")]
    parsed(count_bars({}))


def test_slice_curve_marks_key_slices_and_shades_unused_ones(make_slices, classes) -> None:
    slices = make_slices(count=6, key=(4, 2))
    root = parsed(slice_curves(slices, classes, "covid"))
    lines = list(root.iter("polyline"))
    assert len(lines) == 3
    label = lines[-1]  # on top
    assert (label.get("stroke-width"), label.get("stroke-dasharray")) == ("2.4", None)
    points = [tuple(map(float, point.split(","))) for point in (label.get("points") or "").split()]
    assert points[0] == (84.0, 136.0)  # the first of six places between 38 and 590; 0.1 of 140 above 150
    assert points[-1] == (544.0, 52.0)
    circles = [float(part.get("cx", "")) for part in root.iter("circle")]
    assert circles == [points[4][0], points[2][0]]
    shaded = list(root.iter("rect"))
    assert [(part.get("x"), part.get("width")) for part in shaded] == [("38.0", "92.0")]
    assert {"5", "3", "covid", "slice (shaded: not used), -10 to 2 mm"} <= set(texts(root))
    assert root[1].text == "5 of 6 slices used; key slices 5, 3"


def test_neighbouring_numbers_do_not_overlap(make_slices, classes) -> None:
    root = parsed(slice_curves(make_slices(count=100, key=(50, 51, 80)), classes, "covid"))
    assert len(list(root.iter("circle"))) == 3
    assert "51" in texts(root)
    assert "81" in texts(root)
    assert "52" not in texts(root)


def test_one_slice_none_used_and_no_positions(make_slices, classes) -> None:
    one = dataclasses.replace(make_slices(count=1, key=()), positions=None)
    root = parsed(slice_curves(one, classes, "covid"))
    assert root[1].text == "0 of 1 slices used"
    assert [part.get("width") for part in root.iter("rect")] == ["552.0"]
    assert "slice (shaded: not used)" in texts(root)


def test_many_classes_have_six_lines_the_label_among_them() -> None:
    p = np.full((3, 9), 0.01, dtype=np.float32)
    p[:, :6] += np.arange(6)[::-1] / 10
    names = [f"class {index}" for index in range(9)]
    slices = Slices(p, np.zeros(3, np.float32), np.ones(3, bool), (), None)
    root = parsed(slice_curves(slices, names, "class 8"))
    shown = [text for text in texts(root) if text.startswith("class")]
    assert shown == ["class 8", "class 0", "class 1", "class 2", "class 3", "class 4"]
    dashes = [part.get("stroke-dasharray") for part in root.iter("polyline")]
    assert len(set(dashes)) == 6  # lines differ by more than their colour


def test_histogram_divides_at_the_limit() -> None:
    root = parsed(atypicality_histogram([0.1, 0.1, 0.9, 1.0, 1.5], 1.0))
    heights = {"#0072b2": [], "#d55e00": []}
    for part in root.iter("rect"):
        heights[part.get("fill", "")].append(float(part.get("height", "")))
    assert heights["#0072b2"] == [114.0, 57.0, 57.0]  # 1.0 is at the limit, not above it
    assert heights["#d55e00"] == [57.0]
    assert root[1].text == "1 of 5 above the limit 1.00"
    assert "limit 1.00" in texts(root)


@pytest.mark.parametrize(
    ("values", "limit"),
    [
        ([], 1.0),
        ([0.5], 1.0),
        ([float("inf"), float("nan"), 0.5], 1.0),
        ([1e9, 0.5], 1.0),
        ([0.0, 0.0], 0.0),
        ([-3.0, -2.0], -2.5),
        ([5.0] * 10, 1.0),
    ],
)
def test_histogram_of_anything(values, limit) -> None:
    root = parsed(atypicality_histogram(values, limit))
    for part in root.iter("rect"):
        assert 38 <= float(part.get("x", "")) <= 590
        assert float(part.get("x", "")) + float(part.get("width", "")) <= 592


def test_outliers_share_the_last_bar() -> None:
    root = parsed(atypicality_histogram([0.2, 0.6, 1e9], 1.0))
    assert "4.00 and more" in texts(root)
    assert len(list(root.iter("rect"))) == 3
