from __future__ import annotations

import base64
import dataclasses
import io
import re
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

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.cells.append(data)


@pytest.fixture
def report() -> ReportData:
    p = np.array([[0.9, 0.1], [0.7, 0.3], [0.4, 0.6], [0.6, 0.4]])
    y = np.array([0, 0, 1, 1])
    metrics = classification_metrics(p, y, NAMES, bootstrap=50)
    return ReportData(
        title="Lung CT classifier",
        modality="lung_ct",
        class_names=NAMES,
        counts={split: {NAMES[0]: 21, NAMES[1]: 34} for split in ("train", "val", "test")},
        metrics={"val": metrics, "test": metrics},
        probabilities=p,
        labels=y,
        curves={"Loss": {"student A": [(1, 0.7), (2, 0.4)], "student B": [(1, 0.8)]}, "AUC": {"A": []}},
        examples=[Example(np.full((1, 8, 8), 0.5, dtype=np.float32), int(k), row) for k, row in zip(y, p, strict=True)],
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
    assert len(page.addresses) == 3
    for address in page.addresses:
        kind, _, data = address.partition(",")
        assert kind == "data:image/png;base64"
        assert Image.open(io.BytesIO(base64.b64decode(data))).size[0] > 500
    assert "script" not in page.tags


def test_page_says_what_was_measured(report: ReportData, tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", report)
    cells = read(tmp_path / "report.html").cells
    accuracy = report.metrics["test"]["accuracy"]
    assert f"0.750 ({accuracy['low']:.3f} to {accuracy['high']:.3f})" in cells
    assert "test (n = 4)" in cells
    assert cells.count("55") == 3  # all images of each split
    assert "tf_efficientnet_lite2" in cells
    assert NAMES[1] in cells  # shown as text, not obeyed as markup
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Not for clinical use" in text
    assert re.search(r"&#34;epochs&#34;: 2", text)


def test_undefined_metrics_are_dashes(report: ReportData, tmp_path: Path) -> None:
    one = classification_metrics([[0.9, 0.1]], [0], NAMES, bootstrap=10)
    small = dataclasses.replace(
        report,
        metrics={"test": one},
        probabilities=np.array([[0.9, 0.1]]),
        labels=np.array([0]),
        curves={},
        examples=(),
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
