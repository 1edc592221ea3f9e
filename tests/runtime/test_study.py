"""What a volume says, from what its slices say: every number worked out on paper."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MonaiSKD.runtime.result import Slices
from MonaiSKD.runtime.study import combine, dissent


def of(bright: list[float], atypicality: list[float] | None = None, limit: float = 0.5) -> tuple[list, float, Slices]:
    """Two classes, `bright` being the probability of the second."""
    values = np.array([[1 - value, value] for value in bright], dtype=np.float32)
    far = np.array(atypicality if atypicality is not None else [0.0] * len(bright), dtype=np.float32)
    mean, of_all, slices = combine(values, far, limit)
    return mean.tolist(), of_all, slices


def test_the_volume_says_the_mean_of_the_slices_in_use():
    mean, _, slices = of([0.25, 0.75, 0.125], [0.1, 0.5, 0.6])
    assert mean == [0.5, 0.5]
    assert slices.used.tolist() == [True, True, False]


def test_where_every_slice_is_atypical_all_are_used():
    mean, of_all, slices = of([0.25, 0.75], [0.7, 0.9])
    assert mean == [0.5, 0.5]
    assert slices.used.all()
    assert of_all == pytest.approx(0.7)


def test_a_volume_is_as_typical_as_the_best_fifth_of_its_slices():
    far = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0]
    assert of([0.5] * 10, far)[1] == pytest.approx(0.1)  # the second of ten
    assert of([0.5] * 11, [*far, 1.0])[1] == pytest.approx(0.2)  # the third of eleven
    assert of([0.5] * 5, far[:5])[1] == pytest.approx(0.5)
    assert of([0.5] * 4, far[:4])[1] == pytest.approx(0.6)


def test_what_is_no_number_counts_as_atypical():
    mean, of_all, slices = of([0.25, 0.75], [math.nan, 0.1])
    assert (mean, slices.used.tolist()) == ([0.25, 0.75], [False, True])
    assert of_all == pytest.approx(0.1)
    _, of_all, slices = of([0.25, 0.75], [math.nan, math.nan])
    assert math.isnan(of_all)
    assert slices.used.all()
    assert math.isinf(of([0.5], [math.inf])[1])


def test_one_slice_is_the_volume():
    mean, of_all, slices = of([0.75], [0.25])
    assert (mean, of_all) == ([0.25, 0.75], 0.25)
    assert (slices.used.tolist(), slices.key) == ([True], (0,))


def test_a_volume_without_slices_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="at least one slice"):
        combine(np.empty((0, 2), np.float32), np.empty(0, np.float32), 0.5)


def test_slices_of_the_limit_are_used_as_the_result_calls_them_typical():
    # In single precision 0.4 is a little more than 0.4: the slice and the volume must be judged alike.
    far = np.full(3, 0.4, dtype=np.float32)
    values = np.full((3, 2), 0.5, dtype=np.float32)
    assert float(far[0]) > 0.4
    _, _, slices = combine(values, np.append(far[:2], np.float32(0.3)), 0.4)
    assert slices.used.tolist() == [False, False, True]
    _, _, slices = combine(values, far, float(far[0]))
    assert slices.used.all()


def test_key_slices_are_the_strongest_for_the_label_and_stand_apart():
    bright = [0.6] * 100  # so that the fifth part of a tenth is 5 slices
    for index, value in {50: 0.99, 51: 0.98, 54: 0.97, 55: 0.96, 20: 0.95, 80: 0.94}.items():
        bright[index] = value
    assert of(bright)[2].key == (50, 55, 20)


def test_key_slices_speak_for_the_label_even_where_it_is_the_first_class():
    assert of([0.1, 0.4, 0.05])[2].key == (2, 0, 1)


def test_key_slices_are_in_use_and_at_most_three():
    _, _, slices = of([0.9, 0.99, 0.8, 0.7, 0.6], [0.1, 0.9, 0.1, 0.1, 0.1])
    assert slices.key == (0, 2, 3)


def test_of_equal_slices_the_first_one_is_the_key_slice():
    assert of([0.7, 0.7])[2].key == (0, 1)
    assert of([0.7] * 60)[2].key == (0, 3, 6)


def test_positions_are_passed_on():
    values, far = np.full((2, 2), 0.5, np.float32), np.zeros(2, np.float32)
    assert combine(values, far, 0.5, (1.0, 3.5))[2].positions == (1.0, 3.5)
    assert combine(values, far, 0.5)[2].positions is None


SHARES = st.floats(0, 1, width=32)
SLICES = st.lists(st.tuples(SHARES, st.one_of(SHARES, st.just(math.nan))), min_size=1, max_size=130)


@settings(max_examples=50)
@given(SLICES, SHARES)
def test_for_any_slices_the_answer_is_a_distribution_within_them(slices: list, limit: float):
    bright, far = map(list, zip(*slices, strict=True))
    mean, of_all, account = of(bright, far, limit)
    assert sum(mean) == pytest.approx(1, abs=1e-6)
    used = [value for value, is_used in zip(bright, account.used, strict=True) if is_used]
    assert used
    assert min(used) - 1e-6 <= mean[1] <= max(used) + 1e-6
    assert math.isnan(of_all) or of_all in np.array(far, np.float32).tolist()
    # A fifth of the slices, and not fewer, are at least as typical as the volume.
    if not math.isnan(of_all):
        assert 5 * sum(value <= of_all for value in far) >= len(far)
        assert 5 * sum(value < of_all for value in far) < len(far)


@settings(max_examples=50)
@given(SLICES, SHARES)
def test_for_any_slices_key_slices_are_used_apart_and_in_order_of_strength(slices: list, limit: float):
    bright, far = map(list, zip(*slices, strict=True))
    mean, _, account = of(bright, far, limit)
    column = account.probabilities[:, int(np.argmax(mean))]
    key = list(account.key)
    assert 1 <= len(key) <= 3
    assert all(account.used[index] for index in key)
    assert column[key[0]] == column[account.used].max()
    assert all(column[one] >= column[two] for one, two in itertools.pairwise(key))
    apart = max(1, round(0.05 * len(bright)))
    assert all(abs(one - two) >= apart for place, one in enumerate(key) for two in key[:place])


@settings(max_examples=50)
@given(SLICES, SHARES, st.randoms(use_true_random=False))
def test_the_order_of_the_slices_does_not_move_the_answer(slices: list, limit: float, chance):
    mixed = list(slices)
    chance.shuffle(mixed)
    one, two = (of(*map(list, zip(*some, strict=True)), limit) for some in (slices, mixed))
    assert one[0] == pytest.approx(two[0], abs=1e-6)
    assert one[1] == two[1] or (math.isnan(one[1]) and math.isnan(two[1]))


def made(leading: list[int], used: list[bool]) -> Slices:
    probabilities = np.eye(3, dtype=np.float32)[leading]
    return Slices(probabilities, np.zeros(len(leading), np.float32), np.array(used), (0,))


def test_slices_that_say_otherwise_are_named_most_frequent_first():
    slices = made([0] * 7 + [2, 2, 1], [True] * 10)
    assert dissent(slices, ["none", "a", "b"], "none") == (
        "3 of 10 slices in use speak more for another class: b 2, a 1",
    )


def test_one_in_eleven_is_not_mentioned_and_one_in_ten_is():
    assert dissent(made([0] * 10 + [1], [True] * 11), ["none", "a", "b"], "none") == ()
    assert len(dissent(made([0] * 9 + [1], [True] * 10), ["none", "a", "b"], "none")) == 1


def test_slices_that_are_not_in_use_do_not_speak():
    assert dissent(made([0, 0, 1, 1], [True, True, False, False]), ["none", "a", "b"], "none") == ()
