"""The grey scale chain, from known stored values to exact canonical ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_writing import item, made
from hypothesis import given
from hypothesis import strategies as st
from made_dicom import ct, radiograph, save, table

from MonaiSKD.errors import SKDError
from MonaiSKD.reading import RULES, CanonicalRule
from MonaiSKD.reading.dicom.dataset import open_dataset
from MonaiSKD.reading.dicom.lut import read_lut
from MonaiSKD.reading.dicom.modality import modality_transform
from MonaiSKD.reading.dicom.values import canonical_frame
from MonaiSKD.reading.dicom.voi import windowed

if int(pydicom.__version__[0]) < 3:
    from pydicom.pixel_data_handlers.util import apply_modality_lut, apply_voi, apply_windowing
else:
    from pydicom.pixels import apply_modality_lut, apply_voi, apply_windowing

CHEST, LUNG, BRAIN = RULES["chest_xray"], RULES["lung_ct"], RULES["brain_mri"]
EXTREMES = CanonicalRule("chest_xray", percentiles=(0.0, 100.0))
RAMP = np.array([[0, 100, 200], [300, 400, 400]])


def canonical(path: Path, rule: CanonicalRule, frame: int = 0) -> tuple[list, tuple[str, ...], tuple[str, ...]]:
    pixels, applied, warnings = canonical_frame(open_dataset(path), frame, rule)
    assert pixels.dtype == np.float32
    assert pixels.shape[0] == 1
    return pixels[0].tolist(), applied, warnings


def test_a_ct_goes_through_its_rescale_and_the_lung_window_and_its_own_window_is_ignored(tmp_path: Path) -> None:
    path = ct(tmp_path / "a.dcm", [[-1350, -975, -600], [-225, 150, 3000]], WindowCenter=40, WindowWidth=400)
    shown, applied, warnings = canonical(path, LUNG)
    assert shown == [[0.0, 0.25, 0.5], [0.75, 1.0, 1.0]]
    assert applied == ("rescaled (1 x + -1024)", "window (-1350.0, 150.0)")
    assert warnings == ()


def test_hounsfield_units_are_never_inverted(tmp_path: Path) -> None:
    path = ct(tmp_path / "a.dcm", [[-1350, -600, 150]], PhotometricInterpretation="MONOCHROME1")
    assert canonical(path, LUNG)[0] == [[0.0, 0.5, 1.0]]


def test_a_ct_of_8_bits_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.dcm", made(np.zeros((2, 2), np.uint8), "CT", RescaleSlope=8, RescaleIntercept=-1024))
    with pytest.raises(SKDError, match="8 bits, which cannot hold Hounsfield units") as caught:
        canonical(path, LUNG)
    assert caught.value.code == "unsupported"


def test_a_ct_without_rescale_is_taken_only_if_it_shows_air(tmp_path: Path) -> None:
    values = np.array([[-1000, -600, 150]], dtype=np.int16)
    shown, applied, warnings = canonical(save(tmp_path / "a.dcm", made(values)), LUNG)
    assert shown[0][1:] == [0.5, 1.0]
    assert applied == ("window (-1350.0, 150.0)",)
    assert warnings == ("it states no rescale slope and intercept; values were taken as Hounsfield units",)
    with pytest.raises(SKDError, match="does not look like Hounsfield units") as caught:
        canonical(save(tmp_path / "b.dcm", made(values + 1000)), LUNG)
    assert caught.value.code == "unsupported"
    # Padding is no air.
    padded = made(np.array([[-2000, 100, 200]], dtype=np.int16), PixelPaddingValue=-2000)
    with pytest.raises(SKDError, match="does not look like Hounsfield units"):
        canonical(save(tmp_path / "c.dcm", padded), LUNG)


@pytest.mark.parametrize(
    ("elements", "warning"),
    [
        ({"RescaleSlope": 0}, "the rescale slope is 0 and was left out"),
        ({"RescaleSlope": None}, "only one of rescale slope and intercept is stated"),
        ({"RescaleType": "US"}, "its rescale type is not Hounsfield units"),
    ],
)
def test_a_doubtful_rescale_is_told(tmp_path: Path, elements: dict, warning: str) -> None:
    shown, _, warnings = canonical(ct(tmp_path / "a.dcm", [[-1350, -600, 150]], **elements), LUNG)
    assert shown == [[0.0, 0.5, 1.0]]
    assert warning in warnings


def test_a_window_is_that_of_the_standard(tmp_path: Path) -> None:
    # C.11.2.1.2.1: centre 200.5 and width 401 run from 0 to 400.
    path = radiograph(tmp_path / "a.dcm", RAMP, WindowCenter=200.5, WindowWidth=401)
    shown, applied, warnings = canonical(path, CHEST)
    assert shown == [[0.0, 0.25, 0.5], [0.75, 1.0, 1.0]]
    assert (applied, warnings) == (("window 200.5 / 401 (LINEAR)",), ())


@pytest.mark.parametrize(
    ("function", "centre", "width", "brightness"),
    [
        ("LINEAR_EXACT", 200, 400, [[0.0, 0.25, 0.5], [0.75, 1.0, 1.0]]),
        ("SIGMOID", 200, 400, (1 / (1 + np.exp(-4 * (RAMP - 200) / 400))).tolist()),
        ("LINEAR", 200, 1, [[0, 0, 1], [1, 1, 1]]),
    ],
)
def test_every_window_function_is_known(
    tmp_path: Path, function: str, centre: float, width: float, brightness: list
) -> None:
    path = radiograph(tmp_path / "a.dcm", RAMP, WindowCenter=centre, WindowWidth=width, VOILUTFunction=function)
    np.testing.assert_allclose(canonical(path, CHEST)[0], brightness, atol=1e-6)


@given(
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    centre=st.integers(-2000, 6000),
    width=st.integers(1, 9000),
    slope=st.sampled_from([1.0, 2.5, 0.25]),
    intercept=st.sampled_from([0.0, -1024.0]),
)
def test_windows_are_those_of_pydicom(function: str, centre: int, width: int, slope: float, intercept: float) -> None:
    data = made(
        np.zeros((1, 1), np.uint16),
        "CR",
        **{"BitsStored": 12, "WindowCenter": centre, "WindowWidth": width, "VOILUTFunction": function},
        **{"RescaleSlope": slope, "RescaleIntercept": intercept},
    )
    values = modality_transform(data, 0).apply(np.arange(0, 4096, 7))
    np.testing.assert_array_equal(values, apply_modality_lut(np.arange(0, 4096, 7), data))
    if function == "LINEAR" and width == 1:
        return  # 0 / 0 in pydicom
    theirs = (apply_windowing(values, data) - intercept) / (4095 * slope)
    np.testing.assert_allclose(windowed(values, centre, width, function), theirs, atol=1e-9)


def test_the_first_usable_one_of_several_windows_counts(tmp_path: Path) -> None:
    path = radiograph(tmp_path / "a.dcm", RAMP, WindowCenter=[7, 200.5, 9], WindowWidth=[0, 401, 5])
    shown, applied, warnings = canonical(path, CHEST)
    assert shown == [[0.0, 0.25, 0.5], [0.75, 1.0, 1.0]]
    assert (applied, warnings) == (("window 200.5 / 401 (LINEAR)",), ())


@pytest.mark.parametrize("window", [(100, 0), (100, -5), (["", ""], ["", ""]), (100, ""), (100, 0.5)])
def test_without_a_usable_window_percentiles_are_taken_and_told(tmp_path: Path, window: tuple) -> None:
    path = radiograph(tmp_path / "a.dcm", RAMP, WindowCenter=window[0], WindowWidth=window[1])
    shown, applied, warnings = canonical(path, EXTREMES)
    assert shown == [[0.0, 0.25, 0.5], [0.75, 1.0, 1.0]]
    assert applied == ("percentiles (0.0, 100.0)",)
    assert warnings == ("the window is broken and was left out",)


def test_a_window_in_words_is_left_out(tmp_path: Path) -> None:
    path = radiograph(tmp_path / "a.dcm", RAMP, WindowCenter="200", WindowWidth="4000")
    path.write_bytes(path.read_bytes().replace(b"DS\x04\x004000", b"DS\x04\x00wide"))
    shown, applied, warnings = canonical(path, EXTREMES)
    assert shown == [[0.0, 0.25, 0.5], [0.75, 1.0, 1.0]]
    assert (applied, warnings) == (("percentiles (0.0, 100.0)",), ("the window is broken and was left out",))


def test_an_unknown_window_function_is_taken_as_linear(tmp_path: Path) -> None:
    path = radiograph(tmp_path / "a.dcm", RAMP, WindowCenter=200.5, WindowWidth=401, VOILUTFunction="CUBIC")
    shown, _, warnings = canonical(path, CHEST)
    assert shown == [[0.0, 0.25, 0.5], [0.75, 1.0, 1.0]]
    assert warnings == ("the VOI LUT function is unknown; a linear one was used",)


@pytest.mark.parametrize("centre", [-5000, 50000])
def test_a_window_that_shows_nothing_is_left_out(tmp_path: Path, centre: float) -> None:
    path = radiograph(tmp_path / "a.dcm", RAMP, WindowCenter=centre, WindowWidth=10)
    shown, _, warnings = canonical(path, EXTREMES)
    assert shown == [[0.0, 0.25, 0.5], [0.75, 1.0, 1.0]]
    assert warnings == ("the window shows nothing of the picture and was left out",)


def test_without_a_window_percentiles_are_taken_of_the_pixels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 4096, size=(40, 30))
    low, high = np.percentile(pixels, (1, 99))
    shown, applied, _ = canonical(radiograph(tmp_path / "a.dcm", pixels), CHEST)
    np.testing.assert_array_equal(shown, np.clip((pixels - low) / (high - low), 0, 1).astype(np.float32))
    assert applied == ("percentiles (1.0, 99.0)",)


@pytest.mark.parametrize("shape", [None, "INVERSE", "IDENTITY"])
def test_white_is_small_is_inverted_once(tmp_path: Path, shape: str | None) -> None:
    elements = {"PhotometricInterpretation": "MONOCHROME1", "WindowCenter": 200.5, "WindowWidth": 401}
    path = radiograph(tmp_path / "a.dcm", RAMP, **elements)
    if shape is not None:
        path = radiograph(tmp_path / "b.dcm", RAMP, PresentationLUTShape=shape, **elements)
    shown, applied, _ = canonical(path, CHEST)
    assert shown == [[1.0, 0.75, 0.5], [0.25, 0.0, 0.0]]
    assert applied == ("window 200.5 / 401 (LINEAR)", "inverted (MONOCHROME1)")


def test_an_inverse_presentation_is_inverted(tmp_path: Path) -> None:
    path = radiograph(tmp_path / "a.dcm", RAMP, PresentationLUTShape="INVERSE")
    assert canonical(path, EXTREMES)[0] == [[1.0, 0.75, 0.5], [0.25, 0.0, 0.0]]


@pytest.mark.parametrize("modality", ["CR", "MR"])
def test_an_inverted_copy_gives_the_same_image(tmp_path: Path, modality: str) -> None:
    pixels = np.random.default_rng(2).integers(0, 4096, size=(32, 32)).astype(np.uint16)
    rule = CHEST if modality == "CR" else BRAIN
    one = made((4095 - pixels).astype(np.uint16), modality, BitsStored=12, PhotometricInterpretation="MONOCHROME1")
    two = made(pixels, modality, BitsStored=12)
    assert canonical(save(tmp_path / "1.dcm", one), rule)[0] == canonical(save(tmp_path / "2.dcm", two), rule)[0]


def test_a_modality_table_goes_before_the_window(tmp_path: Path) -> None:
    entries = table([4, 1, 16], [0, 100, 200, 400], ModalityLUTType="US")
    path = radiograph(
        *(tmp_path / "a.dcm", [[0, 1, 2, 3, 4, 5]]),
        **{"ModalityLUTSequence": [entries], "WindowCenter": 200.5, "WindowWidth": 401},
    )
    shown, applied, warnings = canonical(path, CHEST)
    # Below the first entry the first, above the last the last.
    assert shown == [[0.0, 0.0, 0.25, 0.5, 1.0, 1.0]]
    assert applied == ("modality lookup table", "window 200.5 / 401 (LINEAR)")
    assert warnings == ()


def test_a_voi_table_goes_before_the_window(tmp_path: Path) -> None:
    entries = table([3, 100, 8], [0, 51, 255])
    path = radiograph(
        *(tmp_path / "a.dcm", [[0, 100, 101, 102, 400]]),
        **{"VOILUTSequence": [entries], "WindowCenter": 7, "WindowWidth": 5},
    )
    shown, applied, _ = canonical(path, CHEST)
    np.testing.assert_allclose(shown, [[0.0, 0.0, 0.2, 1.0, 1.0]], atol=1e-7)
    assert applied == ("VOI lookup table",)


@pytest.mark.parametrize(
    "broken",
    [
        table([9, 0, 16], [1, 2]),
        table([2, 0], [1, 2]),
        table([2, 0, 99], [1, 2]),
        table([2, 0, 16], None),
        table(None, [1, 2]),
    ],
)
def test_broken_tables_are_left_out_and_told(tmp_path: Path, broken: pydicom.Dataset) -> None:
    path = radiograph(tmp_path / "a.dcm", RAMP, VOILUTSequence=[broken], ModalityLUTSequence=[broken])
    shown, _, warnings = canonical(path, EXTREMES)
    assert shown == [[0.0, 0.25, 0.5], [0.75, 1.0, 1.0]]
    assert warnings == (
        "the modality lookup table is broken and was left out",
        "the VOI lookup table is broken and was left out",
    )


@given(first=st.integers(0, 300), entries=st.lists(st.integers(0, 4095), min_size=2, max_size=40))
def test_tables_are_those_of_pydicom(first: int, entries: list[int]) -> None:
    data = made(np.zeros((1, 1), np.uint16), "CR", VOILUTSequence=[table([len(entries), first, 16], entries)])
    values = np.arange(0, 400)
    lut = read_lut(data.VOILUTSequence[0], data)
    assert lut is not None
    np.testing.assert_array_equal(lut.apply(values), apply_voi(values, data))


@pytest.mark.parametrize("packed", [True, False], ids=["one byte an entry", "two bytes an entry"])
def test_tables_in_bytes_are_unpacked(packed: bool) -> None:
    stored = table([4, 0, 8], None)
    stored.add_new("LUTData", "OW", np.array([1, 2, 3, 250], dtype="u1" if packed else "<u2").tobytes())
    lut = read_lut(stored, made(np.zeros((1, 1), np.uint16), "CR"))
    assert lut is not None
    assert (lut.entries.tolist(), lut.highest) == ([1, 2, 3, 250], 255)


def test_a_brain_goes_through_the_percentiles_of_its_head_and_its_window_is_ignored(tmp_path: Path) -> None:
    pixels = np.zeros((20, 20), dtype=np.uint16)
    pixels[5:15, 5:15] = np.arange(1000, 1100).reshape(10, 10)
    path = save(tmp_path / "a.dcm", made(pixels, "MR", WindowCenter=5, WindowWidth=10))
    low, high = np.percentile(np.arange(1000, 1100), (1, 99.5))
    shown, applied, _ = canonical(path, BRAIN)
    np.testing.assert_allclose(shown, np.clip((pixels - low) / (high - low), 0, 1), atol=1e-6)
    assert applied == ("percentiles (1.0, 99.5)",)


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("limit", [None, 62])
def test_padding_takes_no_part_and_becomes_dark(tmp_path: Path, inverse: bool, limit: int | None) -> None:
    pixels = np.array([[60, 61, 62, 100, 200, 300, 400, 500]])
    elements = {"PixelPaddingValue": 60, "PhotometricInterpretation": "MONOCHROME1" if inverse else "MONOCHROME2"}
    if limit is not None:
        elements["PixelPaddingRangeLimit"] = limit
    else:
        pixels[0, 1:3] = 60
    shown, applied, _ = canonical(radiograph(tmp_path / "a.dcm", pixels, **elements), EXTREMES)
    inside = [0.0, 0.25, 0.5, 0.75, 1.0]
    assert shown == [[0.0, 0.0, 0.0, *(inside[::-1] if inverse else inside)]]
    assert applied[-1] == "padding to 0"


def test_padding_is_told_only_where_there_is_some_and_may_be_signed(tmp_path: Path) -> None:
    path = ct(tmp_path / "a.dcm", [[-3024, -600, 150]])
    whole = open_dataset(path)
    assert canonical_frame(whole, 0, LUNG)[1][-1] == "window (-1350.0, 150.0)"
    for value in (-2000, 2**16 - 2000):  # the second is the same, written as unsigned
        whole.add_new("PixelPaddingValue", "SS" if value < 0 else "US", value)
        pixels, applied, _ = canonical_frame(whole, 0, CanonicalRule("lung_ct", window=(-4000.0, 150.0)))
        assert applied[-1] == "padding to 0"
        assert pixels[0, 0, 0] == 0.0
        assert pixels[0, 0, 1] > 0.5


def test_nothing_but_padding_is_black(tmp_path: Path) -> None:
    path = radiograph(tmp_path / "a.dcm", [[9, 9]], PixelPaddingValue=9, PhotometricInterpretation="MONOCHROME1")
    shown, _, warnings = canonical(path, CHEST)
    assert shown == [[0.0, 0.0]]
    assert warnings == ("all pixels are padding",)


def test_one_single_value_is_black_and_told(tmp_path: Path) -> None:
    shown, _, warnings = canonical(radiograph(tmp_path / "a.dcm", [[9, 9]]), CHEST)
    assert shown == [[0.0, 0.0]]
    assert warnings == ("all pixels have the same value",)


@pytest.mark.parametrize("modality", sorted(RULES))
def test_floats_and_wide_integers_give_what_integers_of_16_bits_give(tmp_path: Path, modality: str) -> None:
    pixels = np.random.default_rng(3).integers(-1200, 1200, size=(24, 20)).astype(np.int16)
    kind = {"chest_xray": "CR", "lung_ct": "CT", "brain_mri": "MR"}[modality]
    elements = {"RescaleSlope": 2, "RescaleIntercept": -100}
    expected, applied, _ = canonical(save(tmp_path / "a.dcm", made(pixels, kind, **elements)), RULES[modality])
    for index, other in enumerate((np.float32, np.float64, np.int32)):
        path = save(tmp_path / f"{index}.dcm", made(pixels.astype(other), kind, **elements))
        shown, others, _ = canonical(path, RULES[modality])
        np.testing.assert_array_equal(shown, expected)
        assert others == applied
    wide = pixels.astype(np.int32) * 1000
    path = save(tmp_path / "w.dcm", made(wide, kind, RescaleSlope=0.002, RescaleIntercept=-100))
    np.testing.assert_allclose(canonical(path, RULES[modality])[0], expected, atol=1e-5)


def test_a_window_of_the_rule_is_followed_for_any_modality(tmp_path: Path) -> None:
    rule = CanonicalRule("chest_xray", window=(0.0, 400.0))
    path = radiograph(tmp_path / "a.dcm", RAMP, PhotometricInterpretation="MONOCHROME1", WindowCenter=7, WindowWidth=5)
    shown, applied, _ = canonical(path, rule)
    assert shown == [[1.0, 0.75, 0.5], [0.25, 0.0, 0.0]]
    assert applied == ("window (0.0, 400.0)", "inverted (MONOCHROME1)")


def test_every_frame_has_its_own_rescale(tmp_path: Path) -> None:
    frames = np.array([[[0, 500]], [[0, 500]]], dtype=np.int16)
    groups = [
        item(PixelValueTransformationSequence=[item(RescaleSlope=slope, RescaleIntercept=-1350, RescaleType="HU")])
        for slope in (1.5, 3)
    ]
    data = made(frames, PerFrameFunctionalGroupsSequence=groups, RescaleSlope=9, RescaleIntercept=9)
    path = save(tmp_path / "a.dcm", data)
    assert canonical(path, LUNG, 0)[0] == [[0.0, 0.5]]
    assert canonical(path, LUNG, 1)[0] == [[0.0, 1.0]]
    shared = made(frames, SharedFunctionalGroupsSequence=groups[1:])
    assert canonical(save(tmp_path / "b.dcm", shared), LUNG, 1)[0] == [[0.0, 1.0]]
    assert modality_transform(data, 1).apply(np.array([[2]])).tolist() == [[-1344.0]]


def test_every_frame_has_its_own_window(tmp_path: Path) -> None:
    frames = np.stack([RAMP, RAMP]).astype(np.uint16)
    groups = [item(FrameVOILUTSequence=[item(WindowCenter=0.5 * w + 0.5, WindowWidth=w + 1)]) for w in (400, 800)]
    path = save(tmp_path / "a.dcm", made(frames, "CR", PerFrameFunctionalGroupsSequence=groups))
    assert canonical(path, CHEST, 0)[0] == [[0.0, 0.25, 0.5], [0.75, 1.0, 1.0]]
    assert canonical(path, CHEST, 1)[0] == [[0.0, 0.125, 0.25], [0.375, 0.5, 0.5]]
