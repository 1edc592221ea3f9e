"""Whatever is done by a table gives what numpy gives on the pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from MonaiSKD.reading import RULES, canonicalise
from MonaiSKD.reading.canonical import CanonicalRule, between, value_range
from MonaiSKD.reading.histogram import as_indices, histogram, histogram_of_ends, look_up, percentiles

KINDS = ["int8", "uint8", "int16", "uint16", ">i2", ">u2", "bool"]


@given(kind=st.sampled_from(KINDS), data=st.data())
def test_indices_point_at_the_values(kind: str, data: st.DataObject) -> None:
    values = data.draw(arrays(np.dtype(kind), (3, 5)))
    found = as_indices(values)
    assert found is not None
    indices, table = found
    np.testing.assert_array_equal(table[indices], values)
    np.testing.assert_array_equal(histogram(indices, table.size), np.bincount(indices.ravel(), minlength=table.size))
    np.testing.assert_array_equal(look_up(table.astype(np.float32), indices), values.astype(np.float32))


@pytest.mark.parametrize("kind", ["int32", "uint32", "int64", "uint64"])
def test_wide_integers_have_a_table_if_they_lie_close_together(kind: str) -> None:
    values = np.array([[70_000, 70_003]], dtype=kind)
    indices, table = as_indices(values) or pytest.fail("there is no table")
    np.testing.assert_array_equal(table[indices], values)
    assert as_indices(np.array([[0, 70_000]], dtype=kind)) is None
    assert as_indices(np.array([[0, np.iinfo(kind).max]], dtype=kind)) is None
    assert as_indices(np.zeros((2, 2))) is None


@given(
    values=arrays(np.int16, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(-40, 40)),
    share=st.floats(0, 100),
    scale=st.sampled_from([1.0, -1.0, 0.37, 1e6]),
)
def test_percentiles_of_counts_are_those_of_the_pixels_to_the_last_bit(
    values: np.ndarray, share: float, scale: float
) -> None:
    distinct, counts = np.unique(values * scale, return_counts=True)
    assert percentiles(distinct, counts, (share, 50.0)) == tuple(np.percentile(values * scale, (share, 50.0)))


@given(
    values=arrays(np.int16, (6, 7), elements=st.integers(-1500, 1500)),
    modality=st.sampled_from(sorted(RULES)),
    low=st.floats(0, 49),
)
def test_integers_and_floats_give_the_same_image(values: np.ndarray, modality: str, low: float) -> None:
    for rule in (RULES[modality], CanonicalRule(modality, percentiles=(low, low + 50))):  # type: ignore[arg-type]
        by_table = canonicalise(values, rule)
        assert by_table.dtype == np.float32
        np.testing.assert_array_equal(by_table, canonicalise(values.astype(np.float64), rule))


def test_the_range_of_counted_values_needs_no_order() -> None:
    values, counts = np.array([30.0, 10.0, 20.0, 99.0]), np.array([1, 2, 1, 0])
    rule = CanonicalRule("chest_xray", percentiles=(0.0, 100.0))
    assert value_range(values, rule, counts) == (10.0, 30.0)
    assert value_range(np.array([10.0, 10.0, 20.0, 30.0]), rule) == (10.0, 30.0)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64])
def test_a_line_is_drawn_between_two_values(kind: type) -> None:
    found = between(np.array([[0, 1, 2, 3, 9]], dtype=kind), 1.0, 3.0)
    assert found.dtype == np.float32
    assert found.tolist() == [[0.0, 0.0, 0.5, 1.0, 1.0]]
    assert not between(np.array([1, 2], dtype=kind), 2.0, 2.0).any()


def test_extreme_floats_stay_in_range() -> None:
    tiny = np.array([[0.0, 1e-45, 3e-45]], dtype=np.float32)
    huge = np.array([[-3e38, 0.0, 3e38]], dtype=np.float32)
    rule = CanonicalRule("chest_xray", percentiles=(0.0, 100.0))
    for values in (tiny, huge):
        found = canonicalise(values, rule)
        assert np.isfinite(found).all()
        assert found[0, 0, [0, 2]].tolist() == [0.0, 1.0]


def test_chunks_do_not_show() -> None:
    values = np.random.default_rng(0).integers(0, 60000, size=(700, 900)).astype(np.uint16)
    np.testing.assert_array_equal(histogram(values, 65536), np.bincount(values.ravel(), minlength=65536))
    table = np.arange(65536, dtype=np.float32)
    np.testing.assert_array_equal(look_up(table, values), values.astype(np.float32))
    np.testing.assert_array_equal(look_up(table, values[:, ::2]), values[:, ::2].astype(np.float32))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0, 5.0, 50.0])
@pytest.mark.parametrize("kind", ["noise", "flat", "two values", "rare ends", "mostly black", "ramp"])
def test_ends_are_counted_exactly(kind: str, share: float) -> None:
    rng = np.random.default_rng(0)
    shape = (600, 601)
    values = {
        "noise": rng.normal(2000, 300, shape).clip(0, 4095),
        "flat": np.full(shape, 7),
        "two values": rng.integers(0, 2, shape) * 4095,
        "rare ends": np.where(rng.random(shape) < 1e-4, 4095, rng.integers(1000, 1200, shape)),
        "mostly black": np.where(rng.random(shape) < 0.6, 0, rng.integers(1, 4096, shape)),
        "ramp": np.broadcast_to(np.arange(601), shape),
    }[kind].astype(np.uint16)
    whole, ends = histogram(values, 4096), histogram_of_ends(values, 4096, share)
    assert ends.sum() == values.size
    for pick in (0, -1):
        assert np.flatnonzero(ends)[pick] == np.flatnonzero(whole)[pick]
    wanted = (0.0, share / 2, share, 100 - share, 100 - share / 2, 100.0)
    found = []
    for counts in (whole, ends):
        present = np.flatnonzero(counts)
        found.append(percentiles(present, counts[present], wanted))
    assert found[0] == found[1] == tuple(np.percentile(values, wanted))
