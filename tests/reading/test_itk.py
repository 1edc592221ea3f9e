"""NRRD and MetaImage, and oblique volumes, by SimpleITK."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from handmade import MR, body, numbers

from MonaiSKD.errors import SKDError
from MonaiSKD.reading import RULES
from MonaiSKD.reading.itk import read_itk, resample_axial
from MonaiSKD.reading.nifti import read_volume
from MonaiSKD.reading.volume import Volume, volume_series

sitk = pytest.importorskip("SimpleITK")


def write(
    path: Path, values_zyx: np.ndarray, direction: tuple[float, ...] = (1, 0, 0, 0, 1, 0, 0, 0, 1), **kinds
) -> Path:
    image = sitk.GetImageFromArray(values_zyx, **kinds)
    if image.GetDimension() == 3:
        image.SetDirection(direction)
        image.SetSpacing((1.0, 2.0, 3.0))
        image.SetOrigin((10.0, 20.0, 30.0))
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("name", ["a.nrrd", "a.nhdr", "a.mha", "a.mhd"])
def test_every_format_gives_the_values_and_where_they_lie(tmp_path: Path, name: str) -> None:
    volume = read_itk(write(tmp_path / name, body()))
    np.testing.assert_array_equal(volume.values, body().transpose())
    assert volume.values.dtype == np.int16
    np.testing.assert_allclose(volume.affine, [[-1, 0, 0, -10], [0, -2, 0, -20], [0, 0, 3, 30], [0, 0, 0, 1]])
    np.testing.assert_allclose(numbers(volume_series(volume, MR)), body(), atol=1e-3)


def test_nrrd_and_nifti_of_the_same_volume_agree(tmp_path: Path) -> None:
    direction = (0, 0, 1, 1, 0, 0, 0, -1, 0)  # sagittal
    nrrd = read_itk(write(tmp_path / "a.nrrd", body(), direction))
    nifti = read_volume(write(tmp_path / "a.nii.gz", body(), direction))
    np.testing.assert_allclose(nrrd.affine, nifti.affine, atol=1e-5)
    one, other = volume_series(nrrd, MR), volume_series(nifti, MR)
    np.testing.assert_allclose(numbers(one), numbers(other), atol=1e-3)
    assert one.applied == other.applied


def test_a_picture_of_two_dimensions_is_one_slice(tmp_path: Path) -> None:
    volume = read_itk(write(tmp_path / "a.mha", body()[0]))
    assert volume.is_one_slice
    np.testing.assert_allclose(numbers(volume_series(volume, MR))[0], body()[0], atol=1e-3)


@pytest.mark.parametrize(
    ("values", "kinds", "cause"),
    [
        (np.zeros((3, 4, 5, 3), np.uint8), {"isVector": True}, "holds colours or vectors"),
        (np.zeros((3, 4, 5), np.complex64), {}, "holds colours or vectors"),
        (np.zeros((2, 3, 4, 5), np.uint8), {"isVector": False}, "holds 2 volumes"),
    ],
)
def test_colours_complex_numbers_and_several_volumes_are_refused(tmp_path: Path, values, kinds, cause: str) -> None:
    with pytest.raises(SKDError, match=cause) as caught:
        read_itk(write(tmp_path / "a.nrrd", values, **kinds))
    assert caught.value.code == "unsupported"


@pytest.mark.parametrize("data", ["../secret.raw", "/etc/passwd", "LIST", "slice%03d.raw 1 3 1"])
@pytest.mark.parametrize("name", ["a.nhdr", "a.mhd", "a.nrrd", "a.mha"])
def test_values_outside_of_the_folder_are_not_read(tmp_path: Path, name: str, data: str) -> None:
    (tmp_path / "secret.raw").write_bytes(bytes(24))
    folder = tmp_path / "in"
    folder.mkdir()
    if name.endswith(("nhdr", "nrrd")):
        text = f"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 3 4\nencoding: raw\ndata file: {data}\n"
    else:
        text = f"ObjectType = Image\nNDims = 3\nDimSize = 2 3 4\nElementType = MET_UCHAR\nElementDataFile = {data}\n"
    (folder / name).write_text(text)
    with pytest.raises(SKDError, match=r"outside of its folder|in many files") as caught:
        read_itk(folder / name)
    assert caught.value.code == "unsupported"


META = "ObjectType = Image\nNDims = 3\nDimSize = 2 3 4\nElementType = MET_UCHAR\n"
NRRD = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 3 4\nencoding: raw\n"
LONG = 64 * 2**10


@pytest.mark.parametrize(
    ("name", "text", "cause"),
    [
        ("colon.mhd", f"{META}ElementDataFile : SECRET\n", "outside of its folder"),
        ("long.mhd", META + f"Comment = {'x' * 200}\n" * 400 + "ElementDataFile = SECRET\n", "does not end within"),
        ("far.mhd", f"{META}ElementDataFile = LOCAL\n{'x' * LONG}\nElementDataFile = SECRET\n", "several times"),
        ("list.mhd", f"{META}ElementDataFile = LISTX\n{'SECRET' * 4}", "in many files"),
        ("feed.mhd", f"{META}Comment = a\fElementDataFile = LOCAL\nElementDataFile = SECRET\n", "several times"),
        ("swallowed.mhd", f"{META}Comment\nElementDataFile = LOCAL\nElementDataFile = SECRET\n", "several times"),
        ("next.mhd", f"{META}ElementDataFile\nComment = SECRET\n", "does not say where"),
        ("below.mhd", f"{META}ElementDataFile =\nSECRET\n", "does not say where"),
        ("small.mhd", f"{META}elementdatafile = LOCAL\nElementDataFile = SECRET\n", "outside of its folder"),
        ("cut.mhd", f"{META}ElementDataFile = ..{'/' * 487}secret.raw/../in/a.raw\n", "no plain file"),
        ("long.nhdr", NRRD + f"# {'x' * 200}\n" * 400 + "data file: SECRET\n", "outside of its folder"),
        ("endless.nhdr", NRRD + f"# {'x' * 2000}\n" * 2200 + "data file: SECRET\n", "does not end within"),
        ("feed.nhdr", f"{NRRD}# a\f\fb\ndata file: SECRET\n", "outside of its folder"),
        ("list.nhdr", f"{NRRD}data file: LIST2\nSECRET\n", "in many files"),
        ("joined.nhdr", f"{NRRD}datafile: SECRET\n", "outside of its folder"),
        ("return.nhdr", f"{NRRD}# a\rdata file: SECRET\n", "outside of its folder"),
        ("input.nhdr", f"{NRRD}data file: -\n", "no plain file"),
    ],
)
def test_no_way_of_writing_a_header_leads_out_of_its_folder(tmp_path: Path, name: str, text: str, cause: str) -> None:
    (tmp_path / "secret.raw").write_bytes(bytes(24))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.raw").write_bytes(bytes(24))
    path = tmp_path / "in" / name
    path.write_text(text.replace("SECRET", str(tmp_path / "secret.raw")), newline="")
    with pytest.raises(SKDError, match=cause):
        read_itk(path)


def test_a_header_with_the_uids_of_a_whole_series_is_read(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.arange(60, dtype=np.int16).reshape(3, 4, 5))
    image.SetMetaData("DICOM.instanceUIDs", " ".join(["1.2.840." + "9" * 56] * 1100))
    sitk.WriteImage(image, str(tmp_path / "a.nrrd"))
    assert (tmp_path / "a.nrrd").stat().st_size > LONG
    assert read_itk(tmp_path / "a.nrrd").shape == (5, 4, 3)


@pytest.mark.parametrize("separator", [":", "="])
@pytest.mark.parametrize("axes", ["8", "100000", "3e5", ""])
def test_any_number_of_axes_that_itk_would_take_at_its_word_is_refused(
    tmp_path: Path, axes: str, separator: str
) -> None:
    text = f"ObjectType = Image\nNDims {separator} {axes}\nDimSize = 2 3 4\nElementType = MET_UCHAR\n"
    (tmp_path / "a.mha").write_text(f"{text}ElementDataFile = LOCAL\n")
    with pytest.raises(SKDError, match="impossible NDims") as caught:
        read_itk(tmp_path / "a.mha")
    assert caught.value.code == "damaged"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.mha", f"{META}TransformMatrix = 1 0 0 0 1 0 0 0 1\nElementDataFile = LOCAL\n"),
        ("crlf.mhd", f"{META}Orientation = 1 0 0 0 1 0 0 0 1\nElementDataFile = a.raw\n".replace("\n", "\r\n")),
        ("colon.mhd", f"{META}Rotation = 1 0 0 0 1 0 0 0 1\nComment = \nElementDataFile : below/a.raw"),
        ("a.nhdr", f"{NRRD}space: LPS\nspace directions: (1,0,0) (0,1,0) (0,0,1)\n# data file: /x\ndata file: a.raw\n"),
        ("crlf.nrrd", f"{NRRD}space: LPS\nspace directions: (1,0,0) (0,1,0) (0,0,1)\n\n".replace("\n", "\r\n")),
    ],
)
def test_plain_headers_are_read(tmp_path: Path, name: str, text: str) -> None:
    content = bytes(range(24))
    for file in ("a.raw", "below/a.raw"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(content)
    attached = content if name.endswith(("mha", "nrrd")) else b""
    (tmp_path / name).write_bytes(text.encode() + attached)
    volume = read_itk(tmp_path / name)
    assert volume.values.ravel(order="F").tolist() == list(content)
    assert volume.warnings == ()


@pytest.mark.parametrize(("name", "text"), [("a.mha", f"{META}ElementDataFile = LOCAL\n"), ("a.nrrd", f"{NRRD}\n")])
def test_a_header_without_orientation_gives_a_warning(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(text.encode() + bytes(range(24)))
    assert read_itk(tmp_path / name).warnings == (
        "The file does not say how the patient lies in it (orientation unknown).",
    )


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.raw").write_bytes(bytes(24))
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.raw").symlink_to(tmp_path / "secret.raw")
    text = "ObjectType = Image\nNDims = 3\nDimSize = 2 3 4\nElementType = MET_UCHAR\nElementDataFile = a.raw\n"
    (folder / "a.mhd").write_text(text)
    with pytest.raises(SKDError, match="outside of its folder"):
        read_itk(folder / "a.mhd")


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_damaged_files_are_refused_by_name(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, body())
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:20], b"no volume", b""):
        path.write_bytes(content)
        with pytest.raises(SKDError) as caught:
            read_itk(path)
        assert caught.value.code == "damaged"
        assert caught.value.thing == str(path)


def test_a_giant_file_is_not_looked_through(tmp_path: Path) -> None:
    (tmp_path / "a.mha").write_text(f"{META}ElementDataFile = LOCAL\n")
    os.truncate(tmp_path / "a.mha", 2**40)
    with pytest.raises(SKDError) as caught:
        read_itk(tmp_path / "a.mha")
    assert caught.value.code == "too_large"


def test_a_giant_is_refused_by_its_header(tmp_path: Path) -> None:
    header = "NRRD0004\ntype: float\ndimension: 3\nsizes: 9000 9000 9000\nencoding: gzip\nendian: little\n\n"
    (tmp_path / "a.nrrd").write_text(header)
    with pytest.raises(SKDError) as caught:
        read_itk(tmp_path / "a.nrrd")
    assert caught.value.code == "too_large"


def test_without_simpleitk_one_sentence_says_what_to_install(tmp_path: Path, monkeypatch) -> None:
    path = write(tmp_path / "a.nrrd", body())
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(SKDError, match=r"python -m pip install 'monai-skd\[itk\]'") as caught:
        read_itk(path)
    assert caught.value.code == "not_installed"


def ramp(degrees: float) -> tuple[Volume, np.ndarray]:
    """A volume whose values are 300 + 5 z (mm), stored along axes that are turned about the left-right axis."""
    angle = np.radians(degrees)
    affine = np.eye(4)
    affine[:3, :3] = [[-1, 0, 0], [0, -np.cos(angle), -np.sin(angle)], [0, -np.sin(angle), np.cos(angle)]]
    grid = np.indices((20, 24, 28)).reshape(3, -1)
    z = (affine[:3, :3] @ grid)[2].reshape(20, 24, 28)
    return Volume((300 + 5 * z).astype(np.float32), affine, "a"), affine


@pytest.mark.parametrize("degrees", [40.0, -40.0])
def test_an_oblique_volume_is_resampled_to_axial_slices(degrees: float) -> None:
    volume, _ = ramp(degrees)
    series = volume_series(volume, MR)
    assert "oblique volume resampled to axial slices" in series.applied
    np.testing.assert_allclose(np.diag(series.affine), [-1, -1, 1, 1], atol=1e-6)
    middle = len(series) // 2
    shown = series.read(middle).pixels[0] * 1000
    inside = shown[shown > volume.values.min() + 1]
    height = 300 + 5 * series.affine[2] @ [0, 0, middle, 1]
    # All of one axial slice lies at one height; at its rim the nearest voxel is taken.
    assert inside.size > 50
    assert np.median(inside) == pytest.approx(height, abs=0.01)
    np.testing.assert_allclose(inside, height, atol=2.5)


@pytest.mark.parametrize("degrees", [10.0, 29.0])
def test_a_volume_that_leans_a_little_is_not_resampled(degrees: float) -> None:
    assert volume_series(ramp(degrees)[0], MR).applied == ()


def test_resampling_keeps_the_stored_type_and_the_scale() -> None:
    volume, affine = ramp(40.0)
    stored = Volume(volume.values.astype(np.int16), affine, "a", 2.0, -5.0, warnings=("w",))
    resampled = resample_axial(stored)
    assert resampled.values.dtype == np.int16
    assert (resampled.slope, resampled.intercept, resampled.warnings) == (2.0, -5.0, ("w",))


def test_without_simpleitk_an_oblique_volume_is_refused(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(SKDError) as caught:
        volume_series(ramp(40.0)[0], MR)
    assert caught.value.code == "not_installed"


def test_a_real_volume_is_the_same_as_nrrd_and_as_nifti(shared: Path, tmp_path: Path) -> None:
    original = shared / "data/volumes/brain_mri/sag_anon_3yo_t1.nii.gz"
    sitk.WriteImage(sitk.ReadImage(str(original)), str(tmp_path / "a.nrrd"))
    rule = RULES["brain_mri"]
    one, other = volume_series(read_volume(original), rule), volume_series(read_itk(tmp_path / "a.nrrd"), rule)
    assert len(one) == len(other)
    np.testing.assert_allclose(one.read(120).pixels, other.read(120).pixels, atol=1e-5)
    assert nibabel.aff2axcodes(one.affine) == ("L", "P", "S")
