"""When two addresses lead to the same page: agents often write the address of what a search listed a little otherwise.

Only what does not change the page is made equal: the scheme http or https, `www.`, the port that is usual, a slash at
the end, the fragment, the case of the host and of percent-encoding, whether blanks, brackets, quotes and letters
beyond ASCII are percent-encoded, and what campaigns add to the query. Paths and queries that differ are different
pages.
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

_ADDRESS = re.compile(r"https?://\S", re.IGNORECASE)
_ENCODED = re.compile(r"%[0-9a-fA-F]{2}")
_CAMPAIGN = re.compile(r"(?:utm_\w+|gclid|fbclid|msclkid)(?:=|$)", re.IGNORECASE)
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!'()*,")
"""What means the same encoded or not: what is unreserved, and what libraries differ in encoding."""

_AS_IT_IS = "".join(_PLAIN) + "%/:@$&+;=?#[]"
_USUAL = re.compile(rf"[{re.escape(_AS_IT_IS)}]*")
_USUAL_PORTS = (None, 80, 443)


def page_of(docid: str) -> str | None:
    """What is the same for all ways to write the address of a page; None for an id that is no web address."""
    if not _ADDRESS.match(docid):
        return None
    try:
        parts = urlsplit(docid.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host:
        return None
    host = host.rstrip(".").removeprefix("www.")
    suffix = "" if port in _USUAL_PORTS else f":{port}"
    user = f"{parts.username}@" if parts.username else ""
    path = _encoded(parts.path).rstrip("/")
    query = "&".join(part for part in parts.query.split("&") if part and not _CAMPAIGN.match(part))
    return f"{user}{host}{suffix}{path}" + (f"?{_encoded(query)}" if query else "")


def _encoded(text: str) -> str:
    """A part of an address in one way of percent-encoding."""
    if not _USUAL.fullmatch(text):
        text = quote(text, safe=_AS_IT_IS, errors="replace")
    return _ENCODED.sub(_encoding, text) if "%" in text else text


def _encoding(match: re.Match[str]) -> str:
    character = chr(int(match[0][1:], 16))
    return character if character in _PLAIN else match[0].upper()
