"""NIfTI slices, written by nibabel from known numbers."""

from __future__ import annotations

import gzip
import tracemalloc
from contextlib import nullcontext
from pathlib import Path

import nibabel
import numpy as np
import pytest

from MonaiSKD.errors import SKDError
from MonaiSKD.reading import RULES, CanonicalRule, read_image
from MonaiSKD.reading.nifti import read_volume

LUNG = RULES["lung_ct"]
# A rule under which small whole numbers can be read off the pixels.
TENTHS = CanonicalRule("lung_ct", window=(0.0, 10.0))
# Axes that point left and posterior: columns and rows of a picture.
AS_SHOWN = np.diag([-0.5, -2.0, 1.0, 1.0])


def save(path: Path, values: np.ndarray, affine: np.ndarray = AS_SHOWN, unit: str | None = "mm") -> Path:
    stored = nibabel.Nifti1Image(values, affine)
    if unit is not None:
        stored.header.set_xyzt_units(unit)
    nibabel.save(stored, path)
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "A.NII.GZ"])
@pytest.mark.parametrize("axes", [2, 3, 4])
def test_hounsfield_units_go_through_the_lung_window(tmp_path: Path, name: str, axes: int) -> None:
    # Stored (x, y): the first axis becomes the columns.
    hounsfield = np.array([[-1350, -975], [-600, -225], [150, 3000]], dtype=np.int16)
    image = read_image(save(tmp_path / name, hounsfield.reshape(3, 2, *[1] * (axes - 2))), LUNG)
    assert image.pixels.tolist() == [[[0.0, 0.5, 1.0], [0.25, 0.75, 1.0]]]
    assert image.pixels.dtype == np.float32
    assert image.spacing == (2.0, 0.5)
    assert image.applied == ("turned to the radiologist's orientation", "window (-1350.0, 150.0)")


def test_slope_and_intercept_are_applied(tmp_path: Path) -> None:
    stored = nibabel.Nifti1Image(np.array([[0, 424, 1174, 2524]], dtype=np.uint16).reshape(4, 1, 1), AS_SHOWN)
    stored.header.set_slope_inter(1.0, -1024.0)
    path = tmp_path / "a.nii"
    nibabel.save(stored, path)
    # nibabel rewrites the scaling when it saves: the raw numbers must be what was asked for.
    raw = bytearray(path.read_bytes())
    raw[112:120] = np.array([1.0, -1024.0], dtype="<f4").tobytes()
    path.write_bytes(raw)
    np.testing.assert_allclose(read_image(path, LUNG).pixels[0, 0], [326 / 1500, 0.5, 1.0, 1.0], atol=1e-6)


