"""The configuration: what may be written, and what is said about the line that is wrong."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from MonaiSKD.errors import SKDError
from MonaiSKD.pacs.configuration import read_settings
from MonaiSKD.pacs.settings import Limits, Page

ROOT = Path(__file__).parents[2]
SMALLEST = """
data = "data"
[dicomweb]
url = "http://127.0.0.1:8042/dicom-web/"
[poll]
[[route]]
model = "chest_xray"
modality = "DX"
"""


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "pacs.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refusal(path):
    with pytest.raises(SKDError) as caught:
        read_settings(path)
    return str(caught.value).replace(str(path.parent) + "/", "")


def test_the_smallest_file_and_its_defaults(written, tmp_path):
    settings = read_settings(written(SMALLEST))
    assert settings.data == tmp_path / "data"
    assert settings.dicomweb.url == "http://127.0.0.1:8042/dicom-web"
    assert (settings.routes[0].model, settings.routes[0].modality, settings.routes[0].file) == (
        "chest_xray",
        ("DX",),
        "",
    )
    assert settings.listen is None
    assert settings.answer.peer is None
    assert (settings.page, settings.limits) == (Page(), Limits())
    assert settings.page.address == "127.0.0.1"


def test_everything(written, tmp_path, monkeypatch):
    monkeypatch.setenv("SKD_TEST_PASSWORD", "from the environment")
    (tmp_path / "token").write_text("from a file\n")
    for name in ("own.pem", "own.key", "ca.pem", "model.onnx"):
        (tmp_path / name).touch()
    settings = read_settings(
        written(
            """
