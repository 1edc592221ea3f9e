"""Series from hand-made DICOM, NIfTI and pictures, read back to known numbers."""

from __future__ import annotations

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel
import numpy as np
import pytest
from handmade import CT, MR, PLANES, body, header, numbers, save, write_series
from PIL import Image as PILImage

from MonaiSKD.errors import SKDError
from MonaiSKD.reading import RULES, CanonicalRule, read_image
from MonaiSKD.reading.image import Instance, Series
from MonaiSKD.reading.series import read_series
from MonaiSKD.reading.sources import Source, find_sources

CXR = RULES["chest_xray"]


def only(path: Path, rule: CanonicalRule = MR) -> Series:
    """The one series of a folder or file."""
    (source,) = find_sources([path], rule)
    return read_series(source, rule)


@pytest.mark.parametrize("plane", PLANES)
def test_every_acquisition_gives_the_same_axial_slices_from_feet_to_head(tmp_path: Path, plane: str) -> None:
    write_series(tmp_path, plane=plane)
    series = only(tmp_path)
    np.testing.assert_allclose(numbers(series), body(), atol=1e-3)
    assert series.positions == pytest.approx(range(6))
    # Columns run to the left, rows to the back, slices to the head.
    np.testing.assert_allclose(series.affine, np.diag([-1, -1, 1, 1]), atol=1e-9)
    assert series.read(0).spacing == pytest.approx((1.0, 1.0))
    assert series.warnings == ()


@pytest.mark.parametrize("plane", PLANES)
def test_dicom_and_nifti_of_the_same_volume_give_the_same_images(tmp_path: Path, plane: str) -> None:
    write_series(tmp_path / "dicom", (8, 7, 5), plane=plane)
    cut, row, column, through = PLANES[plane]
    stored = cut(body((8, 7, 5)))
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.vstack(
        [np.column_stack([row, column, through, [0, 0, 0]]), [0, 0, 0, 1]]
    )
    nibabel.save(nibabel.Nifti1Image(stored.transpose(), affine), tmp_path / "a.nii.gz")
    rule = RULES["brain_mri"]
    from_dicom, from_nifti = only(tmp_path / "dicom", rule), only(tmp_path / "a.nii.gz", rule)
    assert len(from_dicom) == len(from_nifti) == 8
    for index in range(8):
        np.testing.assert_allclose(from_dicom.read(index).pixels, from_nifti.read(index).pixels, atol=1e-6)
    np.testing.assert_allclose(from_dicom.affine[:3, :3], from_nifti.affine[:3, :3], atol=1e-9)


def test_a_sagittal_series_of_thick_slices_is_interpolated_to_square_pixels(tmp_path: Path) -> None:
    write_series(tmp_path, plane="sagittal", step=2.0)
    series = only(tmp_path)
    assert series.read(0).pixels.shape == (1, 5, 7)
    assert series.read(0).spacing == pytest.approx((1.0, 1.0))
    halves = numbers(series)
    np.testing.assert_allclose(halves[:, :, ::2], body(), atol=1e-3)
    np.testing.assert_allclose(halves[:, :, 1::2], (body()[:, :, :-1] + body()[:, :, 1:]) / 2, atol=1e-3)
    assert "sagittal slices reformatted to axial" in series.applied
    assert series.instances == ()


def test_axial_slices_keep_their_pixels_and_instances(tmp_path: Path) -> None:
    files = write_series(tmp_path, spacing=(2.0, 1.0), step=5.0)
    series = only(tmp_path)
    assert series.read(2).pixels.shape == (1, 5, 4)
    assert series.read(2).spacing == (2.0, 1.0)
    assert series.instances == tuple(Instance(str(file)) for file in files)
    assert series.files == tuple(sorted(str(file) for file in files))
    assert series.path == str(tmp_path)
    assert series.identity is not None
    assert series.identity.patient_id == "17"


def test_a_transposed_axial_slice_swaps_its_spacing(tmp_path: Path) -> None:
    write_series(tmp_path, plane="axial, transposed", spacing=(2.0, 1.0))
    assert only(tmp_path).read(0).spacing == (1.0, 2.0)


def test_frames_of_one_file_are_slices(tmp_path: Path) -> None:
    from pydicom import Dataset

    stored, groups = body()[::-1], []
    for z in range(5, -1, -1):
        group, plane = Dataset(), Dataset()
        plane.ImagePositionPatient = [0.0, 0.0, float(z)]
        group.PlanePositionSequence = [plane]
        groups.append(group)
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1.0, 0, 0, 0, 1.0, 0]
    measures.PixelSpacing = [1.0, 1.0]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    tags = {"PerFrameFunctionalGroupsSequence": groups, "SharedFunctionalGroupsSequence": [shared]}
    series = only(save(tmp_path / "a.dcm", stored, header(**tags)))
    np.testing.assert_allclose(numbers(series), body(), atol=1e-3)
    assert series.instances[0].frame == 6
    assert series.instances[-1].frame == 1
    with ThreadPoolExecutor(4) as pool:
        several = list(pool.map(lambda k: series.read(k).pixels, [0, 5, 1, 4] * 5))
    np.testing.assert_array_equal(several[0], several[4])


