"""Results become DICOM Structured Reports that validators accept and that read back to the same numbers."""

import re
import shutil
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

pytest.importorskip("highdicom")

import pydicom
from dicom_files import (
    MODEL,
    NAME,
    ct_series,
    enhanced_mr,
    inconsistencies,
    radiograph,
    result,
    validator_errors,
)
from dicom_writing import write
from pydicom.uid import generate_uid

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.image import Instance
from MonaiSKD.reporting.dicom_sr import read_report, write_reports


def uids(instances):
    return [pydicom.dcmread(one.path, stop_before_pixels=True).SOPInstanceUID for one in instances]


def remarks(path):
    return [item.TextValue for item in pydicom.dcmread(path).ContentSequence[-1].ContentSequence]


def items(content):
    """All content items below one."""
    for item in content.get("ContentSequence", []):
        yield item
        yield from items(item)


def one_report(results, folder):
    written = write_reports(results, folder)
    assert written.skipped == []
    assert len(written.paths) == 1
    return written.paths[0]


def test_numbers_read_back_and_only_the_key_slices_are_referred_to(tmp_path):
    instances = ct_series(tmp_path / "in", generate_uid())
    path = one_report([result(instances)], tmp_path / "out")
    covid, noncovid = read_report(path)
    assert (covid.label, noncovid.label) == ("covid", "noncovid")
    assert covid.code == ("SCT", "840539006", "COVID-19")
    assert noncovid.code[0] == "99MONAISKD"
    assert covid.probability == pytest.approx(0.87654321, abs=1e-6)
    assert noncovid.probability == pytest.approx(0.12345679, abs=1e-6)
    assert (covid.threshold, noncovid.threshold) == pytest.approx((0.5, 0.61), abs=1e-6)
    assert (covid.present, noncovid.present) == (True, False)
    assert (covid.atypicality, covid.atypicality_threshold) == pytest.approx((0.25, 1.0), abs=1e-6)
    assert covid.reliable
    assert (covid.model.name, covid.model.version) == (MODEL.name, MODEL.version)
    assert MODEL.sha256.startswith(covid.model.sha256)
    assert len(covid.model.sha256) == 16
    everything = uids(instances)
    assert [image.sop_instance_uid for image in covid.images] == [everything[2], everything[0]]
    evidence = pydicom.dcmread(path).CurrentRequestedProcedureEvidenceSequence
    referred = [
        item.ReferencedSOPInstanceUID
        for study in evidence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    ]
    assert sorted(referred) == sorted([everything[2], everything[0]])


@pytest.mark.parametrize(
    ("probabilities", "present", "words"),
    [
        ((0.48, 0.11, 0.41), (None, False, None), "covid (0.48) or other (0.41): cannot be told apart"),
        ((0.34, 0.33, 0.33), (None, None, None), "no class reaches its threshold; most probable: covid, 0.34"),
        ((0.10, 0.20, 0.70), (False, False, True), "other, 0.70"),
        ((0.41, 0.44, 0.15), (True, False, False), "covid, 0.41; noncovid is more probable (0.44) but does not reach"),
    ],
)
def test_no_report_states_findings_that_contradict_each_other(tmp_path, probabilities, present, words):
    thresholds = {"covid": 0.4, "noncovid": 0.45, "other": 0.4}
    values = dict(zip(thresholds, probabilities, strict=True))
    changed = {"label": max(values, key=values.get), "probabilities": values, "thresholds": thresholds}
    path = one_report([result(radiograph(tmp_path, generate_uid()), **changed)], tmp_path / "out")
    findings = read_report(path)
    assert tuple(finding.present for finding in findings) == present
    assert [finding.reliable for finding in findings] == [True] * 3
    stated = [
        item.ConceptCodeSequence[0]
        for item in items(pydicom.dcmread(path))
        if item.ValueType == "CODE" and item.ConceptNameCodeSequence[0].CodeValue == "121052"
    ]
    # PS3.16 CID 240
    codes = {True: ("52101004", "Present"), False: ("272519000", "Absent"), None: ("373068000", "Undetermined")}
    assert [(code.CodeValue, code.CodeMeaning) for code in stated] == [codes[one] for one in present]
    assert {code.CodingSchemeDesignator for code in stated} == {"SCT"}
    assert words in remarks(path)[1]
    assert validator_errors(path) == []


