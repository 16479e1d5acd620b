"""Dividing a text that shows several things, by the lines that name them or by the lines that part them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, islice
from typing import NamedTuple

from lrat_hub.importers.mapped_patterns import TextPattern
from lrat_hub.importers.rows import plain

# A query can hold quotes itself, so it ends only where the announcement goes on.
# A line is found by the end of the one before it, as a pattern that begins with a character is looked for much faster.
_ANNOUNCED = re.compile(
    r"\n[ \t]{0,40}An? (?:[\w-]+ ){0,3}?(?:search )?for (?P<quote>['\"])"
    r"(?P<query>(?:(?!\bAn? \w+ search for ).){0,2000}?)(?P=quote) found (?P<count>\d{1,9}) results?:?",
    re.DOTALL,
)
_NOTHING = re.compile(
    r"\n[ \t]{0,40}No results (?:were )?found for (?:the )?(?:query:? ?)?(?P<quote>['\"])"
    r"(?P<query>.{1,2000}?)(?P=quote)(?=[\s.,;]|$).*$",
    re.MULTILINE,
)
_BEFORE_NAME = frozenset(
    (
        "search", "searches", "searching", "searched", "result", "results", "for", "query", "queries", "web", "google",
        "bing", "brave", "tavily", "duckduckgo", "serper", "jina", "exa", "scholar", "wikipedia", "pubmed", "arxiv",
        "top", "of", "the", "your", "my", "on", "q", "keyword", "keywords", "found", "list", "hits", "documents",
        "passages", "retrieved", "from", "here", "are", "is", "were", "sub", "subquery", "question", "engine", "tool",
        "output", "搜索", "查询", "问题", "关键词", "搜索结果", "查询结果", "检索", "检索词", "结果",
    )
)  # fmt: skip
_CHINESE = frozenset(("的搜索结果", "的查询结果", "的结果", "搜索结果"))
_AFTER_NAME = frozenset(
    (
        "found", "results", "result", "hits", "hit", "documents", "document", "returned", "in", "total", *_CHINESE,
    )
)  # fmt: skip
_RULE = re.compile(r"[ \t]*(?:={3,}|-{3,}|\*{3,}|_{3,}|#{3,}|~{3,}|<hr ?/?>)[ \t]*")
_SIGNS = frozenset("=-*_#~< \t")
_WORD = re.compile(r"\w+")
MAX_NAMED = 100


class Section(NamedTuple):
    """A part of a text.

    Args:
        name: What it names: a query or a document's id; None where nothing does.
        body: The text below that line.
        announced: How many entries the line says there are.
        is_weak: Whether the line is the name alone, which a document can have in bold, too.
    """

    name: str | None
    body: str
    announced: int | None = None
    is_weak: bool = False


class _Heading(NamedTuple):
    start: int
    end: int
    name: str | None
    announced: int | None
    form: str = ""

    @property
    def is_weak(self) -> bool:
        return self.form.startswith(_ALONE)


_ALONE = "alone "


def sections_by(pattern: TextPattern, text: str) -> list[Section]:
    """The sections that a mapping file's pattern finds: by a group with the name, or by what stands between them."""
    matches = list(pattern.finditer(text))
    ends = [match.start() for match in matches[1:]] + [len(text)]
    if pattern.groupindex:
        (group,) = pattern.groupindex
        return [
            Section((match[group] or "").strip(), text[match.end() : end])
            for match, end in zip(matches, ends, strict=False)
        ]
    starts = [0] + [match.end() for match in matches]
    pieces = [
        text[start:end] for start, end in zip(starts, [match.start() for match in matches] + [len(text)], strict=True)
    ]
    return [Section(None, piece) for piece in pieces if piece.strip()]


