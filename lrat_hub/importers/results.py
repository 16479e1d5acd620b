"""The result lists of a search, out of what the tool showed: each under the query that it belongs to, or left out.

A call can ask for several queries at once. Their lists are told apart by lines that name an asked query, by lines of
signs (`=======`) of which there is one less than queries, by numbers that begin again at 1, or by the shape of the
data. Where none of these does, the lists are left out and counted: no hit stands under a query that did not list it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from lrat_hub.importers.entries import begins_a_list, entries_of
from lrat_hub.importers.entry import Entry, entries_by
from lrat_hub.importers.listings import (
    NOT_ONE_EACH,
    TOLD_APART,
    UNRECOGNISED,
    Inseparable,
    Listing,
    SearchResults,
    are_lists,
    assembled,
    first_list,
    goes_on,
    is_cut_off,
    is_numbered,
    with_docids,
    with_gaps,
    without_inner,
    without_nameless,
)
from lrat_hub.importers.mapping import ResultFormat
from lrat_hub.importers.rows import (
    by_query,
    entries_of_rows,
    is_row,
    list_in,
    plain,
    query_in,
    rows_cut_off,
    texts_of_parts,
    value_of,
    values_in,
)
from lrat_hub.importers.sections import (
    Section,
    pieces_between_rules,
    sections_by,
    sections_by_number,
    sections_by_query,
)
from lrat_hub.importers.values import identifier_of

_EMPTY = re.compile(
    r"\s*(?:\W{0,3}\s*)?(?:no|0|zero|found (?:0|no)|sorry, no|there (?:are|were) no)\b[^\n]{0,60}?"
    r"\b(?:results?|documents?|matches|hits|pages|information|entries)\b|\s*nothing (?:was )?found\b",
    re.IGNORECASE,
)
# Such a line stands above many lists, too, so it says something only of a text with little else.
_MAX_EMPTY = 400
_DEPTH = 5
_ANY_FORMAT = ResultFormat()


def read_results(
    text: str,
    asked: Sequence[str],
    known: ResultFormat | None = None,
    *,
    results: Sequence[Any] | None = None,
    docids: Sequence[Any] | None = None,
) -> SearchResults:
    """The result lists of a search that was asked for some queries.

    Args:
        text: What the tool showed.
        known: How lists are written, or None to look for every way that is known.
        results: The lists, where the log keeps them apart from the text: one for each query that ran.
        docids: The ids of what was listed, where the log keeps them apart from the text.
    """
    reader = _Reader(tuple(asked), known or _ANY_FORMAT)
    text = text.replace("\r\n", "\n") if "\r" in text else text
    if known is not None and known.shared:
        reader = _Reader(tuple(asked[:1]), replace(known, section=None, shared=False))
    try:
        if results is not None:
            listings: list[Listing] | None = reader.of_lists([_rows(part) for part in results])
        else:
            listings = reader.of_text(text)
            if docids:
                listings = with_docids(listings, [identifier_of(docid) for docid in docids], reader.asked)
    except Inseparable:
        reason = TOLD_APART if results is None else NOT_ONE_EACH
        return SearchResults(tuple(asked), dropped=((reason, len(asked)),))
    if listings is None:
        # A log that does not keep what its tools show has nothing that could be lost here.
        num_dropped = 0 if not text.strip() else max(1, len(asked))
        return SearchResults(tuple(asked), dropped=((UNRECOGNISED, num_dropped),) if num_dropped else ())
    found = assembled(listings, reader.asked, reader.unattributed)
    if results is None:
        return found
    return without_nameless(found, listings, [row for part in results for row in _rows(part)])


def _rows(part: Any) -> list[Any]:
    return list(part) if isinstance(part, (list, tuple)) else list_in(part, _ANY_FORMAT) or []


def _are_inner(text: str) -> bool:
    """Whether the objects in a text stand in the documents of a list."""
    return begins_a_list(text, text.find("{"))


@dataclass
class _Reader:
    """Reads lists for the queries that were asked."""

    asked: tuple[str, ...]
    known: ResultFormat
    unattributed: int = 0

    # Data

    def of_lists(self, lists: Sequence[Sequence[Any]]) -> list[Listing]:
        """Lists that are in the order of the queries."""
        if len(lists) != len(self.asked) and not (len(self.asked) <= 1 and len(lists) <= 1):
            raise Inseparable
        queries = self.asked or ("",)
        return [
            Listing(query, tuple(entries_of_rows(rows, self.known)))
            for query, rows in zip(queries, lists, strict=False)
        ]

    def of_value(self, value: Any, depth: int) -> list[Listing] | None:
        """The lists of an answer that is data, or None where it has none."""
        if (texts := texts_of_parts(value)) is not None:
            return self._of_parts(texts, depth)
        for inner in (value, *(value.values() if isinstance(value, dict) and len(value) <= 10 else ())):
            if found_lists := list(by_query(inner, self.asked, self.known)):
                return [Listing(query, tuple(entries_of_rows(rows, self.known))) for query, rows in found_lists]
        rows = list_in(value, self.known)
        if (
            rows is None
            and isinstance(value, dict)
            and isinstance(text := value.get("result", value.get("text")), str)
        ):
            return self.of_text(text, depth + 1)
        if rows is None and isinstance(value, dict) and is_row(value, self.known) and len(self.asked) <= 1:
            rows = [value]
        return None if rows is None else self._of_rows(rows, depth)

    def _of_rows(self, rows: Sequence[Any], depth: int) -> list[Listing] | None:
        if rows and all(isinstance(part, list) for part in rows):
            return self.of_lists(rows)
        if (texts := texts_of_parts(list(rows))) is not None:
            return self._of_parts(texts, depth)
        if rows and all(isinstance(part, str) for part in rows) and depth < _DEPTH:
            # Texts: one for each query, or one for each hit.
            return self._of_parts([str(part) for part in rows], depth)
        groups = [list_in(part, self.known) if isinstance(part, dict) else None for part in rows]
        if rows and any(group is not None for group in groups) and not all(is_row(part, self.known) for part in rows):
            return self._of_groups(rows, groups)
        if len(self.asked) > 1 and rows and all(names := [query_in(row) for row in rows]):
            merged: dict[str, list[Any]] = {}
            for name, row in zip(names, rows, strict=True):
                merged.setdefault(plain(name or ""), []).append(row)
            return self._of_groups([{"query": name} for name in merged], list(merged.values()))
        if len(self.asked) > 1:
            if rows:
                raise Inseparable
            return [Listing(query, ()) for query in self.asked]
        return [Listing((*self.asked, "")[0], tuple(entries_of_rows(rows, self.known)))]

    def _of_groups(self, parts: Sequence[Any], groups: Sequence[list[Any] | None]) -> list[Listing]:
        """Lists of objects of which each may name its query; in the order of the queries where none does."""
        names = [query_in(part) for part in parts]
        if not any(names):
            return self.of_lists([group or [] for group in groups])
        known = {plain(query): query for query in self.asked}
        listings: list[Listing] = []
        for name, group in zip(names, groups, strict=True):
            query = known.get(plain(name or ""))
            if query is None and len(self.asked) == len(parts) == 1:
                query = self.asked[0]
            if query is None or any(listing.query == query for listing in listings):
                self.unattributed += 1
                continue
            listings.append(Listing(query, tuple(entries_of_rows(group or [], self.known))))
        if not listings:
            raise Inseparable
        return listings

    def _of_parts(self, texts: Sequence[str], depth: int) -> list[Listing] | None:
        """Parts of an answer: one text, a text for each query, or a text for each hit."""
        if depth >= _DEPTH:
            return None
        if len(texts) == 1:
            return self.of_text(texts[0], depth + 1)
        values = [value_of(text) for text in texts]
        if values and all(isinstance(value, dict) and is_row(value, self.known) for value in values):
            return self._of_rows(values, depth + 1)
        _, sections = sections_by_query("\n".join(texts), self.asked)
        if len(self.asked) > 1 and not sections and len(texts) == len(self.asked):
            one = [_Reader((query,), self.known).of_text(text) for query, text in zip(self.asked, texts, strict=True)]
            lists = [listings[0].entries for listings in one if listings is not None and len(listings) == 1]
            if len(lists) == len(one) and any(len(entries) > 1 for entries in lists):
                return [Listing(query, entries) for query, entries in zip(self.asked, lists, strict=True)]
            raise Inseparable
        return self.of_text("\n\n".join(texts), depth + 1)

    # Texts

    def of_text(self, text: str, depth: int = 0) -> list[Listing] | None:
        """The lists of a text, or None where it has none that can be read."""
        if self.known.pattern is None and depth < _DEPTH and (value := value_of(text)) is not None:
            return self.of_value(value, depth + 1)
        if self.known.section is not None and (sections := sections_by(self.known.section, text)):
            before = text[: found.start()] if (found := self.known.section.search(text)) else ""
            return self._of_sections(text, before, sections, depth)
        before, sections = sections_by_query(text, self.asked)
        if sections and all(section.is_weak for section in sections) and self._entries(before):
            sections = []  # lines of documents, as no list of a query stands below the first of them alone
        if len(self.asked) > 1 and (divided := self._between_rules(text, depth)) is not None:
            return divided
        if sections:
            return self._of_named(text, before, sections, depth)
        if len(self.asked) > 1:
            return self._of_unnamed(text, depth)
        return self._as_one(text, depth)

    def _as_one(self, text: str, depth: int) -> list[Listing] | None:
        entries = self._entries(text, depth)
        return None if entries is None else [Listing((*self.asked, "")[0], tuple(entries))]

    def _of_sections(self, text: str, before: str, sections: Sequence[Section], depth: int) -> list[Listing] | None:
        if any(section.name is not None for section in sections):
            return self._of_named(text, before, sections, depth)
        if len(sections) != max(1, len(self.asked)):
            raise Inseparable
        queries = self.asked or ("",)
        return [
            Listing(query, tuple(self._entries(section.body, depth) or ()))
            for query, section in zip(queries, sections, strict=True)
        ]

    def _of_named(self, text: str, before: str, sections: Sequence[Section], depth: int) -> list[Listing] | None:
        """Sections that name their query. What stands before them may be the list of a query that is not named."""
        if len(sections) == 1 and len(self.asked) == 1 and is_cut_off(sections[0].name or "", self.asked[0]):
            sections = [sections[0]._replace(name=self.asked[0])]
        if self._entries(before, depth) or begins_a_list(before, len(before)):
            if len(self.asked) <= 1 and all(section.announced is None for section in sections):
                # The line that names the query stands in one of the documents.
                return self._as_one(text, depth)
            self.unattributed += 1
        listings: dict[str, Listing] = {}
        for section in sections:
            name, entries = section.name or "", self._entries(section.body, depth)
            last = next(reversed(listings.values()), None)
            if section.is_weak and entries and last is not None and goes_on(last.entries, entries):
                listings[plain(last.query)] = last._replace(entries=(*last.entries, *entries))
                continue
            if entries:
                entries, others = first_list(section.body, entries)
                self.unattributed += others
            if section.name is None:
                self.unattributed += int(bool(entries))
                continue
            if plain(name) in listings and (entries or listings[plain(name)].entries):
                self.unattributed += 1  # one query with two lists
                continue
            is_unknown = entries is None and section.announced is None and section.body.strip() != ""
            listings[plain(name)] = Listing(name, tuple(entries or ()), section.announced or 0, is_unknown)
        return None if all(listing.is_unknown for listing in listings.values()) else list(listings.values())

    def _between_rules(self, text: str, depth: int) -> list[Listing] | None:
        """Lists between lines of signs, in the order of the queries unless they name them."""
        for sign, pieces in pieces_between_rules(text, len(self.asked)):
            divided = [sections_by_query(piece, self.asked) for piece in pieces]
            # A list begins with the name of its query.
            divided = [
                (before, [] if before.strip() and all(section.is_weak for section in sections) else sections)
                for before, sections in divided
            ]
            inner = [sections for _, sections in divided]
            # A piece that begins with one list and names the query of another is none.
            if any(len(sections) > 1 or (sections and before.strip()) for before, sections in divided):
                continue
            names = [sections[0].name if sections else None for sections in inner]
            if any(name is not None and name not in self.asked for name in names):
                continue
            entries = [self._entries(piece, depth) for piece in pieces]
            if all(name is None for name in names) and not are_lists(entries, sign):
                continue
            waiting = list(self.asked)
            for name in names:
                if name in waiting:
                    waiting.remove(name)
            queries = [name if name is not None else waiting.pop(0) if waiting else "" for name in names]
            if len(set(map(plain, queries))) != len(queries) and len(set(map(plain, self.asked))) == len(self.asked):
                continue
            return [
                Listing(query, tuple(listed or ()), (sections[0].announced or 0) if sections else 0)
                for query, listed, sections in zip(queries, entries, inner, strict=True)
            ]
        return None

    def _of_unnamed(self, text: str, depth: int) -> list[Listing] | None:
        """Lists of several queries of which none is named."""
        if bodies := sections_by_number(text, len(self.asked)):
            one = [self._entries(body, depth) for body in bodies]
            return [Listing(query, tuple(entries or ())) for query, entries in zip(self.asked, one, strict=True)]
        if self.known.pattern is None and (values := values_in(text)) and not _are_inner(text):
            lists = [list_in(value, self.known) for value in values]
            if len(values) == len(self.asked) and all(rows is not None for rows in lists):
                if all(isinstance(value, dict) and query_in(value) for value in values):
                    return self._of_groups(values, lists)
                return self.of_lists([rows or [] for rows in lists])
            if len(values) == 1:
                return self.of_value(values[0], depth + 1)
            raise Inseparable
        entries = self._entries(text, depth)
        if not entries:
            return None if entries is None else [Listing(query, ()) for query in self.asked]
        restarts = [index for index, entry in enumerate(entries) if entry.number == 1]
        if len(restarts) != len(self.asked) or restarts[0] != 0:
            raise Inseparable
        lists = [entries[start:end] for start, end in zip(restarts, [*restarts[1:], len(entries)], strict=True)]
        if not all(map(is_numbered, lists)):
            raise Inseparable
        return [Listing(query, tuple(listed)) for query, listed in zip(self.asked, lists, strict=True)]

    def _entries(self, text: str, depth: int = 0) -> list[Entry] | None:
        """The entries of one list; None where a text is no list and does not say that it is empty."""
        if not text.strip():
            return None
        if self.known.pattern is not None:
            entries = entries_by(self.known.pattern, text)
        elif (value := value_of(text)) is not None:
            one = _Reader(("",), self.known)
            try:
                listings = one.of_value(value, depth + 1) if depth < _DEPTH else None
            except Inseparable:
                return None
            return list(listings[0].entries) if listings else None
        else:
            entries = self._rows_in(text) or entries_of(text)
        if entries:
            return without_inner(text, with_gaps(text, entries)) if self.known.pattern is None else entries
        stripped = text.strip()
        return [] if len(stripped) <= _MAX_EMPTY and _EMPTY.match(stripped) else None

    def _rows_in(self, text: str) -> list[Entry]:
        values = [value for value in values_in(text) if value != []]
        lists = [rows for value in values if (rows := list_in(value, self.known)) and is_row(rows[0], self.known)]
        if values and all(isinstance(value, dict) and is_row(value, self.known) for value in values):
            entries = entries_of_rows(values, self.known)
        elif len(lists) == 1 or (lists and all(isinstance(value, list) for value in values)):
            # Claude Code shows a list for each time that its search looked further.
            entries = [entry for rows in lists for entry in entries_of_rows(rows, self.known)]
        else:
            cut = rows_cut_off(text) if not values else []
            # What is cut off is an entry that can't be read.
            is_list = bool(cut) and is_row(cut[0], self.known)
            entries = [*entries_of_rows(cut, self.known), Entry(None)] if is_list else []
        return entries if entries and not _are_inner(text) else []
