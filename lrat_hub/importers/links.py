"""Lists of Markdown links, each at the begin of a line: `1. [Title](address) - text`.

An address may hold parentheses that are closed. What stands behind a link is text of its entry.
"""

from __future__ import annotations

import re
from typing import NamedTuple

BALANCED = r"(?:[^\s()<>]|\((?:[^\s()<>]|\([^\s()<>]*+\))*+\))"
"""What an address consists of: characters, and parentheses that are closed, also in others."""

# An address with parentheses that are not closed is one only where nothing stands behind the link.
_LINK = re.compile(
    r"[ \t]{0,40}(?:#{1,6}[ \t]+)?(?:\*\*)?"
    r"(?:(?P<number>\d{1,6})[.)、](?:\*\*)?[ \t]+|\[(?P<bracketed>\d{1,6})\][ \t]+|(?P<bullet>[-*•+])[ \t]+)?(?:\*\*)?"
    r"\[(?!!\[)(?P<title>(?:(?!\]\().){1,1000})\]"
    rf"\((?:<?(?P<docid>{BALANCED}++)>?(?:[ \t]+(?:\"[^\"\n]*\"|'[^'\n]*'))?|<(?P<angled>[^<>\n]+)>"
    rf"|(?P<spaced>https?://(?: |{BALANCED})++|\S+(?=\)(?:\*\*)?[ \t]*$)))\)(?:\*\*)?",
    re.MULTILINE,
)
_BEHIND = re.compile(r"[ \t]*$\n?", re.MULTILINE)
_SEPARATOR = re.compile(r"[ \t]*(?:[-–—|](?=[ \t])|[:：])")


class Link(NamedTuple):
    """A link of a list.

    Args:
        start: Where its line begins.
        end: Where the text of its entry begins.
    """

    docid: str
    title: str
    number: int | None
    start: int
    end: int


class _Found(NamedTuple):
    link: Link
    mark: str
    is_alone: bool
    has_separator: bool


def links_of(text: str) -> list[Link]:
    """The links of a list: those alone in their lines and those marked like them, or else all that are marked."""
    found = _found(text)
    marks = {one.mark for one in found if one.is_alone}
    if not marks:
        return [one.link for one in found if one.mark]
    # A document's text may begin a line with a link, so that one without a mark needs a sign behind it.
    return [one.link for one in found if one.is_alone or (one.mark in marks and (one.mark or one.has_separator))]


def unmarked_links_of(text: str) -> list[Link]:
    """The links of a list without numbers and bullets, each with a sign and a text behind it."""
    return [one.link for one in _found(text) if one.has_separator]


def _found(text: str) -> list[_Found]:
    found, at = [], text.find("](")
    while at >= 0:
        match = _LINK.match(text, text.rfind("\n", 0, at) + 1)
        if match is not None:
            number = match["number"] or match["bracketed"]
            behind = _BEHIND.match(text, match.end())
            separator = None if behind else _SEPARATOR.match(text, match.end())
            docid = (match["docid"] or match["angled"] or match["spaced"]).strip()
            end = (behind or separator or match).end()
            link = Link(docid, match["title"].strip(), int(number) if number else None, match.start(), end)
            found.append(
                _Found(link, "number" if number else match["bullet"] or "", behind is not None, separator is not None)
            )
        newline = text.find("\n", at)
        at = text.find("](", newline) if newline >= 0 else -1
    return found
