"""What tools showed an agent: result lists, documents and failures, as records."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lrat_hub.importers.values import docid_of, load_json, number_of, object_of, text_of
from lrat_hub.schema import Candidate

# A query can hold quotes itself, so it ends only where the announcement goes on.
_SECTION = re.compile(r"^A search for '(?P<query>.*?)' found (?P<found>\d{1,9}) results:", re.MULTILINE | re.DOTALL)
_DOCUMENT = re.compile(r"^Document (?P<docid>\S+?):", re.MULTILINE)
_FAILURE = re.compile(
    r"\s*(No results found for|Search error for query|\[Document not found\]|\[Error retrieving"
    r"|\[Search\] Invalid request format|Error: Tool|Error fetching URL)"
)


@dataclass(frozen=True)
class Listing:
    """How a result list is written.

    Args:
        pattern: Finds each entry of a list that is text, with the groups `docid`, and `title` and `snippet` if it
            has them. Without a group `snippet`, the text up to the next entry is it.
        rows: Paths of keys ("data.items") to the list in an observation that is JSON, the first that leads to one
            counts; "" when the observation is the list.
        docid, title, snippet, score: Paths of keys in one of its rows, in order of preference.
    """

    pattern: re.Pattern[str] | None = None
    rows: tuple[str, ...] = ("", "results", "documents", "hits", "data", "items", "organic")
    docid: tuple[str, ...] = ("docid", "doc_id", "document_id", "id", "url", "link", "href")
    title: tuple[str, ...] = ("title", "name")
    snippet: tuple[str, ...] = ("snippet", "text", "content", "contents", "description", "body", "summary")
    score: tuple[str, ...] = ("score",)


BLOCKS = re.compile(r"^DocID:[ \t]*(?P<docid>\S+)[ \t]*\n(?:\[(?P<title>.*)\][ \t]*\n)?", re.MULTILINE)
"""Entries of the lists of the LRAT release."""

LINKS = re.compile(r"^(?:\d+\. )?\[(?P<title>.+)\]\((?P<docid>\S+)\)[ \t]*$\n?", re.MULTILINE)
"""Markdown links with a snippet below: the lists of smolagents' search tools."""


@dataclass(frozen=True)
class Results:
    """A search's observation.

    Args:
        queries: The queries that were run, as far as the observation shows.
        candidates: What they found.
        untold: Queries that were asked and whose results, if any, can't be told from those of the others.
        unread: Candidates that the observation announces and does not show in a form that can be read.
        unknown: Whether the observation says something, but has no list in a form that is known.
    """

    queries: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    untold: int = 0
    unread: int = 0
    unknown: bool = False


def read_results(observation: str, asked: Sequence[str], listing: Listing | None) -> Results:
    """The result lists of a search that was asked for some queries.

    A call can ask for more queries than the tool ran, as in the LRAT release. So a query counts as run when the
    observation names it, or has a list for it; of those that share one list only the first does.

    Args:
        listing: How the list is written, or None to look for every way that is known.
    """
    observation = observation.replace("\r\n", "\n")
    if listing is None and (sections := list(_SECTION.finditer(observation))):
        ends = [match.start() for match in sections[1:]] + [len(observation)]
        candidates = tuple(
            candidate
            for index, (match, end) in enumerate(zip(sections, ends, strict=True))
            for candidate in _entries(observation[match.end() : end], BLOCKS, index)
        )
        announced = sum(int(match["found"]) for match in sections)
        queries = tuple(match["query"] for match in sections)
        return Results(queries, candidates, unread=max(0, announced - len(candidates)))
    found = _lists(observation, asked, listing)
    lists = (found or [])[: max(1, len(asked))]
    queries = tuple(asked[: max(1, len(lists))])
    candidates = tuple(candidate for entries in lists for candidate in entries.candidates)
    return Results(
        queries,
        candidates,
        untold=len(asked) - len(queries),
        unread=sum(entries.announced for entries in lists) - len(candidates),
        unknown=found is None and observation.strip() != "",
    )


def documents_shown(observation: str) -> set[str]:
    """Ids of the documents that a browse of several shows."""
    return {match["docid"].removeprefix("DocID:") for match in _DOCUMENT.finditer(observation)}


