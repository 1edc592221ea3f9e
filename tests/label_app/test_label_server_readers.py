"""Labels by several readers, what to label next, batches and scores, on a real server."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from label_server import BRAIN, CHEST
from PIL import Image

from MonaiSKD.label_app.students import entropy


@pytest.fixture
def labelled(server):
    """Labels images, and takes the labels back at the end."""
    given: set[str] = set()

    def label(image: str, text: str, reader: str) -> None:
        given.add(image)
        server.label(image, text, reader).raise_for_status()

    yield label
    for image in given:
        server.unlabel(image)


def kept(server, image: str) -> list[dict]:
    return server.get("/datastore/label", label=image, tag="final")["labels"]


def test_each_reader_keeps_one_opinion_and_the_last_counts(server, labelled):
    labelled("ring_0001", "ring", "Dr. A")
    labelled("ring_0001", "tumor", "B")
    labelled("ring_0001", "no_tumor", "Dr. A")
    time = "2026-01-31T12:00:00+00:00"
    assert kept(server, "ring_0001") == [
        {"label": "tumor", "reader": "B", "time": time},
        {"label": "no_tumor", "reader": "Dr. A", "time": time},
    ]


def test_disagreement_is_listed_where_it_is_and_ties_are_told(server, labelled):
    before = server.get("/datastore/")
    for reader, text in (("A", "ring"), ("B", "tumor"), ("C", "tumor")):
        labelled("ring_0002", text, reader)
    for reader, text in (("A", "ring"), ("B", "tumor")):
        labelled("ring_0003", text, reader)
    labelled("ring_0004", "ring", "A")
    labelled("ring_0004", "ring", "B")
    found = server.get("/datastore/")
    assert found["completed"] == before["completed"] + 3
    assert found["disagreements"] == [
        {"image": "ring_0002", "labels": {"A": "ring", "B": "tumor", "C": "tumor"}, "majority": "tumor"},
        {"image": "ring_0003", "labels": {"A": "ring", "B": "tumor"}, "majority": None},
    ]
    assert found["ties"] == ["ring_0003"]
    assert server.get("/info/")["datastore"]["ties"] == ["ring_0003"]
    scored = server.ask("POST", "/scoring/readers", params={"run_sync": True}).json()
    assert {"readers": ["A", "B"], "images": 3, "agree": 1} in scored["pairs"]
    assert scored["disagreements"] == found["disagreements"]


def test_readers_at_the_same_time_lose_nothing(server, labelled):
    readers = [f"R{number}" for number in range(12)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda reader: labelled("ring_0005", "ring", reader), readers))
    assert sorted(opinion["reader"] for opinion in kept(server, "ring_0005")) == sorted(readers)


def test_nothing_is_lost_while_the_folder_changes(server, labelled, studies, images):
    """Readers label, images are offered and classified, and files come and go, all at once."""
    names = [f"tumor_{number:04d}" for number in range(12)]

    def offered(_: int) -> int:
        answer = server.ask("POST", "/activelearning/random")
        assert answer.json().get("id"), answer.text
        return answer.status_code

    def come_and_go(number: int) -> int:
        path = studies / f"guest {number}.png"
        shutil.copy(images / "a.png", path)
        answer = server.ask("GET", "/info/")
        path.unlink()
        return answer.status_code

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(work, number) for number in range(25) for work in (offered, come_and_go)]
        given = [pool.submit(labelled, name, "tumor", reader) for reader in "AB" for name in names]
        classified = [pool.submit(server.infer, BRAIN, image=name) for name in names]
        assert {one.result() for one in asked} == {200}
        assert [one.result() for one in given] == [None] * 24
        assert {one.result().status_code for one in classified} == {200}
    assert server.get("/datastore/")["completed"] == 12
    for name in names:
        assert [opinion["reader"] for opinion in kept(server, name)] == ["A", "B"]


def test_strategies_offer_unlabelled_images(server, labelled, studies):
    images = {path.stem for path in studies.iterdir() if path.is_file() and not path.name.startswith(".")}
    images = {image for image in images if image != "datastore_v2"} | {"series"}
    assert set(server.get("/info/")["strategies"]) == {"random", "first", "entropy"}
    for first in ("d", "no_tumor_0000"):
        assert server.ask("POST", "/activelearning/first").json()["id"] == first
        labelled(first, "no_tumor", "A")
    drawn = {server.ask("POST", "/activelearning/random").json()["id"] for _ in range(25)}
    assert len(drawn) > 5
    assert drawn <= images - {"d", "no_tumor_0000"}


def test_the_least_sure_image_comes_first(server, labelled):
    found = server.ask("POST", "/activelearning/entropy", json={"model": BRAIN}).json()
    answers = {}
    for image in server.get("/datastore/", output="all")["objects"]:
        line = server.infer(BRAIN, image=image).json()["monai_skd"]
        if "probabilities" in line:
            answers[image] = entropy(list(line["probabilities"].values()))
    assert len(answers) >= 60
    assert found["score"] == pytest.approx(max(answers.values()), abs=1e-4)
    assert found["considered"] == found["of"] >= 60
    labelled(found["id"], "ring", "A")
    assert server.ask("POST", "/activelearning/entropy", json={"model": BRAIN}).json()["id"] != found["id"]


def test_others_are_answered_while_the_least_sure_image_is_looked_for(server, studies):
    noise = np.random.default_rng(0).integers(0, 256, (2500, 2500), dtype=np.uint8)
    guests = [studies / f"large {number}.png" for number in range(16)]
    before = server.get("/info/")["datastore"]["total"]
    try:
        for number, path in enumerate(guests):
            Image.fromarray(noise + np.uint8(number)).save(path, compress_level=0)
        end = time.monotonic() + 60
        while server.get("/info/")["datastore"]["total"] < before + len(guests) and time.monotonic() < end:
            time.sleep(0.2)

        def timed(method: str, path: str, **options) -> float:
            start = time.monotonic()
            server.ask(method, path, **options).raise_for_status()
            return time.monotonic() - start

        with ThreadPoolExecutor(1) as pool:
            search = pool.submit(timed, "POST", "/activelearning/entropy", json={"model": BRAIN})
            waited = []
            while not search.done():
                waited.append(timed("GET", "/info/"))
        assert max(waited) < search.result() / 2
    finally:
        for path in guests:
            path.unlink(missing_ok=True)


def test_two_students_are_asked_only_where_there_are_two(server):
    answer = server.ask("POST", "/activelearning/disagreement")
    assert answer.status_code == 404
    assert "entropy" in answer.json()["detail"]


def test_a_batch_stores_every_answer(server):
    server.ask("POST", f"/batch/infer/{CHEST}", json={}).raise_for_status()
    assert server.finished("/batch/infer")["status"] == "DONE"
    found = server.get("/datastore/")
    assert found["label_tags"]["original"] == found["total"]
    assert found["completed"] == 0  # a model's answer is no reader's label
    stored = server.get("/datastore/label", label="d", tag="original")["monai_skd"]
    again = server.infer(CHEST, image="d").json()["monai_skd"]
    assert stored["probabilities"] == again["probabilities"]
    series = server.get("/datastore/label", label="series", tag="original")["monai_skd"]
    assert series["error"]["code"] == "unsupported"  # six radiographs, by this model's rule


def test_scores_are_the_metrics_of_the_labelled_images(server, labelled):
    answers = {}
    for image in ("no_tumor_0000", "ring_0000", "tumor_0000", "d"):
        line = server.infer(BRAIN, image=image).json()["monai_skd"]
        answers[image] = line.get("label")
    labelled("no_tumor_0000", answers["no_tumor_0000"], "A")  # right
    labelled("ring_0000", answers["ring_0000"], "A")  # right
    wrong = next(name for name in ("glioma", "pituitary") if name != answers["tumor_0000"])
    labelled("tumor_0000", wrong, "A")
    labelled("d", "glioma", "A")  # cannot be answered
    labelled("tumor_0001", "something else", "A")
    found = server.ask("POST", f"/scoring/{BRAIN}", params={"run_sync": True}).json()
    assert found["metrics"]["accuracy"]["value"] == pytest.approx(2 / 3)
    assert found["left_out"] == {"wrong_modality": 1, "other class": 1}
    assert found["trained_here"] is False
    last = server.get("/info/")["scoring"][BRAIN]["last"]
    assert last["metrics"]["n"] == 3


def test_an_image_is_added_labelled_and_removed_again(server, images, labelled):
    content = (images / "a.png").read_bytes()
    put = {"params": {"image": "new one"}, "files": {"file": ("whatever.png", content)}}
    assert server.ask("PUT", "/datastore/image", **put).json() == {"image": "new one"}
    again = server.ask("PUT", "/datastore/image", **put)
    assert again.status_code == 400  # its labels would be of another image
    assert "exists already" in again.json()["detail"]
    server.label("new one", "normal").raise_for_status()
    assert server.ask("GET", "/datastore/image", params={"image": "new one"}).content == content
    server.ask("DELETE", "/datastore/image", params={"id": "new one"}).raise_for_status()
    assert "new one" not in server.get("/datastore/", output="all")["objects"]
