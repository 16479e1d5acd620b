"""Private keys: blocks between a first and a last line, whole or cut, and the same in base64."""

from __future__ import annotations

import re

from lrat_hub.importers.redaction.patterns import NOTHING, Finding, Pattern, Span
from lrat_hub.importers.redaction.token_forms import Issued

MAX_BLOCK = 20_000

_SPACE = r"(?: |%20|\+)"
_FIRST = re.compile(
    rf"-{{4,5}}{_SPACE}?BEGIN{_SPACE}(?:[A-Z0-9]{{1,12}}{_SPACE}){{0,4}}PRIVATE{_SPACE}KEY(?:{_SPACE}BLOCK)?{_SPACE}?-{{4,5}}"
)
_LAST = re.compile(
    rf"-{{4,5}}{_SPACE}?END{_SPACE}(?:[A-Z0-9]{{1,12}}{_SPACE}){{0,4}}PRIVATE{_SPACE}KEY(?:{_SPACE}BLOCK)?{_SPACE}?-{{4,5}}"
)
# What a block is made of: base64, line breaks as they are or escaped, and headers such as `Proc-Type: 4,ENCRYPTED`.
_BLOCK = re.compile(rf"[A-Za-z0-9+/=\s\\:,%.@<>()_-]{{0,{MAX_BLOCK}}}")
_BASE64 = re.compile(
    r"(?:(?:\s|\\{1,16}[rn]|%0[AaDd])*[A-Za-z0-9+/=]{20,})+"
    r"(?:(?:\s|\\{1,16}[rn]|%0[AaDd])+[A-Za-z0-9+/=]{1,76}(?=\s*(?:\Z|\\{0,63}[\"'])))?"
)
_HEADERS = re.compile(r"(?:(?:\s|\\{1,16}[rn])*[A-Z][A-Za-z-]{2,30}: ?[\w,. -]{1,100}?(?=\n|\\{1,16}n)){0,6}")
_MATERIAL = re.compile(r"[A-Za-z0-9+/=]{16}")
_PUTTY_LINES = re.compile(r" ?\d{1,4}(?P<secret>(?:(?:\s|\\{1,16}[rn])+[A-Za-z0-9+/=]{4,}(?![\w:-]))+)")


def _find_block(text: str, start: int, end: int) -> Finding:
    first = _FIRST.match(text, start)
    if first is None:
        return NOTHING
    stop = text.find("BEGIN", first.end(), first.end() + MAX_BLOCK)
    stop = stop if stop >= 0 else min(len(text), first.end() + MAX_BLOCK)
    last = text.find("END", first.end(), stop)
    while last >= 0:
        line = _LAST.match(text, _line_start(text, last))
        if line:
            block = _BLOCK.match(text, first.end(), line.start())
            if block is None or block.end() != line.start():
                break
            return (
                Finding((Span(start, line.end()),), line.end())
                if _MATERIAL.search(block[0])
                else Finding((), line.end())
            )
        last = text.find("END", last + 3, stop)
    headers = _HEADERS.match(text, first.end())
    material = _BASE64.match(text, headers.end() if headers else first.end(), stop)
    return Finding((Span(start, material.end()),), material.end()) if material else Finding((), first.end())


def _line_start(text: str, index: int) -> int:
    """Where the dashes begin that stand before a word."""
    window = text[max(0, index - 8) : index]
    return index - len(window) + len(window.rstrip("+% 20").rstrip("-"))


def _find_putty(text: str, start: int, end: int) -> Finding:
    match = _PUTTY_LINES.match(text, end)
    return Finding((Span(*match.span("secret")),), match.end()) if match else NOTHING


# The first bytes of the same blocks, and of OpenSSH's format, in base64.
_ENCODED = Issued(
    ("LS0tLS1CRUdJTiBQUklWQVRFIEtFWS", "LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVkt", "LS0tLS1CRUdJTiBFQyBQUklWQVRFIEtFWS",
     "LS0tLS1CRUdJTiBPUEVOU1NIIFBSSVZBVEUgS0VZ", "b3BlbnNzaC1rZXktdjE"),
    "A-Za-z0-9+/=", 40,
)  # fmt: skip

PRIVATE_KEYS: tuple[Pattern, ...] = (
    Pattern("private key", ("-----BEGIN", "---- BEGIN"), _find_block),
    Pattern("private key", ("Private-Lines:",), _find_putty),
    Pattern("private key", _ENCODED.prefixes, _ENCODED),
)