def sections_by_query(text: str, asked: Sequence[str]) -> tuple[str, list[Section]]:
    """The sections that name their query, and what stands before the first of them.

    A section without a name begins where a line may name a query and may as well be one of a document.
    """
    if text.startswith("Results for ") and (own := _own_sections(text, asked)):
        return "", own
    headings = _of_one_form(sorted(_headings(text, asked), key=lambda heading: heading.start))
    # Of headings that overlap or name the same query in lines that follow, the first counts.
    kept: list[_Heading] = []
    for heading in headings:
        if kept and heading.start < kept[-1].end:
            continue
        if kept and heading.name == kept[-1].name and not text[kept[-1].end : heading.start].strip(" \t\n:=-#*"):
            kept[-1] = heading._replace(start=kept[-1].start)
            continue
        kept.append(heading)
    ends = [heading.start for heading in kept[1:]] + [len(text)]
    sections = [
        Section(heading.name, text[heading.end : end], heading.announced, heading.is_weak)
        for heading, end in zip(kept, ends, strict=False)
    ]
    return text[: kept[0].start] if kept else text, sections


def _own_sections(text: str, asked: Sequence[str]) -> list[Section]:
    """The lists of `SearchEnvironment`, which come in the order of the queries; no line of a document begins one."""
    headings = [f"Results for {query!r}:" for query in asked]
    if not headings or not text.startswith(headings[0]):
        return []
    sections, end = [], 0
    for query, heading, following in zip(asked, headings, [*headings[1:], None], strict=True):
        start = end + len(heading)
        end = text.find(f"\n\n{following}", start) if following else -1
        sections.append(Section(query, text[start : end if end >= 0 else len(text)]))
        if end < 0:
            break
        end += 2
    return sections


def _of_one_form(headings: list[_Heading]) -> list[_Heading]:
    """The headings without lines of documents that look like some: a tool writes all of its headings alike.

    Where a query is named in another form alone, what follows may be anybody's.
    """
    if len(headings) < 2:
        return headings
    strong = [heading for heading in headings if not heading.is_weak]
    form = None if strong else next((heading.form for heading in headings), None)
    ours = set(strong or (heading for heading in headings if heading.form == form))
    if len(ours) == len(headings):
        return headings
    named = {heading.name for heading in ours}
    return [
        heading if heading in ours else heading._replace(name=None)
        for heading in headings
        if heading in ours or heading.name not in named
    ]


class _Asked(NamedTuple):
    """Queries as lines name them.

    Args:
        queries: Of each that has words, the longest word, which the fewest lines have; the query; and all words.
        least: Characters of the words of the shortest.
        longest: Length of the longest line that can name one.
    """

    queries: list[tuple[str, str, list[str]]]
    least: int
    longest: int


# The texts of a call are divided several times, each time for the same queries.
@lru_cache(maxsize=8)
def _asked(queries: tuple[str, ...]) -> _Asked:
    named = islice(dict.fromkeys(queries), MAX_NAMED)
    words = [(query, found) for query in named if (found := _WORD.findall(query.casefold()))]
    longest = max(map(len, queries), default=0) + 120
    least = min([len("".join(found)) for _, found in words], default=longest)
    return _Asked([(max(found, key=len), query, found) for query, found in words], least, longest)