def test_frames_without_positions_stay_in_their_order_with_a_warning(shared: Path) -> None:
    series = only(shared / "data/dicom/other/mr_enhanced_head_multiframe.dcm", RULES["brain_mri"])
    assert len(series) == 10
    assert series.positions is None
    assert any("no positions" in warning for warning in series.warnings)


def test_slices_of_different_rescaling_are_read_in_one_unit(tmp_path: Path) -> None:
    for k in range(4):
        slope = 1.0 if k < 2 else 2.0
        picture = np.full((5, 4), 100 * (k + 1) / slope, dtype=np.int16)
        picture[0] = [1, 2, 3, 4]
        place = {"ImagePositionPatient": [k, 0, 0], "ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}
        tags = {**place, "PixelSpacing": [1, 1], "RescaleSlope": slope, "RescaleIntercept": 0}
        save(tmp_path / f"{k}", picture, header(**tags))
    np.testing.assert_allclose(numbers(only(tmp_path))[0, 0], [100, 200, 300, 400], atol=1e-3)


def test_a_single_sagittal_slice_is_shown_as_stored_with_a_warning(tmp_path: Path) -> None:
    files = write_series(tmp_path, plane="sagittal")
    series = only(files[0])
    assert len(series) == 1
    assert series.warnings == ("The slice is sagittal, not axial.",)
    np.testing.assert_allclose(numbers(series)[0], body()[::-1, :, 0], atol=1e-3)


def test_a_slice_without_any_geometry_is_read_with_a_warning(tmp_path: Path) -> None:
    series = only(save(tmp_path / "a.dcm", body()[0], header()))
    assert len(series) == 1
    assert any("shown as it is stored" in warning for warning in series.warnings)
    assert series.affine is None


def test_a_ct_goes_through_its_rescaling_and_window(tmp_path: Path) -> None:
    write_series(tmp_path, modality="CT", RescaleSlope=1, RescaleIntercept=-1000)
    np.testing.assert_allclose(numbers(only(tmp_path, CT), CT), body() - 1000.0, atol=1e-3)


def test_a_picture_is_a_series_of_one(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    PILImage.fromarray(np.array([[0, 255]], dtype=np.uint8)).save(path)
    series = only(path, CXR)
    assert len(series) == 1
    assert series.read(0).pixels.tolist() == [[[0.0, 1.0]]]
    assert series.files == (str(path),)


def test_a_radiograph_is_read_as_read_image_reads_it(shared: Path) -> None:
    path = shared / "data/dicom/cxr/cr_chest_mono1_no_meta.dcm"
    series = only(path, CXR)
    np.testing.assert_array_equal(series.read(0).pixels, read_image(path, CXR).pixels)
    assert series.instances == (Instance(str(path)),)
    assert series.identity is not None


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_volume_is_no_radiograph(tmp_path: Path, suffix: str) -> None:
    nibabel.save(nibabel.Nifti1Image(body(), np.eye(4)), tmp_path / f"a{suffix}")
    with pytest.raises(SKDError, match="a radiograph is one picture") as caught:
        only(tmp_path / f"a{suffix}", CXR)
    assert caught.value.code == "wrong_modality"


def test_several_frames_are_no_radiograph(tmp_path: Path) -> None:
    with pytest.raises(SKDError, match="a radiograph is one picture") as caught:
        only(save(tmp_path / "a.dcm", body(), header("CR")), CXR)
    assert caught.value.code == "wrong_modality"


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("absent.png", None, "not_found"),
        ("absent.nii.gz", None, "not_found"),
        ("absent.nrrd", None, "not_found"),
        ("absent", None, "not_found"),
        ("empty.nii", b"", "damaged"),
        ("empty.dcm", b"", "damaged"),
        ("notes.txt", b"text", "not_an_image"),
        ("a.nii.gz", b"no volume", "damaged"),
        ("a.mha", b"no volume", "damaged"),
        ("a.dcm", b"no DICOM at all", "not_an_image"),
    ],
)
@pytest.mark.parametrize("rule", [CXR, RULES["lung_ct"]], ids=["chest", "lung"])
def test_what_cannot_be_read_says_so_when_it_is_read(
    tmp_path: Path, name: str, content: bytes | None, code: str, rule: CanonicalRule
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    if name.endswith((".nrrd", ".mha")):
        pytest.importorskip("SimpleITK")
    (source,) = find_sources([tmp_path / name], rule)
    with pytest.raises(SKDError) as caught:
        read_series(source, rule)
    assert caught.value.code == code
    assert caught.value.thing == str(tmp_path / name)


def test_a_source_made_by_hand_finds_its_slices(tmp_path: Path) -> None:
    files = write_series(tmp_path)
    series = read_series(Source("scan", tuple(map(str, files))), MR)
    assert (series.path, len(series)) == ("scan", 6)
    other = write_series(tmp_path / "other", plane="sagittal")
    with pytest.raises(SKDError, match="holds 2 volumes"):
        read_series(Source("scan", tuple(map(str, [*files, *other]))), MR)


def test_a_slice_that_is_damaged_fails_alone(tmp_path: Path) -> None:
    files = write_series(tmp_path)
    series = only(tmp_path)
    files[2].write_bytes(files[2].read_bytes()[:-8])
    with pytest.raises(SKDError) as caught:
        series.read(2)
    assert caught.value.thing == str(files[2])
    assert series.read(3).pixels.shape == (1, 5, 4)


@pytest.mark.parametrize("kind", ["dicom", "nifti"])
def test_reading_slice_by_slice_takes_less_memory_than_two_volumes(tmp_path: Path, kind: str) -> None:
    values = np.random.default_rng(0).integers(0, 1000, (48, 256, 256)).astype(np.int16)
    if kind == "dicom":
        place = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [1, 1]}
        for k, picture in enumerate(values):
            save(tmp_path / f"{k}", picture, header(ImagePositionPatient=[0, 0, k], **place))
        path = tmp_path
    else:
        path = tmp_path / "a.nii.gz"
        nibabel.save(nibabel.Nifti1Image(values.transpose(), np.eye(4)), path)
    only(path).read(0)  # what is imported and cached once
    tracemalloc.start()
    try:
        series = only(path)
        for index in range(len(series)):
            series.read(index)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * values.nbytes


