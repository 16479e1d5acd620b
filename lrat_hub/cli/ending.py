"""How commands end that are told to."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def leaving_on_sigterm(status: int) -> Iterator[None]:
    """However this process is told to stop, what it has half written goes with it."""
    if threading.current_thread() is not threading.main_thread():  # no other can say what a signal does
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(status))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