def test_document_is_preliminary_unverified_and_of_a_device(tmp_path):
    path = one_report([result(radiograph(tmp_path, generate_uid()))], tmp_path / "out")
    report = pydicom.dcmread(path)  # without force: a whole file with preamble
    assert path.name == f"{report.SOPInstanceUID}.dcm"
    assert report.SOPClassUID.name == "Comprehensive SR Storage"
    assert (report.PreliminaryFlag, report.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")
    assert (report.Modality, report.Manufacturer) == ("SR", "MonaiSKD")
    assert "Not for clinical use" in report.SeriesDescription
    assert "VerifyingObserverSequence" not in report
    observers = [item for item in report.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "121005"]
    assert [item.ConceptCodeSequence[0].CodeMeaning for item in observers] == ["Device"]
    assert "not for clinical use" in remarks(path)[0]


def test_validator_finds_no_error(tmp_path):
    study = generate_uid()
    results = [
        result(ct_series(tmp_path / "ct", study)),
        result(radiograph(tmp_path, study), atypicality=3.0),
        result(enhanced_mr(tmp_path, study)),
    ]
    path = one_report(results, tmp_path / "out")
    assert validator_errors(path) == []


def test_patient_and_study_agree_with_the_images(tmp_path):
    study = generate_uid()
    dx = radiograph(tmp_path, study)
    path = one_report([result(dx)], tmp_path / "out")
    report = pydicom.dcmread(path)
    assert report.PatientName == NAME
    assert report.PatientName.ideographic == "山田^太郎"
    assert report.SpecificCharacterSet == "ISO_IR 192"
    assert (report.PatientID, report.StudyInstanceUID, report.AccessionNumber) == ("TEST-1", study, "A1")
    assert NAME.split("=")[1].encode() in path.read_bytes()
    plain = pydicom.dcmread(dx[0].path)  # dcentvfy compares bytes, so both files need one encoding
    plain.SpecificCharacterSet = "ISO_IR 192"
    assert inconsistencies([write(tmp_path / "utf8.dcm", plain), path]) == []


def test_dump_shows_classes_and_percentages(tmp_path):
    if shutil.which("dsrdump") is None:
        pytest.skip("dsrdump (Debian: dcmtk) is not installed")
    path = one_report([result(ct_series(tmp_path / "in", generate_uid()))], tmp_path / "out")
    dump = subprocess.run(["dsrdump", "+Pl", str(path)], capture_output=True, text=True, check=True).stdout
    for text in ("COVID-19", "class=covid", "class=noncovid", '"87.6543" (%,UCUM', '"12.3457" (%,UCUM', '"61.0"'):
        assert text in dump, text
    assert "Series 3, lung_ct: covid, 0.88." in dump
    assert "PRELIMINARY" in dump


def test_one_report_per_study(tmp_path):
    first, second = generate_uid(), generate_uid()
    series = [ct_series(tmp_path / "in", study) for study in (first, second, first)]
    written = write_reports((result(instances) for instances in series), tmp_path / "out")
    assert [pydicom.dcmread(path).StudyInstanceUID for path in written.paths] == [first, second]
    merged, alone = map(read_report, written.paths)
    assert [finding.label for finding in merged] == ["covid", "noncovid"] * 2
    assert {finding.images[0].sop_instance_uid for finding in merged} == {uids(series[0])[2], uids(series[2])[2]}
    assert len({finding.tracking_uid for finding in merged}) == 4
    assert len(alone) == 2
    evidence = pydicom.dcmread(written.paths[0]).CurrentRequestedProcedureEvidenceSequence
    assert len(evidence) == 1
    assert len(evidence[0].ReferencedSeriesSequence) == 2


def test_tracking_stays_and_documents_are_new(tmp_path):
    results = [result(ct_series(tmp_path / "in", generate_uid()))]
    first, second = one_report(results, tmp_path / "out"), one_report(results, tmp_path / "out")
    assert first != second
    assert [one.tracking_uid for one in read_report(first)] == [one.tracking_uid for one in read_report(second)]


def test_frames_of_a_multi_frame_image(tmp_path):
    instances = enhanced_mr(tmp_path, generate_uid())
    finding = read_report(one_report([result(instances, key=(3, 1))], tmp_path / "out"))[0]
    assert finding.images == ((uids(instances)[0], (4, 2)),)


def test_frame_number_of_a_single_frame_image_is_not_written(tmp_path):
    path = radiograph(tmp_path, generate_uid())[0].path
    finding = read_report(one_report([result((Instance(path, 1),))], tmp_path / "out"))[0]
    assert finding.images[0].frames == ()


def test_unlike_the_training_images(tmp_path):
    instances = ct_series(tmp_path / "in", generate_uid())
    path = one_report([result(instances, atypicality=2.5)], tmp_path / "out")
    assert [finding.reliable for finding in read_report(path)] == [False, False]
    assert "NOT_RELIABLE" in str(pydicom.dcmread(path))
    assert "Series 3, lung_ct: NOT RELIABLE: this volume is unlike those the model was trained on" in remarks(path)[1]


def test_neither_pixels_nor_paths_nor_comments_are_copied(tmp_path):
    instances = ct_series(tmp_path / "secret-place", generate_uid(), PatientComments="likes tea", StationName="CT-7")
    path = one_report([result(instances)], tmp_path / "out")
    report = pydicom.dcmread(path)
    assert "PixelData" not in report
    content = path.read_bytes()
    for word in (b"secret", b"somebody", b"case.dcm", b"tea", b"CT-7", str(tmp_path).encode()):
        assert word not in content
    assert path.stat().st_size < 20_000


def test_time_zone_of_the_source_holds(tmp_path):
    instances = ct_series(tmp_path / "in", generate_uid(), TimezoneOffsetFromUTC="-0930")
    report = pydicom.dcmread(one_report([result(instances)], tmp_path / "out"))
    assert report.TimezoneOffsetFromUTC == "-0930"
    written = datetime.strptime(f"{report.ContentDate}{report.ContentTime}-0930", "%Y%m%d%H%M%S.%f%z")
    assert abs(datetime.now(timezone.utc) - written) < timedelta(minutes=2)
    plain = pydicom.dcmread(one_report([result(ct_series(tmp_path / "in", generate_uid()))], tmp_path / "out"))
    assert "TimezoneOffsetFromUTC" not in plain
    assert re.search(r"[+-]\d{4}$", str(plain.ObservationDateTime))


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_poor_headers_are_tolerated(tmp_path):
    absent = dict.fromkeys(
        ["PatientID", "PatientName", "StudyDate", "StudyID", "AccessionNumber", "SeriesNumber", "Modality"]
    )
    instances = ct_series(tmp_path / "in", generate_uid(), **absent, PatientBirthDate="unknown", PatientSex="male")
    path = one_report([result(instances)], tmp_path / "out")
    report = pydicom.dcmread(path)
    assert [report[name].value for name in ("PatientID", "PatientBirthDate", "PatientSex")] == ["", "", ""]
    assert validator_errors(path) == []


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("keyword", "stored", "written"),
    [
        ("StudyDate", "2020.01.02", "20200102"),
        ("StudyTime", "noon", ""),
        ("PatientAge", "twelve", None),
        ("TimezoneOffsetFromUTC", "+9900", None),
        ("PatientName", "Bono", "Bono"),
        ("SpecificCharacterSet", "nonsense", "ISO_IR 192"),
    ],
)
def test_forbidden_values_are_mended_or_left_out(tmp_path, keyword, stored, written):
    instances = ct_series(tmp_path / "in", generate_uid(), **{"PatientName": "A^B", keyword: stored})
    path = one_report([result(instances)], tmp_path / "out")
    assert pydicom.dcmread(path).get(keyword) == written
    assert validator_errors(path) == []