@pytest.mark.parametrize(
    ("affine", "shown"),
    [
        # right + anterior: both axes turn round.
        (np.diag([1.0, 1.0, 1.0, 1.0]), [[6, 4, 2], [5, 3, 1]]),
        (np.diag([-1.0, -1.0, 1.0, 1.0]), [[1, 3, 5], [2, 4, 6]]),
        # The stored axes swapped: first posterior, then left.
        (np.array([[0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), [[1, 2], [3, 4], [5, 6]]),
    ],
)
def test_an_axial_slice_has_anterior_on_top_and_left_on_the_right(
    tmp_path: Path, affine: np.ndarray, shown: list[list[int]]
) -> None:
    path = save(tmp_path / "a.nii", np.array([[1, 2], [3, 4], [5, 6]], dtype=np.uint8)[:, :, None], affine)
    np.testing.assert_allclose(read_image(path, TENTHS).pixels[0] * 10, shown, atol=1e-5)


def test_a_coronal_slice_has_the_head_on_top_and_left_on_the_right(tmp_path: Path) -> None:
    # First axis to the right (2 mm), third axis up (3 mm).
    values = np.array([[1, 2], [3, 4], [5, 6]], dtype=np.uint8)[:, None, :]
    image = read_image(save(tmp_path / "a.nii", values, np.diag([2.0, 1.0, 3.0, 1.0])), TENTHS)
    np.testing.assert_allclose(image.pixels[0] * 10, [[6, 4, 2], [5, 3, 1]], atol=1e-5)
    assert image.spacing == (3.0, 2.0)


def test_a_sagittal_slice_has_the_head_on_top_and_anterior_on_the_left(tmp_path: Path) -> None:
    # Second axis to the front (2 mm), third axis up (3 mm).
    values = np.array([[1, 2], [3, 4], [5, 6]], dtype=np.uint8)[None]
    image = read_image(save(tmp_path / "a.nii", values, np.diag([1.0, 2.0, 3.0, 1.0])), TENTHS)
    np.testing.assert_allclose(image.pixels[0] * 10, [[6, 4, 2], [5, 3, 1]], atol=1e-5)
    assert image.spacing == (3.0, 2.0)


@pytest.mark.parametrize(
    ("unit", "spacing"),
    [("mm", (2.0, 0.5)), ("meter", (2000.0, 500.0)), ("micron", (0.002, 0.0005)), (None, None)],
)
def test_spacing_is_in_millimetres_or_unknown(
    tmp_path: Path, unit: str | None, spacing: tuple[float, float] | None
) -> None:
    image = read_image(save(tmp_path / "a.nii", np.ones((3, 2, 1), dtype=np.uint8), unit=unit), TENTHS)
    assert image.spacing == pytest.approx(spacing)


def test_an_unknown_unit_code_leaves_the_spacing_unknown(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", np.full((3, 2, 1), 5, dtype=np.uint8))
    raw = bytearray(path.read_bytes())
    raw[123] = 6  # xyzt_units
    path.write_bytes(raw)
    image = read_image(path, TENTHS)
    assert image.spacing is None
    assert (image.pixels == 0.5).all()


def test_a_brain_goes_through_the_percentiles_of_its_head(tmp_path: Path) -> None:
    values = np.zeros((20, 20), dtype=np.int16)
    values[5:15, 5:15] = np.arange(1000, 1100).reshape(10, 10)
    image = read_image(save(tmp_path / "a.nii", values), RULES["brain_mri"])
    assert image.applied[-1] == "percentiles (1.0, 99.5)"
    low, high = np.percentile(np.arange(1000, 1100), (1, 99.5))
    np.testing.assert_allclose(image.pixels[0].T, np.clip((values - low) / (high - low), 0, 1), atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 4, 2), (4, 4, 1, 3), (2, 2, 2)])
def test_several_slices_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = save(tmp_path / "a.nii", np.zeros(shape, dtype=np.uint8))
    with pytest.raises(SKDError, match="holds several slices") as caught:
        read_image(path, LUNG)
    assert caught.value.thing == str(path)
    assert str(shape) in caught.value.cause


@pytest.mark.parametrize("shape", [(0, 4, 1), (4, 0), (7,)])
def test_a_file_without_a_picture_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = save(tmp_path / "a.nii", np.zeros(shape, dtype=np.uint8))
    with pytest.raises(SKDError, match="holds no picture") as caught:
        read_image(path, LUNG)
    assert caught.value.thing == str(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_not_finite_are_refused(tmp_path: Path, bad: float) -> None:
    values = np.zeros((4, 4), dtype=np.float32)
    values[1, 2] = bad
    path = save(tmp_path / "a.nii", values)
    with pytest.raises(SKDError, match="NaN or infinite") as caught:
        read_image(path, LUNG)
    assert caught.value.thing == str(path)


@pytest.mark.parametrize("kind", [np.complex64, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])], ids=["c", "rgb"])
def test_colours_and_complex_numbers_are_refused(tmp_path: Path, kind: np.dtype) -> None:
    path = save(tmp_path / "a.nii", np.zeros((4, 4, 1), dtype=kind))
    with pytest.raises(SKDError, match="holds colours or complex numbers"):
        read_image(path, LUNG)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_file_cut_off_anywhere_is_refused_by_name(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / name, np.arange(24, dtype=np.int16).reshape(6, 4, 1))
    whole = path.read_bytes()
    for length in range(0, len(whole) - 8, 3):  # the last 8 bytes of a gzip are its checksum
        path.write_bytes(whole[:length])
        with pytest.raises(SKDError) as caught:
            read_image(path, LUNG)
        assert caught.value.thing == str(path)


def test_bytes_that_are_no_nifti_are_refused(tmp_path: Path) -> None:
    for name in ("a.nii", "a.nii.gz"):
        (tmp_path / name).write_bytes(b"not a slice" * 100)
        with pytest.raises(SKDError, match="cannot be decoded"):
            read_image(tmp_path / name, LUNG)


def test_a_real_volume_is_refused_as_several_slices(shared: Path) -> None:
    volume = next(iter(sorted((shared / "data" / "volumes").rglob("*.nii*"))), None)
    if volume is None:
        pytest.skip("there is no NIfTI volume among the real data")
    with pytest.raises(SKDError, match="holds several slices"):
        read_image(volume, RULES["brain_mri"])


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "B.NII.GZ"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
def test_volumes_of_both_versions_and_byte_orders_are_read(tmp_path: Path, name: str, kind: type, order: str) -> None:
    values = np.arange(60, dtype=f"{order}i2").reshape(3, 4, 5)
    header = kind.header_class(endianness=order)
    header.set_data_dtype(np.int16)
    nibabel.save(kind(values, AS_SHOWN, header), tmp_path / name)
    volume = read_volume(tmp_path / name)
    np.testing.assert_array_equal(volume.values, values)
    assert volume.values.dtype.itemsize == 2
    np.testing.assert_allclose(volume.affine, AS_SHOWN)


