"""How often each caller may ask: one account for all processes that serve together."""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import struct
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BURST_SECONDS = 10

_BUCKET = struct.Struct("=16sdd")
"""A caller's hash, the requests that it has left, and since when."""

_ROWS, _BUCKETS = 2_048, 8
"""A caller's bucket is one of eight in its row, where it takes the place of the one that hasn't asked for longest."""


class RateLimiter:
    """A token bucket for each caller: requests a second, with bursts of ten seconds' worth.

    Args:
        rate: Requests a second; 0 for any.
        shared: A folder that is there as long as the processes that share the rate; None for this process alone.
    """

    def __init__(self, rate: float, shared: Path | None = None) -> None:
        self._rate, self._most = rate, max(1.0, rate * BURST_SECONDS)
        self._file, size = -1, _ROWS * _BUCKETS * _BUCKET.size
        if shared is not None:
            self._file = os.open(shared / "rates", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            weakref.finalize(self, os.close, self._file)
            os.ftruncate(self._file, size)
        self._buckets = mmap.mmap(self._file, size)

    def wait(self, caller: str) -> float:
        """Counts a request; gives 0 when it is let in, or else the seconds after which the next one would be."""
        if not self._rate:
            return 0.0
        name = hashlib.blake2b(caller.encode(errors="surrogateescape"), digest_size=16).digest()
        start = int.from_bytes(name[:4]) % _ROWS * _BUCKETS * _BUCKET.size
        places = range(start, start + _BUCKETS * _BUCKET.size, _BUCKET.size)
        with self._locked():
            # One clock for all processes.
            now = time.monotonic()
            row = [(*_BUCKET.unpack_from(self._buckets, place), place) for place in places]
            oldest = min(row, key=lambda bucket: bucket[2])
            fresh = (name, self._most, now, oldest[3])
            _, left, since, place = next((bucket for bucket in row if bucket[0] == name), fresh)
            left = min(self._most, left + (now - since) * self._rate)
            allowed = left >= 1
            _BUCKET.pack_into(self._buckets, place, name, left - 1 if allowed else left, now)
        return 0.0 if allowed else (1 - left) / self._rate

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keeps the other processes away; the system lets go of the lock of one that ends."""
        if self._file < 0:
            yield
            return
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)
