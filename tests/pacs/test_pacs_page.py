"""The status page: what it says, to whom, and what it takes."""

import base64
import http.client
import json
import random
import re
import resource
import shutil
import socket
import subprocess
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest
from pacs_servers import wait_for

pytest.importorskip("h11", reason="the extra `pacs` is not installed")

from MonaiSKD.pacs import web
from MonaiSKD.pacs.clock import Rate, SystemClock
from MonaiSKD.pacs.page import Status
from MonaiSKD.pacs.queue import Queue
from MonaiSKD.pacs.routing import SeriesFacts
from MonaiSKD.pacs.settings import Login, Page, Secret
from MonaiSKD.pacs.trouble import Later
from MonaiSKD.pacs.web import WebServer

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 1, 2, 12, 0, 5, tzinfo=timezone.utc)


class Clock(SystemClock):
    def now(self):
        return NOON


@pytest.fixture
def filled(tmp_path):
    """A queue with every state."""
    queue = Queue(tmp_path / "queue.sqlite", lambda: NOON)

    def offer(number, model="chest_xray", modality="DX", images=1):
        return next(
            iter(queue.offer(f"1.2.826.{number}", images, {model: [SeriesFacts("1.2", modality, images=images)]}, ""))
        )

    for number in range(60):
        queue.answered(offer(number), "pneumonia, 0.93" if number % 3 else "normal, 0.88", f"2.25.{number}")
    unlike = "NOT RELIABLE: this volume is unlike those the model was trained on (atypicality 0.9, limit 0.5). "
    queue.answered(offer(100, "lung_ct", "CT", 312), unlike + "Its answer would be: covid, 0.71", "2.25.100")
    queue.unanswerable(
        offer(101), "wrong_body_part", "is of the body part KNEE, not a chest radiograph", "Give a chest radiograph"
    )
    queue.unanswerable(offer(102, "brain_mri", "MR", 24), "damaged", "is cut off within its pixels", "Send it again")
    queue.offer("1.2.826.103", 1, {}, "no rule fits its series (US, CR KNEE)")
    queue.retrying(offer(104), "the PACS cannot be reached by DICOMweb (ConnectionError)", "Check that it runs", 2)
    queue.working(offer(105))
    offer(106, "lung_ct", "CT", 500)
    yield queue
    queue.close()


@pytest.fixture
def serve(filled):
    opened = []

    def start(identify=False, per_second=1e6, **changes):
        settings = Page(port=0, identify=identify, **changes)
        status = Status(filled, Clock(), identify)
        server = WebServer(settings, status, Rate(per_second, SystemClock()))
        opened.append(server)
        server.status = status
        return server

    yield start
    for one in opened:
        one.close()


