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
from typing import NamedTuple, cast

from lrat_hub.importers.lines_above import with_lines_above
from lrat_hub.importers.links import BALANCED, Link, links_of, reference_links_of, unmarked_links_of
from lrat_hub.importers.mapped_patterns import TextPattern
from lrat_hub.importers.plain_ids import has_id, with_plain_ids
from lrat_hub.importers.values import docid_of


class Entry(NamedTuple):
    """One entry of a result list.

    Args:
        docid: None where the list does not say it.
        number: The number that the list gives the entry.
        start: Where the entry begins in the text.
        aliases: Other ids and addresses of the document, under which it may be opened.
    """

    docid: str | None
    title: str = ""
    snippet: str = ""
    score: float | None = None
    number: int | None = None
    start: int = 0
    aliases: tuple[str, ...] = ()


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

# Those that hold others come first.
_ELEMENTS = tuple(
    re.compile(rf"<({name})\b([^<>]{{0,2000}})>")
    for name in (
        "document", "doc", "search_result", "result", "item", "entry", "webpage", "page", "passage", "source",
        "snippet",
    )
)  # fmt: skip
_ATTRIBUTE = re.compile(r"([\w-]{1,30})\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))")
_INNER = re.compile(
    r"<(url|link|source|docid|doc_id|id|title|name|snippet|content|document_content|text|description|summary)>"
)

_KEYS = {
    **dict.fromkeys(("docid", "doc id", "doc_id", "document id", "document_id", "id"), "id"),
    **dict.fromkeys(("url", "url source", "link", "href", "source url", "source", "web page url", "address"), "url"),
    **dict.fromkeys(("title", "name", "page title"), "title"),
    **dict.fromkeys(
        ("snippet", "description", "summary", "content", "text", "abstract", "highlights", "excerpt", "body"),
        "snippet",
    ),
    **dict.fromkeys(
        ("date", "published", "published date", "published time", "author", "authors", "score", "site"), ""
    ),
    **dict.fromkeys(("文档id", "文档编号", "编号"), "id"),
    **dict.fromkeys(("链接", "网址", "地址", "来源链接", "来源"), "url"),
    **dict.fromkeys(("标题", "题目", "名称", "网页标题"), "title"),
    **dict.fromkeys(("摘要", "内容", "正文", "简介", "描述", "片段"), "snippet"),
    **dict.fromkeys(("日期", "发布时间", "时间", "作者", "得分", "站点"), ""),
}
_KEY_LINE = re.compile(
    r"[ \t]{0,40}(?:\[(?P<bracketed>\d{1,6})\][ \t]*|(?P<numbered>\d{1,6})[.)、][ \t]*|[-*•>#]+[ \t]+)?(?:\*\*|__)?"
    r"(?P<key>[A-Za-z][A-Za-z_ ]{1,20}?|[\u4e00-\u9fff]{2,6}(?:id|ID)?)(?:\*\*|__)?[ \t]*"
    r"(?::(?:\*\*|__)?(?:[ \t]+|$)|：(?:\*\*)?[ \t]*)(?P<value>.*)"
)
_HEADING = re.compile(
    r"[ \t]{0,40}(?:-{2,}|={2,}|#+|\*\*|\[)?[ \t]*"
    r"(?:source|result|document|web ?page|page|search result|(?:搜索|检索)?结果|网页|文档|来源)[ \t]*#?"
    r"(?P<number>\d{1,6})\b[ \t]*[:：.)\]-]?[ \t]*(?P<title>.*?)[ \t]*(?:-{2,}|={2,}|\*\*|\])?:?[ \t]*",
    re.IGNORECASE,
)
_NUMBERED_TITLE = re.compile(r"[ \t]{0,40}(?:\*\*)?(?P<number>\d{1,6})[.)][ \t]+(?P<title>.+)")
_NUMBERED_HEADING = re.compile(r"[ \t]{0,40}#{1,6}[ \t]+\d{1,6}[.)][ \t]+\S")
_PATH = re.compile(r"(?:[\w.~-]*/)*[\w-][\w.-]*\.\w{1,5}")
_ADDRESS = re.compile(r"<?(?:\w+://|www\.)\S+")
_EMPHASISED = re.compile(r"(?P<emphasis>\*{1,3})(?P<title>[^\s*].*)(?P=emphasis)")


