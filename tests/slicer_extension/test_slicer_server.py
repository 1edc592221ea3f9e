"""The client of MONAI Label against real HTTP on loopback, well and badly behaved."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable

import pytest
from label_server import Behaviour
from SKDClassifierLib.place import Server
from SKDClassifierLib.place.Server import LabelServer

from MonaiSKD.errors import SKDError
from MonaiSKD.runtime import Failure


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "Müller^Hans.nrrd"
    path.write_bytes(b"NRRD0004\r\n--x\r\n" + bytes(range(256)))
    return path


def test_a_good_server_tells_the_models_that_classify(server):
    found = LabelServer(f" {server.url}/ ").test()
    assert (found.state, dict(found.models)) == ("ready", {"chest": ("normal", "pneumonia"), "lung": ("a", "b")})
    assert [kind for kind, _, _ in server.seen] == ["GET"]  # no image was sent


@pytest.mark.parametrize(
    ("info", "state"),
    [
        ((200, json.dumps({"models": {}}).encode()), "no_models"),
        ((200, b"<html>a printer</html>"), "other_service"),
        ((200, b"[]"), "other_service"),
        ((404, b""), "other_service"),
        ((500, b"{}"), "other_service"),
    ],
)
def test_other_servers_are_told_apart(server, info, state):
    server.info = info
    found = LabelServer(server.url).test()
    assert found.state == state
    assert server.url in found.text


def test_nobody_there_silence_and_another_protocol_are_told_apart(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert LabelServer(f"http://127.0.0.1:{port}").test().state == "refused"
    monkeypatch.setattr(Server, "CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, says nothing
        found = LabelServer(f"http://127.0.0.1:{silent.getsockname()[1]}").test()
        assert found.state == "timeout"
        assert "does not answer in time" in found.text


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8000",
        "ftp://host",
        "http://",
        "http://host:port",
        "http://a:b@host",
        "http://192.168..1:8000",
        f"http://{'a' * 64}.example:8000",
        "http://[::1:8000",
        "http://127.0.0.1:8000/ü",
    ],
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(SKDError, match="is no address of a server"):
        LabelServer(url)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1:8000", True),
        ("127.8.9.10", True),
        ("[::1]:8000", True),
        ("localhost", True),
        ("LocalHost:8000", True),
        ("hospital.example/label", False),
        ("127.pacs.example.org:8000", False),
        ("127.0.0.1.example.org", False),
        ("localhost.example.org", False),
        ("10.0.0.1", False),
        ("[fe80::1]", False),
    ],
)
def test_this_computer_is_known(host, local):
    assert LabelServer(f"http://{host}").is_local is local


def test_an_image_goes_under_a_neutral_name_and_its_answer_comes_back(server, image):
    result = LabelServer(server.url).infer("chest", image)
    assert (result.label, result.decision, result.atypical) == ("pneumonia", ("pneumonia",), False)
    ((kind, path, body),) = server.seen
    assert (kind, path) == ("POST", "/infer/chest?output=json")
    assert image.read_bytes() in body
    assert b'filename="image.nrrd"' in body
    assert b"Hans" not in body


def test_a_failure_of_the_server_is_an_answer_too(server, image):
    line = {"input": "image", "error": {"code": "wrong_modality", "message": "is a CT", "remedy": "Give an MR"}}
    server.infer = (200, json.dumps({"params": {"monai_skd": line}}).encode())
    assert LabelServer(server.url).infer("chest", image) == Failure("image", "wrong_modality", "is a CT", "Give an MR")


def test_a_stock_classifier_decides_nothing_and_is_not_called_typical(server, image):
    prediction = [{"idx": 0, "label": "a", "score": 0.2}, {"idx": 1, "label": "b", "score": 0.8}]
    server.infer = (200, json.dumps({"params": {"prediction": prediction}}).encode())
    result = LabelServer(server.url).infer("chest", image)
    assert (result.label, result.decision, result.atypical) == ("b", (), True)
    assert "no thresholds" in result.warnings[0]


def stopped(server: Behaviour) -> None:
    server.cut = True


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda server: setattr(server, "infer", (404, b"{}")), "has no model 'chest'"),
        (lambda server: setattr(server, "infer", (500, b"oops")), "HTTP 500"),
        (lambda server: setattr(server, "infer", (200, b"not JSON")), "no classification"),
        (lambda server: setattr(server, "infer", (200, b"[1]")), "no classification"),
        (lambda server: setattr(server, "infer", (200, b'{"params": {"prediction": []}}')), "no classification"),
        (lambda server: setattr(server, "infer", (200, b'{"params": {"monai_skd": {}}}')), "no classification"),
        (stopped, "broke off in the middle"),
    ],
)
def test_a_server_that_fails_is_told_with_a_remedy(server, image, change: Callable[[Behaviour], None], words):
    change(server)
    with pytest.raises(SKDError, match=words) as caught:
        LabelServer(server.url).infer("chest", image)
    assert caught.value.remedy


def test_a_model_name_cannot_leave_its_place(server, image):
    LabelServer(server.url).infer("../train?x=1", image)
    assert server.seen[0][1] == "/infer/..%2Ftrain%3Fx%3D1?output=json"
