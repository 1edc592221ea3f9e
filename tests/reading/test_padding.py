"""Padding and inversion: reformatted and resampled series show what axial ones do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handmade import MR, PLANES, body, header, numbers, save, write_series

from MonaiSKD.reading import RULES, CanonicalRule
from MonaiSKD.reading.canonical import canonicalise
from MonaiSKD.reading.image import Series
from MonaiSKD.reading.series import read_series
from MonaiSKD.reading.sources import find_sources

BRAIN, LUNG = RULES["brain_mri"], RULES["lung_ct"]
# Of the body's values: all of slice 3, and a part of slices 2 and 4.
PADDING = {"PixelPaddingValue": 235, "PixelPaddingRangeLimit": 412}
UNSIGNED = {"RescaleSlope": 1, "RescaleIntercept": -1300}


def is_padding(values: np.ndarray) -> np.ndarray:
    return (values >= 235) & (values <= 412)


def only(path: Path, rule: CanonicalRule) -> Series:
    (source,) = find_sources([path], rule)
    return read_series(source, rule)


def pixels(series: Series) -> np.ndarray:
    return np.stack([series.read(index).pixels[0] for index in range(len(series))])


@pytest.mark.parametrize("plane", [plane for plane in PLANES if not plane.startswith("axial")])
@pytest.mark.parametrize(
    ("rule", "modality", "tags"),
    [
        (BRAIN, "MR", PADDING),
        (BRAIN, "MR", {**PADDING, "PhotometricInterpretation": "MONOCHROME1"}),
        (BRAIN, "MR", {"PresentationLUTShape": "INVERSE"}),
        (BRAIN, "MR", {**PADDING, "PresentationLUTShape": "INVERSE", "PhotometricInterpretation": "MONOCHROME1"}),
        (LUNG, "CT", {**PADDING, **UNSIGNED}),
        (LUNG, "CT", {**PADDING, **UNSIGNED, "PresentationLUTShape": "INVERSE"}),
    ],
)
def test_a_reformatted_series_is_that_of_axial_slices(
    tmp_path: Path, plane: str, rule: CanonicalRule, modality: str, tags: dict[str, Any]
) -> None:
    write_series(tmp_path / "axial", modality=modality, **tags)
    write_series(tmp_path / "other", plane=plane, modality=modality, **tags)
    axial, other = only(tmp_path / "axial", rule), only(tmp_path / "other", rule)
    np.testing.assert_allclose(pixels(other), pixels(axial), atol=1e-6)
    if "PixelPaddingValue" in tags:
        assert not pixels(other)[is_padding(body())].any()
        assert [other.read(index).applied[-1] == "padding to 0" for index in range(6)] == [0, 0, 1, 1, 1, 0]


def test_what_is_interpolated_from_padding_is_padding(tmp_path: Path) -> None:
    write_series(tmp_path, plane="sagittal", step=2.0, **PADDING)
    shown = numbers(only(tmp_path, MR))
    padded = is_padding(body())
    np.testing.assert_allclose(shown[:, :, ::2], np.where(padded, 0, body()), atol=1e-3)
    between = np.where(padded[:, :, :-1] | padded[:, :, 1:], 0, (body()[:, :, :-1] + body()[:, :, 1:]) / 2)
    np.testing.assert_allclose(shown[:, :, 1::2], between, atol=1e-3)


def test_slices_of_different_rescaling_keep_their_padding(tmp_path: Path) -> None:
    for k in range(4):
        slope = 1.0 if k < 2 else 2.0
        picture = np.full((5, 4), 100 * (k + 1) / slope, dtype=np.int16)
        picture[0], picture[1] = [1, 2, 3, 4], 900
        place = {"ImagePositionPatient": [k, 0, 0], "ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}
        tags = {**place, "PixelSpacing": [1, 1], "RescaleSlope": slope, "RescaleIntercept": 0}
        save(tmp_path / f"{k}", picture, header(PixelPaddingValue=900, **tags))
    shown = numbers(only(tmp_path, MR))
    np.testing.assert_allclose(shown[0, 0], [100, 200, 300, 400], atol=1e-3)
    assert not shown[3].any()


def test_an_oblique_series_keeps_its_padding_dark(tmp_path: Path) -> None:
    pytest.importorskip("SimpleITK")
    cosine, sine = float(np.cos(np.radians(40))), float(np.sin(np.radians(40)))
    rows = np.add.outer(np.arange(20), np.zeros(24)).astype(np.int16)
    for k in range(20):
        picture = (200 + 10 * rows + k).astype(np.int16)
        picture[:, :8] = 4000
        place = {
            "ImagePositionPatient": [0.0, -sine * k, cosine * k],
            "ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, cosine, sine],
        }
        save(tmp_path / f"{k}", picture, header(PixelSpacing=[1, 1], PixelPaddingValue=4000, **place))
    series = only(tmp_path, BRAIN)
    assert "oblique volume resampled to axial slices" in series.applied
    shown = pixels(series)
    assert not shown[:, :, :8].any()
    assert np.median(shown[len(series) // 2, 8:-8, 8:]) > 0.3


def test_an_image_of_padding_alone_is_dark() -> None:
    values = np.array([[1.0, 9.0]])
    assert canonicalise(values, BRAIN, np.array([[True, True]])).tolist() == [[[0.0, 0.0]]]
    assert canonicalise(values, BRAIN, np.array([[False, False]])).tolist() == [[[0.0, 1.0]]]
    assert canonicalise(np.array([[1.0, 5.0, 9.0]]), BRAIN, np.array([[False, False, True]])).tolist() == [
        [[0.0, 1.0, 0.0]]
    ]