def entries_of(text: str) -> list[Entry]:
    """The entries of a list, in the first way of writing lists in which the text has any."""
    for read in _FORMS:
        if entries := list(read(text)):
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


def _without_emphasis(entry: Entry) -> Entry:
    match = _EMPHASISED.fullmatch(entry.title)
    return entry._replace(title=match["title"]) if match else entry


def entries_by(
    pattern: TextPattern, text: str, begin: str | None = None, *, keeps_nameless: bool = False
) -> list[Entry]:
    """The entries that a pattern finds the begin of; see `ResultFormat.pattern`.

    Args:
        begin: Text with which every match begins, at the begin of a line: it is found much faster than a pattern.
        keeps_nameless: Whether what has no id is an entry, too, and not a text of the entry before.
    """
    found = pattern.finditer(text) if begin is None else _matches(cast("re.Pattern[str]", pattern), text, begin)
    has_docid, has_title, has_number, has_snippet = map(
        pattern.groupindex.__contains__, ("docid", "title", "number", "snippet")
    )
    entries: list[Entry] = []
    end = len(text)
    # From the last on: an entry goes on to the next one that has an id.
    for match in reversed(list(found)):
        docid = docid_of(match["docid"]) if has_docid else None
        if has_docid and not docid and not keeps_nameless:
            continue
        start, behind = match.span()
        title = (match["title"] or "").strip() if has_title else ""
        snippet = match["snippet"] or "" if has_snippet else text[behind:end]
        number = match["number"] if has_number else None
        entries.append(Entry(docid, title, snippet.strip(), None, int(number) if number else None, start))
        end = start
    return entries[::-1]


def _matches(pattern: re.Pattern[str], text: str, begin: str) -> Iterator[re.Match[str]]:
    """What `finditer` gives for a pattern whose matches begin with a text at the begin of a line."""
    newline = f"\n{begin}"
    at = 0 if text.startswith(begin) else text.find(newline) + 1 or -1
    while at >= 0:
        match = pattern.match(text, at)
        if match is not None:
            yield match
        # The newline before the next one may be the last character of this match.
        at = text.find(newline, at if match is None else match.end() - 1) + 1 or -1


def _reader(pattern: re.Pattern[str], *marks: str, begin: str | None = None) -> Callable[[str], Iterable[Entry]]:
    """What reads the entries that a pattern finds, of texts that have the marks without which it finds none."""

    def read(text: str) -> list[Entry]:
        return entries_by(pattern, text, begin) if all(mark in text for mark in marks) else []

    return read


def _elements(text: str) -> Iterator[Entry]:
    """Elements of the first usual name that has some with an id or an address, as attribute or inside."""
    for opening in _ELEMENTS:
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
    lines = next((entry for entry in _key_values(inner) if entry.docid), None)
    address = next((keys[key] for key in ("url", "link", "href", "source") if _is_address(keys.get(key))), None)
    if address is None and lines is not None and _is_address(lines.docid):
        address = lines.docid
    named = [keys[key] for key in ("docid", "doc_id", "document_id") if keys.get(key) and has_id(keys[key])]
    docid = docid_of(next(iter(named), address or keys.get("id") or (lines.docid if lines else None)))
    title = keys.get("title") or keys.get("name") or (lines.title if lines else "")
    texts = (keys.get(key) for key in ("snippet", "content", "document_content", "text", "description", "summary"))
    snippet = next((text for text in texts if text), "") or (lines.snippet if lines else rest)
    aliases = tuple(name for name in (address, docid_of(keys.get("id"))) if name and name != docid)
    return Entry(docid, title.strip(), snippet.strip(), start=opening.start(), aliases=aliases)


def _key_values(text: str) -> Iterator[Entry]:
    """Entries of lines with keys, `Title: ...`, `URL: ...`; one without an id has the keys of the others."""
    found = [(block, _of_block(block, number, start)) for block, number, start in _blocks_of_keys(text)]
    usual = {frozenset(block.keys() - {"url", "id"}) for block, entry in found if entry.docid}
    for block, entry in found:
        if entry.docid or ({"title", "snippet"} <= block.keys() and frozenset(block.keys() - {"url", "id"}) in usual):
            yield entry


