"""The entries of one result list that is text, in the ways in which search tools write lists.

Read are blocks of `DocID:` (the LRAT release), Markdown links with or without numbers (Tongyi-DeepResearch,
smolagents), elements such as `<document>` and `<snippet>` (DR-Tulu, Claude), lines of `Title:` and `URL:` (Jina, MCP
servers, open_deep_research), `Doc 1(Title: "...")` (Search-R1), `snippet: ..., title: ..., link: ...` (LangChain's
DuckDuckGo), `Page:` with `Summary:` (LangChain's Wikipedia), and lines that are an address. Numbered titles without
an address are entries without an id. Titles are the ids of Search-R1's entries and of R1-Searcher's `(1)Title   text`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from lrat_hub.importers.entry import Entry, Mark, entries_by, without_other_marks
from lrat_hub.importers.keyed_lines import begins_with_a_key, is_address, key_values
from lrat_hub.importers.lines_above import with_lines_above
from lrat_hub.importers.links import BALANCED, Link, links_of, reference_links_of, unmarked_links_of
from lrat_hub.importers.plain_ids import has_id, with_plain_ids
from lrat_hub.importers.values import docid_of

_BLOCKS = re.compile(
    r"^DocID:[ \t]*(?P<docid>\S(?:.{0,300}\S)?)?[ \t]*(?:\n|\Z)(?:\[(?P<title>.*)\][ \t]*\n)?", re.MULTILINE
)
# This library's own environment lets no line of a document look so; other lists may hold documents that do.
_OWN = re.compile(r"^\[(?P<number>\d{1,6})\] DocID: (?P<docid>.+)\nTitle: (?P<title>.*)\n", re.MULTILINE)
_OWN_BEGIN = re.compile(r"\s*(?:Results for ['\"][^\n]*\n\s*)?\[\d{1,6}\] DocID: ")
_SEARCH_R1 = re.compile(
    r"^[ \t]{0,40}Doc (?P<number>\d{1,6})[ \t]*\(Title:[ \t]*(?P<docid>\".*?\"|.*?)\)", re.MULTILINE
)
_R1_SEARCHER = re.compile(r"^\((?P<number>\d{1,6})\)(?P<docid>\S.{0,300}?) {3}", re.MULTILINE)
_WIKIPEDIA = re.compile(r"^Page: (?P<docid>.+)\n(?=Summary: )", re.MULTILINE)
_PAIRS_IN_LINE = re.compile(
    r"snippet: (?P<snippet>(?:(?!, title: |snippet: ).)*), title: (?P<title>(?:(?!, link: |snippet: ).)*), "
    r"link: (?P<docid>\S+?)(?=[,\]\s]|$)"
)
_TITLES = re.compile(r"^[ \t]{0,40}(?P<number>\d{1,6})[.)][ \t]+\[(?P<title>.+)\][ \t]*$\n?", re.MULTILINE)
_ADDRESSES = re.compile(
    r"^[ \t]{0,40}(?:(?P<number>\d{1,6})[.)][ \t]+|\[\d{1,6}\][ \t]*|[-*•][ \t]+)?"
    rf"(?:(?P<title>.{{1,300}}?)(?: - |: | \())??<?(?P<docid>https?://(?:{BALANCED}|\()++)[)>]?"
    r"(?:[ \t]+(?:\([^()\n]{1,100}\)|\[[^\[\]\n]{1,100}\]))?(?:[ \t]*$\n?|(?(number)[ \t]+[-–—|][ \t]+|(?!)))",
    re.MULTILINE,
)

_NAMES = (
    "document", "doc", "search_result", "result", "item", "entry", "webpage", "page", "passage", "source", "snippet"
)  # fmt: skip
_ELEMENTS = tuple(re.compile(rf"<({name})\b([^<>]{{0,2000}})>") for name in _NAMES)
_ELEMENT_BEGINS = re.compile(rf"^[ \t]*<(?:{'|'.join(_NAMES)})\b[^<>]{{0,400}}>", re.MULTILINE)
_ATTRIBUTE = re.compile(r"([\w-]{1,30})\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))")
_ADDRESS_KEYS = ("url", "link", "href", "source", "name")
_INNER = re.compile(
    r"<(url|link|source|docid|doc_id|id|title|name|snippet|content|document_content|text|description|summary)>"
)

_TITLED = re.compile(
    r"^[ \t]{0,40}(?:#{1,6}[ \t]+|\*\*|\[?(?P<number>\d{1,6})[\].):、][ \t]*)(?P<title>\S.{0,300}?)(?:\*\*)?[ \t]*\n"
    r"[ \t]*(?:(?i:url|link):[ \t]*)?<?(?P<docid>https?://\S+?)>?[ \t]*$",
    re.MULTILINE,
)
# Pictures that the search tools of Tavily show below the list are none of its documents.
_IMAGES = re.compile(
    r"\n[ \t]*(?:#{1,6}[ \t]+|\*\*)?Images(?:\*\*)?:?(?:\*\*)?[ \t]*\n"
    r"(?:[ \t]*(?:(?:\[\d{1,6}\]|\d{1,6}\.|[-*])[ \t]*)?"
    r"(?:(?:URL:[ \t]*)?https?://\S+|Description:.*)?[ \t]*(?:\n|\Z))++\Z"
)
_MAX_ABOVE, _MAX_HEAD = 4, 600
"""Paragraphs and characters above the first entry of a list."""
_EMPHASISED = re.compile(r"(?P<emphasis>\*{1,3})(?P<title>[^\s*].*)(?P=emphasis)")


def entries_of(text: str) -> list[Entry]:
    """The entries of a list, in the first way of writing lists in which the text has any."""
    if "Images" in text and (images := _IMAGES.search(text)):
        text = text[: images.start()]
    for read in _FORMS:
        if entries := list(read(text)):
            outer = _outer_form(text, entries[0].start)
            if outer is not None and (others := list(outer(text))):
                # What begins below the first entry of another form stands in a document.
                read, entries = outer, others
            if read in _BY_ADDRESS and (titled := _below_titles(text)) and len(titled) < len(entries):
                read, entries = (_titled_addresses, titled) if titled[0].start <= entries[0].start else (read, entries)
            if read in _BY_KEY:
                entries = with_plain_ids(entries, only_scores=read is _own)
            entries = with_lines_above(text, entries) if read in _BY_ADDRESS else entries
            if read not in _BY_TITLE:
                entries = [
                    entry if entry.docid is None or has_id(entry.docid) else entry._replace(docid=None)
                    for entry in entries
                ]
            return [_without_emphasis(entry) if entry.title.startswith("*") else entry for entry in entries]
    return []


def begins_a_list(text: str, end: int) -> bool:
    """Whether the first entry of a list begins before a place in a text, so that data there are of its document."""
    return _outer_form(text, end) is not None


def _outer_form(text: str, end: int) -> Callable[[str], Iterable[Entry]] | None:
    """The form of a list that begins before entries of another form: with a title and an address.

    A list begins at once. What stands below other words may be the list that they speak about.
    """
    head = text[: max(0, end)]
    for begin, read in _MARKED:
        if begin in head and any(read(head)):
            return read
    if "<" in head and _ELEMENT_BEGINS.search(head[:_MAX_HEAD]):
        return _elements
    has_address = "://" in head
    for read, is_possible in (
        (_links, has_address),
        (_addresses, has_address),
        (_titled_addresses, has_address),
        (key_values, ":" in head and begins_with_a_key(head)),
    ):
        if not is_possible:
            continue
        # An address may stand below the text.
        first = next(iter(read(text if read is key_values else head)), None)
        # A key before an address looks like its title.
        if first is None or first.start >= end or not (first.title and first.docid):
            continue
        if (read is not _addresses or first.number is not None) and first.start <= _MAX_HEAD:
            above = head[: first.start]
            if above.count("\n\n") < _MAX_ABOVE:
                return _outer_form(text, first.start) or read
    return None


def _without_emphasis(entry: Entry) -> Entry:
    match = _EMPHASISED.fullmatch(entry.title)
    return entry._replace(title=match["title"]) if match else entry


def _reader(pattern: re.Pattern[str], *marks: str, begin: str | None = None) -> Callable[[str], Iterable[Entry]]:
    """What reads the entries that a pattern finds, of texts that have the marks without which it finds none."""

    def read(text: str) -> list[Entry]:
        return entries_by(pattern, text, begin) if all(mark in text for mark in marks) else []

    return read


def _elements(text: str) -> Iterator[Entry]:
    """Elements of the first usual name that has some with an id or an address, as attribute or inside."""
    if "<" not in text:
        return
    first = [(found.start(), opening) for opening in _ELEMENTS if (found := opening.search(text))]
    # Those that hold others come first.
    for _, opening in sorted(first, key=lambda one: one[0]):
        entries, at = [], 0
        while match := opening.search(text, at):
            end = text.find(f"</{match[1]}>", match.end())
            if end < 0:
                break
            entries.append(_element(match, text[match.end() : end]))
            at = end
        if any(entry.docid for entry in entries):
            yield from (entry for entry in entries if entry.docid or entry.title)
            return


def _element(opening: re.Match[str], inner: str) -> Entry:
    keys = {name.lower(): a or b or c for name, a, b, c in _ATTRIBUTE.findall(opening[2])}
    rest = inner
    for match in _INNER.finditer(inner):
        end = inner.find(f"</{match[1]}>", match.end())
        if end >= 0:
            keys.setdefault(match[1], inner[match.end() : end].strip())
            rest = ""
    # Lines with keys further below are of a text.
    begins = begins_with_a_key(inner.strip().partition("\n")[0])
    lines = next((entry for entry in key_values(inner) if entry.docid), None) if begins else None
    address = next((value for key, value in keys.items() if key in _ADDRESS_KEYS and is_address(value)), None)
    if address is None and lines is not None and is_address(lines.docid):
        address = lines.docid
    named = [keys[key] for key in ("docid", "doc_id", "document_id") if keys.get(key) and has_id(keys[key])]
    docid = docid_of(next(iter(named), address or keys.get("id") or (lines.docid if lines else None)))
    title = keys.get("title") or keys.get("name") or (lines.title if lines else "")
    texts = (keys.get(key) for key in ("snippet", "content", "document_content", "text", "description", "summary"))
    snippet = next((text for text in texts if text), "") or (lines.snippet if lines else rest)
    aliases = tuple(name for name in (address, docid_of(keys.get("id"))) if name and name != docid)
    return Entry(docid, title.strip(), snippet.strip(), start=opening.start(), aliases=aliases)


def _search_r1(text: str) -> Iterator[Entry]:
    """Entries whose titles are all that tells them apart, so that they are the ids."""
    for entry in entries_by(_SEARCH_R1, text):
        title = (entry.docid or "").strip('"')
        if title:
            yield Entry(title, title, entry.snippet, number=entry.number, start=entry.start)


def _r1_searcher(text: str) -> Iterator[Entry]:
    """Entries whose titles are all that tells them apart; other texts also have numbers in brackets."""
    entries = entries_by(_R1_SEARCHER, text) if text.lstrip().startswith("(1)") else []
    if [entry.number for entry in entries] == list(range(1, len(entries) + 1)):
        for entry in entries:
            yield entry._replace(title=entry.docid or "")


def _own(text: str) -> list[Entry]:
    """Entries of `SearchEnvironment`, whatever lists the documents hold that they show."""
    return entries_by(_OWN, text) if "] DocID: " in text and _OWN_BEGIN.match(text) else []


def _blocks(text: str) -> list[Entry]:
    entries = entries_by(_BLOCKS, text, "DocID:", keeps_nameless=True) if "DocID:" in text else []
    return entries if any(entry.docid for entry in entries) else []


def _wikipedia(text: str) -> Iterator[Entry]:
    for entry in entries_by(_WIKIPEDIA, text):
        yield Entry(entry.docid, entry.docid or "", entry.snippet.removeprefix("Summary: "), start=entry.start)


def _links(text: str, read: Callable[[str], Sequence[Link]] = links_of) -> Iterator[Entry]:
    found = read(text)
    for link, end in zip(found, [*(link.start for link in found[1:]), len(text)], strict=False):
        snippet = text[link.end : end].strip()
        yield Entry(link.docid, link.title, snippet, number=link.number, start=link.start)


def _reference_links(text: str) -> Iterator[Entry]:
    links, end = reference_links_of(text)
    return _links(text[:end], lambda _: links)


def _unmarked_links(text: str) -> Iterator[Entry]:
    return _links(text, unmarked_links_of)


def _addresses(text: str) -> list[Entry]:
    """Entries of lines with addresses; those behind other marks than the first are references of a document."""
    entries = entries_by(_ADDRESSES, text) if "http" in text else []
    marks = [text[entry.start : entry.start + 50].lstrip()[:1] for entry in entries]
    return without_other_marks(text, entries, [Mark(mark if mark in "-*•[" else "", mark.isdigit()) for mark in marks])


_titled_addresses = _reader(_TITLED, "://")


def _below_titles(text: str) -> list[Entry]:
    """Entries of which each has a title with a mark in the line above its address, if several are so."""
    entries = list(_titled_addresses(text))
    numbers = [entry.number for entry in entries if entry.number is not None]
    is_whole = all(after == before + 1 for before, after in pairwise(numbers))
    return entries if len(entries) > 1 and is_whole else []


_FORMS: Sequence[Callable[[str], Iterable[Entry]]] = (
    _own, _blocks, _search_r1, _r1_searcher, _elements, _links, _reference_links, _wikipedia,
    _reader(_PAIRS_IN_LINE, "snippet: ", ", title: ", ", link: "), key_values, _reader(_TITLES, "["), _addresses,
    _unmarked_links,
)  # fmt: skip
_MARKED = (("] DocID:", _own), ("DocID:", _blocks), ("Doc ", _search_r1), ("Page: ", _wikipedia))
"""Those of which no other text has the marks, with a part of these."""
_BY_KEY = (_own, _blocks, _elements, key_values)
"""Those that have ids behind keys, with what may stand behind them in their lines."""
_BY_TITLE = (_search_r1, _r1_searcher, _wikipedia)
"""Those of which titles are the ids, so that a document may have any name."""
_BY_ADDRESS = (key_values, _addresses)
"""Those of which an entry begins with its address, though more of it may stand above."""
