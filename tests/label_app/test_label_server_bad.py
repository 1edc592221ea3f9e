"""What a client may get wrong or try: HTTP errors, nothing read or written elsewhere, no names in the log."""

from __future__ import annotations

import io
import json
import random
import shutil
import socket
import tempfile
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from label_server import BRAIN, CHEST

ELSEWHERE = [
    "../../etc/passwd",
    "/etc/passwd",
    "..",
    ".",
    "a/../../b",
    "..\\..\\b",
    "\x00",
    "a\x00b",
    "x" * 5000,
    ".lock",
]


@pytest.mark.parametrize("image", ELSEWHERE)
def test_image_ids_lead_nowhere_else(server, images, image):
    content = (images / "a.png").read_bytes()
    before = {path for path in Path(server.home).rglob("*") if "logs" not in path.parts}
    for answer in (
        server.infer(CHEST, image=image),
        server.label(image, "normal"),
        server.ask("GET", "/datastore/image", params={"image": image}),
        server.ask("GET", "/datastore/label", params={"label": image, "tag": "final"}),
        server.ask("PUT", "/datastore/image", params={"image": image}, files={"file": ("a.png", content)}),
        server.ask("DELETE", "/datastore/image", params={"id": image}),
        server.ask("POST", "/infer/wsi/" + CHEST, json={"image": image}),
        server.infer(CHEST, session_id=image),
    ):
        assert 400 <= answer.status_code < 500, (answer.request.method, answer.request.url[:100], answer.text[:200])
    assert {path for path in Path(server.home).rglob("*") if "logs" not in path.parts} == before


def test_params_cannot_name_another_image(server, images, tmp_path):
    other = tmp_path / "other.png"
    other.write_bytes((images / "a.png").read_bytes())
    found = server.infer(CHEST, params={"image": str(other), "model": "tiny"}, image="d").json()["monai_skd"]
    assert found["input"] == "d"
    assert found["model"]["name"] == "chest_xray"


@pytest.mark.parametrize("tag", ["../../x", "/tmp/x", "", "a b"])
def test_tags_lead_nowhere_else(server, tag):
    # A blank tag is MONAI Label's "final".
    assert server.label("ring_0010", "ring", tag=tag).status_code == (200 if tag == "" else 400)
    if tag == "":
        server.unlabel("ring_0010")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/infer/nobody?image=d"), ("POST", "/infer/..%2Fx?image=d"), ("POST", "/train/nobody"),
        ("POST", "/scoring/nobody"), ("POST", "/activelearning/nobody"), ("POST", "/batch/infer/nobody"),
        ("GET", "/model/nobody"), ("GET", "/model/info/nobody"), ("PUT", "/model/nobody?version=original"),
        ("DELETE", "/model/nobody"), ("GET", "/session/nobody"), ("GET", "/proxy/dicom/wado/x"), ("GET", "/nobody"),
    ],
)  # fmt: skip
def test_what_there_is_not_is_404(server, method, path):
    answer = server.ask(method, path)
    assert answer.status_code == 404, answer.text
    assert answer.json()["detail"]


NO_PARAMS = ["{", "[]", "1", "null", "\x00", "[" * 100_000, '{"heatmap": "jpeg"}', '{"heatmap": {}}']
NO_LABELS = [
    b"", b"{", b"[]", b"{}", b'{"label": ""}', b'{"label": 1}', b'{"label": "a", "time": "now"}', b"\xff" * 9,
    b'{"labels": []}', b"x" * 100_000, b'{"label": "a\\nb"}', b'{"label": "\\ud800"}',
]  # fmt: skip


