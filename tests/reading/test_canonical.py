from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from MonaiSKD.errors import SKDError
from MonaiSKD.reading import RULES, CanonicalRule, canonicalise


def test_lung_window_has_level_minus_600_and_width_1500() -> None:
    hounsfield = np.array([[-2000.0, -1350.0, -975.0, -600.0, -225.0, 150.0, 3071.0]])
    canonical = canonicalise(hounsfield, RULES["lung_ct"])
    assert canonical.dtype == np.float32
    assert canonical.tolist() == [[[0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0]]]


def test_percentiles_of_a_radiograph_are_taken_over_the_whole_picture() -> None:
    # 0 to 200: the 1st percentile is 2, the 99th is 198, and one half of the way between is 100.
    values = np.arange(201.0).reshape(1, 201)
    canonical = canonicalise(values, RULES["chest_xray"])
    assert canonical.shape == (1, 1, 201)
    assert canonical[0, 0, [0, 2, 51, 100, 149, 198, 200]].tolist() == [0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0]


def test_percentiles_of_a_brain_are_taken_within_the_head() -> None:
    # The head is 100 to 300, whose 1st percentile is 102 and 99.5th is 299; three quarters of the picture are air.
    head = np.arange(100.0, 301.0)
    values = np.concatenate([np.zeros(3 * head.size), head])[None]
    canonical = canonicalise(values, RULES["brain_mri"])[0, 0]
    assert canonical[0] == 0.0
    assert canonical[-head.size :][[0, 2, 199, 200]].tolist() == [0.0, 0.0, 1.0, 1.0]
    assert canonical[-head.size + 101] == np.float32((201 - 102) / (299 - 102))
    # Without the head rule, air would move the lower end to 0, and 201 would be much brighter.
    assert canonicalise(values, CanonicalRule("chest_xray", percentiles=(1.0, 99.5)))[0, 0, -100] > 0.66


def test_a_picture_of_one_value_is_black() -> None:
    for modality in ("chest_xray", "brain_mri"):
        assert not canonicalise(np.full((3, 4), 7.0), RULES[modality]).any()


def test_a_few_bright_pixels_on_a_flat_ground_are_kept() -> None:
    values = np.zeros((40, 40))
    values[3, 5] = 9.0
    for modality in ("chest_xray", "brain_mri"):
        canonical = canonicalise(values, RULES[modality])
        assert canonical[0, 3, 5] == 1.0
        assert canonical.sum() == 1.0


@pytest.mark.parametrize("shape", [(4,), (1, 4, 4), (0, 4), (4, 0)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="filled"):
        canonicalise(np.zeros(shape), RULES["lung_ct"])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="NaN or infinity"):
        canonicalise(np.array([[0.0, bad]]), RULES["chest_xray"])


@given(
    values=arrays(np.float32, (5, 7), elements=st.floats(-4000, 4000, width=32)),
    modality=st.sampled_from(sorted(RULES)),
)
def test_canonical_values_lie_in_0_to_1_and_keep_their_order(values: np.ndarray, modality: str) -> None:
    canonical = canonicalise(values, RULES[modality])
    assert canonical.shape == (1, 5, 7)
    assert canonical.dtype == np.float32
    assert 0.0 <= canonical.min() <= canonical.max() <= 1.0
    assert (np.diff(canonical.ravel()[np.argsort(values.ravel())]) >= 0).all()


@given(
    values=arrays(np.float64, (6, 6), elements=st.integers(-100, 100).map(float)),
    gain=st.sampled_from([0.25, 2.0, 8.0]),
    offset=st.integers(-50, 50),
)
def test_percentiles_undo_gain_and_offset(values: np.ndarray, gain: float, offset: int) -> None:
    rule = RULES["chest_xray"]
    np.testing.assert_allclose(canonicalise(gain * values + offset, rule), canonicalise(values, rule), atol=1e-5)


@pytest.mark.parametrize("modality", sorted(RULES))
def test_rules_survive_json(modality: str) -> None:
    rule = RULES[modality]
    assert rule.modality == modality
    assert CanonicalRule.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule


@given(low=st.floats(-1e6, 1e6), width=st.floats(1.0, 1e6))
def test_any_window_survives_json(low: float, width: float) -> None:
    rule = CanonicalRule("lung_ct", window=(low, low + width))
    assert CanonicalRule.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"modality": "retina", "window": [0, 1]}, "'retina' is unknown"),
        ({"modality": "lung_ct"}, "either a window or percentiles"),
        ({"modality": "lung_ct", "window": [0, 1], "percentiles": [1, 99]}, "either a window or percentiles"),
        ({"modality": "lung_ct", "window": [1, 1]}, "range 1.0 to 1.0 is empty"),
        ({"modality": "lung_ct", "window": [1, 0]}, "range 1.0 to 0.0 is empty"),
        ({"modality": "lung_ct", "window": [0, "nan"]}, "is empty"),
        ({"modality": "lung_ct", "window": [0, 1, 2]}, "not a pair of numbers"),
        ({"modality": "lung_ct", "window": "ab"}, "not a pair of numbers"),
        ({"modality": "lung_ct", "window": 5}, "not a pair of numbers"),
        ({"modality": "chest_xray", "percentiles": [-1, 99]}, "out of bounds"),
        ({"modality": "chest_xray", "percentiles": [1, 101]}, "out of bounds"),
        ({"window": [0, 1]}, "its keys are"),
        ({"modality": "lung_ct", "window": [0, 1], "level": -600}, "its keys are"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(data: dict, reason: str) -> None:
    with pytest.raises(SKDError, match="canonical image rule") as caught:
        CanonicalRule.from_dict(data)
    assert reason in str(caught.value)
