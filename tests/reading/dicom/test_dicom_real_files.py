"""Real DICOM files, where the folder beside the repository is at hand."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from MonaiSKD.errors import SKDError
from MonaiSKD.reading import RULES, read_image
from MonaiSKD.reading.dicom.dataset import open_dataset
from MonaiSKD.reading.dicom.geometry import Geometry, frame_geometry
from MonaiSKD.reading.dicom.values import canonical_frame, frame_count, stored_frame

# By the start of a path, the first match: which rule the file is of, and what comes of it ("" for an image).
OUTCOMES = {
    "other/dicomdir": ("chest_xray", "not_an_image"),
    "cxr/": ("chest_xray", ""),
    "ct/": ("lung_ct", ""),
    "other/dx_animal": ("chest_xray", "wrong_body_part"),
    "other/cr_extremity": ("chest_xray", "wrong_body_part"),
    "other/cr_teeth": ("chest_xray", ""),  # it does not say that it shows teeth
    "other/ot_voi_lut": ("chest_xray", ""),
    "other/mr_enhanced": ("brain_mri", "unsupported"),
    "other/mr_head_mpr": ("brain_mri", ""),
    "other/mr_brain_no_pixels": ("brain_mri", "not_an_image"),
    "other/mr_truncated": ("brain_mri", "damaged"),
    "other/ct_dose_report": ("lung_ct", "not_an_image"),
    "other/ct_screen_capture": ("lung_ct", "not_an_image"),
    "other/ct_two_windows": ("lung_ct", "wrong_body_part"),
    "other/us_rgb": ("chest_xray", "wrong_modality"),
    "other/sr_document": ("chest_xray", "not_an_image"),
    "ct_transfer_syntaxes/CTImage.dcm_JPEGProcess1Transfer": ("lung_ct", "unsupported"),
    "ct_transfer_syntaxes/CTImage.dcm_JPEGProcess6_8": ("lung_ct", "unsupported"),
    "ct_transfer_syntaxes/": ("lung_ct", ""),
    "mr_brain_axial_series/": ("brain_mri", ""),
    "ct_head_uneven_series/": ("lung_ct", "wrong_body_part"),
}
MODALITIES = {"CR": "chest_xray", "DX": "chest_xray", "CT": "lung_ct", "MR": "brain_mri", "OT": "chest_xray"}


@pytest.fixture(scope="module")
def dicom(shared: Path) -> Path:
    return shared / "data" / "dicom"


def outcome(path: Path, modality: str) -> str:
    try:
        image = read_image(path, RULES[modality])
    except SKDError as error:
        return error.code if error.thing == str(path) else "of another file"
    assert image.pixels.dtype == np.float32
    assert image.pixels.shape[0] == 1
    assert 0.0 <= image.pixels.min() <= image.pixels.max() <= 1.0
    return ""


@pytest.mark.filterwarnings("error")
def test_every_file_ends_as_an_image_or_a_refusal_of_the_expected_kind(
    dicom: Path, capfd: pytest.CaptureFixture
) -> None:
    with (dicom / "manifest.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) > 60
    for row in rows:
        modality, expected = next(found for start, found in OUTCOMES.items() if row["file"].startswith(start))
        assert outcome(dicom / row["file"], modality) == expected, row["file"]
        # No file passes for one of another modality.
        for other in set(RULES) - {MODALITIES.get(row["modality"], modality)}:
            assert outcome(dicom / row["file"], other) != "", (row["file"], other)
    assert capfd.readouterr() == ("", "")


def syntax(dicom: Path, name: str) -> Path:
    (path,) = (dicom / "ct_transfer_syntaxes").glob(f"CTImage.dcm_{name}TransferSyntax_*.dcm")
    return path


@pytest.mark.parametrize(
    "name",
    [
        *("LittleEndianImplicit", "BigEndianExplicit", "RLELossless", "JPEGProcess14SV1", "JPEG2000LosslessOnly"),
        "LittleEndianExplicit",
    ],
)
def test_every_lossless_transfer_syntax_gives_the_same_pixels(dicom: Path, name: str) -> None:
    plain = stored_frame(open_dataset(syntax(dicom, "LittleEndianExplicit")))
    stored = stored_frame(open_dataset(syntax(dicom, name)))
    assert (stored.dtype, stored.min(), stored.max()) == (np.int16, -2000, 2402)
    np.testing.assert_array_equal(stored, plain)


@pytest.mark.parametrize(("name", "worst"), [("JPEGLSLossy", 2 / 1500), ("JPEGProcess2_4", 0.05)])
def test_lossy_transfer_syntaxes_come_close(dicom: Path, name: str, worst: float) -> None:
    plain = read_image(syntax(dicom, "LittleEndianExplicit"), RULES["lung_ct"]).pixels
    lossy = read_image(syntax(dicom, name), RULES["lung_ct"]).pixels
    assert np.abs(plain - lossy).max() < worst


def test_one_radiograph_in_two_encodings_is_one_image_bright_where_dense(dicom: Path) -> None:
    files = [dicom / "cxr" / f"cr_chest_mono1_{kind}.dcm" for kind in ("j2k_lossy", "jpegls")]
    one, two = (read_image(path, RULES["chest_xray"]) for path in files)
    assert one.applied == two.applied == ("window 15000 / 30000 (LINEAR)", "inverted (MONOCHROME1)")
    assert np.abs(one.pixels - two.pixels).mean() < 0.005


@pytest.mark.parametrize("name", ["j2k_lossy", "jpegls", "no_meta"])
def test_the_middle_of_a_chest_is_brighter_than_its_lungs(dicom: Path, name: str) -> None:
    chest = read_image(dicom / "cxr" / f"cr_chest_mono1_{name}.dcm", RULES["chest_xray"]).pixels[0]
    rows, columns = chest.shape
    band = chest[int(0.35 * rows) : int(0.55 * rows)].mean(axis=0)
    middle = band[int(0.45 * columns) : int(0.55 * columns)].mean()
    lungs = band[int(0.2 * columns) : int(0.35 * columns)].mean(), band[int(0.65 * columns) : int(0.8 * columns)].mean()
    assert middle > max(lungs) + 0.03


def test_a_modality_table_is_applied_to_a_real_file(dicom: Path) -> None:
    image = read_image(dicom / "other" / "cr_teeth_modality_lut.dcm", RULES["chest_xray"])
    assert image.applied[0] == "modality lookup table"
    assert image.spacing == (0.15, 0.15)


def test_the_air_around_a_real_chest_is_dark_and_its_bones_are_bright(dicom: Path) -> None:
    image = read_image(dicom / "ct" / "ct_chest_helical_implicit.dcm", RULES["lung_ct"])
    assert image.spacing == (0.675781, 0.675781)
    hounsfield = stored_frame(open_dataset(image.path)).astype(float) - 1024
    np.testing.assert_allclose(image.pixels[0], np.clip((hounsfield + 1350) / 1500, 0, 1), atol=1e-6)


@pytest.mark.parametrize("name", ["multiframe", "big_endian", "jpegls"])
def test_an_enhanced_head_is_read_frame_by_frame(dicom: Path, name: str) -> None:
    data = open_dataset(dicom / "other" / f"mr_enhanced_head_{name}.dcm")
    plain = open_dataset(dicom / "other" / "mr_enhanced_head_multiframe.dcm")
    assert frame_count(data) == 10
    for frame in range(10):
        np.testing.assert_array_equal(stored_frame(data, frame), stored_frame(plain, frame))
        pixels, applied, warnings = canonical_frame(data, frame, RULES["brain_mri"])
        assert pixels.shape == (1, 64, 64)
        assert (applied, warnings) == (("percentiles (1.0, 99.5)",), ())
        # These files lack their functional groups, and with them every position.
        assert frame_geometry(data, frame) == Geometry()


def test_headers_alone_are_enough_for_a_series(dicom: Path) -> None:
    files = sorted((dicom / "mr_brain_axial_series").glob("*.dcm"))
    assert len(files) == 20
    for path in files:
        data = open_dataset(path, pixels=False)
        found = frame_geometry(data)
        assert found.position is not None
        assert found.spacing == (0.859375, 0.859375)