def ask(server, path="/", method="GET", host=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    if host is not None:
        headers["Host"] = host
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read().decode()


def raw(server, sent, seconds=10):
    with socket.create_connection(("127.0.0.1", server.port), timeout=seconds) as connection:
        connection.sendall(sent)
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionError:
            pass
        return answer


def test_json_counts_and_lists(serve):
    status, headers, body = ask(serve(), "/status.json")
    data = json.loads(body)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert data["counts"] == {"received": 1, "working": 1, "retrying": 1, "answered": 61, "unanswerable": 3}
    assert [row["state"] for row in data["waiting"]] == ["received", "working", "retrying"]
    assert len(data["answered"]) == 50
    assert data["answered"][0]["images"] == 312
    assert data["unanswerable"][0]["reason"] == "no rule fits its series (US, CR KNEE)"
    assert data["unanswerable"][0]["model"] is None
    assert data["unanswerable"][2]["code"] == "wrong_body_part"
    assert "study" not in data["answered"][0]


def test_studies_are_named_by_keys_unless_wished_otherwise(serve):
    closed, told = serve(), serve(identify=True)
    for path in ("/", "/status.json"):
        assert "1.2.826" not in ask(closed, path)[2]
        assert "1.2.826.101" in ask(told, path)[2]


def test_the_page_needs_nothing_else_and_forbids_everything_else(serve):
    status, headers, body = ask(serve())
    assert status == 200
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert (headers["Cache-Control"], headers["X-Frame-Options"]) == ("no-store", "DENY")
    assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"]) == ("nosniff", "no-referrer")
    assert "<script" not in body
    assert not re.findall(r"(?:src|href)=\"(?!status\.json)", body)
    assert "not for clinical use" in body


def test_words_from_outside_are_text(serve, filled):
    (key,) = filled.offer("1.2.999", 1, {"<script>alert(1)</script>": [SeriesFacts("1.2", "DX")]}, "")
    filled.unanswerable(key, "damaged", "<img src=x onerror=alert(1)>", "&")
    body = ask(serve())[2]
    assert "<script>" not in body
    assert "<img" not in body
    assert "&lt;img src=x" in body


def test_troubles_come_and_go(serve):
    server = serve()
    server.status.trouble("poll", Later("the PACS cannot be reached by DICOMweb", "Check that it runs"))
    server.status.trouble("poll", Later("the PACS cannot be reached by DICOMweb", "Check that it runs"))
    assert ask(server)[2].count("Poll: the PACS cannot be reached by DICOMweb.") == 1
    server.status.well("poll")
    assert "cannot be reached by DICOMweb." not in ask(server)[2]


@pytest.mark.parametrize(
    ("request_line", "code"),
    [
        ("GET /../queue.sqlite HTTP/1.1", 404),
        ("GET /%2e%2e/lock HTTP/1.1", 404),
        ("POST / HTTP/1.1", 405),
        ("DELETE /status.json HTTP/1.1", 405),
        ("HEAD / HTTP/1.1", 200),
        ("GET /?a=b HTTP/1.1", 200),
        ("GET / HTTP/1.0", 200),
        ("GET /", 400),
        ("HELLO", 400),
        ("GET / HTTP/1.1\r\nContent-Length: 5", 413),
        ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked", 413),
        ("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2", 400),
        ("GET / HTTP/1.1\r\nX: " + "y" * 20000, 431),
    ],
)
def test_requests_are_answered_by_the_protocol(serve, request_line, code):
    answer = raw(serve(), f"{request_line}\r\nHost: localhost\r\n\r\n".encode())
    assert answer.split()[1] == str(code).encode(), answer[:200]
    if request_line.startswith("HEAD"):
        assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("host", "code"), [("localhost", 200), ("127.0.0.1:80", 200), ("[::1]:80", 200), ("evil.example", 421), ("", 421)]
)
def test_a_name_that_was_moved_here_is_refused(serve, host, code):
    assert ask(serve(), host=host)[0] == code


def test_login(serve):
    basic = serve(login=Login("skd", Secret("open sesame")))
    assert ask(basic)[0] == 401
    assert ask(basic)[1]["WWW-Authenticate"] == 'Basic realm="MonaiSKD"'
    right = base64.b64encode(b"skd:open sesame").decode()
    assert ask(basic, Authorization=f"Basic {right}")[0] == 200
    assert ask(basic, Authorization=f"Basic {right[:-1]}")[0] == 401
    bearer = serve(login=Login(token=Secret("t0ken")))
    assert ask(bearer, Authorization="Bearer t0ken")[0] == 200
    assert ask(bearer, Authorization="Bearer token")[0] == 401


def test_more_requests_than_allowed_are_told_to_wait(serve):
    server = serve(per_second=5)
    answers = [ask(server, "/status.json") for _ in range(12)]
    assert {status for status, _, _ in answers} == {200, 429}
    assert next(headers for status, headers, _ in answers if status == 429)["Retry-After"] == "1"


def test_slow_clients_are_cut_off_and_hinder_nobody(serve, monkeypatch):
    monkeypatch.setattr(web, "SECONDS", 1.0)
    server = serve()
    slow = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(20)]
    start = time.monotonic()
    for one in slow:
        one.sendall(b"GET / HTTP/1.1\r\n")
    assert ask(server, "/status.json")[0] == 200
    for one in slow[:10]:  # one byte now and then buys no time
        for _ in range(4):
            one.sendall(b"X")
            time.sleep(0.01)
    for one in slow:
        assert one.recv(100).split()[1] == b"408"
        one.close()
    assert time.monotonic() - start < 4