data = "/var/lib/x"
workers = 2
retry = { first = 1, most = 9 }
[dicomweb]
url = "https://pacs.example.org/dicom-web"
user = "skd"
password = { env = "SKD_TEST_PASSWORD" }
ca = "ca.pem"
certificate = "own.pem"
key = "own.key"
[poll]
every = 5
quiet = 7.5
days = 3
query = { InstitutionName = "North" }
[listen]
allow = ["SENDER", "OTHER ONE"]
ae_title = "SKD"
certificate = "own.pem"
key = "own.key"
[answer]
by = "store"
host = "pacs.example.org"
port = 104
ae_title = "PACS"
heat_maps = "parametric-map"
tls = true
[limits]
study_images = 10
[page]
token = { file = "token" }
[[route]]
model = "model.onnx"
modality = ["CT"]
body_part = ["CHEST", ""]
series_description = "lung|thorax"
series = "largest"
"""
        )
    )
    assert settings.retry == (1, 9)
    assert settings.dicomweb.login.password.reveal() == "from the environment"
    assert settings.page.login.token.reveal() == "from a file"
    assert "environment" not in repr(settings)
    assert settings.listen.allow == ("SENDER", "OTHER ONE")
    assert settings.listen.tls.certificate == tmp_path / "own.pem"
    assert (settings.answer.peer.port, settings.answer.peer.ae_title) == (104, "PACS")
    assert settings.answer.peer.tls is not None
    assert settings.limits == Limits(study_images=10)
    route = settings.routes[0]
    assert (route.model, route.file) == ("model.onnx", str(tmp_path / "model.onnx"))
    assert route.description.search("CT LUNG 1.0") is not None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[poll]", "[poll]\nevry = 3", "pacs.toml, line 6: poll.evry: is not known. Did you mean 'every'."),
        ("[poll]", '[poll]\nevery = "soon"', "pacs.toml, line 6: poll.every: is 'soon', not a number from 0.1 to 8640"),
        ("[poll]", "[poll]\nevery = true", "line 6: poll.every: is True, not a number"),
        ("[poll]", "[poll]\ndays = 1.5", "line 6: poll.days: is 1.5, not a whole number"),
        ("[poll]", "", "pacs.toml: no study can come in. Write a table [poll] or [listen], or both."),
        ("[poll]", "poll = 3", "line 5: dicomweb.poll: is not known"),
        ('data = "data"', "", "pacs.toml: data: is missing"),
        ('data = "data"', 'data = "data', "pacs.toml: is not valid TOML"),
        ("http://", "ftp://", "line 4: dicomweb.url: is 'ftp://127.0.0.1:8042/dicom-web/', not an address"),
        ("http://", "http://user:secret@", "line 4: dicomweb.url"),
        (":8042", ":99999", "line 4: dicomweb.url: names no host, or no possible port. Write an address such as http"),
        ("127.0.0.1:8042", "", "line 4: dicomweb.url: names no host"),
        ("127.0.0.1:8042", "[::1", "line 4: dicomweb.url: names no host"),
        ('[dicomweb]\nurl = "http://127.0.0.1:8042/dicom-web/"\n', "", "line 3: poll: needs to know the PACS"),
        ("[poll]", "user = 'a'\n[poll]", "line 5: dicomweb.user: is half a login"),
        ("[poll]", "user = 'a'\npassword = 'b'\n[poll]", "line 6: dicomweb.password: stands in the file itself"),
        (
            "[poll]",
            "token = { env = 'SKD_NOT_SET' }\n[poll]",
            "dicomweb.token.env: names SKD_NOT_SET, which is not set",
        ),
        ("[poll]", "ca = 'none.pem'\n[poll]", "line 5: dicomweb.ca: names none.pem, which is no file"),
        ("[poll]", "[listen]\n[poll]", "line 5: listen.allow: is missing"),
        ("[poll]", "[listen]\nallow = []\n[poll]", "line 6: listen.allow: is empty, so that nobody may send"),
        ("[poll]", "[listen]\nallow = ['12345678901234567']\n[poll]", "line 6: listen.allow: holds"),
        ("[poll]", "[answer]\nby = 'post'\n[poll]", "line 6: answer.by: is 'post', not one of stow, store"),
        ("[poll]", "[answer]\nby = 'store'\n[poll]", "line 5: answer.host: is missing"),
        ("[poll]", "[page]\naddress = '0.0.0.0'\n[poll]", "line 5: page: is open to others at 0.0.0.0 without a login"),
        ('modality = "DX"', "", "line 6: route.modality: is missing"),
        ('modality = "DX"', "modality = []", "line 8: route.modality: is empty, so that no series fits"),
        ('modality = "DX"', 'modality = ["dx"]', "line 8: route.modality: holds 'dx', not a code in capitals"),
        (
            'modality = "DX"',
            'modality = "DX"\nseries_description = "("',
            "line 9: route.series_description: is no regu",
        ),
        (
            'modality = "DX"',
            'modality = "DX"\nseries = "best"',
            "line 9: route.series: is 'best', not one of each, larg",
        ),
        ("[[route]]\n", "[route]\n", "route: is no list of tables. Write [[route]] on a line of its own."),
    ],
)
def test_what_is_wrong_is_said_with_its_line(written, old, new, said):
    assert old in SMALLEST
    assert said in refusal(written(SMALLEST.replace(old, new)))


def test_the_line_is_that_of_the_second_route(written):
    second = '[[route]]\nmodel = "x"\nmodality = "ct"\n'
    assert "line 11: route.modality" in refusal(written(SMALLEST + second))


def test_a_secret_is_in_no_message(written, monkeypatch):
    monkeypatch.setenv("SKD_TEST_PASSWORD", "hush")
    text = SMALLEST.replace("[poll]", 'password = { env = "SKD_TEST_PASSWORD" }\n[poll]')
    assert "hush" not in refusal(written(text))


@pytest.mark.parametrize(
    ("content", "said"),
    [(" \n", "token.file: names a file that holds nothing"), ("hush\nhush", "token: holds a line break or a control")],
)
def test_a_secret_that_can_be_none_is_refused(written, tmp_path, content, said):
    (tmp_path / "secret").write_text(content)
    text = SMALLEST.replace("[poll]", 'token = { file = "secret" }\n[poll]')
    sentence = refusal(written(text))
    assert f"dicomweb.{said}" in sentence
    assert "hush" not in sentence


def test_a_folder_that_is_called_as_a_bundle_does_not_hide_it(written, tmp_path):
    (tmp_path / "chest_xray").mkdir()
    assert read_settings(written(SMALLEST)).routes[0].file == ""
    inside = SMALLEST.replace('"chest_xray"', '"./chest_xray"')
    assert read_settings(written(inside)).routes[0].file == str(tmp_path / "chest_xray")


@pytest.mark.parametrize(
    "url", ["https://skd:hush@pacs/dicom-web", "skd:hush@pacs", "https://pacs/?token=hush", "https://pacs/ #hush"]
)
def test_a_secret_in_the_address_is_refused_and_not_said(written, url):
    said = refusal(written(SMALLEST.replace("http://127.0.0.1:8042/dicom-web/", url)))
    assert said.startswith("pacs.toml, line 4: dicomweb.url: holds more than an address. Write the address alone")
    assert "hush" not in said


def test_an_absent_file_and_one_that_is_no_text(tmp_path, written):
    assert "No such file" in refusal(tmp_path / "none.toml")
    path = written("")
    path.write_bytes(b"\xff\xfe")
    assert "is not UTF-8" in refusal(path)


@given(st.text(max_size=200))
def test_any_text_is_settings_or_a_clear_refusal(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(SKDError):
        read_settings(path)


def test_the_example_in_the_documents(written, tmp_path, monkeypatch):
    document = (ROOT / "docs" / "pacs.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", document, re.DOTALL)
    monkeypatch.setenv("PACS_PASSWORD", "x")
    (tmp_path / "hospital.pem").touch()
    settings = read_settings(written(example))
    assert [route.model for route in settings.routes] == ["chest_xray", "lung_ct"]
    assert (settings.poll.days, settings.listen.allow, settings.workers) == (2, ("PACS", "CT-ROOM-2"), 2)
    # The message shown there is the one that is given.
    (line,) = re.findall(r"\n(pacs\.toml, line .*)\n", document)
    assert refusal(written(example.replace("every = 30", "evry = 30"))) == line


def test_the_documents_name_every_setting_and_its_default():
    document = (ROOT / "docs" / "pacs.md").read_text(encoding="utf-8")
    source = (ROOT / "MonaiSKD" / "pacs" / "configuration.py").read_text(encoding="utf-8")
    keys = set(re.findall(r"(?:text|texts|number|integer|flag|choice|file_path|mapping)\(\"(\w+)\"", source))
    assert keys >= {"data", "everything", "study_seconds"}
    table = document.partition("## All settings")[2].partition("## Security")[0] + "`env` `file`"
    assert {key for key in keys if f"`{key}`" not in table} == set()
    limits = Limits()
    assert (limits.object_bytes, limits.study_bytes, limits.free_bytes) == (512 * 2**20, 2 * 2**30, 2**30)
    assert (limits.study_images, limits.study_seconds, limits.attempts) == (4000, 600, 12)