def test_malformed_requests_are_the_clients_mistake(server, images):
    content = (images / "a.png").read_bytes()
    for params in NO_PARAMS:
        answer = server.ask("POST", f"/infer/{CHEST}", files={"file": ("a.png", content)}, data={"params": params})
        assert answer.status_code == 400, params[:20]
    for label in NO_LABELS:
        answer = server.ask(
            "PUT", "/datastore/label", params={"image": "ring_0011"}, files={"label": ("l.json", label)}
        )
        assert answer.status_code == 400, label[:20]
    assert server.ask("POST", f"/infer/{CHEST}").status_code == 400  # nothing to classify
    for path in ("/train/" + BRAIN, "/activelearning/random", "/scoring/readers"):
        answer = server.ask("POST", path, data="{", headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, path
    assert server.ask("POST", "/activelearning/entropy", json={"model": ["x"]}).status_code in (400, 404)
    assert server.ask("PUT", "/datastore/image/info", params={"image": "d"}, data={"info": "{"}).status_code == 400
    assert (
        server.ask("PUT", "/datastore/image/info", params={"image": "nobody"}, data={"info": "{}"}).status_code == 404
    )
    for sent in ("[]", "1", '"x"'):
        for place in ("/datastore/image/info", "/datastore/label/info"):
            query = {"image": "d"} if "image" in place else {"label": "d", "tag": "final"}
            assert server.ask("PUT", place, params=query, data={"info": sent}).status_code in (400, 404), (place, sent)
        image = {"params": {"image": "new"}, "files": {"file": ("a.png", content)}, "data": {"params": sent}}
        assert server.ask("PUT", "/datastore/image", **image).status_code == 400, sent
        label = {"params": {"image": "d"}, "files": {"label": ("l.json", b'{"label": "a"}')}, "data": {"params": sent}}
        assert server.ask("PUT", "/datastore/label", **label).status_code == 400, sent
    archive = server.ask("PUT", "/session/", params={"uncompress": "true"}, files=[("files", ("a.zip", b"PK"))])
    assert archive.status_code == 400
    assert server.infer(CHEST, image="d", output="dicom_seg").status_code == 400


def test_what_a_client_says_of_a_label_changes_no_label(server):
    server.label("ring_0012", "ring", "A").raise_for_status()
    info = json.dumps({"opinions": "broken", "name": "../x", "ext": ".."})
    server.ask("PUT", "/datastore/label/info", params={"label": "ring_0012", "tag": "final"}, data={"info": info})
    # It would keep the image from ever being offered again.
    strategy = server.ask(
        "PUT", "/datastore/image/info", params={"image": "ring_0012"}, data={"info": '{"strategy": 1}'}
    )
    assert strategy.status_code == 400
    server.label("ring_0012", "tumor", "B").raise_for_status()
    found = server.get("/datastore/")["disagreements"]
    assert found == [{"image": "ring_0012", "labels": {"A": "ring", "B": "tumor"}, "majority": None}]
    server.unlabel("ring_0012")


def test_oversized_uploads_are_refused_by_their_length_and_without_one(server):
    answer = server.ask("POST", f"/infer/{CHEST}", files={"file": ("a.png", bytes(9 * 2**20))})
    assert answer.status_code == 413

    def endless():
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
        for _ in range(12):
            yield bytes(2**20)

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    assert server.ask("POST", f"/infer/{CHEST}", data=endless(), headers=headers).status_code == 413


def test_refused_uploads_and_archives_leave_nothing_behind(server, images):
    def sizes():
        return [path.stat().st_size for path in Path(tempfile.gettempdir()).glob("*") if path.is_file()]

    image, label = bytes(123_457), bytes(65_539)  # sizes that nothing else has
    for name, field, content in (("image?image=none", "file", image), ("label?image=d", "label", label)):
        refused = server.ask("PUT", f"/datastore/{name}", files={field: ("x.odd", content)})
        assert refused.status_code == 400, refused.text
    kept = {"label": ("l.json", b'{"label": "normal"}')}
    assert server.ask("PUT", "/datastore/label?image=series", files=kept).status_code == 200
    packed = server.ask("GET", "/datastore/dataset")
    names = zipfile.ZipFile(io.BytesIO(packed.content)).namelist()
    assert {"image/series/0.dcm", "image/series/5.dcm", "label/series.json", "metadata.json"} <= set(names)
    assert server.ask("DELETE", "/datastore/label?id=series&tag=final").status_code == 200
    assert not {len(image), len(label), len(packed.content)} & set(sizes())


def test_names_of_uploads_go_nowhere(server, images):
    content = (images / "a.png").read_bytes()
    for name in ("../../../tmp/x.png", "Geheim^Hans.png", "x" * 300 + ".png", ".png", "a." + "b" * 300, "a.p\x01ng"):
        answer = server.ask("POST", f"/infer/{CHEST}", files={"file": (name, content)}, params={"output": "json"})
        assert answer.status_code == 200, name
        assert answer.json()["monai_skd"]["input"].startswith("image")
    assert not Path(tempfile.gettempdir(), "x.png").exists()


def test_the_log_names_no_patient_and_no_image(server, images, studies):
    shutil.copy(images / "a.png", studies / "Geheim_Eva.png")
    for reader, label in (("DrGeheim", "ring"), ("B", "tumor")):
        server.label("Geheim_Eva", label, reader).raise_for_status()
    server.ask("POST", "/scoring/readers", params={"run_sync": True}).raise_for_status()
    server.ask("POST", f"/batch/infer/{CHEST}", json={}).raise_for_status()
    assert server.finished("/batch/infer")["status"] == "DONE"
    (studies / "Geheim_Eva.png").unlink()
    server.ask("POST", "/scoring/readers", params={"run_sync": True}).raise_for_status()
    server.ask("POST", f"/infer/{CHEST}", files={"file": ("Geheim^Hans.dcm", (images / "d.dcm").read_bytes())})
    server.infer(CHEST, image="Geheim^Hans")
    server.infer(CHEST, images / "d.dcm")
    server.label("Geheim^Hans", "normal")
    server.ask("PUT", "/datastore/image", params={"image": "../Geheim"}, files={"file": ("Geheim.png", b"x")})
    said = server.log() + "".join(path.read_text() for path in (server.home / "app" / "logs").glob("*"))
    assert "POST /infer: 404" in said
    assert "Geheim" not in said
    assert "4711" not in said


PATHS = [
    "/info/", "/datastore/", "/datastore/label", "/datastore/image", "/datastore/label/info", f"/infer/{CHEST}",
    "/infer/", f"/model/{CHEST}", "/model/info/tiny", "/session/", "/activelearning/first", "/batch/infer", "/logs/",
    "/openapi.json", "/docs", "/", "/%00", "/..", "/infer/%2e%2e/x", "//", "/static/../x", "/datastore/dataset",
]  # fmt: skip
VALUES = ["", "d", "../x", "\x00", "ring_0001", "é", "[]", "{}", "1", "-1", "true", "x" * 300, "%", "final"]
NAMES = ["image", "id", "label", "tag", "output", "session_id", "params", "check_sum", "limit_cases", "all"]


def test_random_requests_never_break_it(server, images):
    rng = random.Random(0)
    content = (images / "a.png").read_bytes()
    statuses = set()
    for _ in range(400):
        method = rng.choice(
            ["GET", "GET", "POST", "PUT", "PATCH", "HEAD", "OPTIONS"]
        )  # no DELETE: others need the data
        options: dict = {"params": {rng.choice(NAMES): rng.choice(VALUES) for _ in range(rng.randrange(3))}}
        kind = rng.randrange(4)
        if kind == 1:
            cut = content[: rng.randrange(len(content))]
            options["files"] = {rng.choice(["file", "label", "files", "x"]): (rng.choice(VALUES) + ".png", cut)}
        elif kind == 2:
            options["data"] = rng.randbytes(rng.randrange(200))
            options["headers"] = {"Content-Type": rng.choice(["application/json", "multipart/form-data", "x"])}
        path = rng.choice(PATHS)
        if method == "PUT" and path == "/datastore/image":
            continue
        answer = server.ask(method, path, **options)
        statuses.add(answer.status_code)
        assert answer.status_code < 500, (method, path, options.get("params"), answer.text[:300])
    assert {200, 404, 422} <= statuses
    assert server.get("/info/")["models"]


def test_broken_http_does_not_stop_it(server):
    parts = urlsplit(server.url)
    for sent in (b"\x00\xff\r\n\r\n", b"POST /infer/x HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\nabc", b"GET / HT"):
        with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
            connection.sendall(sent)
    assert json.dumps(server.get("/info/")["models"])
