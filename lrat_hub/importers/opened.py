"""The documents of a browse, out of what the tool showed: a text for each, where a call opens several."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lrat_hub.importers.mapped_patterns import TextPattern
from lrat_hub.importers.mapping import first_at
from lrat_hub.importers.rows import ADDRESSES, DOCIDS, texts_of_parts, value_of
from lrat_hub.importers.sections import pieces_between_rules, sections_by
from lrat_hub.importers.values import docid_of, object_of, text_of
from lrat_hub.walk.addresses import page_of

_BEFORE_ID = re.compile(
    r"[\s#>*=\[\]()<\"'`_\d.:|-]*(?:(?:the|useful|relevant|web|full|page|text|raw|information|in|from|on|contents?|of|for|"
    r"document|with|id|docid|doc|url|source|link|website|webpage|address|file|results?|summary|visited|opened|fetched|"
    r"title)\b[\s#>*=\[\]()<\"'`_\d.:|-]*){0,12}",
    re.IGNORECASE,
)
_KIND = re.compile(r"\b(?:document|doc|docid|id|file|page|source|result)\b", re.IGNORECASE)
_AFTER_ID = re.compile(r"[\s\"'`*)\]>]*(?:$|:|[|(\[–—-])")
_NUMBER = re.compile(r"\d+")
_KEYS = (*DOCIDS, "id", *ADDRESSES)
_FAILED = ("failed_results", "failed", "errors")
MAX_LINE = 5000


@dataclass(frozen=True)
class Opened:
    """What a call showed of the documents that it was to open.

    Args:
        texts: A document to what was shown of it.
        failed: Documents that the answer lists as failed, to the reason.
        missing: Documents that the answer does not show, while it shows others by name.
        is_divided: Whether each document has a text of its own; otherwise the first one has all.
    """

    texts: Mapping[str, str]
    failed: Mapping[str, str]
    missing: tuple[str, ...] = ()
    is_divided: bool = True


def read_documents(text: str, docids: Sequence[str], section: TextPattern | None = None) -> Opened:
    """What a call that was to open several documents shows of each.

    Args:
        section: Divides the text; see `Tool.section`.
    """
    if (divided := _by_section(text, docids, section) if section else None) is not None:
        return divided
    value = value_of(text)
    if value is not None and (of_data := _of_data(value, docids)) is not None:
        return of_data
    if (parts := texts_of_parts(value)) is not None:
        if len(parts) == len(docids):
            return _in_order(docids, parts)
        text = "\n".join(parts)
    for _, pieces in pieces_between_rules(text, len(docids)):
        names = [_named(piece, docids) for piece in pieces]
        if all(name is None or name == docid for name, docid in zip(names, docids, strict=True)):
            return _in_order(docids, pieces)
        if None not in names and len(set(names)) == len(names):
            return Opened({str(name): piece.strip() for name, piece in zip(names, pieces, strict=True)}, {})
    if named := _by_name(text, docids):
        return Opened(named, {}, tuple(docid for docid in docids if docid not in named))
    return Opened({docid: text if number == 0 else "" for number, docid in enumerate(docids)}, {}, is_divided=False)


def _in_order(docids: Sequence[str], pieces: Sequence[str]) -> Opened:
    return Opened({docid: piece.strip() for docid, piece in zip(docids, pieces, strict=True)}, {})


def _by_section(text: str, docids: Sequence[str], section: TextPattern) -> Opened | None:
    sections = sections_by(section, text)
    names = [docid_of(part.name) for part in sections]
    if names and all(name is None for name in names) and len(sections) == len(docids):
        return _in_order(docids, [part.body for part in sections])
    texts = {
        known: part.body.strip() for name, part in zip(names, sections, strict=True) if (known := _known(name, docids))
    }
    return Opened(texts, {}, tuple(docid for docid in docids if docid not in texts)) if texts else None


def _of_data(value: Any, docids: Sequence[str]) -> Opened | None:
    """Documents out of data that names them: rows with ids or addresses, or an object with ids as keys."""
    texts: dict[str, str] = {}
    failed: dict[str, str] = {}
    places = [value, *(object_of(value).get(key) for key in ("results", "documents", "data", "pages", "contents"))]
    for part in places:
        rows = part if isinstance(part, list) else []
        pairs = [(_id_in(row), row) for row in rows] + [(docid_of(key), row) for key, row in object_of(part).items()]
        for name, row in pairs:
            if (docid := _known(name, docids)) is not None and docid not in texts:
                texts[docid] = text_of(row)
    for key in _FAILED:
        rows = object_of(value).get(key)
        for row in rows if isinstance(rows, list) else []:
            if (docid := _known(_id_in(row) if isinstance(row, dict) else docid_of(row), docids)) is not None:
                failed[docid] = (
                    text_of(object_of(row).get("error") or object_of(row).get("message")) or "the tool failed"
                )
    if not texts and not failed:
        return None
    return Opened(texts, failed, tuple(docid for docid in docids if docid not in texts and docid not in failed))


def _id_in(row: Any) -> str | None:
    return docid_of(first_at(row, _KEYS)) if isinstance(row, dict) else None


def _known(name: str | None, docids: Sequence[str]) -> str | None:
    """The document that a name stands for."""
    if name is None or name in docids:
        return name
    page = page_of(name)
    return next((docid for docid in docids if page is not None and page_of(docid) == page), None)


def _by_name(text: str, docids: Sequence[str]) -> dict[str, str]:
    """The text below each line that names a document; a text may name others, but not as the first line does."""
    starts: dict[str, int] = {}
    others: dict[str, int] = {}
    form, at = None, 0
    for line in text.splitlines(keepends=True):
        if (docid := _named_in(line, docids)) is not None:
            before = _NUMBER.sub("", line.partition(docid)[0]).strip()
            form = before if form is None else form
            (starts if before == form else others).setdefault(docid, at)
        at += len(line)
    starts = others | starts
    ends = [*sorted(starts.values())[1:], len(text)]
    ordered = sorted(starts.items(), key=lambda item: item[1])
    return {docid: text[start:end].strip() for (docid, start), end in zip(ordered, ends, strict=False)}


def _named(piece: str, docids: Sequence[str]) -> str | None:
    """The document that the first lines of a piece name."""
    lines = [line for line in piece.strip().splitlines()[:4] if line.strip()]
    return next((docid for line in lines if (docid := _named_in(line, docids)) is not None), None)


def _named_in(line: str, docids: Sequence[str]) -> str | None:
    if len(line) > MAX_LINE:
        line = line[:MAX_LINE]
    longest: str | None = None
    for docid in docids:
        start = line.find(docid)
        if start < 0 or (longest is not None and len(docid) <= len(longest)):
            continue
        after = line[start + len(docid) : start + len(docid) + 1]
        before = line[:start]
        if (after.isalnum() or after in ("/", "_", "-", "%", "&", "=", "?", "#")) or len(before) > 200:
            continue
        if not _BEFORE_ID.fullmatch(before):
            continue
        # An address is a name by itself; an id such as "7" stands in many lines that name nothing.
        if page_of(docid) is not None or (_KIND.search(before) and _AFTER_ID.match(line, start + len(docid))):
            longest = docid
    return longest
