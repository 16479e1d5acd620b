"""The harness adds next to nothing to what client and server need, and batches searches: a smaller benchmark."""

from __future__ import annotations

from benchmarks.rollout_throughput import measure


def test_rollouts_reach_nine_tenths_of_the_rate_of_the_bare_requests():
    best = 0.0
    for _ in range(5):
        measured = measure(questions=64, concurrency=32, delay=0.05, protocol="json")
        assert measured["batches"] < measured["searches"] / 2
        best = max(best, measured["replay_seconds"] / measured["rollout_seconds"])
        if best >= 0.9:
            return
    raise AssertionError(f"best of five: {best:.2f} of the rate of the same requests with nothing in between")
