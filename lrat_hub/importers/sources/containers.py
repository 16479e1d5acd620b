"""Compressed files and archives, recognised by their first bytes whatever they are called, and read in place.

gzip, bzip2, xz, zip and tar are read by the standard library, zstd by Arrow's codec. Nothing is extracted.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any, Literal, cast

from lrat_hub.importers.sources.bounds import CHUNK, MIB, Budget, Damaged, LimitExceeded, forward, in_bytes

Compression = Literal["gzip", "bzip2", "xz", "zstd"]
Archive = Literal["tar", "zip"]

COMPRESSIONS: dict[bytes, Compression] = {
    b"\x1f\x8b\x08": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd",
}  # fmt: skip
TAR = (".tar", ".tgz", ".tbz2", ".txz", ".tzst")
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")

XZ_MEMORY = 256 * MIB  # the largest preset, 9, takes 65
IN_MEMORY = 16 * MIB  # of a file that has to be read out of order, before it goes to the disk
PIECE = 1 << 14  # compressed bytes at once: what is behind the last whole piece of a file that is cut off is lost

ZIP_ZSTD = 93
ENCRYPTED = 0x1

# What reading a container raises where it is damaged, and what the libraries let through.
DAMAGE = (
    OSError, EOFError, ValueError, ArithmeticError, LookupError, RuntimeError, TypeError, zlib.error, lzma.LZMAError,
    struct.error, tarfile.TarError, zipfile.BadZipFile,
)  # fmt: skip


@dataclass(frozen=True)
class Member:
    """One file of an archive.

    Args:
        name: Its path as the archive has it.
        problem: Why it is not read; empty when it is.
        open: Opens it.
    """

    name: str
    problem: str
    open: Callable[[], io.BufferedReader]


@contextlib.contextmanager
def damage_named() -> Iterator[None]:
    """Turns what the libraries raise for a damaged container into Damaged."""
    try:
        yield
    except Damaged:
        raise
    except DAMAGE as error:
        raise Damaged(f"{type(error).__name__}: {error}") from error


# Compression


def compression_of(head: bytes) -> Compression | None:
    """How a file is compressed, from its first bytes."""
    for magic, compression in COMPRESSIONS.items():
        # Text can start with bzip2's letters: what follows them is the size of a block, and pi.
        if head.startswith(magic) and (magic != b"BZh" or head[4:10] in (b"1AY&SY", b"\x17rE8P\x90")):
            return compression
    return None


def decompressed(stream: io.BufferedReader, compression: Compression, budget: Budget) -> io.BufferedReader:
    """A stream's content. Reading it raises Damaged and LimitExceeded."""
    match compression:
        case "gzip":
            read = gzip.GzipFile(fileobj=stream).read1
        case "bzip2":
            read = bz2.BZ2File(stream).read1
        case "xz":
            read = _xz(stream)
        case "zstd":
            read = _zstd(stream)
    return forward(_named(read), budget.unpack)


def _named(read: Callable[[int], bytes]) -> Callable[[int], bytes]:
    def named(size: int) -> bytes:
        with damage_named():
            return read(min(size, CHUNK))

    return named


def _xz(stream: io.BufferedReader) -> Callable[[int], bytes]:
    # LZMAFile has no limit of memory, and a header of some bytes can ask for 4 GB.
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, XZ_MEMORY)

    def read(size: int) -> bytes:
        nonlocal decompressor
        while True:
            if decompressor.eof:
                # Streams may follow each other, with zeros between them.
                piece = decompressor.unused_data.lstrip(b"\0")
                while not piece:
                    if not (more := stream.read(PIECE)):
                        return b""
                    piece = more.lstrip(b"\0")
                decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, XZ_MEMORY)
            elif decompressor.needs_input:
                piece = stream.read(PIECE)
                if not piece:
                    raise EOFError("the end of the stream is missing")
            else:
                piece = b""
            if content := decompressor.decompress(piece, size):
                return content

    return read


def _zstd(stream: io.BufferedReader) -> Callable[[int], bytes]:
    import pyarrow

    source = pyarrow.CompressedInputStream(pyarrow.PythonFile(stream, mode="r"), "zstd")
    return lambda size: source.read(min(size, PIECE))


# Archives


