"""Heat maps become DICOM images of the same study that validators accept and that lie on the source's pixels."""

import sys

import numpy as np
import pytest

pytest.importorskip("highdicom")

import pydicom
from dicom_files import MODEL, NAME, ct_series, enhanced_mr, inconsistencies, radiograph, validator_errors
from dicom_writing import write
from pydicom.uid import generate_uid

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.image import Instance
from MonaiSKD.reporting.dicom_heatmap import write_heatmaps
from MonaiSKD.runtime.result import HeatMap

CAPTURE, MAP = "Secondary Capture Image Storage", "Parametric Map Storage"


def heatmap(instance, shape=(12, 10), values=None, label="covid"):
    """Evidence in the upper left corner of the picture, unless said otherwise."""
    if values is None:
        values = np.full(shape, -1, np.float32)
        values[0, 0] = 3
    rows, columns = shape
    pixels = np.linspace(0, 1, rows * columns, dtype=np.float32).reshape(rows, columns)
    return HeatMap(values, label, 0, pixels, instance)


def header(instance):
    return pydicom.dcmread(instance.path, stop_before_pixels=True)


def written(heatmap, folder, *kind, **more):
    """The file of one heat map that belongs to an instance."""
    (path,) = write_heatmaps([heatmap], folder, *kind, **more)
    return path


@pytest.fixture
def slices(tmp_path):
    return ct_series(tmp_path / "in", generate_uid())


def test_secondary_capture_belongs_to_the_study_and_names_its_source(slices, tmp_path):
    path = written(heatmap(slices[1]), tmp_path / "out", model=MODEL)
    image, source = pydicom.dcmread(path), header(slices[1])
    assert path.name == f"{image.SOPInstanceUID}.dcm"
    assert image.SOPClassUID.name == CAPTURE
    assert image.StudyInstanceUID == source.StudyInstanceUID
    assert image.SeriesInstanceUID != source.SeriesInstanceUID
    assert (image.PatientName, image.PatientID, image.SpecificCharacterSet) == (NAME, "TEST-1", "ISO_IR 192")
    assert [item.ReferencedSOPInstanceUID for item in image.SourceImageSequence] == [source.SOPInstanceUID]
    assert image.SeriesDescription == "Heat map covid. RESEARCH, not for clinical use"
    for word in ("covid", MODEL.name, MODEL.sha256[:16], "not for clinical use"):
        assert word in image.DerivationDescription
    assert image.PatientOrientation == ["L", "P"]
    assert "PixelSpacing" not in image
    shown = image.pixel_array
    assert image.PhotometricInterpretation == "RGB"
    assert shown.shape == (image.Rows, image.Columns, 3)
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 50
    assert validator_errors(path) == []


def test_secondary_capture_shows_the_picture_that_is_saved_as_png(slices, tmp_path):
    from MonaiSKD.reporting.overlay import heat_overlay

    shown = pydicom.dcmread(written(heatmap(slices[0]), tmp_path / "out")).pixel_array
    np.testing.assert_array_equal(shown, np.asarray(heat_overlay(heatmap(slices[0]))))


@pytest.mark.parametrize(
    ("orientation", "corner"),
    [
        ((1, 0, 0, 0, 1, 0), (0, 0)),  # stored as shown
        ((-1, 0, 0, 0, 1, 0), (0, 9)),  # columns run to the patient's right
        ((1, 0, 0, 0, -1, 0), (11, 0)),  # rows run to anterior
        ((-1, 0, 0, 0, -1, 0), (11, 9)),
        ((0, 1, 0, 1, 0, 0), (0, 0)),  # rows and columns exchanged
        ((0, -1, 0, 1, 0, 0), (0, 9)),
    ],
)
def test_parametric_map_lies_on_the_stored_pixels(tmp_path, orientation, corner):
    instance = ct_series(tmp_path / "in", generate_uid(), orientation=orientation)[2]
    exchanged = orientation[0] == 0
    path = written(heatmap(instance, (10, 12) if exchanged else (12, 10)), tmp_path / "out", "parametric-map")
    image, source = pydicom.dcmread(path), header(instance)
    assert image.SOPClassUID.name == MAP
    values = image.pixel_array
    assert (values.dtype, values.shape) == (np.float32, (source.Rows, source.Columns))
    assert np.unravel_index(values.argmax(), values.shape) == corner
    assert (values.min(), values.max()) == (0, 1)
    shared = image.SharedFunctionalGroupsSequence[0]
    assert shared.PlaneOrientationSequence[0].ImageOrientationPatient == source.ImageOrientationPatient
    assert shared.PixelMeasuresSequence[0].PixelSpacing == source.PixelSpacing
    frame = image.PerFrameFunctionalGroupsSequence[0]
    assert frame.PlanePositionSequence[0].ImagePositionPatient == source.ImagePositionPatient
    assert image.FrameOfReferenceUID == source.FrameOfReferenceUID
    mapping = shared.RealWorldValueMappingSequence[0]
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "1"
    assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1, 0)
    assert image.ContentQualification == "RESEARCH"
    assert image.PatientName == NAME
    assert validator_errors(path) == []


