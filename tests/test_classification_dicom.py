"""What the job of classifying writes as DICOM: heat maps and structured reports, with their numbers and sources."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pydicom
import pytest
from classifying import lines_of, run
from known_images import STUDY, ct_series, png, radiograph

from MonaiSKD.reporting.dicom_sr import read_report


@pytest.mark.parametrize("format", ["secondary-capture", "parametric-map"])
def test_what_is_not_dicom_gets_a_png_instead_of_a_dicom_heat_map(classifier, tmp_path, format):
    out, _, _ = run(classifier, png(tmp_path / "a.png"), heatmaps=tmp_path / "heat", heatmap_format=format, json=True)
    assert [Path(path).suffix for path in lines_of(out)[0]["heatmap"]] == [".png"]


def test_a_radiographs_heat_map_is_a_secondary_capture_of_its_study(classifier, tmp_path):
    source = radiograph(tmp_path / "x.dcm", PatientName="Secret^Person")
    for format in ("secondary-capture", "parametric-map"):  # a radiograph lies in no plane, so both are captures
        out, _, _ = run(classifier, source, heatmaps=tmp_path / "heat", heatmap_format=format, json=True)
        (path,) = lines_of(out)[0]["heatmap"]
        made = pydicom.dcmread(path)
        assert made.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
        assert made.StudyInstanceUID == STUDY
        assert made.SourceImageSequence[0].ReferencedSOPInstanceUID == pydicom.dcmread(source).SOPInstanceUID
        assert made.pixel_array.shape[2] == 3


def test_a_volumes_heat_maps_are_parametric_maps_of_its_key_slices(lungs, tmp_path):
    files = ct_series(tmp_path / "ct", [0.2, 0.3, 0.6, 0.8])
    folder = tmp_path / "heat"
    out, _, _ = run(lungs, tmp_path / "ct", heatmaps=folder, heatmap_format="parametric-map", json=True)
    (row,) = lines_of(out)
    assert row["slices"]["key_slices"] == [1, 2, 3]
    maps = [pydicom.dcmread(path) for path in row["heatmap"]]
    assert {made.SOPClassUID for made in maps} == {"1.2.840.10008.5.1.4.1.1.30"}
    sources = [pydicom.dcmread(files[index - 1]).SOPInstanceUID for index in row["slices"]["key_slices"]]
    assert [made.SourceImageSequence[0].ReferencedSOPInstanceUID for made in maps] == sources
    assert maps[0].pixel_array.shape == (8, 8)


def test_an_image_that_no_dicom_object_can_refer_to_gets_a_png_and_costs_the_others_nothing(classifier, tmp_path):
    radiograph(tmp_path / "in" / "a.dcm", StudyInstanceUID=None)
    radiograph(tmp_path / "in" / "b.dcm")
    folder = tmp_path / "heat"
    out, err, totals = run(
        classifier, tmp_path / "in", heatmaps=folder, heatmap_format="secondary-capture", json=True, csv=tmp_path / "t"
    )
    assert [Path(row["heatmap"][0]).suffix for row in lines_of(out)] == [".png", ".dcm"]
    assert "a.dcm" in err
    assert "no StudyInstanceUID" in err
    assert totals.failed == 0
    assert len((tmp_path / "t").read_text().splitlines()) == 3


def test_one_structured_report_per_study_with_the_numbers_and_the_source(classifier, tmp_path):
    one = radiograph(tmp_path / "in" / "a.dcm", 3072)
    two = radiograph(tmp_path / "in" / "b.dcm", 1024)
    radiograph(tmp_path / "in" / "c.dcm", 1024, StudyInstanceUID="1.2.826.2", SeriesInstanceUID="1.2.826.2.1")
    _, err, _ = run(classifier, tmp_path / "in", sr=tmp_path / "sr")
    files = sorted((tmp_path / "sr").iterdir())
    assert err.count("DICOM SR: ") == len(files) == 2
    report = next(path for path in files if pydicom.dcmread(path).StudyInstanceUID == STUDY)
    findings = read_report(report)
    assert [finding.label for finding in findings] == ["dark", "bright", "dark", "bright"]
    assert [finding.probability for finding in findings] == [0.25, 0.75, 0.75, 0.25]
    uids = [pydicom.dcmread(path).SOPInstanceUID for path in (one, two)]
    assert [finding.images[0].sop_instance_uid for finding in findings[::2]] == uids


def test_what_a_model_cannot_tell_apart_is_no_finding_of_its_report(classifier, tmp_path):
    radiograph(tmp_path / "in" / "a.dcm", 2048)
    out, _, _ = run(classifier, tmp_path / "in", sr=tmp_path / "sr")
    assert "dark (0.50) or bright (0.50): cannot be told apart" in out
    (report,) = (tmp_path / "sr").iterdir()
    assert [finding.present for finding in read_report(report)] == [None, None]


def test_a_volumes_report_refers_to_its_key_slices(lungs, tmp_path):
    files = ct_series(tmp_path / "ct", [0.2, 0.3, 0.6, 0.8])
    run(lungs, tmp_path / "ct", sr=tmp_path / "sr")
    (report,) = (tmp_path / "sr").iterdir()
    referred = [image.sop_instance_uid for image in read_report(report)[0].images]
    assert referred == [pydicom.dcmread(path).SOPInstanceUID for path in files[:3]]


def test_a_picture_without_dicom_is_named_where_a_structured_report_was_wished(classifier, tmp_path):
    radiograph(tmp_path / "in" / "a.dcm"), png(tmp_path / "in" / "b.png")
    out, err, totals = run(classifier, tmp_path / "in", sr=tmp_path / "sr", json=True)
    assert len(lines_of(out)) == 2
    assert f"no DICOM SR for {tmp_path / 'in' / 'b.png'}: " in err
    assert "is not a DICOM image" in err
    assert len(list((tmp_path / "sr").iterdir())) == 1
    assert totals.failed == 0


def test_pictures_without_a_structured_report_for_one_reason_are_one_note_that_names_none_twice(classifier, tmp_path):
    for name in "abc":
        png(tmp_path / "in" / f"{name}.png")
    _, err, _ = run(classifier, tmp_path / "in", sr=tmp_path / "sr")
    (note,) = err.splitlines()
    assert note.startswith(f"no DICOM SR for {tmp_path / 'in' / 'a.png'} and 2 more: is not a DICOM image")


def test_illegal_values_of_a_source_are_not_quoted_when_its_report_is_written(shared, tmp_path) -> None:
    """The file has an illegal UID, which pydicom would print."""
    code = (
        "from MonaiSKD.cli import main; import sys;"
        f"sys.exit(main(['classify', 'chest_xray', {str(shared / 'data/dicom/cxr/cr_chest_mono1_no_meta.dcm')!r},"
        f" '--sr', {str(tmp_path)!r}]))"
    )
    done = subprocess.run([sys.executable, "-W", "always", "-c", code], capture_output=True, text=True, check=True)
    assert [line for line in done.stderr.splitlines() if not line.startswith("DICOM SR: ")] == []
    assert len(list(tmp_path.glob("*.dcm"))) == 1