@pytest.mark.parametrize("keyword", ["StudyDate", "PatientBirthDate"])
def test_the_date_of_programs_that_know_none_stays_what_the_study_says(tmp_path, keyword):
    """DICOM does not forbid the year 1, though dciodvfy does; another date would contradict the study."""
    path = one_report([result(ct_series(tmp_path / "in", generate_uid(), **{keyword: "00010101"}))], tmp_path / "out")
    assert pydicom.dcmread(path)[keyword].value == "00010101"


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("keyword", ["PatientWeight", "PatientSize", "SliceThickness"])
def test_a_number_with_a_decimal_comma_costs_no_report(tmp_path, keyword):
    instances = ct_series(tmp_path / "in", generate_uid(), **{keyword: "71.25"})
    for one in instances:
        file = Path(one.path)
        content = file.read_bytes()
        assert content.count(b"71.25") == 1
        file.write_bytes(content.replace(b"71.25", b"71,25"))
    path = one_report([result(instances)], tmp_path / "out")
    assert keyword not in pydicom.dcmread(path)
    assert validator_errors(path) == []


def test_two_volumes_of_one_series_are_told_apart(tmp_path):
    instances = ct_series(tmp_path / "in", generate_uid())
    halves = [result(instances[:2], key=(1,)), result(instances[2:], key=(0,), atypicality=2.5)]
    path = one_report(halves, tmp_path / "out")
    assert len({finding.tracking_uid for finding in read_report(path)}) == 4
    assert [text.split(", lung_ct")[0] for text in remarks(path)[1:]] == [
        "Series 3, from image 1",
        "Series 3, from image 3",
    ]
    frames = enhanced_mr(tmp_path / "in", generate_uid())
    path = one_report([result(frames[:2], key=(1,)), result(frames[2:], key=(0,))], tmp_path / "out")
    assert len({finding.tracking_uid for finding in read_report(path)}) == 4
    assert remarks(path)[2].startswith("Series 3, from image 1, frame 3, lung_ct: ")
    assert validator_errors(path) == []


