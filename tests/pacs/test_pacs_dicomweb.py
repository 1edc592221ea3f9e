"""The DICOMweb client against servers that break off, drip, overflow, redirect and talk nonsense."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("requests", reason="the extra `pacs` is not installed")

from hypothesis import given
from hypothesis import strategies as st

from MonaiSKD.errors import SKDError
from MonaiSKD.pacs import dicomweb, multipart
from MonaiSKD.pacs.clock import Rate, SystemClock
from MonaiSKD.pacs.dicomweb import Client, Taken
from MonaiSKD.pacs.settings import DicomWeb, Limits, Login, Secret, Tls
from MonaiSKD.pacs.tls import server_context
from MonaiSKD.pacs.trouble import Later

KIND = 'multipart/related; type="application/dicom"; boundary=b'


def whole(*parts, end=b"--b--\r\n"):
    return b"".join(b"--b\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n" for part in parts) + end


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 40))
def test_parts_come_back_however_the_body_is_cut(contents, size):
    contents = [part for part in contents if b"\r\n--b" not in b"\r\n" + part]
    body = whole(*contents)
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    assert [b"".join(part) for part in multipart.parts(pieces, b"b")] == contents


@given(st.binary(max_size=400))
def test_any_body_is_parts_or_malformed(body):
    try:
        for part in multipart.parts([body], b"b"):
            b"".join(part)
    except multipart.Malformed:
        pass


@pytest.mark.parametrize("kind", ["text/html", "multipart/related", "multipart/form-data; boundary=b", ""])
def test_other_types_are_malformed(kind):
    with pytest.raises(multipart.Malformed):
        multipart.boundary_of(kind)


@pytest.fixture
def server():
    """A server that answers with what a test says; its requests are kept."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            length = self.headers.get("Content-Length")
            if length is None and self.headers.get("Transfer-Encoding"):
                while size := int(self.rfile.readline().strip() or b"0", 16):
                    self.rfile.read(size + 2)
            self.server.requests.append((self.path, dict(self.headers)))
            self.server.reply(self)

        do_GET = do_POST = answer

        def log_message(self, *_):
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.requests = []
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def client(server):
    def make(limits=Limits(), **changes):  # noqa: B008 - it is frozen
        settings = DicomWeb(**{"url": f"http://127.0.0.1:{server.server_port}/dicom-web", "timeout": 2.0, **changes})
        return Client(settings, limits, Rate(1e6, SystemClock()), threading.Event())

    return make


def replying(status, body=b"", kind="application/dicom+json", length=None, **headers):
    def reply(handler):
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return reply


def no_limit(more):
    pass


def test_a_series_is_written_part_by_part(server, client, tmp_path):
    server.reply = replying(200, whole(b"one", b"two" * 100_000), KIND)
    assert client().retrieve("1.2", "1.3", tmp_path / "a", no_limit, Taken(2, 10)) == Taken(4, 300_013)
    assert [file.read_bytes() for file in sorted((tmp_path / "a").iterdir())] == [b"one", b"two" * 100_000]
    assert server.requests[0][0] == "/dicom-web/studies/1.2/series/1.3"


@pytest.mark.parametrize(
    ("reply", "cause", "counts"),
    [
        (replying(200, whole(b"one", end=b""), KIND), "no whole multipart answer", True),
        (replying(200, whole(b"one", end=b""), KIND, length=10_000), "cannot be reached", False),
        (replying(200, b"<html>", "text/html"), "no whole multipart answer", True),
        (replying(500), "HTTP status 500", True),
        (replying(503), "HTTP status 503", False),
        (replying(401), "HTTP status 401", False),
        (replying(302, Location="http://127.0.0.1:1/"), "HTTP status 302", True),
    ],
)
def test_what_is_not_whole_is_for_later(server, client, tmp_path, reply, cause, counts):
    server.reply = reply
    with pytest.raises(Later) as caught:
        client().retrieve("1.2", "1.3", tmp_path / "a", no_limit)
    assert cause in caught.value.cause
    assert caught.value.counts is counts
    assert "1.2" not in str(caught.value).replace("127.0.0.1", "")