def test_parametric_map_of_a_frame(tmp_path):
    instance = enhanced_mr(tmp_path, generate_uid())[3]
    path = written(heatmap(instance), tmp_path / "out", "parametric-map")
    image = pydicom.dcmread(path)
    assert image.SOPClassUID.name == MAP
    frame = image.PerFrameFunctionalGroupsSequence[0]
    assert frame.PlanePositionSequence[0].ImagePositionPatient == [-5, -6, 15]
    derived = frame.DerivationImageSequence[0].SourceImageSequence[0]
    for reference in (image.SourceImageSequence[0], derived):
        assert reference.ReferencedSOPInstanceUID == header(instance).SOPInstanceUID
        assert reference.ReferencedFrameNumber == 4
    assert validator_errors(path) == []


def test_coarse_evidence_is_interpolated_to_the_slice(slices, tmp_path):
    values = np.zeros((3, 3), np.float32)
    values[2, 2] = 5
    path = written(heatmap(slices[0], values=values), tmp_path / "out", "parametric-map")
    shown = pydicom.dcmread(path).pixel_array
    assert shown.shape == (12, 10)
    assert np.unravel_index(shown.argmax(), shown.shape)[0] > 7


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("FrameOfReferenceUID", None),
        ("ImagePositionPatient", None),
        ("ImagePositionPatient", [1, 2]),
        ("PixelSpacing", None),
        ("PixelSpacing", [0, 0]),
        ("PixelSpacing", 0.5),
    ],
)
def test_without_geometry_the_map_becomes_a_capture(tmp_path, keyword, value):
    instance = ct_series(tmp_path / "in", generate_uid(), count=1, **{keyword: value})[0]
    path = written(heatmap(instance), tmp_path / "out", "parametric-map")
    assert pydicom.dcmread(path).SOPClassUID.name == CAPTURE
    assert validator_errors(path) == []


@pytest.mark.parametrize("frame", [1, 3])
def test_a_plain_header_places_no_frame_of_several(tmp_path, frame):
    """It says where the first lies; reading shows such a file as it is stored."""
    one = ct_series(tmp_path, generate_uid(), count=1, orientation=(-1, 0, 0, 0, -1, 0))[0]
    image = pydicom.dcmread(one.path)
    image.NumberOfFrames, image.PixelData = 4, np.zeros((4, 12, 10), np.uint16).tobytes()
    path = str(write(tmp_path / "frames.dcm", image))
    shown = pydicom.dcmread(written(heatmap(Instance(path, frame)), tmp_path / "out", "parametric-map"))
    assert shown.SOPClassUID.name == CAPTURE
    assert shown.PatientOrientation in ("", None)


def test_coronal_plane_becomes_a_capture(tmp_path):
    instance = ct_series(tmp_path / "in", generate_uid(), count=1, orientation=(1, 0, 0, 0, 0, -1))[0]
    image = pydicom.dcmread(written(heatmap(instance), tmp_path / "out", "parametric-map"))
    assert image.SOPClassUID.name == CAPTURE
    assert not image.PatientOrientation


def test_radiograph_becomes_a_capture_with_its_orientation(tmp_path):
    instance = radiograph(tmp_path, generate_uid())[0]
    path = written(heatmap(instance, (16, 14)), tmp_path / "out", "parametric-map")
    image = pydicom.dcmread(path)
    assert image.SOPClassUID.name == CAPTURE
    assert image.PatientOrientation == ["L", "F"]
    assert validator_errors(path) == []


