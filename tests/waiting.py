"""Waiting for what another process or thread does."""

from __future__ import annotations

import time
from collections.abc import Callable

HANGS_AFTER_SECONDS = 600.0
"""Long enough for any machine: whoever waits so long waits for something that will not happen."""


def wait_until(happened: Callable[[], bool], pause: float = 0.02) -> None:
    """Returns as soon as a condition holds, which it looks at every `pause` seconds."""
    end = time.monotonic() + HANGS_AFTER_SECONDS
    while not happened():
        assert time.monotonic() < end, "it never happened"
        time.sleep(pause)
