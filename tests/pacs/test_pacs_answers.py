"""What comes into the report of a study, and that no file of it can fill the memory; real models and images."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pacs_studies import bomb, content, deflated_file, encoded, grey, radiograph, volume, write
from tinymodel import write_tiny_model

pytest.importorskip("requests", reason="the extra `pacs` is not installed")

from MonaiSKD.errors import SKDError
from MonaiSKD.pacs.answers import prepare
from MonaiSKD.reporting.dicom_sr import read_report
from MonaiSKD.runtime import Classifier

ROOT = Path(__file__).parents[2]
LEVELS = (0.2, 0.3, 0.4)


def axial(folder, study=None):
    images = volume(np.stack([grey(level) for level in LEVELS]), study=study)
    for number, image in enumerate(images):
        write(image, folder / f"{number}.dcm")
    return images


def coronal(folder, study=None):
    images = volume(np.stack([grey(level) for level in LEVELS]), study=study)
    for number, image in enumerate(images):
        image.ImageOrientationPatient, image.ImagePositionPatient = [1, 0, 0, 0, 0, -1], [-80, 5 * number, 80]
        write(image, folder / f"{number}.dcm")
    return images


@pytest.fixture
def classifier(tmp_path):
    return Classifier(write_tiny_model(tmp_path / "ct.onnx", "lung_ct"), threads=1)


@pytest.mark.parametrize("heat_maps", ["none", "secondary-capture"])
def test_a_reformatted_series_is_not_in_the_report_and_not_said_to_be(tmp_path, classifier, heat_maps):
    study = axial(tmp_path / "axial")[0].StudyInstanceUID
    alone = prepare(classifier, study, [tmp_path / "axial"], tmp_path / "alone", heat_maps)
    coronal(tmp_path / "coronal", study)
    both = prepare(classifier, study, [tmp_path / "coronal", tmp_path / "axial"], tmp_path / "both", heat_maps)
    assert both.text.startswith(f"{alone.text}; 1 further without an answer (is not axial: no report can refer to")
    assert str(tmp_path) not in both.text
    assert [finding.label for finding in read_report(both.files[-1])] == ["dark", "bright"]
    assert len(both.files) == len(alone.files)


def test_a_study_of_reformatted_series_alone_says_what_helps_beside_a_pacs(tmp_path, classifier):
    study = coronal(tmp_path / "coronal")[0].StudyInstanceUID
    with pytest.raises(SKDError, match="is not axial") as caught:
        prepare(classifier, study, [tmp_path / "coronal"], tmp_path / "out")
    assert caught.value.code == "unsupported"
    assert caught.value.remedy.startswith("Send axial series")


def test_a_series_without_the_uids_of_a_reference_is_left_out_of_the_answer_too(tmp_path, classifier):
    study = axial(tmp_path / "axial")[0].StudyInstanceUID
    alone = prepare(classifier, study, [tmp_path / "axial"], tmp_path / "alone")
    for number, image in enumerate(axial(tmp_path / "other", study)):
        image.SOPClassUID = "1.2.826.0.1.3680043.9.7433.9"  # a private one
        write(image, tmp_path / "other" / f"{number}.dcm")
    both = prepare(classifier, study, [tmp_path / "axial", tmp_path / "other"], tmp_path / "both")
    assert both.text.startswith(f"{alone.text}; 1 further without an answer (")
    assert len(read_report(both.files[-1])) == 2


@pytest.mark.parametrize("as_bytes", [content, encoded])  # with preamble, and without
def test_images_of_others_are_not_reported_on_whatever_they_are_stored_in(tmp_path, as_bytes):
    model = Classifier(write_tiny_model(tmp_path / "cxr.onnx"), threads=1)
    folder = tmp_path / "series"
    folder.mkdir()
    first = radiograph(grey(0.3), PatientID="", PatientName="Ashgrove^Imaginary")
    (folder / "0.dcm").write_bytes(as_bytes(first))
    assert prepare(model, first.StudyInstanceUID, [folder], tmp_path / "out").text == "dark, 0.70"
    with pytest.raises(SKDError, match="holds images of another study"):
        prepare(model, "1.2.3", [folder], tmp_path / "out")
    second = radiograph(grey(0.3), study=first.StudyInstanceUID, PatientID="")
    (folder / "1.dcm").write_bytes(as_bytes(second))
    with pytest.raises(SKDError, match="holds images of several patients"):
        prepare(model, first.StudyInstanceUID, [folder], tmp_path / "out")


BOMBED = """
import re, sys
from pathlib import Path
from MonaiSKD.errors import SKDError
from MonaiSKD.pacs.answers import prepare
from MonaiSKD.pacs.clock import SystemClock
from MonaiSKD.pacs.incoming import Incoming
from MonaiSKD.reading.dicom.dicomdir import referenced_files
from MonaiSKD.runtime import Classifier

folder, study, instance = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
incoming, classifier = Incoming(folder / "incoming", 0, SystemClock()), Classifier(folder / "cxr.onnx", threads=1)
series = next((folder / "incoming" / study).iterdir())
good, content = (folder / "good.dcm").read_bytes(), next(series.iterdir()).read_bytes()

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

incoming.keep(good, instance)
before = peak()
for use in (
    lambda: incoming.keep(content, sys.argv[4]),
    lambda: incoming.series(study),
    lambda: prepare(classifier, study, [series], folder / "out"),
    lambda: list(referenced_files(next(series.iterdir()))),
):
    try:
        use()
    except SKDError as error:
        print(error.code, error.cause)
print(round(peak() - before))
"""


def test_a_deflated_bomb_is_refused_wherever_a_header_is_read(tmp_path):
    write_tiny_model(tmp_path / "cxr.onnx")
    good, image = radiograph(grey(0.5)), radiograph(grey(0.5))
    (tmp_path / "good.dcm").write_bytes(content(good))
    place = tmp_path / "incoming" / image.StudyInstanceUID / image.SeriesInstanceUID / "a.dcm"
    place.parent.mkdir(parents=True)
    place.write_bytes(deflated_file(image, bomb(image, 2**30)))
    assert place.stat().st_size < 2 * 2**20
    command = [
        sys.executable,
        "-c",
        BOMBED,
        str(tmp_path),
        image.StudyInstanceUID,
        good.SOPInstanceUID,
        image.SOPInstanceUID,
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    *said, rise = done.stdout.splitlines()
    much = "inflates to more than 268435456 bytes"
    assert said == [f"too_large {much}"] * 3 + [f"too_large is a DICOMDIR that {much}"]
    assert int(rise) < 400  # MiB; all of it would be 1024