@pytest.mark.parametrize("kind", ["secondary-capture", "parametric-map"])
def test_heat_maps_of_one_call_form_one_series(slices, tmp_path, kind):
    other = ct_series(tmp_path / "other", header(slices[0]).StudyInstanceUID)
    maps = [heatmap(slices[2]), heatmap(slices[0]), heatmap(None), heatmap(other[0])]
    paths = write_heatmaps(maps, tmp_path / "out", kind)
    images = [pydicom.dcmread(path) for path in paths]
    assert [image.InstanceNumber for image in images] == [1, 2, 1]
    first, second, third = (image.SeriesInstanceUID for image in images)
    assert first == second != third
    again = pydicom.dcmread(write_heatmaps(maps, tmp_path / "out", kind)[0])
    assert again.SeriesInstanceUID != first
    sources = []
    for instance in (slices[0], other[0]):
        source = pydicom.dcmread(instance.path)
        source.SpecificCharacterSet = "ISO_IR 192"  # dcentvfy compares bytes
        sources.append(write(tmp_path / "utf8" / f"{source.SOPInstanceUID}.dcm", source))
    assert inconsistencies([*paths, *sources]) == []


def test_lossy_sources_stay_marked(tmp_path):
    lossy = {
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": 9,
        "LossyImageCompressionMethod": "ISO_10918_1",
    }
    instance = ct_series(tmp_path / "in", generate_uid(), count=1, **lossy)[0]
    for kind in ("secondary-capture", "parametric-map"):
        path = written(heatmap(instance), tmp_path / "out", kind)
        image = pydicom.dcmread(path)
        assert (image.LossyImageCompression, image.LossyImageCompressionRatio) == ("01", 9)
        assert validator_errors(path) == []


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize(("stated", "copied"), [("YES", "YES"), ("NO", "NO"), (None, None), ("MAYBE", None)])
def test_what_is_burned_into_the_source_is_burned_into_its_picture(tmp_path, stated, copied):
    study = generate_uid()
    instance = ct_series(tmp_path / "in", study, count=1, **({"BurnedInAnnotation": stated} if stated else {}))[0]
    path = written(heatmap(instance), tmp_path / "out")
    assert pydicom.dcmread(path).get("BurnedInAnnotation") == copied
    assert validator_errors(path) == []


def test_no_path_and_no_comment_is_copied(tmp_path):
    instance = ct_series(tmp_path / "secret-place", generate_uid(), PatientComments="likes tea")[0]
    for kind in ("secondary-capture", "parametric-map"):
        content = written(heatmap(instance), tmp_path / "out", kind).read_bytes()
        assert not [word for word in (b"secret", b"likes tea", str(tmp_path).encode()) if word in content]


@pytest.mark.parametrize(
    "label", ["正常", "a very long name of a class, longer than any attribute of a header may be", "a\\b"]
)
@pytest.mark.parametrize("kind", ["secondary-capture", "parametric-map"])
def test_unusual_class_names(slices, tmp_path, label, kind):
    path = written(heatmap(slices[0], label=label), tmp_path / "out", kind)
    image = pydicom.dcmread(path)
    assert image.SeriesDescription.endswith("RESEARCH, not for clinical use")
    assert len(image.SeriesDescription) <= 64
    assert validator_errors(path) == []


def test_evidence_against_everywhere(slices, tmp_path):
    against = heatmap(slices[0], values=np.full((3, 3), -2, np.float32))
    assert not pydicom.dcmread(written(against, tmp_path, "parametric-map")).pixel_array.any()
    written(against, tmp_path)


def test_refusals(tmp_path, slices, monkeypatch):
    assert write_heatmaps([heatmap(None)], tmp_path) == []
    with pytest.raises(SKDError, match="secondary-capture or parametric-map"):
        written(heatmap(slices[0]), tmp_path, "picture")
    with pytest.raises(SKDError) as caught:
        written(heatmap(Instance(str(tmp_path / "gone.dcm"))), tmp_path)
    assert caught.value.code == "not_found"
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(SKDError) as caught:
        written(heatmap(slices[0]), tmp_path)
    assert caught.value.code == "not_installed"


@pytest.mark.parametrize(
    ("name", "frame", "kind"),
    [
        ("mr_brain_axial_series/brain_010.dcm", None, MAP),
        ("ct/ct_chest_helical_implicit.dcm", None, MAP),
        ("cxr/cr_chest_mono1_no_meta.dcm", None, CAPTURE),
        ("cxr/cr_chest_mono1_jpegls.dcm", None, CAPTURE),
        ("other/mr_enhanced_head_multiframe.dcm", 4, CAPTURE),  # its frames have no geometry
    ],
)
def test_real_files(shared, tmp_path, name, frame, kind):
    instance = Instance(str(shared / "data" / "dicom" / name), frame)
    path = written(heatmap(instance, (64, 64)), tmp_path, "parametric-map")
    assert pydicom.dcmread(path).SOPClassUID.name == kind
    # The brain series' own UIDs begin with 0.0.0, which is illegal, and what refers to it must repeat them.
    assert [line for line in validator_errors(path) if "Illegal root for UID = <0.0.0.0." not in line] == []