# A text is divided by queries, and then by rules.
@lru_cache(maxsize=1)
def _lines_of(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def _headings(text: str, queries: Sequence[str]) -> Iterator[_Heading]:
    known = {plain(query): query for query in queries}
    left, starts = set(queries), set[int]()
    for pattern, mark in ((_ANNOUNCED, " found "), (_NOTHING, "No results ")):
        for match in pattern.finditer(f"\n{text}") if mark in text else ():
            query, count = match["query"], int(match["count"]) if pattern is _ANNOUNCED else 0
            query = known.get(plain(query), query)
            yield _Heading(match.start(), match.end() - 1, query, count)
            starts.add(match.start())
            left.discard(query)
    # Where each query is announced, a line with nothing but a query is a document's.
    if left:
        yield from _named_by_lines(text, _asked(tuple(queries)), starts)


def _named_by_lines(text: str, asked: _Asked, known: set[int]) -> Iterator[_Heading]:
    """The lines that say nothing but that what follows belongs to a query.

    Args:
        known: Where lines begin that are headings already.
    """
    lines, (queries, least, longest) = _lines_of(text), asked
    # Folding leaves ASCII as long as it is, and makes other texts at most three times as long.
    likely = [
        number
        for number, line in enumerate(lines)
        if (least if line.isascii() else least // 3) <= len(line) <= longest
    ]
    starts: list[int] = []
    for number in likely:
        line = lines[number]
        bare = line.casefold()
        for word, query, words in queries:
            if word in bare and all(map(bare.__contains__, words)):
                starts = starts or [0, *accumulate(map(len, lines))]
                at = starts[number]
                form = _form(line.strip(), _WORD.findall(bare), words) if at not in known else None
                if form is not None:
                    yield _Heading(at, at + len(line), query, None, form)
                    break


def _form(line: str, tokens: list[str], wanted: list[str]) -> str | None:
    """How a line names a query, where it says nothing but that what follows belongs to it; otherwise None."""
    if len(tokens) < len(wanted) or len(tokens) > len(wanted) + 12:
        return None
    for start in range(len(tokens) - len(wanted) + 1):
        if tokens[start] != wanted[0] or tokens[start : start + len(wanted)] != wanted:
            continue
        before, after = tokens[:start], tokens[start + len(wanted) :]
        if not all(token in _BEFORE_NAME or token.isdecimal() for token in before):
            continue
        if not all(token in _AFTER_NAME or token.isdecimal() for token in after):
            continue
        if any(not token.isdecimal() for token in (*before, *(token for token in after if token in _CHINESE))):
            return "words"
        # A line with the query alone could as well be the title of a document.
        signs = line[: len(line) - len(line.lstrip("#*\"'“=-< "))].strip()
        return f"{_ALONE}{signs}" if signs or line.endswith((":", "：")) else None
    return None


_NUMBERED = re.compile(
    r"^[ \t#>*=\[(-]{0,20}(?:(?:search |web )?results? (?:for|of) )?(?:the )?(?:search |sub-?)?(?:query|search)"
    r"[ \t]*#?(?P<number>\d{1,3})(?:[ \t]*results?)?[\s:*=\])-]*$",
    re.MULTILINE | re.IGNORECASE,
)


def sections_by_number(text: str, count: int) -> list[str]:
    """The sections below lines such as `Query 2:`, where these number the queries; none where they do not."""
    matches = list(_NUMBERED.finditer(text))
    numbers = [int(match["number"]) for match in matches]
    if numbers not in (list(range(1, count + 1)), list(range(count))):
        return []
    ends = [match.start() for match in matches[1:]] + [len(text)]
    return [text[match.end() : end] for match, end in zip(matches, ends, strict=True)]


def pieces_between_rules(text: str, count: int) -> Iterator[tuple[str, list[str]]]:
    """The pieces between lines of signs, such as `=======`, for each sign that gives as many as are wanted."""
    rules: dict[str, list[tuple[int, int]]] = {}
    at = before = 0
    lines = _lines_of(text)
    for index in [index for index, line in enumerate(lines) if line[0] in _SIGNS]:
        line = lines[index]
        if _RULE.fullmatch(line.rstrip("\r\n")):
            at += sum(map(len, lines[before:index]))
            rules.setdefault(line.strip(), []).append((at, at + len(line)))
            before = index
    for sign, spans in rules.items():
        starts = [0] + [end for _, end in spans]
        ends = [start for start, _ in spans] + [len(text)]
        pieces = [text[start:end] for start, end in zip(starts, ends, strict=True)]
        pieces = pieces[1:] if not pieces[0].strip() else pieces
        pieces = pieces[:-1] if pieces and not pieces[-1].strip() else pieces
        if len(pieces) == count:
            yield sign, pieces