@pytest.mark.parametrize("unit", ["mm", "meter", "micron", None])
def test_the_affine_of_a_volume_is_in_millimetres(tmp_path: Path, unit: str | None) -> None:
    volume = read_volume(save(tmp_path / "a.nii", np.zeros((3, 4, 5), np.int16), unit=unit))
    factor = {"meter": 1000.0, "micron": 0.001}.get(unit or "", 1.0)
    np.testing.assert_allclose(np.diag(volume.affine)[:3], np.diag(AS_SHOWN)[:3] * factor)
    assert bool(volume.warnings) is (unit is None)


def test_a_volume_that_does_not_say_how_it_lies_is_taken_as_stored_with_a_warning(tmp_path: Path) -> None:
    stored = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.int16), None)
    stored.header.set_xyzt_units("mm")
    nibabel.save(stored, tmp_path / "a.nii")
    volume = read_volume(tmp_path / "a.nii")
    assert "orientation unknown" in volume.warnings[0]
    # Right to left, posterior to anterior, inferior to superior.
    assert nibabel.aff2axcodes(volume.affine) == ("L", "A", "S")


def test_several_volumes_are_refused_with_their_number(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", np.zeros((3, 4, 5, 6), np.uint8))
    with pytest.raises(SKDError, match="holds 6 volumes") as caught:
        read_volume(path)
    assert caught.value.code == "unsupported"


def test_a_volume_scales_and_keeps_its_stored_type(tmp_path: Path) -> None:
    stored = nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), AS_SHOWN)
    path = tmp_path / "a.nii"
    nibabel.save(stored, path)
    raw = bytearray(path.read_bytes())
    raw[112:120] = np.array([2.0, -5.0], dtype="<f4").tobytes()
    path.write_bytes(raw)
    volume = read_volume(path)
    assert (volume.values.dtype, volume.slope, volume.intercept) == (np.int16, 2.0, -5.0)
    assert volume.scaled(volume.values).max() == 59 * 2 - 5


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_an_absurd_size_is_refused_before_memory_is_taken(tmp_path: Path, name: str) -> None:
    header = nibabel.Nifti2Header()
    header.set_data_dtype(np.float64)
    header["dim"][:4] = [3, 2**31, 2**31, 2**10]
    content = header.binaryblock + bytes(100)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    with pytest.raises(SKDError) as caught:
        read_volume(tmp_path / name)
    assert caught.value.code == "too_large"


def test_values_that_start_far_away_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", np.zeros((3, 4, 5), np.int16))
    for offset in (1e12, float("nan"), -5.0):
        raw = bytearray(path.read_bytes())
        raw[108:112] = np.array([offset], dtype="<f4").tobytes()
        (tmp_path / "b.nii.gz").write_bytes(gzip.compress(bytes(raw)))
        with pytest.raises(SKDError) as caught:
            read_volume(tmp_path / "b.nii.gz")
        assert caught.value.code == "damaged"


@pytest.mark.parametrize("offset", [400, 2**25, 2**28])
@pytest.mark.parametrize("size", [2**25 - 400, 0, 2**31 - 16])
def test_what_a_header_says_of_extensions_takes_no_memory(tmp_path: Path, offset: int, size: int) -> None:
    raw = bytearray(save(tmp_path / "a.nii", np.zeros((3, 4, 5), np.int16)).read_bytes()[:352])
    raw[108:112] = np.array([offset], dtype="<f4").tobytes()
    raw[348:352] = b"\1\0\0\0"
    raw += np.array([size, 6], dtype="<i4").tobytes()
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(bytes(raw), 1) + gzip.compress(bytes(2**20), 1) * 34)
    tracemalloc.start()
    try:
        with nullcontext() if offset < 2**26 else pytest.raises(SKDError):
            read_volume(path)
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


def test_a_volume_with_extensions_is_read(tmp_path: Path) -> None:
    stored = nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), AS_SHOWN)
    stored.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"x" * 5000))
    for name in ("a.nii", "a.nii.gz"):
        nibabel.save(stored, tmp_path / name)
        np.testing.assert_array_equal(read_volume(tmp_path / name).values, stored.dataobj)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_volume_cut_off_is_refused(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / name, np.random.default_rng(0).integers(0, 99, (30, 40, 5)).astype(np.int16))
    whole = path.read_bytes()
    for length in (3, 200, 400, len(whole) // 2, len(whole) - 20):
        path.write_bytes(whole[:length])
        with pytest.raises(SKDError) as caught:
            read_volume(path)
        assert caught.value.code == "damaged"


def test_a_slice_of_no_thickness_is_read(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", np.array([[1, 2], [3, 4], [5, 6]], dtype=np.uint8)[:, :, None])
    raw = bytearray(path.read_bytes())
    raw[280:328] = np.array([[-0.5, 0, 0, 0], [0, -2, 0, 0], [0, 0, 0, 0]], dtype="<f4").tobytes()
    path.write_bytes(raw)
    image = read_image(path, TENTHS)
    np.testing.assert_allclose(image.pixels[0] * 10, [[1, 3, 5], [2, 4, 6]], atol=1e-5)
    assert image.spacing == (2.0, 0.5)
