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
    r"[ \t]{0,40}(?:(?P<heading>#{1,6})[ \t]+)?(?P<bold>\*\*)?"
    r"(?:(?P<number>\d{1,6})[.)、](?:\*\*)?[ \t]+|\[(?P<bracketed>\d{1,6})\][ \t]+|(?P<bullet>[-*•+])[ \t]+)?(?:\*\*)?"
    r"\[(?!!\[)(?P<title>(?:(?!\]\().){1,1000})\]"
    rf"\((?:(?P<titled>https?://{BALANCED}++)[ \t]+\([^()\n]*\)"
    rf"|<?(?P<docid>{BALANCED}++)>?(?:[ \t]+(?:\"[^\n]*?\"|'[^\n]*?'))?|<(?P<angled>[^<>\n]+)>"
    rf"|(?P<spaced>https?://(?: |{BALANCED})++|\S+(?=\)(?:\*\*)?[ \t]*$)))\)(?:\*\*)?",
    re.MULTILINE,
)
_BEHIND = re.compile(r"[ \t]*$\n?", re.MULTILINE)
_NOTE = re.compile(r"[ \t]+(?:\([^()\n]{1,100}\)|\[[^\[\]\n]{1,100}\])[ \t]*$", re.MULTILINE)
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_SEPARATOR = re.compile(r"[ \t]*(?:[-–—|](?=[ \t])|[:：])")


_REFERENCE = re.compile(
    r"^[ \t]{0,40}(?:(?P<number>\d{1,6})[.)][ \t]+|[-*•+][ \t]+)"
    r"\[(?P<title>[^\[\]\n]{1,300})\]\[(?P<name>[^\[\]\n]{1,100})\](?:[ \t]+[-–—|:])?",
    re.MULTILINE,
)
_DEFINITION = re.compile(r"^[ \t]{0,3}\[(?P<name>[^\[\]\n]{1,100})\]:[ \t]*<?(?P<docid>[^\s<>]+)>?", re.MULTILINE)
_WEAK_MARKS = ("#", "**")
"""Marks that links in the texts of other entries may have, too."""


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
    has_note: bool
    indent: int


def links_of(text: str) -> list[Link]:
    """The links of a list: those alone in their lines and those marked like them, or else all that are marked.

    Where the first has a number, or several are marked like it, others are of the documents.
    """
    found = _found(text)
    marks = {one.mark for one in found if one.is_alone}
    if not marks:
        strong = [one.link for one in found if one.mark not in ("", *_WEAK_MARKS)]
        return strong or [one.link for one in found if one.mark]
    is_marked = found[0].mark not in ("", *_WEAK_MARKS)
    first = found[0].mark if is_marked else next(one.mark for one in found if one.is_alone)
    if first == "number" or sum(one.mark == first and (one.is_alone or is_marked) for one in found) > 1:
        marks = {first}  # Others are of documents.
    # A document's text may begin a line with a link, so that one without a mark needs a sign or a note behind it.
    return _with_bullets(
        found,
        [one.mark in marks and (one.is_alone or bool(one.mark or one.has_separator or one.has_note)) for one in found],
    )


def _with_bullets(found: list[_Found], is_entry: list[bool]) -> list[Link]:
    """The links that are entries, with those behind bullets that stand where numbers between them are missing."""
    links: list[Link] = []
    bullets: list[_Found] = []
    for one, is_known in zip(found, is_entry, strict=True):
        if not is_known:
            bullets += [one] if one.mark else []
            continue
        before, number = (links[-1].number if links else 0), one.link.number
        bullets = [bullet for bullet in bullets if bullet.indent == one.indent]
        if before is not None and number is not None and number - before - 1 == len(bullets):
            links += [bullet.link._replace(number=before + index) for index, bullet in enumerate(bullets, start=1)]
        links.append(one.link)
        bullets = []
    return links


def unmarked_links_of(text: str) -> list[Link]:
    """The links of a list without numbers and bullets, each with a sign and a text behind it."""
    return [one.link for one in _found(text) if one.has_separator]


def reference_links_of(text: str) -> tuple[list[Link], int]:
    """The links of a list whose addresses stand below it, `1. [Title][name]`, and where these begin."""
    defined = list(_DEFINITION.finditer(text)) if "][" in text and "]:" in text else []
    if not defined:
        return [], len(text)
    addresses = {match["name"]: match["docid"] for match in defined}
    end = defined[0].start()
    links = [
        Link(addresses[name], match["title"].strip(), int(match["number"]) if match["number"] else None, *match.span())
        for match in _REFERENCE.finditer(text, 0, end)
        if (name := match["name"]) in addresses
    ]
    return links, end


def _found(text: str) -> list[_Found]:
    found, at = [], text.find("](")
    while at >= 0:
        match = _LINK.match(text, text.rfind("\n", 0, at) + 1)
        if match is not None:
            number = match["number"] or match["bracketed"]
            behind = _BEHIND.match(text, match.end())
            separator = None if behind else _SEPARATOR.match(text, match.end())
            docid = (match["titled"] or match["docid"] or match["angled"] or match["spaced"]).strip()
            end = (behind or separator or match).end()
            if "\\" in docid and "://" in docid:
                docid = _ESCAPED.sub(r"\1", docid)
            title = _ESCAPED.sub(r"\1", match["title"].strip())
            mark = "number" if number else match["bullet"] or ("#" if match["heading"] else match["bold"] or "")
            link = Link(docid, title, int(number) if number else None, match.start(), end)
            note = None if behind or separator else _NOTE.match(text, match.end())
            line = match[0]
            indent = len(line) - len(line.lstrip(" \t"))
            found.append(_Found(link, mark, behind is not None, separator is not None, note is not None, indent))
        newline = text.find("\n", at)
        at = text.find("](", newline) if newline >= 0 else -1
    return found
