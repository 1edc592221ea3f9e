"""The whole way with a real PACS: in by DICOMweb and by C-STORE, out by STOW-RS and by C-STORE."""

import json
import shutil
import subprocess
import sys
import time

import highdicom
import numpy as np
import pytest

pytest.importorskip("pynetdicom", reason="the extra `pacs` is not installed")

from dicomweb_client.api import DICOMwebClient
from pacs_servers import ROOT, Orthanc, free_port, wait_for
from pacs_studies import NAME, content, grey, radiograph, volume, write
from pydicom.sr.codedict import codes
from requests import Session, delete, post

from MonaiSKD.reporting.dicom_sr import read_report

ROUTES = """
[limits]
free_bytes = 0
[page]
show = false
[[route]]
model = "cxr.onnx"
modality = ["DX", "CR"]
body_part = ["CHEST", ""]
[[route]]
model = "ct.onnx"
modality = ["CT"]
[[route]]
model = "mr.onnx"
modality = ["MR"]
series = "largest"
"""


def by_web(pacs, poll="every = 0.3\nquiet = 0.3", answer=""):
    return f"""
data = "data"
retry = {{ first = 0.2, most = 1 }}
[dicomweb]
url = "{pacs.url}"
user = "{pacs.user}"
password = {{ env = "PACS_PASSWORD" }}
[poll]
{poll}
[answer]
{answer}
{ROUTES}"""


def settled(program, count):
    def all_done():
        rows = program.rows()
        return (
            rows if len(rows) >= count and all(row["state"] in ("answered", "unanswerable") for row in rows) else None
        )

    return wait_for(all_done, 60, 0.3)


def put(pacs, images):
    for image in images:
        pacs.put(content(image))
    return images[0].StudyInstanceUID


