"""How much of a source is read, and streams that keep to it.

A source is untrusted: a file of 3 MB can unpack to 3 GB of zeros, an archive can declare a member of petabytes, and a
line can be longer than the memory. Each such thing costs its record or its file, with a reason in the account.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

MIB = 1 << 20
GIB = 1 << 30

CHUNK = MIB
"""Bytes that are read at once."""

HEAD = 512
"""Bytes that a file is recognised by: a header of tar is the longest."""


@dataclass(frozen=True)
class Limits:
    """How much of a source is read.

    Args:
        record: Longest record in bytes: a line, an element of an array, or a document. What is longer is left out, and
            what comes after it is read.
        ratio: Most bytes that are unpacked for each byte of a compressed file or archive. Request logs, in which each
            line repeats the conversation so far, reach 400 with zstd; the bombs of gzip have 1,030.
        unpacked: Bytes that are unpacked from a file whatever the ratio.
        total: Most bytes that are unpacked from a file at all.
        members: Most members of an archive, with those of the archives in it.
        header: Most bytes that the directory of a zip archive or the header of a member of a tar archive may have.
        depth: How deep archives may be in archives, and how often a file may be compressed.
        spooled: Most bytes of a zip archive or Parquet file inside of an archive: it is read from a temporary file.
    """

    record: int = 256 * MIB
    ratio: int = 800
    unpacked: int = 256 * MIB
    total: int = 512 * GIB
    members: int = 1_000_000
    header: int = 32 * MIB
    depth: int = 3
    spooled: int = 8 * GIB


class LimitExceeded(Exception):
    """More than the limits allow. The message is the reason in the account."""


class BudgetExceeded(LimitExceeded):
    """A file unpacks to more than the limits allow, so that nothing more of it is read."""


class Damaged(OSError):
    """A container that is cut off or damaged."""


class Budget:
    """What may still be unpacked from one file, whatever is nested in it.

    Args:
        size: Bytes of the file.
        position: Gives how many of them have been read.
    """

    def __init__(self, limits: Limits, size: int, position: Callable[[], int]) -> None:
        self.limits = limits
        self.position = position
        self._size = size
        self._unpacked = 0
        self._members = 0

    def read_out_of_order(self) -> None:
        """From now on, the position says nothing of how much has been read."""
        self.position = lambda: self._size

    def unpack(self, count: int) -> None:
        """Counts bytes that were unpacked. Raises BudgetExceeded."""
        self._unpacked += count
        if self._unpacked <= self.limits.unpacked:
            return
        if self._unpacked > self.limits.total:
            raise BudgetExceeded(f"unpacks to more than {in_bytes(self.limits.total)}")
        if self._unpacked > self.limits.ratio * min(self._size, self.position()):
            raise BudgetExceeded(f"unpacks to more than {self.limits.ratio} times its size")

    def add_member(self) -> None:
        """Counts a member of an archive. Raises BudgetExceeded."""
        self._members += 1
        if self._members > self.limits.members:
            raise BudgetExceeded(f"archive of more than {self.limits.members:,} members")


class Forward(io.RawIOBase):
    """A stream that is read once, from its beginning to its end, out of a function that gives its next bytes.

    Args:
        read: Gives at most as many bytes as it is asked for, none at the end.
        count: Is told how many it gave.
    """

    def __init__(self, read: Callable[[int], bytes], count: Callable[[int], None] | None = None) -> None:
        self._read = read
        self._count = count
        self._position = 0
        self._error: Exception | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        if self._error is not None:
            raise self._error
        filled = 0
        # A beginning that comes in small pieces would be too short to be recognised.
        while filled < min(HEAD, len(buffer)):
            try:
                piece = self._read(len(buffer) - filled)
                if self._count is not None:
                    self._count(len(piece))
            except Exception as error:  # raised again by the next call: what came before the damage is not lost
                if not filled:
                    raise
                self._error = error
                break
            if not piece:
                break
            buffer[filled : filled + len(piece)] = piece
            filled += len(piece)
        self._position += filled
        return filled

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes forward, as tarfile does to pass members over."""
        offset += self._position if whence == io.SEEK_CUR else 0
        if whence == io.SEEK_END or offset < self._position:
            raise Damaged("expected to go forward")
        waste = memoryview(bytearray(min(CHUNK, offset - self._position)))
        while self._position < offset and self.readinto(waste[: offset - self._position]):
            pass
        return self._position


def forward(read: Callable[[int], bytes], count: Callable[[int], None] | None = None) -> io.BufferedReader:
    """A buffered stream out of a function that gives its next bytes; see `Forward`."""
    return io.BufferedReader(Forward(read, count), CHUNK // 8)


def pushed_back(head: bytes, stream: io.BufferedReader) -> io.BufferedReader:
    """A stream of which some bytes were read, to be read again from these on."""
    left = memoryview(head)

    def read(size: int) -> bytes:
        nonlocal left
        if not left:
            return stream.read1(size)
        given, left = bytes(left[:size]), left[size:]
        return given

    return forward(read) if head else stream


def in_bytes(count: int) -> str:
    """A number of bytes for a reader."""
    for unit, size in (("GiB", GIB), ("MiB", MIB), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:g} {unit}"
    return f"{count} bytes"