def _blocks_of_keys(text: str) -> Iterator[tuple[dict[str, str], int | None, int]]:
    """What stands behind the keys of each entry, its number, and where it begins; a second key begins the next."""
    block: dict[str, str] = {}
    number: int | None = None
    start, at, in_snippet, previous = 0, 0, False, ""
    for line in text.splitlines(keepends=True):
        bare = line.rstrip("\r\n")
        match = _KEY_LINE.fullmatch(bare) if len(bare) < 20_000 or ":" in bare[:60] else None
        key = _KEYS.get(match["key"].lower().strip()) if match else None
        heading = _HEADING.fullmatch(bare) if key is None and len(bare) < 400 else None
        if match is not None and key == "url" and not _is_address(match["value"]):
            is_path = _PATH.fullmatch(match["value"].strip()) and _NUMBERED_HEADING.match(previous)
            key = "url" if is_path else None if in_snippet else ""
        if heading is not None:
            yield block, number, start
            block, number, start, in_snippet = {"title": heading["title"]}, int(heading["number"]), at, False
        elif match is not None and key:
            label = match["bracketed"] or match["numbered"]
            begins = (key in block and block[key] != "" and key != "snippet") or (
                key in ("title", "url", "id") and in_snippet and ("url" in block or "id" in block)
            )
            if begins or not block:
                yield block, number, start
                block, number, start = {}, int(label) if label else None, at
                if key == "url" and (above := _NUMBERED_TITLE.fullmatch(previous)):
                    block["title"], number = above["title"].strip(" *"), int(above["number"])
            in_snippet = key == "snippet"
            value = match["value"].strip().strip("*").strip() if key != "snippet" else match["value"]
            block[key] = f"{block[key]}\n{value}" if key == "snippet" and block.get(key) else value
        elif in_snippet and match is not None and key == "":
            pass
        elif block and (in_snippet or "url" in block or "id" in block):
            block["snippet"] = f"{block.get('snippet', '')}\n{bare}"
            in_snippet = True
        if bare.strip():
            previous = bare
        at += len(line)
    yield block, number, start


def _of_block(block: dict[str, str], number: int | None, start: int) -> Entry:
    address = block.get("url", "")
    address = address[1:].replace(">", "", 1) if address.startswith("<") else address
    named = block.get("id", "")
    docid = docid_of(address if address and not has_id(named) else named or address)
    snippet = _without_rules(block.get("snippet", ""))
    if (above := _NUMBERED_TITLE.fullmatch(snippet.rpartition("\n")[2])) and number is not None:
        # The numbered title of the next entry stands below this one's text.
        snippet = snippet.rpartition("\n")[0] if int(above["number"]) == number + 1 else snippet
    aliases = (address.split()[0],) if address and has_id(address) and docid != docid_of(address) else ()
    return Entry(docid, block.get("title", ""), snippet.strip(), number=number, start=start, aliases=aliases)


def _without_rules(text: str) -> str:
    """A text without the lines of signs at its end that stand before the next entry."""
    lines = text.strip().split("\n")
    while lines and not lines[-1].strip(" \t-=*_#~"):
        lines.pop()
    return "\n".join(lines)


def _is_address(value: str | None) -> bool:
    return value is not None and _ADDRESS.match(value.strip()) is not None


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


_addresses = _reader(_ADDRESSES, "http")

_FORMS: Sequence[Callable[[str], Iterable[Entry]]] = (
    _own, _blocks, _search_r1, _r1_searcher, _elements, _links, _reference_links, _wikipedia,
    _reader(_PAIRS_IN_LINE, "snippet: ", ", title: ", ", link: "), _key_values, _reader(_TITLES, "["), _addresses,
    _unmarked_links,
)  # fmt: skip
_BY_KEY = (_own, _blocks, _elements, _key_values)
"""Those that have ids behind keys, with what may stand behind them in their lines."""
_BY_TITLE = (_search_r1, _r1_searcher, _wikipedia)
"""Those of which titles are the ids, so that a document may have any name."""
_BY_ADDRESS = (_key_values, _addresses)
"""Those of which an entry begins with its address, though more of it may stand above."""
