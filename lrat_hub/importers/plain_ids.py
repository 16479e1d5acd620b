"""Ids of lists that are text, apart from the scores, titles and notes that stand behind them in their lines.

An id may hold blanks and notes of its own. What stands behind a key such as `score` belongs to none, nor do notes of
which the words are known; a title behind a dash and a number without a key are told by all lines of the list.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lrat_hub.importers.entry import Entry

MAX_ID = 1000
"""Characters of a line that may have an id."""

_NO_ID = re.compile(r"(?i:none|null|nan|n/a|undefined|javascript:\S*)|[#-]")
_SCORES = r"(?:score|relevance|similarity|cosine|distance|bm25|rank|得分|分数)"
_NUMBER = r"[-+]?\d{1,20}(?:\.\d{1,20})?(?:[eE][-+]?\d{1,3})?"
_SCORE = rf"\b{_SCORES}\b[ \t]{{0,9}}[:=：]?[ \t]{{0,9}}(?P<score>{_NUMBER})\b"
_TITLE = r"\b(?:title|name|标题)[ \t]{0,9}[:=：]"
_TEXT = r"\b(?:text|snippet|content|description|summary|摘要|内容)[ \t]{0,9}[:=：]"
_URL = r"\b(?:url|link|href|source)[ \t]{0,9}[:=]"
# A word behind a sign is a key where it is in lower case, as no title goes on so.
_KEYED = re.compile(
    rf"[ \t]{{0,9}}(?:(?:[ \t]\|[ \t]{{0,9}}|[,;][ \t]{{1,9}}|[ \t][(\[]?)"
    rf"(?={_SCORE}|{_TITLE}|{_TEXT}|{_URL}|\b(?:{_SCORES}|date|author|type|lang|language)[ \t]{{0,9}}[:=])"
    rf"|[ \t][(\[](?=(?-i:[a-z][a-z_]{{1,19}})[ \t]{{0,9}}[:=][ \t]{{0,9}}{_NUMBER}[ \t]{{0,9}}%?[)\]])"
    r"|(?:[ \t]\|[ \t]{0,9}|[,;][ \t]{1,9})"
    r"(?=(?-i:[a-z][a-z_]{1,19})[ \t]{0,9}[:=](?!//)|"
    r"(?:pages?|pp?\.)[ \t]{1,9}\d{1,6}(?:[-–]\d{1,6})?[ \t]*(?:$|[,;|])))",
    re.IGNORECASE,
)
_SCORE_IN = re.compile(_SCORE, re.IGNORECASE)
_TITLE_IN = re.compile(rf"{_TITLE}[ \t]{{0,9}}(?P<title>[^|;]*?)[ \t]*(?:[|;]|,[ \t][A-Za-z]+[:=]|$)", re.IGNORECASE)
_TEXT_IN = re.compile(rf"{_TEXT}[ \t]{{0,9}}(?P<text>.*)", re.IGNORECASE)
_URL_IN = re.compile(rf"{_URL}[ \t]{{0,9}}<?(?P<url>\w+://[^\s<>|;]+)", re.IGNORECASE)
_NOTE = re.compile(
    r"(?<=[^ \t])[ \t]{1,9}[(\[][ \t]{0,9}"
    rf"(?:archived?|cached?|live|pdf|html?|docx?|{_NUMBER}[ \t]{{0,9}}%)[ \t]{{0,9}}[)\]]$",
    re.IGNORECASE,
)
# One word in lower case, such as "draft", belongs to an id.
_TITLED = re.compile(r"(?P<id>\S+)[ \t]+[-–—|][ \t]+(?!(?-i:[a-z]+)$)(?P<title>\S.*)")
_IS_ID = re.compile(r"[\d_/:#]")
_SCORED = re.compile(r"(?<=[^ \t])[ \t]{1,9}(?P<bracket>[(\[])?(?P<score>[-+]?\d{1,20}\.\d{1,20})(?(bracket)[)\]])$")


def has_id(docid: str) -> bool:
    """Whether a text is an id, and not what programs write where there is none."""
    return _NO_ID.fullmatch(docid) is None


def with_plain_ids(entries: Sequence[Entry], *, only_scores: bool = False) -> list[Entry]:
    """The entries with their ids alone; a title, text, or score that stands behind an id is that of its entry.

    What an id was taken from is an alias of it.

    Args:
        only_scores: Whether ids end before scores alone, as those of `SearchEnvironment` may hold anything else.
    """
    if not any(entry.docid and (" " in entry.docid or "\t" in entry.docid) for entry in entries):
        return list(entries)
    plain = [_without_keys(entry, only_scores) for entry in entries]
    if not only_scores:
        plain = _without_titles([_without_note(entry) for entry in plain])
    plain = _without_scores(plain)
    return [
        entry if entry.docid == written.docid or not written.docid
        else entry._replace(aliases=(*entry.aliases, written.docid))
        for entry, written in zip(plain, entries, strict=True)
    ]  # fmt: skip


def _without_keys(entry: Entry, only_scores: bool) -> Entry:
    docid = entry.docid or ""
    match = _KEYED.search(docid) if len(docid) <= MAX_ID else None
    if match is None or match.start() == 0 or (only_scores and not match["score"]):
        return entry
    score, title, text, url = (
        pattern.search(docid, match.end()) for pattern in (_SCORE_IN, _TITLE_IN, _TEXT_IN, _URL_IN)
    )
    return entry._replace(
        docid=docid[: match.start()],
        title=entry.title or (title["title"].rstrip(" )]") if title else ""),
        snippet=f"{text['text']}\n{entry.snippet}".strip() if text else entry.snippet,
        score=float(score["score"]) if score and entry.score is None else entry.score,
        aliases=(*entry.aliases, url["url"].rstrip(",)]")) if url else entry.aliases,
    )


def _without_note(entry: Entry) -> Entry:
    """The entry without a note on the document's form. "Mercury (planet)" and "a (part 1)" are names of documents."""
    docid = entry.docid or ""
    match = _NOTE.search(docid) if len(docid) <= MAX_ID else None
    return entry._replace(docid=docid[: match.start()]) if match else entry


def _without_titles(entries: list[Entry]) -> list[Entry]:
    """The entries without titles behind dashes, where all ids of the list have one or look like ids, and differ."""
    found = [_TITLED.fullmatch(entry.docid or "") if len(entry.docid or "") <= MAX_ID else None for entry in entries]
    ids = [match["id"] if match else entry.docid or "" for match, entry in zip(found, entries, strict=True)]
    are_ids = all(len(docid.split()) == 1 and _IS_ID.search(docid) for docid in ids)
    if not (all(found) or are_ids) or len(set(ids)) < len(ids):
        return entries
    return [
        entry._replace(docid=match["id"], title=entry.title or match["title"]) if match else entry
        for entry, match in zip(entries, found, strict=True)
    ]


def _without_scores(entries: list[Entry]) -> list[Entry]:
    """The entries without numbers behind their ids that are scores: all have one, and none is larger than before."""
    found = [_SCORED.search(entry.docid) for entry in entries if entry.docid and len(entry.docid) <= MAX_ID]
    matches = [match for match in found if match]
    scores = [float(match["score"]) for match in matches]
    if len(matches) < len(entries) or scores != sorted(scores, reverse=True) or (len(scores) == 1 and scores[0] >= 1):
        return entries
    return [
        entry._replace(docid=match.string[: match.start()], score=score if entry.score is None else entry.score)
        for entry, match, score in zip(entries, matches, scores, strict=True)
    ]