def failure_of(observation: str) -> str | None:
    """Why an action failed, where the observation says so."""
    if _FAILURE.match(observation):
        return first_line(observation)
    value = _json(observation)
    if isinstance(value, dict) and set(value) <= {"error", "message", "status", "code"} and value.get("error"):
        return first_line(text_of(value["error"]))
    return None


def first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def value_at(value: Any, path: str) -> Any:
    """What a path of keys leads to in objects within objects, or None."""
    for key in path.split(".") if path else ():
        value = value.get(key) if isinstance(value, dict) else None
    return value


@dataclass(frozen=True)
class _Entries:
    """One result list.

    Args:
        announced: How many entries it has, with those that could not be read.
    """

    candidates: tuple[Candidate, ...]
    announced: int


def _lists(observation: str, asked: Sequence[str], listing: Listing | None) -> list[_Entries] | None:
    """A list for each query, as far as they are kept apart; None where nothing looks like one."""
    if listing is not None and listing.pattern is not None:
        return [_matches(observation, listing.pattern)]
    if (value := _json(observation)) is not None:
        lists = _json_lists(value, asked, listing)
        if lists is None:
            return None
        return [_rows(rows, listing or Listing(), index) for index, rows in enumerate(lists)]
    if listing is None:
        for known in (BLOCKS, LINKS):
            if (entries := _matches(observation, known)).candidates:
                return [entries]
    return None


def _json(observation: str) -> Any:
    if not observation.lstrip().startswith(("[", "{")):
        return None
    try:
        return load_json(observation)
    except (ValueError, RecursionError):
        return None


def _json_lists(value: Any, asked: Sequence[str], listing: Listing | None) -> list[list[Any]] | None:
    """The rows for each query: lists in a list, in objects of a list, under the queries, or one list for all."""
    known = listing or Listing()
    rows = _list_in(value, known)
    if rows is None:
        by_query = [part for query in asked if isinstance(part := object_of(value).get(query), list)]
        return by_query if by_query and len(by_query) == len(asked) else None
    if rows and all(isinstance(part, list) for part in rows):
        return rows
    groups = [_list_in(part, known) for part in rows if isinstance(part, dict) and _first(part, known.docid) is None]
    if len(groups) == len(rows) and any(groups):
        return [group or [] for group in groups]
    return [rows]


def _list_in(value: Any, listing: Listing) -> list[Any] | None:
    found = (value_at(value, path) for path in listing.rows)
    return next((candidate for candidate in found if isinstance(candidate, list)), None)


def _rows(rows: Sequence[Any], listing: Listing, query_index: int) -> _Entries:
    """Rows as candidates. One without an id is none, but keeps its place in the ranking."""
    candidates = [
        Candidate(
            query_index,
            rank,
            docid,
            text_of(_first(row, listing.title)),
            text_of(_first(row, listing.snippet)),
            number_of(_first(row, listing.score)),
        )
        for rank, row in enumerate(rows, start=1)
        if isinstance(row, dict) and (docid := docid_of(_first(row, listing.docid))) is not None
    ]
    return _Entries(tuple(candidates), len(rows))


def _first(row: Mapping[str, Any], paths: Sequence[str]) -> Any:
    return next((found for path in paths if (found := value_at(row, path)) is not None), None)


def _matches(text: str, pattern: re.Pattern[str]) -> _Entries:
    candidates = tuple(_entries(text, pattern, 0))
    return _Entries(candidates, len(candidates))


def _entries(text: str, pattern: re.Pattern[str], query_index: int) -> Iterator[Candidate]:
    matches = [(match, docid) for match in pattern.finditer(text) if (docid := docid_of(match["docid"]))]
    ends = [match.start() for match, _ in matches[1:]] + [len(text)]
    for rank, ((match, docid), end) in enumerate(zip(matches, ends, strict=False), start=1):
        groups = match.groupdict()
        snippet = groups["snippet"] or "" if "snippet" in groups else text[match.end() : end]
        yield Candidate(query_index, rank, docid, groups.get("title") or "", snippet.strip())