@pytest.mark.parametrize(
    ("limits", "cause"),
    [
        (Limits(object_bytes=1000), "an object of more than 1000 bytes"),
        (Limits(study_bytes=3000), "more than 3000 bytes"),
        (Limits(study_images=3), "more than 3 images"),
    ],
)
def test_too_much_is_refused_before_it_is_on_the_disk(server, client, tmp_path, limits, cause):
    big = b"x" * 900 if limits.object_bytes != 1000 else b"x" * 10_000_000
    server.reply = replying(200, whole(*[big] * 6), KIND)
    with pytest.raises(SKDError) as caught:
        client(limits).retrieve("1.2", "1.3", tmp_path / "a", no_limit)
    assert cause in caught.value.cause
    assert caught.value.code == "too_large"
    assert sum(file.stat().st_size for file in (tmp_path / "a").iterdir()) <= 4000


def test_the_images_of_all_series_of_a_study_are_counted(server, client, tmp_path):
    server.reply = replying(200, whole(b"one", b"two"), KIND)
    asking = client(Limits(study_images=3))
    taken = asking.retrieve("1.2", "1.3", tmp_path / "a", no_limit)
    with pytest.raises(SKDError, match="more than 3 images"):
        asking.retrieve("1.2", "1.4", tmp_path / "b", no_limit, taken)


