from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from MonaiSKD.errors import SKDError
from MonaiSKD.reporting import page as page_module
from MonaiSKD.reporting.page import PageWriter
from MonaiSKD.runtime.result import Failure, ModelIdentity, Result

VOID = {"meta", "img", "input", "br"}


class Reader(HTMLParser):
    """Collects what a page holds, and checks that every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.groups: list[dict[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        self.addresses += [given[key] or "" for key in ("src", "href") if key in given]
        if "data-order" in given:
            self.groups.append(given)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data


def parsed(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    return reader


def write_page(path: Path, rows: Iterable[Result | Failure], model: ModelIdentity, **options: Any) -> None:
    with PageWriter(path, model, **options) as page:
        for row in rows:
            page.add(row)


def read(path: Path) -> Reader:
    return parsed(path.read_text(encoding="utf-8"))


@pytest.fixture
def rows(make_result, make_failure, make_heatmap, volume) -> list:
    return [
        make_result(input="b/<i>2</i>.png", heatmaps=[make_heatmap()], milliseconds=12.0),
        volume,
        make_failure("a/<script>alert(1)</script>.dcm"),
        make_result((0.9, 0.05, 0.05), input="a/10.png", atypicality=3.1, warnings=('"<b>&',)),
        make_result((0.34, 0.33, 0.33), input="a/9.png", atypicality=0.05),
    ]


def test_page_is_whole_and_needs_no_second_file(rows, model, tmp_path) -> None:
    write_page(tmp_path / "new" / "page.html", iter(rows), model)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["page.html"]
    text = (tmp_path / "new" / "page.html").read_text(encoding="utf-8")
    assert "http:" not in text
    assert "https:" not in text
    assert "://" not in text
    page = parsed(text)
    assert len(page.addresses) == 5  # image and heat map; one slice and two heat maps
    for address in page.addresses:
        kind, _, data = address.partition(",")
        assert kind == "data:image/jpeg;base64"
        assert max(Image.open(io.BytesIO(base64.b64decode(data))).size) <= 256


def test_the_policy_allows_this_script_and_style_alone(rows, model, tmp_path) -> None:
    write_page(tmp_path / "page.html", rows, model)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    assert policy[1].startswith("default-src 'none'; img-src data:; ")
    for tag in ("style", "script"):
        (body,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy[1].replace("&#43;", "+")
    assert "unsafe" not in policy[1]
    assert not re.search(r"<[^>]+ (style|on\w+)=", text)


def test_page_says_what_was_found(rows, model, tmp_path) -> None:
    write_page(tmp_path / "page.html", rows, model, modality="chest_xray")
    page = read(tmp_path / "page.html")
    for words in (
        "chest xray · model chest_xray 1.2.0",
        "SHA-256 " + "0123456789abcdef" * 4,
        "Research only, not for clinical use.",
        "5inputs",
        "4answered",
        "1of them not reliable",
        "1failed",
        "no class reaches its threshold; most probable: normal, 0.34",
        "3 of 4 slices used; key slices 3, 2",
        "gantry tilt of 3.1 degrees.",
        "damaged",
        "its pixel data end too early.",
        "Export it again.",
        "normal 1; pneumonia 1; covid 1",
        "1 of 4 above the limit 1.00",
        "Evidence for covid, slice 3",
    ):
        assert words in page.text, words
    assert "Interrupted" not in page.text
    assert [group["data-atypicality"] for group in page.groups] == ["0.25", "0.25", "3.1", "0.05"]
    assert [group.get("class") for group in page.groups] == [None, None, "atypical", None]
    assert page.text.count("NOT RELIABLE") == 1


def test_file_names_are_shown_and_not_obeyed(rows, model, tmp_path) -> None:
    write_page(tmp_path / "page.html", rows, model, modality="<u>")
    page = read(tmp_path / "page.html")
    assert page.tags.count("script") == 1
    assert not {"i", "u"} & set(page.tags)
    assert "<script>alert(1)</script>.dcm" in page.text.replace("\n", "")
    assert '"<b>&.' in page.text


def test_identity_only_on_request(volume, model, tmp_path) -> None:
    write_page(tmp_path / "no.html", [volume], model)
    text = (tmp_path / "no.html").read_text(encoding="utf-8")
    assert not [word for word in ("Müller", "4711", "1.2.3.4") if word in text]
    write_page(tmp_path / "yes.html", [volume], model, identify=True)
    page = read(tmp_path / "yes.html")
    for words in ("Patient ID: 4711", "Name: Müller^Hans", "Study: 1.2.3", "This page names patients."):
        assert words in page.text


def test_pictures_are_bounded_and_the_page_says_so(make_result, model, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(page_module, "_FIRST", 3)
    monkeypatch.setattr(page_module, "_MORE", 1)
    pixels = np.zeros((1, 8, 8), dtype=np.float32)
    with PageWriter(tmp_path / "page.html", model) as page:
        for index in range(8):
            page.add(make_result(input=f"{index}.png", atypicality=3.0 if index > 4 else 0.1), pixels)
    shown = read(tmp_path / "page.html")
    assert len(shown.addresses) == 4
    assert "for the first 3 results and for up to 1 further ones that are not reliable; 4 results are" in shown.text
    assert len(shown.groups) == 8


@pytest.mark.parametrize("only", ["nothing", "failures"])
def test_pages_without_results(make_failure, model, tmp_path, only) -> None:
    write_page(tmp_path / "page.html", [] if only == "nothing" else [make_failure()], model)
    page = read(tmp_path / "page.html")
    assert page.groups == []
    assert ("Failed" in page.text) == (only == "failures")


def test_odd_names_and_numbers(make_result, model, tmp_path) -> None:
    names = ["", "/", "a/", "\udcff\n.png", "\u202egnp.exe"]
    write_page(tmp_path / "page.html", [make_result(input=name, atypicality=float("inf")) for name in names], model)
    page = read(tmp_path / "page.html")
    assert r"\udcff\n.png" in page.text
    assert "\u202e" not in page.text
    assert {group["data-atypicality"] for group in page.groups} == {"Infinity"}


def interrupted(*rows: Result) -> Iterator[Result]:
    yield from rows
    raise KeyboardInterrupt


def test_an_interrupted_page_is_kept_under_another_name(make_result, model, tmp_path) -> None:
    (tmp_path / "page.html").write_text("an older page")
    with pytest.raises(KeyboardInterrupt):
        write_page(tmp_path / "page.html", interrupted(make_result()), model)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "page.partial.html"]
    assert (tmp_path / "page.html").read_text() == "an older page"
    assert "Interrupted." in read(tmp_path / "page.partial.html").text
    with pytest.raises(KeyboardInterrupt):
        write_page(tmp_path / "page.html", interrupted(make_result(input="later.png")), model)
    assert "later.png" in read(tmp_path / "page.2.partial.html").text
    assert "later.png" not in read(tmp_path / "page.partial.html").text
    with pytest.raises(KeyboardInterrupt):
        write_page(tmp_path / "none.html", interrupted(), model)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_page_whose_name_cannot_be_written_is_kept_under_another(make_result, model, tmp_path) -> None:
    taken = tmp_path / "page.html"

    def meanwhile(make: Callable[[Path], object]) -> Iterator[Result]:
        yield make_result(input="mine.png")
        make(taken)

    with pytest.raises(SKDError, match=r"page.html: was written by another program meanwhile.*page\.partial\.html"):
        write_page(taken, meanwhile(lambda path: path.write_text("theirs")), model)
    assert taken.read_text() == "theirs"
    taken.unlink()
    taken.mkdir()
    with pytest.raises(SKDError, match=r"page.html: cannot be written.*page\.2\.partial\.html"):
        write_page(taken, [make_result(input="mine.png")], model)
    for name in ("page.partial.html", "page.2.partial.html"):
        assert "mine.png" in read(tmp_path / name).text
        assert "Interrupted." not in read(tmp_path / name).text


def test_unwritable_place_is_one_sentence(model, tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SKDError, match="cannot be written"):
        write_page(tmp_path / "file" / "page.html", [], model)


def test_importing_the_reports_loads_neither_jinja_nor_anything_heavy() -> None:
    code = (
        "import sys, MonaiSKD.reporting;"
        "print(sorted({'jinja2', 'torch', 'monai', 'matplotlib', 'scipy', 'sklearn'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("anchor", "order", "sorted_by"),
    [
        ("", "1234", None),
        ("#sort=-atypicality", "3124", "atypicality"),
        ("#sort=input", "4312", "input"),  # a/9 before a/10
        ("#sort=p", "4213", "p"),
        ("#sort=constructor", "1234", None),
    ],
)
def test_sorting_in_a_browser(in_browser, rows, model, tmp_path, anchor, order, sorted_by) -> None:
    write_page(tmp_path / "page.html", rows, model)
    document, console = in_browser(tmp_path / "page.html", anchor)
    assert console == ""  # neither errors nor anything that the policy blocked
    page = parsed(document)
    assert "".join(group["data-order"] or "" for group in page.groups) == order
    found = re.findall(r'<th data-key="(\w+)"[^>]* aria-sort="(\w+)"', document)
    expected = [(sorted_by, "descending" if "=-" in anchor else "ascending")] if sorted_by else []
    assert found == expected
    assert 'id="filter"' in document
    assert not re.search(r'id="filter"[^>]* hidden', document)  # shown by the script


def test_clicks_and_filter_in_a_browser(in_browser, rows, model, tmp_path) -> None:
    write_page(tmp_path / "page.html", rows, model)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    # A second script that plays the user; the policy is lifted for it.
    text = re.sub(r"<meta http-equiv[^>]*>", "", text)
    play = """<script>
      document.querySelector("th[data-key=atypicality] button").click();
      const field = document.getElementById("filter");
      field.value = "CT/SERIES";
      field.dispatchEvent(new Event("input"));
    </script></body>"""
    (tmp_path / "play.html").write_text(text.replace("</body>", play), encoding="utf-8")
    document, console = in_browser(tmp_path / "play.html")
    assert console == ""
    page = parsed(document)
    assert [group["data-order"] for group in page.groups] == list("3124")
    assert [group["data-order"] for group in page.groups if "hidden" not in group] == ["2"]


def test_the_policy_stops_a_foreign_script(in_browser, rows, model, tmp_path) -> None:
    write_page(tmp_path / "page.html", rows, model)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    foreign = '<script>document.body.append("obeyed")</script></body>'
    (tmp_path / "bad.html").write_text(text.replace("</body>", foreign), encoding="utf-8")
    document, console = in_browser(tmp_path / "bad.html")
    assert "obeyed</body>" not in document.replace("\n", "")
    assert "Content Security Policy" in console


def test_replaced_rows_of_another_model_still_fit(make_result, model, tmp_path) -> None:
    other = dataclasses.replace(
        make_result(), label="x", probabilities={"x": 1.0}, thresholds={"x": 0.5}, model=dataclasses.replace(model)
    )
    write_page(tmp_path / "page.html", [make_result(), other], model)
    assert "normal 0; pneumonia 1; covid 0; x 1" in read(tmp_path / "page.html").text
