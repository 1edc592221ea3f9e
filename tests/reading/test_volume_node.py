"""What 3D Slicer loaded gives the same images as the files; SimpleITK reads as Slicer does, through GDCM."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from handmade import CT, MR, body, header, numbers, save, write_series

from MonaiSKD.errors import SKDError
from MonaiSKD.reading import RULES, read_image
from MonaiSKD.reading.dicom.dataset import open_dataset
from MonaiSKD.reading.nifti import read_volume
from MonaiSKD.reading.series import read_series
from MonaiSKD.reading.sources import find_sources
from MonaiSKD.reading.volume import volume_series
from MonaiSKD.reading.volume_node import from_volume_array, from_volume_node

CXR = RULES["chest_xray"]
RAMP = np.random.default_rng(0).integers(0, 1023, (12, 10))


def node(path: Path) -> np.ndarray:
    sitk = pytest.importorskip("SimpleITK")
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def assert_same(path: Path) -> None:
    image = from_volume_node(node(path), CXR, header=open_dataset(path, pixels=False), path=str(path))
    wanted = read_image(path, CXR)
    np.testing.assert_allclose(image.pixels, wanted.pixels, atol=1e-6)
    assert (image.spacing, image.warnings) == (wanted.spacing, wanted.warnings)
    assert image.applied[1:] == wanted.applied


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"WindowCenter": 300, "WindowWidth": 200},
        {"WindowCenter": 300, "WindowWidth": 200, "VOILUTFunction": "SIGMOID"},
        {"RescaleSlope": 2.5, "RescaleIntercept": -100, "WindowCenter": 900, "WindowWidth": 800},
        {"RescaleSlope": -1, "RescaleIntercept": 1023},
        {"RescaleSlope": 0.1234, "RescaleIntercept": 3.3},
        {"PixelPaddingValue": 0},
        {"PresentationLUTShape": "INVERSE"},
        {"ImagerPixelSpacing": [0.2, 0.3]},
    ],
    ids=lambda tags: "-".join(tags) or "plain",
)
def test_a_radiograph_with_its_header_is_the_image_of_its_file(
    tmp_path: Path, photometric: str, bits: int, tags: dict
) -> None:
    dataset = header("CR", PhotometricInterpretation=photometric, BitsStored=bits, **tags)
    assert_same(save(tmp_path / "a.dcm", RAMP.astype(np.uint16), dataset))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_8_bits_and_signed_values_are_restored_too(tmp_path: Path, photometric: str) -> None:
    tags = {"PhotometricInterpretation": photometric, "WindowCenter": 100, "WindowWidth": 80}
    assert_same(save(tmp_path / "a.dcm", (RAMP // 4).astype(np.uint8), header("CR", **tags)))
    assert_same(save(tmp_path / "b.dcm", (RAMP - 500).astype(np.int16), header("CR", **tags)))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("keyword", ["ModalityLUTSequence", "VOILUTSequence"])
def test_lookup_tables_that_the_reader_ignores_are_applied(tmp_path: Path, photometric: str, keyword: str) -> None:
    from pydicom import Dataset

    table = Dataset()
    table.LUTDescriptor = [1024, 0, 16]
    table.add_new(0x00283006, "US", (np.arange(1024) ** 2 // 17).tolist())
    if keyword == "ModalityLUTSequence":
        table.ModalityLUTType = "US"
    dataset = header("CR", PhotometricInterpretation=photometric, BitsStored=10, **{keyword: [table]})
    assert_same(save(tmp_path / "a.dcm", RAMP.astype(np.uint16), dataset))


@pytest.mark.parametrize("name", ["cr_chest_mono1_no_meta", "cr_chest_mono1_j2k_lossy", "cr_chest_mono1_jpegls"])
def test_real_radiographs_are_the_images_of_their_files(shared: Path, name: str) -> None:
    assert_same(shared / "data" / "dicom" / "cxr" / f"{name}.dcm")


def test_the_header_is_left_as_it_is(tmp_path: Path) -> None:
    path = save(tmp_path / "a.dcm", RAMP.astype(np.uint16), header("CR", PhotometricInterpretation="MONOCHROME1"))
    given = open_dataset(path, pixels=False)
    before = given.to_json()
    from_volume_node(node(path), CXR, header=given)
    assert given.to_json() == before


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_without_a_header_a_file_without_window_gives_its_image_and_a_warning(tmp_path: Path, photometric: str) -> None:
    path = save(tmp_path / "a.dcm", RAMP.astype(np.uint16), header("CR", PhotometricInterpretation=photometric))
    series = from_volume_array(node(path), np.diag([-0.3, -0.2, 1, 1]), CXR)
    image = series.read(0)
    np.testing.assert_allclose(image.pixels, read_image(path, CXR).pixels, atol=1e-5)
    assert image.spacing == pytest.approx((0.2, 0.3))
    assert "window is unknown" in series.warnings[0]


@pytest.mark.parametrize("directions", [(-1, -1), (1, -1), (-1, 1), (1, 1)])
def test_without_a_header_a_radiograph_is_turned_as_in_a_nifti_file(tmp_path: Path, directions: tuple) -> None:
    affine = np.diag([*directions, 1.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(RAMP.T[:, :, None].astype(np.int16), affine), tmp_path / "a.nii")
    image = from_volume_array(RAMP[None], affine, CXR).read(0)
    np.testing.assert_allclose(image.pixels, read_image(tmp_path / "a.nii", CXR).pixels, atol=1e-6)


@pytest.mark.parametrize("change", [lambda v: v[:, 1:], lambda v: v + 0.5, lambda v: v.astype(np.int32) - 5000])
def test_the_header_of_another_file_is_refused(tmp_path: Path, change) -> None:
    path = save(tmp_path / "a.dcm", RAMP.astype(np.uint16), header("CR"))
    with pytest.raises(SKDError, match="do not follow from the header"):
        from_volume_node(change(node(path)), CXR, header=open_dataset(path, pixels=False))


def test_the_header_of_a_ct_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.dcm", RAMP.astype(np.uint16), header("CT"))
    with pytest.raises(SKDError) as caught:
        from_volume_node(RAMP[None], CXR, header=open_dataset(path, pixels=False))
    assert caught.value.code == "wrong_modality"


@pytest.mark.parametrize(
    ("values", "code"),
    [
        (np.zeros((2, 3, 4)), "wrong_modality"),
        (np.zeros((1, 3, 4, 3)), "unsupported"),
        (np.zeros((1, 3, 4), complex), "unsupported"),
        (np.full((1, 3, 4), np.nan), "damaged"),
        (np.zeros((1, 0, 4)), "damaged"),
    ],
)
def test_nodes_that_are_no_radiograph_are_refused(values: np.ndarray, code: str) -> None:
    with pytest.raises(SKDError) as caught:
        from_volume_node(values, CXR, header=header("CR"))
    assert caught.value.code == code
    with pytest.raises(SKDError) as caught:
        from_volume_array(values, np.diag([-1.0, -1, 1, 1]), CXR).read(0)
    assert caught.value.code == code


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_a_volume_node_gives_the_slices_of_its_files(tmp_path: Path, plane: str, modality: str) -> None:
    sitk = pytest.importorskip("SimpleITK")
    rule = CT if modality == "CT" else MR
    tags = {"RescaleSlope": 1, "RescaleIntercept": -1000} if modality == "CT" else {}
    files = write_series(tmp_path, plane=plane, modality=modality, **tags)
    image = sitk.ReadImage([str(file) for file in files])
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.vstack(
        [
            np.column_stack([np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing(), image.GetOrigin()]),
            [0, 0, 0, 1],
        ]
    )
    series = from_volume_array(sitk.GetArrayFromImage(image), affine, rule)
    np.testing.assert_allclose(numbers(series, rule), body() - (1000 if modality == "CT" else 0), atol=1e-3)
    (source,) = find_sources([tmp_path], rule)
    from_files = read_series(source, rule)
    np.testing.assert_allclose(series.affine, from_files.affine, atol=1e-6)


def test_a_real_volume_node_gives_the_slices_of_its_file(shared: Path) -> None:
    path = shared / "data/volumes/brain_mri/chris_t1.nii.gz"
    volume = read_volume(path)
    rule = RULES["brain_mri"]
    series = from_volume_array(np.asarray(nibabel.load(path).dataobj).transpose(), volume.affine, rule)
    np.testing.assert_array_equal(series.read(90).pixels, volume_series(volume, rule).read(90).pixels)


@pytest.mark.parametrize("values", [np.zeros((3, 4)), np.zeros((3, 4, 5, 3)), np.zeros((3, 4, 5), bool)])
def test_what_is_no_volume_is_refused(values: np.ndarray) -> None:
    with pytest.raises(SKDError) as caught:
        from_volume_array(values, np.eye(4), MR)
    assert caught.value.code == "unsupported"
