"""Volumes: their slices, and values that are no image of the modality."""

from __future__ import annotations

import numpy as np
import pytest
from handmade import CT, MR, body, numbers

from MonaiSKD.errors import SKDError
from MonaiSKD.reading import RULES
from MonaiSKD.reading.volume import LARGEST_BYTES, Volume, refuse_too_large, volume_series

UPRIGHT = np.diag([-1.0, -1.0, 1.0, 1.0])
STORED = body().transpose()


def test_slices_are_scaled_when_they_are_read() -> None:
    series = volume_series(Volume(STORED, UPRIGHT, "a", slope=0.5, intercept=3.0), MR)
    np.testing.assert_allclose(numbers(series), body() * 0.5 + 3, atol=1e-3)
    assert series.path == series.read(0).path == "a"


def test_the_stored_values_are_not_copied() -> None:
    values = STORED.copy(order="F")
    series = volume_series(Volume(values, UPRIGHT, "a"), MR)
    values[:] = 500
    np.testing.assert_allclose(numbers(series), 500, atol=1e-3)


@pytest.mark.parametrize(("fine", "apart"), [(1e-2, 1e6), (1e-160, 1e153)])
def test_slices_that_would_become_giants_are_refused_before_they_are_made(fine: float, apart: float) -> None:
    few = np.arange(3 * 8 * 8, dtype=np.int16).reshape(8, 3, 8)
    with pytest.raises(SKDError, match=r"has axial slices of \d+ x 8 pixels") as caught:
        volume_series(Volume(few, np.diag([-fine, -apart, fine, 1.0]), "a"), MR)
    assert caught.value.code == "too_large"
    assert volume_series(Volume(few, np.diag([-1e-2, -0.1, 1e-2, 1.0]), "a"), MR).read(0).pixels.shape == (1, 21, 8)


def test_axial_slices_of_too_many_pixels_are_refused() -> None:
    giant = np.broadcast_to(np.arange(10_000, dtype=np.uint8)[:, None, None], (10_000, 10_000, 2))
    with pytest.raises(SKDError, match="has axial slices of 10000 x 10000 pixels"):
        volume_series(Volume(giant, UPRIGHT, "a"), MR)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("rule", [MR, CT], ids=["mr", "ct"])
@pytest.mark.parametrize("labels", [1, 2, 3])
def test_a_mask_is_no_image(order: str, rule, labels: int) -> None:
    values = np.asarray(STORED % labels * 100 - 1000, order=order)
    with pytest.raises(SKDError, match=f"holds {labels} different values only: a mask") as caught:
        volume_series(Volume(values, UPRIGHT, "a"), rule)
    assert caught.value.code == "not_an_image"


def test_four_values_are_an_image() -> None:
    assert len(volume_series(Volume(STORED % 4, UPRIGHT, "a"), MR)) == 6


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    values = STORED.astype(np.float32)
    values[1, 2, 3] = bad
    with pytest.raises(SKDError, match="NaN or infinite") as caught:
        volume_series(Volume(values, UPRIGHT, "a"), MR)
    assert caught.value.code == "damaged"


def test_a_ct_without_air_is_in_no_hounsfield_units() -> None:
    with pytest.raises(SKDError, match="cannot be Hounsfield units") as caught:
        volume_series(Volume(STORED, UPRIGHT, "a"), CT)
    assert caught.value.code == "unsupported"
    # The same numbers are a CT once they are rescaled.
    assert len(volume_series(Volume(STORED, UPRIGHT, "a", intercept=-1024.0), CT)) == 6
    assert len(volume_series(Volume(-STORED, UPRIGHT, "a"), CT)) == 6


def test_an_mr_with_negative_values_is_doubted() -> None:
    assert "negative" in volume_series(Volume(STORED - np.int16(50), UPRIGHT, "a"), MR).warnings[0]


@pytest.mark.parametrize("affine", [np.diag([0.0, 1, 1, 1]), np.full((4, 4), np.nan), np.ones((4, 4))])
def test_an_affine_that_is_none_is_refused(affine: np.ndarray) -> None:
    with pytest.raises(SKDError, match="cannot be inverted") as caught:
        Volume(STORED, affine, "a")
    assert caught.value.code == "damaged"


def test_one_slice_is_a_series_of_one_for_radiographs_too() -> None:
    series = volume_series(Volume(STORED[:, :, :1], UPRIGHT, "a"), RULES["chest_xray"])
    assert series.read(0).pixels.shape == (1, 5, 4)


def test_a_volume_is_no_radiograph() -> None:
    with pytest.raises(SKDError, match="a radiograph is one picture") as caught:
        volume_series(Volume(STORED, UPRIGHT, "a"), RULES["chest_xray"])
    assert caught.value.code == "wrong_modality"


def test_giants_are_refused_by_their_header() -> None:
    refuse_too_large("a", (LARGEST_BYTES // 2,), 2)
    with pytest.raises(SKDError, match="more than 768 MB") as caught:
        refuse_too_large("a", (32767, 32767, 32767), 8)
    assert caught.value.code == "too_large"


@pytest.mark.parametrize("thin", [0, 1, 2])
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, -1, 1), (1, -1, -1)])
def test_the_affine_of_one_slice_leads_from_its_picture_into_space(thin: int, flips: tuple[int, int, int]) -> None:
    shape = [7, 6, 5]
    shape[thin] = 1
    values = np.zeros(shape, dtype=np.int16)
    place = [min(3, length - 1) for length in shape]
    place[thin] = 0
    values[tuple(place)] = 1000
    affine = np.diag([*(flip * step for flip, step in zip(flips, (1.0, 2.0, 3.0), strict=True)), 1.0])
    affine[:3, 3] = 10, 20, 30
    series = volume_series(Volume(values, affine, "a"), MR)
    row, column = np.unravel_index(series.read(0).pixels[0].argmax(), series.read(0).pixels[0].shape)
    assert series.affine is not None
    np.testing.assert_allclose(series.affine @ [column, row, 0, 1], affine @ [*place, 1])
    lengths = np.linalg.norm(series.affine[:3, :3], axis=0)
    assert series.read(0).spacing == pytest.approx((lengths[1], lengths[0]))