def test_reports_are_read_by_others(orthanc, program, tmp_path):
    dx = radiograph(grey(0.25))
    put(orthanc, [dx])
    slices = volume(np.stack([grey(level) for level in (0.3, 0.2, 0.7, 0.6, 0.4)]))
    ct = put(orthanc, slices)
    service = program(by_web(orthanc, answer='heat_maps = "parametric-map"'))
    service.start()
    rows = settled(service, 2)
    assert {row["state"] for row in rows} == {"answered"}
    assert service.terminate() == 0
    reports = orthanc.reports()
    assert [len(reports[study]) for study in (dx.StudyInstanceUID, ct)] == [1, 1]

    # Another client's way to the report: QIDO and WADO of dicomweb-client.
    session = Session()
    session.auth = (orthanc.user, orthanc.password)
    client = DICOMwebClient(orthanc.url, session=session)
    (series,) = client.search_for_series(dx.StudyInstanceUID, search_filters={"Modality": "SR"})
    assert series["0008103E"]["Value"] == ["MonaiSKD classification. Not for clinical use"]
    (report,) = client.retrieve_series(dx.StudyInstanceUID, series["0020000E"]["Value"][0])
    assert (report.PatientName, report.StudyInstanceUID) == (NAME, dx.StudyInstanceUID)

    # highdicom reads the same numbers as the package, and as the tiny model can be worked out by hand.
    path = tmp_path / "report.dcm"
    path.write_bytes(orthanc.file(reports[dx.StudyInstanceUID][0]))
    found = {finding.label: finding for finding in read_report(path)}
    mean = float((grey(0.25) / 4095).mean())
    assert found["bright"].probability == pytest.approx(mean, abs=2e-3)
    groups = highdicom.sr.srread(path).content.get_image_measurement_groups()
    numbers = [float(group.get_measurements(codes.DCM.Probability)[0].value) / 100 for group in groups]
    assert numbers == pytest.approx([found[label].probability for label in ("dark", "bright")], abs=1e-6)
    assert [image.sop_instance_uid for image in found["dark"].images] == [dx.SOPInstanceUID]

    # The volume's report refers to its key slices, which lie in the PACS; so do the heat maps.
    path.write_bytes(orthanc.file(reports[ct][0]))
    key = {image.sop_instance_uid for finding in read_report(path) for image in finding.images}
    assert 1 <= len(key) <= 3
    assert key <= {image.SOPInstanceUID for image in slices}
    modalities = [one["00080060"]["Value"][0] for one in client.search_for_series(ct)]
    assert sorted(modalities) == ["CT", "OT", "SR"]

    for study in (dx.StudyInstanceUID, ct):
        path.write_bytes(orthanc.file(reports[study][0]))
        if shutil.which("dciodvfy") is not None:
            done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True)
            assert [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")] == []
        if shutil.which("dsrdump") is not None:
            dump = subprocess.run(["dsrdump", "+Pl", str(path)], capture_output=True, text=True, check=True).stdout
            assert "not for clinical use" in dump
            assert "class=bright" in dump
    log = service.log.read_text()
    assert "Quillfeather" not in log
    assert dx.StudyInstanceUID not in log
    assert orthanc.password not in log
    assert not list((tmp_path / "data").rglob("*.dcm"))  # nothing of a patient is left


def test_what_cannot_be_answered_is_listed_with_the_reason(orthanc, program):
    cut = radiograph(grey(0.5))
    cut.PixelData = cut.PixelData[:100]
    put(orthanc, [cut])
    put(orthanc, [radiograph(grey(0.5), BodyPartExamined="KNEE")])
    put(orthanc, [radiograph(grey(0.5), BodyPartExamined=None, ViewPosition="LL")])
    put(orthanc, volume(np.stack([grey(0.5)] * 3), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    service = program(by_web(orthanc))
    service.start()
    rows = settled(service, 4)
    assert {row["state"] for row in rows} == {"unanswerable"}
    assert sorted(row["code"] for row in rows) == ["damaged", "not_an_image", "unsupported", "wrong_body_part"]
    listed = service.run("list").stdout
    assert "no rule fits its series (DX KNEE). Add a [[route]] for it, or let it be." in listed
    assert "1.2.826" not in listed
    assert not any(orthanc.reports().values())
    # Told to, the service tries those again that have a model.
    assert service.run("retry").stdout.count("received") == 3
    assert {row["state"] for row in settled(service, 4)} == {"unanswerable"}
    assert service.run("retry", "nokey").returncode == 2


def test_a_series_that_was_replaced_in_the_pacs_is_answered_when_told_to_retry(orthanc, program):
    cut = radiograph(grey(0.5))
    cut.PixelData = cut.PixelData[:100]
    put(orthanc, [cut])
    service = program(by_web(orthanc))
    assert service.run("run", "--once").returncode == 0
    assert [(row["state"], row["code"]) for row in service.rows()] == [("unanswerable", "damaged")]
    (name,) = orthanc.get("/series")
    delete(f"http://127.0.0.1:{orthanc.http}/series/{name}", auth=(orthanc.user, orthanc.password), timeout=20)
    put(orthanc, [radiograph(grey(0.3), study=cut.StudyInstanceUID)])  # as many images, so that polling sees no change
    service.run("retry")
    assert service.run("run", "--once").returncode == 0
    assert [row["state"] for row in service.rows()] == ["answered"]


def test_of_several_series_each_or_the_largest(orthanc, program, tmp_path):
    first = radiograph(grey(0.3))
    second = radiograph(grey(0.6), study=first.StudyInstanceUID)
    put(orthanc, [first, second])
    small = volume(np.stack([grey(0.3)] * 3), "MR")
    large = volume(np.stack([grey(0.3)] * 5), "MR", study=small[0].StudyInstanceUID)
    put(orthanc, [*small, *large])
    service = program(by_web(orthanc))
    service.start()
    rows = {row["study"]: row for row in settled(service, 2)}
    assert rows[first.StudyInstanceUID]["images"] == 2
    assert rows[small[0].StudyInstanceUID]["images"] == 5
    reports = orthanc.reports()
    path = tmp_path / "report.dcm"
    path.write_bytes(orthanc.file(reports[first.StudyInstanceUID][0]))
    assert {image.sop_instance_uid for one in read_report(path) for image in one.images} == {
        first.SOPInstanceUID,
        second.SOPInstanceUID,
    }
    path.write_bytes(orthanc.file(reports[small[0].StudyInstanceUID][0]))
    referred = {image.sop_instance_uid for one in read_report(path) for image in one.images}
    assert referred <= {image.SOPInstanceUID for image in large}


def test_once_takes_what_there_is_and_ends(orthanc, program):
    put(orthanc, [radiograph(grey(0.3))])
    service = program(by_web(orthanc))
    done = service.run("run", "--once")
    assert done.returncode == 0, done.stderr
    assert [row["state"] for row in service.rows()] == ["answered"]
    # Others on this computer see nothing, and looking at the queue needs no secret.
    assert not [path for path in (service.config.parent / "data").rglob("*") if path.stat().st_mode & 0o077]
    password = service.environment.pop("PACS_PASSWORD")
    assert len(service.rows()) == 1
    assert service.run("run", "--once").returncode == 2
    service.environment["PACS_PASSWORD"] = password
    assert service.run("run", "--once").returncode == 0
    assert [len(found) for found in orthanc.reports().values()] == [1]
    orthanc.stop()
    assert service.run("run", "--once").returncode == 1
    orthanc.start()


def test_a_pacs_that_is_down_is_waited_for(orthanc, program):
    put(orthanc, [radiograph(grey(0.3))])
    orthanc.stop()
    service = program(by_web(orthanc))
    service.start()
    wait_for(lambda: service.log.is_file() and '"trouble"' in service.log.read_text(), 30)
    orthanc.start()
    settled(service, 1)
    events = [event["event"] for event in service.events()]
    assert events.count("trouble") <= 2  # said once, not at each attempt
    assert "trouble over" in events
    assert service.terminate() == 0


def test_c_store_in_and_c_store_out(network, program, tmp_path):
    port = free_port()
    pacs = Orthanc(tmp_path / "orthanc", {"skd": ["MONAISKD", "127.0.0.1", port]})
    pacs.start()
    service = program(
        f"""
data = "data"
retry = {{ first = 0.2, most = 1 }}
[listen]
port = {port}
allow = ["ORTHANC", "SENDER"]
quiet = 1
[answer]
by = "store"
host = "127.0.0.1"
port = {pacs.dicom}
ae_title = "ORTHANC"
heat_maps = "secondary-capture"
{ROUTES}"""
    )
    service.start()
    wait_for(lambda: service.log.is_file() and '"listening"' in service.log.read_text(), 30)
    image = radiograph(grey(0.3))
    pacs.put(content(image))
    name = pacs.get("/instances")[0]  # the image alone, for reports are not taken
    url = f"http://127.0.0.1:{pacs.http}/modalities/skd/store"
    post(url, data=name, auth=(pacs.user, pacs.password), timeout=30).raise_for_status()
    settled(service, 1)
    assert [len(found) for found in pacs.reports().values()] == [1]
    # The same study sent again is not answered again, and its images do not stay.
    post(url, data=name, auth=(pacs.user, pacs.password), timeout=30).raise_for_status()
    wait_for(lambda: not list((tmp_path / "data" / "incoming").iterdir()), 30)
    assert [len(found) for found in pacs.reports().values()] == [1]

    # Sent and not yet complete when the service is killed: it is answered by the next one.
    late = radiograph(grey(0.4))
    if shutil.which("storescu") is not None:
        file = write(late, tmp_path / "late.dcm")
        subprocess.run(
            ["storescu", "-aet", "SENDER", "-aec", "MONAISKD", "127.0.0.1", str(port), str(file)], check=True
        )
        service.kill()
        service.start()
        settled(service, 2)
        assert len(pacs.reports()[late.StudyInstanceUID]) == 1
    # The PACS does not listen: the answer waits.
    pacs.stop()
    third = radiograph(grey(0.6))
    file = write(third, tmp_path / "third.dcm")
    subprocess.run(["storescu", "-aet", "SENDER", "-aec", "MONAISKD", "127.0.0.1", str(port), str(file)], check=True)
    wait_for(lambda: any(row["state"] == "retrying" for row in service.rows()), 30)
    pacs.start()
    settled(service, 3)
    assert len(pacs.reports()[third.StudyInstanceUID]) == 1
    assert service.terminate() == 0
    pacs.stop()


def test_killed_and_restarted_on_the_way_each_study_is_answered_once(network, shared, tmp_path):
    sys.path.append(str(ROOT / "benchmarks"))
    import pacs as benchmark
    from tinymodel import write_tiny_model

    models = {}
    for name in ("chest_xray", "lung_ct", "brain_mri"):
        models[name] = str(write_tiny_model(tmp_path / f"{name}.onnx", name))
    outcome = benchmark.run(tmp_path, studies=12, kills=2, restarts=1, models=models)
    assert len(outcome.reports) == outcome.studies == 12
    assert (outcome.twice, outcome.missing) == (0, 0)
    assert {row["state"] for row in outcome.rows} <= {"answered", "unanswerable"}
    assert sum(row["state"] == "answered" for row in outcome.rows) >= 8
    assert all(row["reason"] for row in outcome.rows if row["state"] == "unanswerable")
    assert "Quillfeather" not in json.dumps(outcome.events)
    if shutil.which("dciodvfy") is not None:
        assert benchmark.complaints(outcome.dicom, tmp_path) == []


def test_two_services_do_not_share_a_folder(orthanc, program):
    service = program(by_web(orthanc))
    service.start()
    wait_for(lambda: service.log.is_file() and '"started"' in service.log.read_text(), 30)
    done = service.run("run")
    assert done.returncode == 2
    assert "is used by another running service" in done.stderr
    start = time.monotonic()
    assert service.terminate() == 0
    assert time.monotonic() - start < 5


def test_the_model_is_looked_for_before_anything_is_taken(orthanc, program):
    service = program(by_web(orthanc).replace("ct.onnx", "none.onnx"))
    done = service.run("run")
    assert done.returncode == 2
    assert "none.onnx" in done.stderr
