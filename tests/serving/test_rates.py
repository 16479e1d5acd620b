"""Rates of callers, which hold for several processes together."""

import time

from lrat_hub.serving.rates import _BUCKETS, _ROWS, RateLimiter

SLOW = 1e-6
"""A rate at which nothing is let in again while a test runs."""


def test_limiters_of_one_folder_count_together_and_others_for_themselves(tmp_path):
    first, second, alone = RateLimiter(SLOW, tmp_path), RateLimiter(SLOW, tmp_path), RateLimiter(SLOW)
    assert first.wait("anna") == 0
    assert second.wait("anna") > 0
    assert first.wait("anna") > 0
    assert [second.wait("bert"), alone.wait("anna"), alone.wait("bert")] == [0, 0, 0]
    assert first.wait("bert") > 0


def test_ten_seconds_worth_may_come_at_once():
    limiter, started = RateLimiter(0.5), time.monotonic()
    waits = [limiter.wait("anna") for _ in range(6)]
    # A machine that stands still may earn the sixth.
    earned = 0.5 * (time.monotonic() - started)
    assert waits[:5] == [0] * 5
    assert waits[5] <= 2
    assert waits[5] > 0 or earned >= 1


def test_a_caller_is_remembered_unless_very_many_have_asked_since(tmp_path):
    limiter = RateLimiter(SLOW, tmp_path)
    size = (tmp_path / "rates").stat().st_size
    assert limiter.wait("anna") == 0
    assert [limiter.wait(f"other {number}") for number in range(_ROWS // 2)] == [0] * (_ROWS // 2)
    assert limiter.wait("anna") > 0
    for number in range(20 * _ROWS * _BUCKETS):
        limiter.wait(f"further {number}")
    assert limiter.wait("anna") == 0
    assert (tmp_path / "rates").stat().st_size == size