def test_connections_are_limited(serve, monkeypatch):
    monkeypatch.setattr(web, "CONNECTIONS", 5)
    server = serve()
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(5)]
    wait_for(lambda: server._open == 5, 10)
    assert ask(server)[0] == 503
    for one in idle:
        one.close()
    wait_for(lambda: ask(server)[0] == 200, 10)


def test_a_queue_that_cannot_be_read_is_told_in_the_log_alone(serve, filled, caplog):
    server = serve()
    filled.close()
    with caplog.at_level("INFO", logger="MonaiSKD.pacs"):
        code, _headers, body = ask(server)
    assert code == 500
    assert "closed" not in body
    line = json.loads(caplog.messages[-1])
    assert (line["event"], line["level"], line["reason"]) == ("status page trouble", "error", "ProgrammingError")


def random_request(chance):
    kind = chance.randrange(5)
    junk = bytes(chance.randrange(256) for _ in range(chance.randrange(200)))
    if kind == 0:
        return junk
    if kind == 1:
        return b"GET /" + junk.replace(b"\n", b"") + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    if kind == 2:
        lines = [b"%s: %s" % (junk[:5] or b"A", junk[5:50]) for _ in range(chance.randrange(30))]
        return b"\r\n".join([b"GET / HTTP/1.1", b"Host: localhost", *lines, b"", b""])
    words = [
        b"GET",
        b"POST",
        b"/",
        b"/status.json",
        b"HTTP/1.1",
        b"HTTP/9.9",
        b"\r\n",
        b" ",
        b"Host: localhost",
        b"\r\n\r\n",
        b"%00",
        b":",
    ]
    if kind == 3:
        return b"".join(chance.choice(words) for _ in range(chance.randrange(1, 20)))
    return b"GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * chance.randrange(1, 4)


def test_ten_thousand_random_requests(serve):
    server = serve()
    chance = random.Random(7)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    threads = threading.active_count()
    codes = set()
    for number in range(10_000):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            try:
                connection.sendall(random_request(chance))
                connection.shutdown(socket.SHUT_WR)
                answer = b""
                while piece := connection.recv(65536):
                    answer += piece
            except ConnectionError:
                continue
        assert answer == b"" or answer.startswith(b"HTTP/1.1 "), number
        codes.add(int(answer[9:12]) if answer else 0)
    assert 200 in codes
    assert 400 in codes
    assert not codes & {500, 503}
    assert ask(server)[0] == 200
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB
    assert threading.active_count() <= threads + 8


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def browse(tmp_path):
    if CHROMIUM is None:
        pytest.skip("there is no chromium on PATH to open the page with")

    def run(url, *more):
        quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", *quiet, "--enable-logging=stderr"]
        command += [f"--user-data-dir={tmp_path / 'profile'}", *more, url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    return run


def test_a_browser_shows_the_page_in_its_style_without_a_complaint(serve, browse, tmp_path):
    server = serve()
    server.status.trouble(
        "poll", Later("the PACS cannot be reached by DICOMweb (ConnectionError)", "Check that it runs")
    )
    url = f"http://127.0.0.1:{server.port}/"
    document, console = browse(url, "--dump-dom")
    assert console == []
    assert "61</b>answered" in document
    assert "is of the body part KNEE" in document
    shot = tmp_path / "page.png"
    browse(url, f"--screenshot={shot}", "--window-size=1200,1500", "--hide-scrollbars")
    from PIL import Image

    colours = Image.open(shot).convert("RGB").resize((120, 150)).getcolors(20_000)
    # Were the style forbidden, there would be black on white alone.
    assert (245, 247, 250) in {colour for _, colour in colours}


def test_the_page_in_the_documents_is_the_one_that_is_shown():
    assert (ROOT / "docs/images/pacs_page.png").is_file()