def archive_of(head: bytes, suffix: str) -> Archive | None:
    """The kind of an archive, from its first bytes; an empty tar archive is zeros, which only the suffix tells."""
    if head.startswith(ZIP_MAGIC):
        return "zip"
    if head and not head.strip(b"\0"):
        return "tar" if suffix in TAR else None
    try:
        # The header's checksum tells: old archives have no magic.
        tarfile.TarInfo.frombuf(head[: tarfile.BLOCKSIZE], tarfile.ENCODING, "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return None
    return "tar"


class _Headers:
    """A file as tarfile and zipfile read it, with a limit on what they hold of it: both trust the sizes in it."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._left: int | None = limit
        self.seek, self.tell = stream.seek, stream.tell
        self.closed = False

    def start(self) -> None:
        """What is read from now on is a header."""
        self._left = self._limit

    def stop(self) -> None:
        """What is read from now on is content."""
        self._left = None

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self._left is None:
            return self._stream.read(size)
        if size > self._left:
            raise LimitExceeded(f"archive with a header of more than {in_bytes(self._limit)}")
        content = self._stream.read(size if size >= 0 else self._left)
        self._left -= len(content)
        return content

    def close(self) -> None:
        """Whoever opened the stream closes it."""


def tar_members(stream: IO[bytes], budget: Budget) -> Iterator[Member]:
    """The files of a tar archive, each to be read before the next. Raises Damaged and LimitExceeded."""
    headers = _Headers(stream, budget.limits.header)
    with damage_named():
        archive = tarfile.open(fileobj=cast("IO[bytes]", headers), mode="r:")  # noqa: SIM115 it holds nothing open
    while True:
        headers.start()
        with damage_named():
            member = archive.next()
        headers.stop()
        if member is None:
            break
        budget.add_member()
        cast("Any", archive).members.clear()  # which tarfile collects
        if not member.isdir():
            problem = "" if member.isfile() else "link" if member.issym() or member.islnk() else "not a regular file"
            yield Member(member.name, problem, lambda member=member: _tar_content(archive, member, budget))
    # tarfile takes a damaged header for the end, which is a block of zeros.
    with damage_named():
        stream.seek(archive.offset)
        if stream.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
            raise Damaged("the block that ends a tar archive is missing")


def _tar_content(archive: tarfile.TarFile, member: tarfile.TarInfo, budget: Budget) -> io.BufferedReader:
    with damage_named():
        content = archive.extractfile(member)
    assert content is not None  # it is a regular file
    # The holes of a sparse file are zeros that are nowhere in the archive.
    return forward(_named(content.read), budget.unpack if member.issparse() else None)


def zip_members(stream: IO[bytes], budget: Budget, *, in_place: bool) -> Iterator[Member]:
    """The files of a zip archive. Raises Damaged and LimitExceeded.

    Args:
        stream: It is read out of order.
        in_place: Whether it is a file, and no content of another container.
    """
    headers = _Headers(stream, budget.limits.header)
    with damage_named():
        archive = zipfile.ZipFile(cast("IO[bytes]", headers))
    headers.stop()
    opened = 0
    if in_place:
        # The directory is at the end, so that the position says nothing of how much has been read. Entries may
        # overlap: what they have together says no more than the size of the file.
        budget.position = lambda: opened
    for member in archive.infolist():
        budget.add_member()
        if not member.filename.endswith("/"):
            opened += member.compress_size
            yield Member(
                member.filename,
                _zip_problem(member),
                lambda member=member: _zip_content(archive, member, stream, budget),
            )


def _zip_problem(member: zipfile.ZipInfo) -> str:
    mode = member.external_attr >> 16
    if stat.S_ISLNK(mode):
        return "link"
    if member.flag_bits & ENCRYPTED:
        return "encrypted member of a zip archive"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, ZIP_ZSTD):
        return f"member of a zip archive that is compressed by method {member.compress_type}"
    return ""


def _zip_content(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, stream: IO[bytes], budget: Budget
) -> io.BufferedReader:
    with damage_named():
        if member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            return forward(_named(cast("zipfile.ZipExtFile", archive.open(member)).read1), budget.unpack)
        # zipfile decompresses bzip2 without a limit, and knows zstd from Python 3.14 on.
        raw = forward(_named(_slice(stream, member)))
        return decompressed(raw, "zstd" if member.compress_type == ZIP_ZSTD else "bzip2", budget)


def _slice(stream: IO[bytes], member: zipfile.ZipInfo) -> Callable[[int], bytes]:
    """Reads a member's bytes as they are in the archive."""
    stream.seek(member.header_offset)
    header = stream.read(zipfile.sizeFileHeader)  # pyright: ignore[reportAttributeAccessIssue]
    if not header.startswith(b"PK\x03\x04"):
        raise Damaged("the header of a member is missing")
    position = stream.tell() + sum(struct.unpack("<HH", header[26:30]))
    left = member.compress_size

    def read(size: int) -> bytes:
        nonlocal position, left
        stream.seek(position)
        content = stream.read(min(size, left))
        position, left = position + len(content), left - len(content)
        return content

    return read


@contextlib.contextmanager
def seekable(stream: io.BufferedReader, in_place: bool, limit: int) -> Iterator[IO[bytes]]:
    """A file that can be read out of order: a stream itself, or a copy in memory or in a nameless temporary file.

    Args:
        in_place: Whether the stream is a file, and no content of a container.
        limit: Most bytes of a copy.

    Raises:
        LimitExceeded: It is longer than `limit`.
    """
    if in_place:
        yield stream
        return
    size = 0
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as copy:
        while piece := stream.read1(CHUNK):
            size += len(piece)
            if size > limit:
                raise LimitExceeded(f"archive or Parquet file of more than {in_bytes(limit)} in a container")
            copy.write(piece)
        copy.seek(0)
        yield cast("IO[bytes]", copy)