def test_a_server_that_drips_does_not_hold_a_worker_for_ever(server, client, tmp_path):
    def drip(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", KIND)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        try:
            for _ in range(100):
                handler.wfile.write(b"x" * 70_000 if _ == 0 else b"x")
                handler.wfile.flush()
                time.sleep(0.2)
        except OSError:
            pass

    server.reply = drip
    start = time.monotonic()
    with pytest.raises(Later):
        client(Limits(study_seconds=1.0)).retrieve("1.2", "1.3", tmp_path / "a", no_limit)
    assert time.monotonic() - start < 10


def test_a_full_disk_is_for_later(server, client, small_disk):
    server.reply = replying(200, whole(b"x" * 5_000_000), KIND)
    with pytest.raises(Later, match="the disk of the data folder is full"):
        client().retrieve("1.2", "1.3", small_disk / "a", no_limit)


def study(uid, count=None):
    found = {"0020000D": {"vr": "UI", "Value": [uid]}}
    return found | ({"00201208": {"vr": "IS", "Value": [count]}} if count is not None else {})


def test_search_goes_through_all_pages_and_ends_with_a_server_that_knows_none(server, client, monkeypatch):
    monkeypatch.setattr(dicomweb, "_PAGE", 2)
    everything = [study(f"1.{number}", number) for number in range(5)]

    def paged(handler):
        offset = int(handler.path.partition("offset=")[2] or 0)
        replying(200, json.dumps(everything[offset : offset + 2]).encode())(handler)

    server.reply = paged
    assert list(client().studies({})) == [(f"1.{number}", number) for number in range(5)]
    server.reply = replying(200, json.dumps([study("1.1"), study("1.2")]).encode())
    assert list(client().studies({"StudyDate": "20260101"})) == [("1.1", -1), ("1.2", -1)]
    server.reply = replying(204)
    assert list(client().studies({})) == []


@pytest.mark.parametrize("cap", [1, 2, 4, 9])
def test_a_server_that_gives_fewer_at_once_than_it_is_asked_for(server, client, cap):
    def capped(entries):
        def reply(handler):
            offset = int(handler.path.partition("offset=")[2] or 0)
            replying(200, json.dumps(entries[offset : offset + cap]).encode())(handler)

        return reply

    server.reply = capped([study(f"1.{number}", number) for number in range(5)])
    assert list(client().studies({})) == [(f"1.{number}", number) for number in range(5)]
    server.reply = capped([{"0020000E": {"vr": "UI", "Value": [f"1.2.{number}"]}} for number in range(5)])
    assert [series.uid for series in client().series("1.2")] == [f"1.2.{number}" for number in range(5)]
    server.reply = replying(200, json.dumps([{"0020000E": {"vr": "UI", "Value": ["1.2.1"]}}] * 2).encode())
    assert [series.uid for series in client().series("1.2")] == ["1.2.1"]  # it knows no offset


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'["a"]', b"\xff", b"[" * 100_000])
def test_a_search_that_is_answered_with_nonsense_is_for_later(server, client, body):
    server.reply = replying(200, body)
    with pytest.raises(Later):
        list(client().studies({}))


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda x: (
            st.lists(x, max_size=3)
            | st.dictionaries(st.sampled_from(["0020000D", "Value", "vr", "00080060", "0020000E"]), x, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_any_dicom_json_gives_text(data):
    if isinstance(data, dict):
        assert isinstance(dicomweb._first(data, "0020000D"), str)


def failing(*reasons):
    items = [{"00081197": {"vr": "US", "Value": [reason]}} if reason else {} for reason in reasons]
    return json.dumps({"00081198": {"vr": "SQ", "Value": items}}).encode()


def test_stored_refused_duplicate_and_out_of_resources(server, client, tmp_path):
    file = tmp_path / "a.dcm"
    file.write_bytes(b"x")
    for status, body in ((200, b""), (200, b"{}"), (409, failing(0x0111)), (200, b'{"00081198": {"vr": "SQ"}}')):
        server.reply = replying(status, body)
        client().store([file])
    server.reply = replying(409, failing(0xA700))
    with pytest.raises(Later, match="out of resources"):
        client().store([file])
    server.reply = replying(202, failing(0x0111, 0xA900))
    with pytest.raises(SKDError, match="status A900H"):
        client().store([file])
    for reasons, cause in (((0x0110,), "0110H"), ((None,), "0110H"), ((0xA900, 0xC001), "C001H")):
        server.reply = replying(409, failing(*reasons))
        with pytest.raises(Later, match=f"status {cause}") as caught:
            client().store([file])
        assert caught.value.counts
    server.reply = replying(200, b"<html>")
    with pytest.raises(Later, match="something else than DICOM JSON"):
        client().store([file])


def test_logins_are_sent_and_never_said(server, client):
    server.reply = replying(403)
    for login, sent in (
        (Login("skd", Secret("hush")), "Basic c2tkOmh1c2g="),
        (Login(token=Secret("hush")), "Bearer hush"),
    ):
        with pytest.raises(Later) as caught:
            list(client(login=login).studies({}))
        assert server.requests[-1][1]["Authorization"] == sent
        assert "hush" not in str(caught.value)
        assert "Check the login" in caught.value.remedy


def test_a_server_that_is_down_is_for_later(client):
    with pytest.raises(Later, match="cannot be reached by DICOMweb") as caught:
        list(client(url="http://127.0.0.1:9/dicom-web").studies({}))
    assert not caught.value.counts


def test_https_is_for_whom_the_authority_vouches(server, client, certificate):
    own, key = certificate
    server.socket = server_context(Tls(own, key)).wrap_socket(server.socket, server_side=True)
    server.reply = replying(200, b"[]")
    url = f"https://127.0.0.1:{server.server_port}"
    assert list(client(url=url, tls=Tls(ca=own)).studies({})) == []
    with pytest.raises(Later, match="the TLS connection to the PACS fails"):
        list(client(url=url).studies({}))
    assert len(server.requests) == 1


@pytest.mark.parametrize(("said", "number"), [("12", 12), ("many", -1), ("²", -1), ("9" * 5000, -1)])
def test_a_number_that_is_none_and_a_false_character_hide_no_study(server, client, said, number):
    entry = {"0020000D": {"Value": ["1.2"]}, "00201208": {"Value": [said]}, "0008103E": {"Value": ["Thorax"]}}
    server.reply = replying(200, json.dumps([entry]).encode().replace(b"Thorax", b"Sch\xe4del\tap"))
    assert list(client().studies({})) == [("1.2", number)]
    (only,) = client().series("1.2")
    assert (only.description, only.images) == ("Sch\ufffddel\tap", 1)
