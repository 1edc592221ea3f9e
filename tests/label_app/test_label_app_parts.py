"""What of the app knows nothing of MONAI Label: opinions, recipes, versions of a model, the guard, the app folder."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tinymodel import write_tiny_model

from MonaiSKD.bundle import find_bundle
from MonaiSKD.errors import SKDError
from MonaiSKD.files import write_json
from MonaiSKD.label_app import opinions as said
from MonaiSKD.label_app.folder import write_app
from MonaiSKD.label_app.guard import Guard
from MonaiSKD.label_app.opinions import Opinion
from MonaiSKD.label_app.recipe import chosen, offered
from MonaiSKD.label_app.served import ServedModel, find_served
from MonaiSKD.label_app.students import entropy, has_students, jensen_shannon


def test_the_command_writes_an_app_that_names_the_package(tmp_path):
    command = [sys.executable, "-m", "MonaiSKD", "label-app", "--out", str(tmp_path / "app")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "monailabel start_server --app" in done.stdout
    assert "--host 127.0.0.1" in done.stdout
    assert [path.name for path in (tmp_path / "app").iterdir()] == ["main.py"]
    assert "import MonaiSKDApp" in (tmp_path / "app" / "main.py").read_text()


def test_an_app_folder_is_kept_and_another_app_is_not_overwritten(tmp_path):
    (write_app(tmp_path).parent / "model").mkdir()
    assert write_app(tmp_path).parent == tmp_path
    (tmp_path / "main.py").write_text("another")
    with pytest.raises(SKDError, match="another app"):
        write_app(tmp_path)
    assert (tmp_path / "main.py").read_text() == "another"


def test_the_app_package_loads_nothing_of_monai_label():
    code = "import sys, MonaiSKD.label_app.folder; print(sorted({'monailabel', 'torch', 'fastapi'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_opinions_are_merged_by_reader_and_survive_their_file():
    before = [Opinion("a", "A", "1"), Opinion("b", "B", "1")]
    after = said.merged(before, [Opinion("b", "A", "2")])
    assert after == [Opinion("b", "A", "2"), Opinion("b", "B", "1")]
    time = "2026-01-31T11:00:00+00:00"
    found = said.parse_opinions(b'{"label": " a ", "time": "2026-01-31T12:00:00+01:00"}')
    assert found == [Opinion("a", said.UNNAMED, time)]
    assert said.parse_opinions(json.dumps(said.to_data(found)).encode()) == found
    assert said.parse_opinions(b'{"label": "a", "time": "2026-01-31T11:00:00Z"}')[0].time == time
    assert said.parse_opinions(b'{"label": "a"}')[0].time > "2026"


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b'{"labels": []}', b'{"labels": [1]}', b'{"label": []}', b'{"label": "a", "reader": ""}',
     b'{"label": "a", "time": 5}', b'{"label": "a\\u0000"}', b"[" * 60_000, b'{"label": "a"}' + b" " * 70_000],
)  # fmt: skip
def test_what_is_no_label_is_refused(content):
    with pytest.raises(SKDError, match="label: "):
        said.parse_opinions(content)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [("a", "a"), ("aa", "a"), ("ab", None), ("aab", "a"), ("aabb", None), ("abc", None), ("aabbc", None), ("", None)],
)
def test_the_majority_decides_and_a_tie_does_not(labels, expected):
    assert said.majority([Opinion(label, str(number), "") for number, label in enumerate(labels)]) == expected


def test_a_request_sets_numbers_and_names():
    bundle = find_bundle("brain_mri")
    request = {"model": "m", "gpus": "all", "train_batch_size": 4, "allow_leaks": True, "student": "test_vit"}
    assert chosen(bundle, request) == {"batch_size": 4, "allow_leaks": True, "student": "test_vit"}
    assert "epochs" in offered(bundle)
    assert not {"teacher_weights", "unlabeled", "cache_dir"} & set(offered(bundle))


@pytest.mark.parametrize("name", ["lung_ct", "brain_mri"])
def test_what_is_offered_may_be_sent_back(name):
    bundle = find_bundle(name)
    assert chosen(bundle, offered(bundle)) == offered(bundle)
    for strength in (2, 0.5, [2.0, 1]):
        assert chosen(bundle, {"augmentation": strength}) == {"augmentation": strength}


@pytest.mark.parametrize(
    "entries",
    [{"title": "x"}, {"teacher_weights": "/etc/passwd"}, {"cache_dir": "/tmp"}, {"datalist#source": "/"},
     {"student": "$1"}, {"student": "@x"}, {"student": "../x"}, {"teacher": "x=/etc/passwd"}, {"epochs": "1"},
     {"epochs": 1.5}, {"epochs": True}, {"epochs": -1}, {"epochs": 10**9}, {"learning_rate": float("nan")},
     {"allow_leaks": "yes"}, {"augmentation": [1, 2, 3]}, {"augmentation": [1, "2"]}, {"augmentation": -1},
     {"learning_rate": [0.1, 0.1]},
      {"precision": {"_target_": "os.system"}}, {"precision": None}],
)  # fmt: skip
def test_a_request_sets_nothing_that_is_run_or_opened(entries):
    with pytest.raises(SKDError, match="cannot be"):
        chosen(find_bundle("brain_mri"), entries)


def test_models_are_found_by_bundle_run_folder_and_file(tmp_path):
    (tmp_path / "first run").mkdir()
    run = write_tiny_model(tmp_path / "first run" / "model.onnx")
    file = write_tiny_model(tmp_path / "mine.onnx")
    found = find_served(f"chest_xray_classification, brain_mri,{file}", str(run.parent), tmp_path / "home")
    assert list(found) == ["chest_xray_classification", "brain_mri_classification", "mine", "first_run"]
    assert list(find_served("all", "", tmp_path / "home")) == [
        f"{name}_classification" for name in ("brain_mri", "chest_xray", "lung_ct")
    ]
    for models, words in (
        ("", "names no model"),
        ("nobody", "no such file"),
        (f"{file},{file.parent}/./mine.onnx", "another"),
    ):
        with pytest.raises(SKDError, match=words):
            find_served(models, "", tmp_path / "home")


def test_a_new_version_is_seen_by_another_process_view_at_once(tmp_path):
    original = write_tiny_model(tmp_path / "t.onnx")
    server, trainer = (ServedModel("t", original, tmp_path / "home" / "t", 1) for _ in range(2))
    assert server.classifier is server.classifier  # opened once
    folder = trainer.new_folder()
    write_tiny_model(folder / "model.onnx", version="2")
    assert [version.id for version in server.versions] == ["original"]  # not before it is adopted
    trainer.adopt(folder, {"images": 5})
    assert server.contract.version == "2"
    assert server.current.note["images"] == 5
    assert server.withdraw().id == "original"
    assert trainer.contract.version == "0.0.1"
    with pytest.raises(SKDError, match="Nothing can be withdrawn"):
        server.withdraw()


def adopted(model: ServedModel) -> str:
    folder = model.new_folder()
    write_tiny_model(folder / "model.onnx")
    return model.adopt(folder, {}).id


def test_a_model_that_was_withdrawn_does_not_answer_again_when_the_next_one_is(tmp_path):
    model = ServedModel("t", write_tiny_model(tmp_path / "t.onnx"), tmp_path / "home", 1)
    rejected = adopted(model)
    assert model.withdraw().id == "original"
    adopted(model)
    assert model.withdraw().id == "original"
    # Those that were not withdrawn answer one after the other.
    first = model.choose(rejected).id
    second, third = adopted(model), adopted(model)
    assert model.withdraw().id == second
    model.choose(second)  # it answers already
    assert model.withdraw().id == first
    assert model.withdraw().id == "original"
    for version in (second, third):
        model.choose(version)
    shutil.rmtree(tmp_path / "home" / second)  # somebody has cleared up
    assert model.withdraw().id == "original"


def test_a_note_of_an_older_version_leads_back_to_the_original(tmp_path):
    model = ServedModel("t", write_tiny_model(tmp_path / "t.onnx"), tmp_path / "home", 1)
    _, last = adopted(model), adopted(model)
    write_json(tmp_path / "home" / "current.json", {"id": last})
    assert model.current.id == last
    assert model.withdraw().id == "original"


def test_a_clock_that_is_set_back_does_not_change_the_order_of_versions(tmp_path):
    model = ServedModel("t", write_tiny_model(tmp_path / "t.onnx"), tmp_path / "home", 1)
    (tmp_path / "home" / "29991231-235959").mkdir(parents=True)
    made = [model.new_folder().name for _ in range(12)]
    assert made == sorted(made)
    assert made[0] > "29991231-235959"


def test_what_does_not_fit_is_not_adopted(tmp_path):
    model = ServedModel("t", write_tiny_model(tmp_path / "t.onnx"), tmp_path / "home", 1)
    for change, words in (({"rule": "lung_ct"}, "is made for lung_ct"), ({}, "no model file|checksum")):
        folder = model.new_folder()
        if change:
            write_tiny_model(folder / "model.onnx", **change)
        else:
            (folder / "model.onnx").write_bytes(b"no model")
        with pytest.raises(SKDError, match=words):
            model.adopt(folder, {})
    assert [version.id for version in model.versions] == ["original"]


def test_entropy_and_divergence_of_known_distributions():
    assert entropy([0.25] * 4) == pytest.approx(2)
    assert jensen_shannon([0.5, 0.5], [1, 0]) == pytest.approx(0.311278, abs=1e-6)
    assert jensen_shannon([1, 0], [0.5, 0.5]) == jensen_shannon([0.5, 0.5], [1, 0])
    assert np.isfinite(jensen_shannon([1, 0, 0], [1, 0, 0]))


def test_the_divergence_of_distributions_that_differ_by_rounding_is_a_number():
    rng = np.random.default_rng(0)
    for first in rng.dirichlet(np.ones(3), 200):
        second = first + 1e-12 * rng.normal(size=3)
        assert 0 <= jensen_shannon(first, second) < 1e-6


def test_a_models_file_alone_has_no_students(tmp_path):
    assert not has_students(write_tiny_model(tmp_path / "model.onnx"))


def ask(
    app: object, path: str, *, query: str = "", body: bytes = b"", headers: Sequence = (), server: str = "127.0.0.1"
) -> tuple[int, dict]:
    """One request through the guard, without a server."""
    sent: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict) -> None:
        sent.append(message)

    names = {"models": {"m"}, "trainers": {"m"}, "scoring": {"s"}, "strategies": {"first"}}
    scope = {"type": "http", "method": "POST", "path": path, "query_string": query.encode(), "headers": headers}
    scope["server"] = (server, 8000)
    asyncio.run(Guard(app, names.__getitem__, 10, {"http://viewer"})(scope, receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"])


def failing(error: BaseException):
    async def app(scope, receive, send):
        await receive()
        raise error

    return app


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SKDError("image", "is absent", "Name another", code="not_found"), 404),
        (SKDError("image", "is large", "Cut it", code="too_large"), 413),
        (json.JSONDecodeError("Geheim", "Geheim", 0), 400),
        (OSError(28, "No space left", "Geheim.png"), 507),
        (OSError(36, "File name too long", "Geheim.png"), 400),
        (ValueError("embedded null byte"), 400),
        (KeyError("Geheim"), 500),
    ],
)
def test_errors_become_statuses_and_their_words_stay_inside(error, status, caplog):
    found, answer = ask(failing(error), "/infer/m")
    assert found == status
    assert "Geheim" not in answer["detail"] + caplog.text


@pytest.mark.parametrize(
    ("path", "query", "body", "status"),
    [
        ("/infer/x", "", b"", 404), ("/infer/m/x", "", b"", 404), ("/train/x", "", b"", 404),
        ("/model/info/x", "", b"", 404),
        ("/batch/infer/x", "", b"", 404), ("/session/abc", "", b"", 404), ("/session/", "uncompress=true", b"", 400),
        ("/infer/m", "session_id=../x", b"", 404), ("/proxy/x", "", b"", 404), ("/infer/wsi/m", "", b"", 404),
        ("/infer/m", "", b"x" * 11, 413),
    ],
)  # fmt: skip
def test_the_guard_refuses_before_anybody_looks(path, query, body, status):
    assert ask(failing(AssertionError("it was looked at")), path, query=query, body=body)[0] == status


def test_pages_of_other_web_sites_may_not_ask():
    async def app(scope, receive, send):
        raise SKDError("it", "was let through", "Look", code="not_found")

    host = (b"host", b"127.0.0.1:8000")
    for origin, status in ((b"http://127.0.0.1:8000", 404), (b"http://evil.example", 403), (b"null", 403),
                           (b"http://viewer", 404), (b"", 404)):  # fmt: skip
        assert ask(app, "/infer/m", headers=[host, (b"origin", origin)])[0] == status, origin


def test_a_name_that_a_web_site_moves_to_loopback_is_not_answered():
    async def app(scope, receive, send):
        raise SKDError("it", "was let through", "Look", code="not_found")

    for host, status in ((b"127.0.0.1:8000", 404), (b"localhost:18702", 404), (b"[::1]:8000", 404), (b"viewer", 404),
                         (b"evil.example:8000", 421), (b"127.0.0.1.evil.example", 421)):  # fmt: skip
        assert ask(app, "/infer/m", headers=[(b"host", host)])[0] == status, host
    # Where it listens for others, it has whatever name they know it by.
    assert ask(app, "/infer/m", headers=[(b"host", b"labels.example:8000")], server="10.0.0.7")[0] == 404


def test_documents_name_the_app_as_it_is():
    root = Path(__file__).parents[2]
    document, app, strategies = (
        (root / name).read_text(encoding="utf-8")
        for name in ("docs/label_app.md", "MonaiSKD/label_app/app.py", "MonaiSKD/label_app/strategies.py")
    )

    def first_cells(heading: str) -> list[str]:
        rows = document[document.index(heading) :].partition("|\n\n")[0].splitlines()[2:]
        return re.findall(r"`(\w+)[^`]*`", " ".join(row.split("|")[1] for row in rows))

    assert sorted(first_cells("| `--conf` |")) == sorted(re.findall(r'conf\.get\("(\w+)"', app))
    assert first_cells("| strategy |") == re.findall(r'^ {8}"(\w+)": \w+\(.*\),$', strategies, re.MULTILINE)
