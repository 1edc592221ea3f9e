"""/info and /infer of a real server: the contract with the Slicer module, and the same answers as `classify`."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from label_server import BRAIN, CHEST
from PIL import Image
from SKDClassifierLib.place.Server import LabelServer

from MonaiSKD.reading import RULES, read_image
from MonaiSKD.reporting import from_json, to_json
from MonaiSKD.runtime import Classifier, Failure, Result
from MonaiSKD.runtime.models import find_model

CT = "lung_ct_classification"
# By the path, and what they are classified with.
CASES = [("a.png", CHEST), ("d.dcm", CHEST), ("v.nii.gz", CT), ("p.nii.gz", CT), ("a.png", "tiny")]


def plain(line: dict[str, Any]) -> dict[str, Any]:
    """A line without what must differ: what the file is called, and how long it took."""
    return {name: value for name, value in line.items() if name not in ("input", "milliseconds")}


@pytest.fixture(scope="module")
def classified(images, tiny) -> dict[tuple[str, str], dict[str, Any]]:
    """What the command says of the same files."""
    found = {}
    for model in {model for _, model in CASES}:
        names = [name for name, with_model in CASES if with_model == model]
        what = str(tiny) if model == "tiny" else model.removesuffix("_classification")
        command = [
            sys.executable,
            "-m",
            "MonaiSKD",
            "classify",
            what,
            *(str(images / name) for name in names),
            "--json",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        for name, line in zip(names, done.stdout.splitlines(), strict=True):
            found[name, model] = json.loads(line)
    return found


def test_the_slicer_modules_client_finds_the_models_and_their_classes(server):
    found = LabelServer(server.url).test()
    assert found.state == "ready"
    assert set(found.models) == {BRAIN, CHEST, CT, "tiny"}
    for name in ("brain_mri", "chest_xray", "lung_ct"):
        classes = Classifier(name, threads=1).contract.class_names
        assert found.models[f"{name}_classification"] == classes
    info = server.get("/info/")["models"][CHEST]
    assert info["type"] == "classification"
    assert info["metrics"]["test"]["n"] > 0
    assert info["version"] == Classifier("chest_xray", threads=1).contract.version


@pytest.mark.parametrize(("name", "model"), CASES)
def test_the_clients_answers_are_those_of_the_command(server, images, classified, name, model):
    result = LabelServer(server.url).infer(model, images / name)
    assert isinstance(result, Result)
    expected = classified[name, model]
    assert plain(json.loads(to_json(result))) == plain(expected)
    assert result.input.startswith("image.")  # the client tells no name


def test_real_images_are_answered_as_in_this_process(server, shared):
    """Real DICOM of several makers, real volumes, with the shipped models; also those that are refused."""
    data = shared / "data"
    cases = [(CHEST, path) for path in sorted((data / "dicom" / "cxr").glob("*.dcm"))[:6]]
    cases += [(BRAIN, path) for path in sorted((data / "volumes" / "brain_mri").glob("*.nii.gz"))[:1]]
    cases += [(CT, path) for path in sorted((data / "dicom" / "ct").glob("*.dcm"))[:2]]
    assert len(cases) >= 5
    open_models = {name: Classifier(name.removesuffix("_classification")) for name in (CHEST, BRAIN, CT)}
    for model, path in cases:
        line = server.infer(model, path).json()["monai_skd"]
        [answer] = open_models[model].many([path])
        if isinstance(answer, Failure):
            assert line["error"]["code"] == answer.code, path
        else:
            assert plain(line) == plain(json.loads(to_json(answer))), path


def test_answers_are_the_documented_json(server, images):
    found = server.infer(CHEST, images / "d.dcm").json()
    # The schema itself wants a newer jsonschema than MONAI Label allows; tests/reporting holds its lines against it.
    assert isinstance(from_json(found["monai_skd"]), Result)
    probabilities = found["monai_skd"]["probabilities"]
    expected = [{"idx": k, "label": name, "score": p} for k, (name, p) in enumerate(probabilities.items())]
    assert found["prediction"] == expected
    assert list(probabilities) == list(Classifier("chest_xray", threads=1).contract.class_names)


def test_the_tiny_model_answers_what_was_computed_by_hand(server, tmp_path):
    Image.new("L", (32, 32), 204).save(tmp_path / "grey.png")
    line = server.infer("tiny", tmp_path / "grey.png").json()["monai_skd"]
    assert line["probabilities"] == pytest.approx({"dark": 0.2, "bright": 0.8}, abs=1e-5)
    assert (line["atypicality"], line["decision"]) == (pytest.approx(0.3, abs=1e-5), ["bright"])


def test_images_of_the_datastore_are_classified_where_they_lie(server, images, studies):
    by_id = server.infer(CHEST, image="d").json()["monai_skd"]
    assert plain(by_id) == plain(server.infer(CHEST, images / "d.dcm").json()["monai_skd"])
    assert by_id["input"] == "d"
    assert str(studies) not in json.dumps(by_id)


def test_a_series_is_one_answer_equal_to_its_nifti(server, images):
    series = server.infer(CT, image="series").json()["monai_skd"]
    volume = server.infer(CT, images / "v.nii.gz").json()["monai_skd"]
    assert series["slices"]["count"] == 6
    assert series["probabilities"] == pytest.approx(volume["probabilities"], abs=1e-6)


def test_a_session_with_the_files_of_a_series_is_classified(server, images):
    files = [("files", (path.name, path.read_bytes())) for path in sorted((images / "series").iterdir())]
    session = server.ask("PUT", "/session/", files=files).json()["session_id"]
    line = server.infer(CT, session_id=session).json()["monai_skd"]
    assert line["probabilities"] == server.infer(CT, image="series").json()["monai_skd"]["probabilities"]
    server.ask("DELETE", f"/session/{session}").raise_for_status()
    assert server.infer(CT, session_id=session).status_code == 404


@pytest.mark.parametrize(
    ("model", "name", "code"),
    [(CHEST, "v.nii.gz", "wrong_modality"), (CHEST, "no.txt", "not_an_image"), (BRAIN, "d.dcm", "wrong_modality")],
)
def test_what_cannot_be_answered_is_a_failure_with_a_remedy(server, images, model, name, code):
    found = server.infer(model, images / name)
    assert found.status_code == 200
    error = found.json()["monai_skd"]["error"]
    assert (error["code"], "prediction" in found.json()) == (code, False)
    assert "/tmp" not in json.dumps(error)
    answer = LabelServer(server.url).infer(model, images / name)
    assert isinstance(answer, Failure)
    assert answer.remedy


def test_damaged_files_are_failures(server, images, tmp_path):
    whole = (images / "d.dcm").read_bytes()
    for name, content in (
        ("cut.dcm", whole[: len(whole) // 2]),
        ("empty.dcm", b""),
        ("noise.png", b"\x89PNG" + bytes(99)),
    ):
        (tmp_path / name).write_bytes(content)
        found = server.infer(CHEST, tmp_path / name)
        assert found.status_code == 200, name
        assert found.json()["monai_skd"]["error"]["code"] in ("damaged", "not_an_image"), name
        assert "Geheim" not in found.text


def test_a_heat_map_comes_as_a_picture(server, images):
    found = server.infer(CHEST, images / "d.dcm", output="image")
    assert found.headers["content-type"] == "image/png"
    assert min(Image.open(io.BytesIO(found.content)).size) >= 512


@pytest.mark.parametrize(
    ("model", "name", "kind"),
    [(BRAIN, "a.png", "image/png"), (CT, "v.nii.gz", "application/gzip"), (CHEST, "d.dcm", "image/png")],
)
def test_a_heat_map_is_a_picture_or_a_volume_as_its_image_is(server, images, model, name, kind):
    for params in ({}, {"heatmap": "auto"}):
        found = server.infer(model, images / name, params, output="image")
        assert found.headers["content-type"] == kind


def test_a_heat_map_of_a_volume_lies_over_it(server, images, tmp_path):
    found = server.infer(CT, images / "v.nii.gz", {"heatmap": "nifti"}, output="image")
    (tmp_path / "heat.nii.gz").write_bytes(found.content)
    heat, image = nibabel.load(tmp_path / "heat.nii.gz"), nibabel.load(images / "v.nii.gz")
    assert heat.shape[2] == image.shape[2] == 6
    boxes = []
    for grid in (heat, image):  # its outer corners; either may count an axis from the other end
        corners = [grid.affine @ [-0.5, -0.5, -0.5, 1], grid.affine @ [*(np.array(grid.shape) - 0.5), 1]]
        boxes.append(np.sort(corners, axis=0))
    np.testing.assert_allclose(boxes[0], boxes[1], atol=1e-4)


def test_the_tiny_models_heat_map_is_the_image_averaged(server, tmp_path):
    values = np.repeat(np.repeat(np.arange(16, dtype=np.uint8).reshape(4, 4) * 16, 8, 0), 8, 1)
    Image.fromarray(values).save(tmp_path / "steps.png")
    found = server.infer("tiny", tmp_path / "steps.png", {"heatmap": "nifti"}, output="image")
    (tmp_path / "heat.nii.gz").write_bytes(found.content)
    heat = nibabel.load(tmp_path / "heat.nii.gz")
    pixels = read_image(tmp_path / "steps.png", RULES["chest_xray"]).pixels[0]
    sign = 1 if pixels.mean() >= 0.5 else -1  # evidence for the label
    np.testing.assert_allclose(heat.get_fdata()[:, :, 0].T, sign * pixels[::8, ::8], atol=1e-5)
    np.testing.assert_allclose(heat.affine @ [0, 0, 0, 1], [-3.5, -3.5, 0, 1])  # the centre of the first 8 pixels


def test_answer_and_heat_map_come_together(server, images):
    found = server.infer(CHEST, images / "a.png", {"heatmap": "png"}, output="all")
    head = f"Content-Type: {found.headers['content-type']}\r\n\r\n".encode()
    parts = BytesParser().parsebytes(head + found.content).get_payload()
    assert [part.get_content_type() for part in parts] == ["application/json", "image/png"]
    assert "monai_skd" in json.loads(parts[0].get_payload(decode=True))


def test_eight_clients_at_once_get_the_same_as_one(server, images):
    names = ["a.png", "d.dcm"] * 16
    alone = {name: plain(server.infer(CHEST, images / name).json()["monai_skd"]) for name in set(names)}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda name: server.infer(CHEST, images / name), names))
    for name, answer in zip(names, answers, strict=True):
        assert plain(answer.json()["monai_skd"]) == alone[name]


def test_a_run_folder_and_a_file_of_its_own_are_served_alike(server, tiny):
    digest = server.get("/info/")["models"]["tiny"]["sha256"]
    assert digest == Classifier(find_model(tiny), threads=1).model.sha256


def test_no_upload_stays_on_the_server(server, images):
    def left() -> set[Path]:
        import tempfile

        return set(Path(tempfile.gettempdir()).glob("monai-skd-*"))

    before = left()
    for output in ("json", "image", "all"):
        server.infer(CHEST, images / "a.png", {"heatmap": "png"}, output=output)
    server.infer(CHEST, images / "no.txt")
    server.infer(CHEST, image="absent")
    assert left() <= before
