"""Waiting: by a clock that nobody sets."""

import threading

from pacs_clock import Clock

from MonaiSKD.pacs.clock import Backoff, Rate


def test_backoff_doubles_up_to_a_limit_and_is_spread():
    assert [Backoff(2, 60, lambda: 1.0).delay(n) for n in (1, 2, 3, 5, 6, 9000)] == [2, 4, 8, 32, 60, 60]
    delays = {Backoff(2, 60).delay(4) for _ in range(50)}
    assert len(delays) > 40
    assert all(8 <= delay <= 16 for delay in delays)


def test_rate_allows_a_burst_and_then_so_many_a_second():
    clock = Clock()
    rate = Rate(3, clock)
    assert [rate.take() for _ in range(4)] == [True, True, True, False]
    clock.seconds += 0.34
    assert [rate.take() for _ in range(2)] == [True, False]
    clock.seconds += 100
    assert sum(rate.take() for _ in range(9)) == 3


def test_a_slow_rate_allows_one_at_once_and_a_stop_ends_the_wait():
    clock = Clock()
    rate = Rate(0.01, clock)
    assert rate.take()
    stop = threading.Event()
    stop.set()
    rate.wait(stop)  # would take 100 s
