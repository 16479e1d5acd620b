"""Ids of lists that are text, apart from the scores, titles and notes that stand behind them in their lines.

An id may hold blanks. What stands behind a key such as `score` belongs to none; a note in brackets or a title behind a
dash is told from the ids by all lines of the list.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lrat_hub.importers.entries import Entry

MAX_ID = 1000
"""Characters of a line that may have an id."""

_SCORES = r"(?:score|relevance|similarity|distance|bm25|rank|得分|分数)"
_NUMBER = r"[-+]?\d{1,20}(?:\.\d{1,20})?(?:[eE][-+]?\d{1,3})?"
_SCORE = rf"\b{_SCORES}\b[ \t]{{0,9}}[:=：]?[ \t]{{0,9}}(?P<score>{_NUMBER})\b"
_TITLE = r"\b(?:title|name|标题)[ \t]{0,9}[:=：]"
_KEYED = re.compile(
    rf"[ \t]{{0,9}}(?:[ \t]\|[ \t]{{0,9}}|[,;][ \t]{{1,9}}|[ \t][(\[]?)"
    rf"(?={_SCORE}|{_TITLE}|\b(?:{_SCORES}|url|link|source|date|author|type|lang|language)[ \t]{{0,9}}[:=])",
    re.IGNORECASE,
)
_SCORE_IN = re.compile(_SCORE, re.IGNORECASE)
_TITLE_IN = re.compile(rf"{_TITLE}[ \t]{{0,9}}(?P<title>[^|;]*?)[ \t]*(?:[|;]|,[ \t][A-Za-z]+[:=]|$)", re.IGNORECASE)
_TAILED = re.compile(
    r"(?P<id>\S+)[ \t]+(?:(?P<dash>[-–—|])[ \t]+(?P<title>\S.*)|\([^()]*(?:\([^()]*\)[^()]*)*\)|\[[^\[\]]*\])"
)
_IS_ID = re.compile(r"[\d_/:#]")


def with_plain_ids(entries: Sequence[Entry], *, only_scores: bool = False) -> list[Entry]:
    """The entries with their ids alone; a title or score that stands behind an id is that of its entry.

    Args:
        only_scores: Whether ids end before scores alone, as those of `SearchEnvironment` may hold anything else.
    """
    if not any(entry.docid and (" " in entry.docid or "\t" in entry.docid) for entry in entries):
        return list(entries)
    entries = [_without_keys(entry, only_scores) for entry in entries]
    return entries if only_scores else _without_tails(entries)


def _without_keys(entry: Entry, only_scores: bool) -> Entry:
    docid = entry.docid or ""
    match = _KEYED.search(docid) if len(docid) <= MAX_ID else None
    if match is None or match.start() == 0 or (only_scores and not match["score"]):
        return entry
    score, title = _SCORE_IN.search(docid, match.end()), _TITLE_IN.search(docid, match.end())
    return entry._replace(
        docid=docid[: match.start()],
        title=entry.title or (title["title"].rstrip(" )]") if title else ""),
        score=float(score["score"]) if score and entry.score is None else entry.score,
    )


def _without_tails(entries: list[Entry]) -> list[Entry]:
    """The entries without notes in brackets and titles behind dashes, where no id of the list holds blanks."""
    ids = [entry.docid for entry in entries if entry.docid is not None]
    found = {docid: _TAILED.fullmatch(docid) for docid in ids if len(docid) <= MAX_ID}
    plain = {docid: match["id"] if (match := found.get(docid)) else docid for docid in ids}
    # Parts of a document differ in what stands behind its name.
    if any(len(docid.split()) > 1 for docid in plain.values()) or len(set(plain.values())) < len(plain):
        return entries
    # "Mercury (planet)" is the name of a page.
    are_titled = all((match := found.get(docid)) and match["dash"] for docid in ids)
    if not are_titled and not all(map(_IS_ID.search, plain.values())):
        return entries
    return [
        entry if entry.docid is None or (match := found.get(entry.docid)) is None
        else entry._replace(docid=match["id"], title=entry.title or match["title"] or "")
        for entry in entries
    ]  # fmt: skip
