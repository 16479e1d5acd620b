"""What a text is, from its first bytes: its encoding, or why it is none that holds records."""

from __future__ import annotations

import codecs
import io
import re

from lrat_hub.importers.sources.bounds import CHUNK, Damaged, forward

MARKS: dict[bytes, str] = {  # of UTF-32 before those of UTF-16, which begin it
    codecs.BOM_UTF32_LE: "utf-32-le", codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be",
    codecs.BOM_UTF8: "utf-8",
}  # fmt: skip

OTHER_FILES: dict[bytes, str] = {
    b"version https://git-lfs.github.com/spec/": "Git LFS pointer: fetch the file itself (git lfs pull)",
    b"ARROW1": "Arrow file: write it as Parquet or JSON lines",
    b"%PDF": "PDF file",
    b"\x89PNG": "picture",
    b"\xff\xd8\xff": "picture",
    b"SQLite format 3\x00": "SQLite database: write its rows as JSON lines",
    b"7z\xbc\xaf\x27\x1c": "7z archive: make it a zip or tar archive",
    b"Rar!": "rar archive: make it a zip or tar archive",
    b"\x04\x22\x4d\x18": "lz4 file: decompress it",
    b"\x93NUMPY": "NumPy file",
    b"\x80\x02": "pickle: not read, as reading one runs code; write it as JSON lines",
    b"\x80\x03": "pickle: not read, as reading one runs code; write it as JSON lines",
    b"\x80\x04": "pickle: not read, as reading one runs code; write it as JSON lines",
    b"\x80\x05": "pickle: not read, as reading one runs code; write it as JSON lines",
}

_PAGE = re.compile(rb"\s*(<\?xml[^>]*>\s*)?<(!doctype html|html|head|body)\b", re.IGNORECASE)
_MARKUP = re.compile(rb"\s*<(!doctype|!--|\?xml|[a-z][\w:.-]*[\s/>])", re.IGNORECASE)
_WIDE = re.compile(rb"(\s|\0)*(\0[\[{\"]\0|[\[{\"]\0)")
_LATIN = re.compile(rb"[A-Za-z][\xa0-\xff](?![\x80-\xbf])|[\xa0-\xff][A-Za-z]")
_PYTHON = re.compile(r"\s*(\[\s*)*\{?\s*'")

NOT_UTF8 = "not UTF-8"
LATIN = "Latin-1 or Windows-1252 in place of UTF-8"
NOT_JSON = "not JSON"
MARKUP = "XML or other markup in place of JSON"
AS_LINES = (
    " A transcript in plain text or XML is no JSON: write it as JSON lines first, a run a line, such as "
    '{"text": "..."}; a `reader` then makes chat records of them (docs/importing.md).'
)
STREAM = "lines of an event stream in place of JSON: write what stands behind `data:` as JSON lines"
ZEROS = "zero bytes in place of JSON"
PYTHON = "Python literals in place of JSON (single quotes): write them with json.dumps"


def problem_of(head: bytes) -> str:
    """Why a file holds no records, from its first bytes; empty when it may hold some."""
    for magic, problem in OTHER_FILES.items():
        if head.startswith(magic):
            return problem
    if any(head.startswith(mark) for mark in MARKS):
        return ""
    if _WIDE.match(head):
        width = "UTF-32" if b"\0\0\0" in head else "UTF-16"
        return f"{width} without a byte order mark: save it as UTF-8"
    # Zeros after the beginning are what a crash leaves of the last record.
    if b"\0" in head and not head.lstrip().startswith((b"{", b"[")):
        return "binary data in place of text"
    if _PAGE.match(head):
        return "HTML page in place of JSON, as servers send with an error"
    return MARKUP if _MARKUP.match(head) else ""


def as_utf8(stream: io.BufferedReader, head: bytes) -> io.BufferedReader:
    """The text in UTF-8 and without a byte order mark. Reading it raises Damaged for what its encoding can't hold."""
    for mark, encoding in MARKS.items():
        if head.startswith(mark):
            stream.read(len(mark))
            return stream if encoding == "utf-8" else forward(_Transcoder(stream, encoding).read)
    return stream


class _Transcoder:
    def __init__(self, stream: io.BufferedReader, encoding: str) -> None:
        self._stream = stream
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._ready = b""

    def read(self, size: int) -> bytes:
        while not self._ready:
            piece = self._stream.read1(CHUNK)
            try:
                self._ready = self._decoder.decode(piece, final=not piece).encode()
            except UnicodeDecodeError as error:
                raise Damaged(f"not {self._encoding}: {error.reason}") from error
            if not piece:
                break
        given, self._ready = self._ready[:size], self._ready[size:]
        return given


def why_not_utf8(line: bytes) -> str:
    """The reason in the account for bytes that are not UTF-8."""
    return LATIN if _LATIN.search(line) else NOT_UTF8


def why_not_json(text: str) -> str:
    """The reason in the account for a text that is not JSON."""
    if _PYTHON.match(text):
        return PYTHON
    if text.startswith(("data:", "event:")):
        return STREAM
    return ZEROS if text.startswith("\0") else NOT_JSON
