"""Files of rows: opened whatever their compression, and read with bounded memory."""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lrat_hub.errors import LratError
from lrat_hub.ledger import Ledger

MAX_LENGTH = 16_000_000
"""Longest row that is kept: bytes of a line, characters of a text. No page of any corpus we know comes near."""

_COMPRESSED = {".gz": gzip.open, ".bz2": bz2.open}
_ROW_FORMATS = frozenset({".jsonl", ".parquet", ".tsv", ".txt", ".xml", ".trec", ".topics", ".sgml", ".qrels"})
_BOM = "\ufeff"


def file_format(path: Path) -> str:
    """The suffix that says how a file is read, in lower case, without that of its compression."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def as_path(given: str) -> str:
    """The text of an input option: a name that ends like a file of rows is a path, also without `./` in front."""
    local = given.startswith(("/", "./", "../", "~"))
    return f"./{given}" if not local and "@" not in given and file_format(Path(given)) in _ROW_FORMATS else given


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, decompressed.

    Raises:
        LratError: It can't be read, or ends in the middle of its compressed data. Raised in the `with` block, too.
    """
    try:
        with _COMPRESSED.get(path.suffix.lower(), Path.open)(path, "rb") as file:
            yield file
    except (OSError, EOFError, zlib.error) as error:
        raise LratError(f"{path}: expected a file that can be read to its end; {error}. Is it complete?") from error


def read_lines(path: Path, ledger: Ledger, *, max_length: int = MAX_LENGTH) -> Iterator[str]:
    """Lines with their ends. Those that are over-long or not UTF-8 are dropped, and never held in memory whole."""
    with opened(path) as file:
        first = True
        while line := file.readline(max_length + 1):
            if len(line) > max_length and not line.endswith(b"\n"):
                while line and not line.endswith(b"\n"):
                    line = file.readline(max_length)
                ledger.drop("over-long row")
                continue
            try:
                text = line.decode()
            except UnicodeDecodeError:
                ledger.drop("bad UTF-8")
                continue
            yield text.removeprefix(_BOM) if first else text
            first = False


def unusable(*texts: str, max_length: int) -> str | None:
    """Why a row with these texts can't be kept, or None. JSON can spell halves of characters that no file can hold."""
    for text in texts:
        if len(text) > max_length:
            return "over-long row"
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                return "bad UTF-8"
    return None
