from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from MonaiSKD.errors import SKDError
from MonaiSKD.evaluation import Example, ReportData, classification_metrics, plot_summary, write_report

NAMES = ["normal", "<b>ground $glass$"]


class Reader(HTMLParser):
    """Collects tags, addresses and table cells, and checks that every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.cells: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.cells.append(data)


@pytest.fixture
def report() -> ReportData:
    p = np.array([[0.9, 0.1], [0.7, 0.3], [0.4, 0.6], [0.6, 0.4]])
    y = np.array([0, 0, 1, 1])
    metrics = {
        **classification_metrics(p, y, NAMES, bootstrap=50),
        "ece_before_calibration": 0.4321,
        "thresholds": {
            NAMES[0]: {"threshold": 0.7, "sensitivity": 1.0, "specificity": 0.987},
            NAMES[1]: {"threshold": 0.35, "sensitivity": None, "specificity": 0.75},
        },
        "decisions": {"none": 0, "one": 3, "several": 1},
        "atypical_share": 0.25,
        "heatmap_r2": 0.6789,
    }
    image, heat = np.full((1, 8, 8), 0.5, dtype=np.float32), np.array([[-1, 0], [0, 2]], dtype=np.float32)
    return ReportData(
        title="Lung CT classifier",
        modality="lung_ct",
        class_names=NAMES,
        counts={split: {NAMES[0]: 21, NAMES[1]: 34} for split in ("train", "val", "test")},
        metrics={"val": metrics, "test": metrics},
        probabilities=p,
        labels=y,
        curves={"Loss": {"student A": [(1, 0.7), (2, 0.4)], "student B": [(1, 0.8)]}, "AUC": {"A": []}},
        examples=[Example(image, int(k), row, heat if k else None) for k, row in zip(y, p, strict=True)],
        errors=[Example(image, 1, p[3], heat)],
        sensitivity=0.9,
        facts={"Teacher": "tf_efficientnet_lite2", "Seed": 0},
        config={"epochs": 2},
    )


def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    assert reader.open == []
    return reader


def test_page_is_whole_and_needs_no_second_file(report: ReportData, tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", report)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    page = read(tmp_path / "report.html")
    pictures = [address.partition(",")[::2] for address in page.addresses]
    figures = [data for kind, data in pictures if kind == "data:image/png;base64"]
    cases = [data for kind, data in pictures if kind == "data:image/jpeg;base64"]
    assert len(figures) == 2
    assert len(cases) == 2 + 1 + 4 + 2 + 1  # the error and its heat, examples, two with heat; under both the colours
    assert len(figures) + len(cases) == len(pictures)
    assert all(opened(data).size[0] > 1000 for data in figures)
    assert "script" not in page.tags


def opened(data: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_page_says_what_was_measured(report: ReportData, tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", report)
    cells = read(tmp_path / "report.html").cells
    accuracy = report.metrics["test"]["accuracy"]
    assert f"0.750 ({accuracy['low']:.3f} to {accuracy['high']:.3f})" in cells
    assert "test (n = 4)" in cells
    assert cells.count("55") == 3  # all images of each split
    assert cells[cells.index("Calibration error before the temperature") + 1] == "0.432"
    assert cells[cells.index("Images called atypical") + 1] == "1 (25.0%)"
    assert cells[cells.index("What blanking a region costs, foretold by the heat maps (R²)") + 1] == "0.679"
    assert "tf_efficientnet_lite2" in cells
    assert NAMES[1] in cells  # shown as text, not obeyed as markup
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Not for clinical use" in text
    assert re.search(r"&#34;epochs&#34;: 2", text)


def test_thresholds_and_what_they_reach(report: ReportData, tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", report)
    page = read(tmp_path / "report.html")
    start = page.cells.index("threshold")
    assert page.cells[start + 5 : start + 17] == [
        *(NAMES[0], "0.700", "1.000", "0.987", "1.000", "0.987"),
        *(NAMES[1], "0.350", "–", "0.750", "–", "0.750"),
    ]
    assert "finds 90" in page.text
    assert "test: 3 of 4 images reach the threshold of one class, 1 of several, 0 of none." in page.text


def test_sources_are_told_apart_where_they_are_known(report: ReportData, tmp_path: Path) -> None:
    by_source = {
        "sources": {"clinic <1>": {"n": 3, "balanced_accuracy": 0.75}, "web": {"n": 1, "balanced_accuracy": 1.0}},
        "usual": {"n": 4, "correct": 3, "taken_for_usual": 1},
        "unusual": {"n": 0, "correct": 0, "taken_for_usual": 0},
    }
    test = {**report.metrics["test"], "by_source": by_source}
    write_report(
        tmp_path / "report.html", dataclasses.replace(report, metrics={"val": report.metrics["val"], "test": test})
    )
    cells = read(tmp_path / "report.html").cells
    start = cells.index("Source") + 5
    assert cells[start : start + 4] == ["clinic <1>", "0", "3", "0.750"]  # a blank cell has no data
    assert cells[start + 4 : start + 8] == ["web", "0", "1", "1.000"]
    assert cells[start + 8 : start + 12] == ["label usual for its source (accuracy)", "0", "4", "0.750"]
    assert cells[start + 12 : start + 15] == ["label unusual for its source (accuracy)", "0", "0"]
    write_report(tmp_path / "plain.html", report)
    assert "Source" not in read(tmp_path / "plain.html").cells


def test_the_most_confident_errors_are_shown_with_their_heat(report: ReportData, tmp_path: Path) -> None:
    image = np.full((1, 64, 64), 0.5, dtype=np.float32)
    heat = np.array([[-1, -1], [-1, 2]], dtype=np.float32)
    case = Example(image, 1, np.array([0.97, 0.03]), heat)
    write_report(tmp_path / "report.html", dataclasses.replace(report, errors=[case], examples=()))
    page = read(tmp_path / "report.html")
    assert f"normal 97%, truly {NAMES[1]}" in page.text
    assert "1 of 4 test images got a wrong class." in page.text
    plain, overlaid, _ = (np.asarray(opened(a.partition(",")[2]).convert("RGB")) for a in page.addresses[1:4])
    assert np.ptp(plain) <= 3  # grey all over
    assert np.ptp(overlaid[:12, :12]) <= 6
    red, _, blue = overlaid[56, 56].astype(int)
    assert red > blue + 40  # the lower right corner speaks for the class


def test_without_errors_or_heat_the_page_says_nothing_of_them(report: ReportData, tmp_path: Path) -> None:
    cold = [dataclasses.replace(example, heat=None) for example in report.examples]
    metrics = {split: dict(of_split) for split, of_split in report.metrics.items()}
    for of_split in metrics.values():
        for key in ("thresholds", "atypical_share", "ece_before_calibration", "heatmap_r2"):
            del of_split[key]
    write_report(
        tmp_path / "report.html", dataclasses.replace(report, errors=(), examples=cold, metrics=metrics, curves={})
    )
    page = read(tmp_path / "report.html")
    for word in (
        "Most confident",
        "speaks for",
        "Thresholds",
        "Dots",
        "atypical",
        "before the temperature",
        "heat maps",
    ):
        assert word not in page.text
    assert "Examples" in page.text
    assert len(page.addresses) == 1 + 4


@pytest.mark.parametrize("width", [1200, 500])
def test_in_a_browser_every_picture_loads_and_nothing_sticks_out(
    in_browser: Callable[..., tuple[str, str]], report: ReportData, tmp_path: Path, width: int
) -> None:
    write_report(tmp_path / "report.html", report)
    measure = """<script>addEventListener("load", () => {
      const loaded = [...document.images].map(image => image.complete && image.naturalWidth * image.clientWidth > 0);
      const page = document.documentElement;
      document.body.dataset.found = JSON.stringify({loaded, over: page.scrollWidth - page.clientWidth});
    })</script></body>"""
    text = (tmp_path / "report.html").read_text(encoding="utf-8").replace("</body>", measure)
    (tmp_path / "measured.html").write_text(text, encoding="utf-8")
    document, console = in_browser(tmp_path / "measured.html", width=width)
    assert console == ""
    found = re.search(r'data-found="([^"]*)"', document)
    assert found
    assert json.loads(found[1].replace("&quot;", '"')) == {"loaded": [True] * 12, "over": 0}


def test_undefined_metrics_are_dashes(report: ReportData, tmp_path: Path) -> None:
    one = classification_metrics([[0.9, 0.1]], [0], NAMES, bootstrap=10)
    small = dataclasses.replace(
        report,
        metrics={"test": one},
        probabilities=np.array([[0.9, 0.1]]),
        labels=np.array([0]),
        curves={},
        examples=(),
        errors=(),
    )
    write_report(tmp_path / "report.html", small)
    page = read(tmp_path / "report.html")
    assert page.cells.count("–") == 4  # macro AUC, both class AUCs, recall of the class without cases
    assert len(page.addresses) == 1


@pytest.mark.parametrize("examples", [0, 1, 4])
def test_summary_is_a_picture_with_panels_drawn(report: ReportData, tmp_path: Path, examples: int) -> None:
    path = tmp_path / "summary.png"
    plot_summary(path, dataclasses.replace(report, examples=report.examples[:examples]))
    picture = np.asarray(Image.open(path).convert("RGB"))
    height, width, _ = picture.shape
    assert width == 1320
    quarters = np.array_split(picture[: height // 2], 4, axis=1)
    assert all((quarter < 250).any(axis=2).mean() > 0.01 for quarter in quarters)


def test_unwritable_place_is_one_sentence(report: ReportData, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SKDError, match="cannot be written"):
        write_report(tmp_path / "file" / "report.html", report)