def test_unusual_names_are_not_printed(tmp_path, recwarn, caplog):
    one_report([result(ct_series(tmp_path / "in", generate_uid(), PatientName="Bono"))], tmp_path / "out")
    assert "Bono" not in "".join(str(warning.message) for warning in recwarn) + caplog.text


def test_unusual_class_names(tmp_path):
    names = [
        "正常",
        "a very long name of a class, much longer than a coded meaning may be in DICOM",
        'with "quotes" \\ ^',
    ]
    values = dict.fromkeys(names, 1 / 3)
    changed = {"label": names[0], "probabilities": values, "thresholds": dict.fromkeys(names, 0.3)}
    path = one_report([result(radiograph(tmp_path, generate_uid()), **changed)], tmp_path / "out")
    assert [finding.label for finding in read_report(path)] == names
    assert validator_errors(path) == []


def test_what_cannot_be_referred_to_is_skipped_and_said(tmp_path):
    good = result(radiograph(tmp_path, generate_uid()))
    no_study = result(ct_series(tmp_path / "in", generate_uid(), StudyInstanceUID=None))
    no_series = result(ct_series(tmp_path / "in", generate_uid(), SeriesInstanceUID=None)[:1])
    text = tmp_path / "text.dcm"
    text.write_text("this is no DICOM file, whatever its name says " * 20)
    written = write_reports(
        [
            result((), input="picture.png"),
            no_study,
            good,
            no_series,
            result((Instance(str(tmp_path / "gone.dcm")),)),
            result((Instance(str(text)),)),
        ],
        tmp_path / "out",
    )
    assert len(written.paths) == 1
    assert len(read_report(written.paths[0])) == 2
    codes = [failure.code for failure in written.skipped]
    assert codes[:4] == ["unsupported", "unsupported", "unsupported", "not_found"]
    assert codes[4] in ("unsupported", "damaged")
    assert written.skipped[0].input == "picture.png"
    assert "has no StudyInstanceUID, so no DICOM object can refer to it" in written.skipped[1].message
    assert "has no SeriesInstanceUID" in written.skipped[2].message
    assert all(failure.remedy for failure in written.skipped)


def test_a_study_of_several_patients_gets_no_report(tmp_path):
    study = generate_uid()
    mixed = [result(ct_series(tmp_path / "in", study, PatientID=patient)) for patient in ("TEST-1", "TEST-2")]
    good = result(radiograph(tmp_path, generate_uid()))
    written = write_reports([*mixed, good], tmp_path / "out")
    assert len(written.paths) == 1
    assert [failure.message for failure in written.skipped] == ["its study holds images of several patients"] * 2
    assert not any("TEST" in failure.message for failure in written.skipped)


def test_other_files_are_no_report(tmp_path):
    with pytest.raises(SKDError) as caught:
        read_report(tmp_path / "absent.dcm")
    assert caught.value.code == "not_found"
    with pytest.raises(SKDError) as caught:
        read_report(radiograph(tmp_path, generate_uid())[0].path)
    assert caught.value.code == "unsupported"


def test_absent_highdicom_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(SKDError, match="pip install") as caught:
        write_reports([], tmp_path)
    assert caught.value.code == "not_installed"


def test_importing_loads_no_dicom_library():
    modules = "MonaiSKD.reporting.dicom_sr, MonaiSKD.reporting.dicom_heatmap"
    code = f"import sys, {modules}; print('highdicom' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_real_series(shared, tmp_path):
    """A brain MR series, two encodings of one radiograph, one without preamble, multi-frame MR, CT in big endian."""
    data = shared / "data" / "dicom"
    brain = tuple(Instance(str(path)) for path in sorted((data / "mr_brain_axial_series").glob("*.dcm")))
    multi = tuple(Instance(str(data / "other" / "mr_enhanced_head_multiframe.dcm"), n + 1) for n in range(10))
    big_endian = next((data / "ct_transfer_syntaxes").glob("*BigEndian*"))
    single = [*sorted((data / "cxr").glob("*.dcm")), big_endian, *sorted((data / "ct").glob("*.dcm"))]
    results = [result(brain), result(multi), *(result((Instance(str(path)),)) for path in single)]
    written = write_reports(results, tmp_path)
    assert written.skipped == []
    assert len(brain) == 20
    findings = [finding for path in written.paths for finding in read_report(path)]
    assert len(findings) == 2 * len(results)
    assert [image.sop_instance_uid for image in findings[0].images] == [uids(brain)[2], uids(brain)[0]]
    assert findings[2].images[0].frames == (3, 1)
    for path in written.paths:
        # The brain series' own UIDs begin with 0.0.0, which is illegal, and a report must repeat them.
        errors = [line for line in validator_errors(path) if "Illegal root for UID = <0.0.0.0." not in line]
        assert errors == []