def test_a_real_mr_series_is_sorted_by_position(shared: Path) -> None:
    series = only(shared / "data/dicom/mr_brain_axial_series", RULES["brain_mri"])
    assert len(series) == 20
    assert series.positions is not None
    assert np.allclose(np.diff(series.positions), 7.0, atol=0.1)
    # Feet to head, and the head is narrower at both ends than in the middle.
    shares = [float((series.read(index).pixels > 0.2).mean()) for index in (0, 10, 19)]
    assert shares[1] > shares[2]
    assert series.warnings == ()


def test_a_real_head_ct_is_no_lung(shared: Path) -> None:
    with pytest.raises(SKDError, match="HEAD") as caught:
        only(shared / "data/dicom/ct_head_uneven_series", RULES["lung_ct"])
    assert caught.value.code == "wrong_body_part"


# Of each real volume: the code of its refusal as brain MR and as lung CT, None where it is read.
REAL = {
    "brain_mri/MR_Gd.nii.gz": (None, "unsupported"),
    "brain_mri/brain1_image.nrrd": (None, "unsupported"),
    "brain_mri/brain1_label.nrrd": ("not_an_image", "not_an_image"),
    "brain_mri/chris_t1.nii.gz": (None, "unsupported"),
    "brain_mri/sag_anon_3yo_t1.nii.gz": (None, "unsupported"),
    "brain_mri/spm152.nii.gz": (None, "unsupported"),
    "lung_ct/lung_ct_baseline_mask.mha": ("not_an_image", "not_an_image"),
    "lung_ct/lung_ct_baseline_small.mha": (None, None),
    "other/CT_AVM.nii.gz": (None, "unsupported"),
    "other/example4d.nii.gz": ("unsupported", "unsupported"),
    "other/fmri_pitch.nii.gz": (None, "unsupported"),
}


@pytest.mark.parametrize("name", REAL)
def test_every_real_volume_is_read_or_refused(shared: Path, name: str) -> None:
    for modality, code in zip(("brain_mri", "lung_ct", "chest_xray"), (*REAL[name], "wrong_modality"), strict=True):
        path = shared / "data" / "volumes" / name
        if code is not None:
            with pytest.raises(SKDError) as caught:
                only(path, RULES[modality])
            # That several volumes are in a file is known before what it is asked for.
            assert caught.value.code == ("unsupported" if "4d" in name else code)
            continue
        series = only(path, RULES[modality])
        image = series.read(len(series) // 2)
        assert image.pixels.dtype == np.float32
        assert 0.2 < image.pixels.max() <= 1.0
