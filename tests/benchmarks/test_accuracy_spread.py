"""Means, intervals and paired differences over seeds, on numbers worked out by hand."""

import pytest
from accuracy.spread import Spread, difference, spread

# Of the t distribution with 2 degrees of freedom, for 95 % on both sides.
T2 = 4.302652729749464


def test_mean_and_interval():
    found = spread([80.0, 82.0, 84.0])
    half = T2 * 2 / 3**0.5  # standard deviation 2
    assert found.mean == 82
    assert found.interval == pytest.approx((82 - half, 82 + half))
    assert found.p is None


@pytest.mark.parametrize("values", [[71.3], [71.3, 71.3, 71.3], [0.1 + 0.2, 0.3]])
def test_values_that_do_not_vary_have_no_interval(values):
    assert spread(values) == Spread(pytest.approx(values[0]), None)


def test_difference_is_paired_by_seed():
    # Unpaired, a difference of 2 would vanish in the spread of 30 between seeds.
    found = difference({0: 53.0, 1: 62.0, 2: 81.0, 3: 99.0}, {2: 80.0, 1: 60.0, 0: 50.0, 7: 0.0})
    half = T2 * 1 / 3**0.5  # of 3, 2 and 1
    assert found.mean == 2
    assert found.interval == pytest.approx((2 - half, 2 + half))
    # P(|T| > t) of two degrees of freedom is 1 - t / sqrt(2 + t²), here with t = 2 √3.
    assert found.p == pytest.approx(1 - (12 / 14) ** 0.5)
    assert not found.clear


def test_clear_on_either_side():
    high, low = {0: 10.0, 1: 11.1, 2: 12.0}, {0: 5.0, 1: 6.0, 2: 7.0}
    assert difference(high, low).clear
    assert difference(low, high).clear
    assert not difference(low, {0: 7.0, 1: 6.0, 2: 5.0}).clear


def test_two_seeds_have_a_mean_and_no_interval():
    assert spread([70.0, 80.0]) == Spread(75.0, None)
    assert difference({0: 10.0, 1: 12.0}, {0: 5.0, 1: 6.0}) == Spread(5.5, None)


def test_no_difference_of_fewer_than_two_common_seeds():
    assert difference({0: 1.0, 1: 2.0}, {1: 1.0, 2: 3.0}) is None
    assert difference({}, {0: 1.0}) is None


def test_a_difference_that_does_not_vary_is_not_tested():
    found = difference({0: 3.0, 1: 4.0, 2: 5.0}, {0: 1.0, 1: 2.0, 2: 3.0})
    assert found == Spread(2.0, None)
    assert not found.clear
