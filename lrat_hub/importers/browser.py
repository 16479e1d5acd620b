"""Logs of agents with a text browser: `search`, `open` and `find`, as OpenResearcher and gpt-oss's browser have them.

Every call shows a page under a number, `[2] Title (url)`. A result list names its entries `【0†Title†site】`; `open`
follows such a link of a page by its number, or goes to an id. So what was opened follows from what was shown before.

A list often shows only the site of a result. Its address is known once it has been opened, and then becomes its
docid in all lists of the run; what was never opened is called by its title and site.

`find`, and `open` without a target, look again at a page that is open. They are no browse of another document: such
a call stays in the trajectory as an `invalid` step, so that the reasoning after a browse is what it was, and the
ledger counts it as read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lrat_hub.importers.accounts import Accounts
from lrat_hub.importers.actions import Recorder, queries_of
from lrat_hub.importers.chat import calls_in, conversation_of, parse_conversation
from lrat_hub.importers.failures import error_of
from lrat_hub.importers.listings import TOLD_APART
from lrat_hub.importers.mapping import SEARCH, LogMapping, short_name
from lrat_hub.importers.messages import Result
from lrat_hub.importers.values import docid_of, integer_of, json_or_none, object_of
from lrat_hub.schema import Candidate, Step, Trajectory

FORMAT = "search, open and find"

OPEN_ARGUMENTS = frozenset({"id", "cursor", "loc", "num_lines", "view_source", "source"})
LOOK = "a look at a page that is open"
MOST_RESULTS = 10
"""How many results gpt-oss's browser lists for a query unless it is told otherwise."""

_FAILURE = re.compile(
    r"\s*(?:An unexpected error occurred while executing function|Error: Invalid arguments for function"
    r"|Error executing|Unknown browser tool:|Tool \S{1,100} not available|Error fetching URL|No content returned for)"
)
_HEADER = re.compile(r"^\s*\[(?P<cursor>\d{1,9})\] (?P<header>.*)$", re.MULTILINE)
_LINK = re.compile(r"【(?P<number>\d{1,9})†(?P<title>.*?)(?:†(?P<site>[^】]*))?】(?P<snippet>[^【]*)")
_LINE_NUMBER = re.compile(r"^L\d+:", re.MULTILINE)
_BARE_SITE = re.compile(r"[\w-]+(\.[\w-]+)+")


@dataclass(frozen=True)
class _Page:
    """A page that was shown: a document with its id, or a list. `links` are docids by their numbers."""

    docid: str | None = None
    links: Mapping[int, str] = field(default_factory=dict)


def recognise_browser(value: Any) -> str | None:
    """Why a value is a run with a browser, or None."""
    if conversation_of(value) is None:
        return None
    calls = [(short_name(call.name), call.arguments) for call in calls_in(value) if isinstance(call.name, str)]
    # Other agents have tools of these names, too; what they open has another argument.
    is_browser = any(name == "open" and _opens_link(_arguments(arguments)) for name, arguments in calls)
    is_browser = is_browser and any(name == "search" for name, _ in calls)
    return "messages with calls of `search` and of `open` with a link's number or an id" if is_browser else None


def parse_browser(
    name: str, value: Any, accounts: Accounts, mapping: LogMapping | None = None
) -> Iterator[Trajectory]:
    """A conversation with browser calls as a trajectory; see `lrat_hub.importers.chat.parse_chat`."""
    browsers: list[_Browser] = []

    def reader(recorder: Recorder) -> _Browser:
        browsers.append(_Browser(recorder))
        return browsers[-1]

    for trajectory in parse_conversation(name, value, accounts, mapping or LogMapping(), FORMAT, reader):
        yield replace(trajectory, steps=tuple(browsers[-1].named(step) for step in trajectory.steps))


class _Browser:
    """Keeps the pages that were shown, to tell what a call opens."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._pages: dict[int | None, _Page] = {}
        self._current: int | None = None
        self._addresses: dict[str, str] = {}

    def call(self, name: Any, arguments: Any, result: Result, *, joined: bool = False) -> None:
        """A call of any tool; those that are none of a browser go to the recorder as they are."""
        action, values = short_name(name) if isinstance(name, str) else "", _arguments(arguments)
        result = result._replace(failed=result.failed or _FAILURE.match(result.text) is not None)
        is_other = action == "find" and self._recorder.mapping.find(name) is not None
        is_other = is_other or (action == "open" and not _opens_link(values))
        if values is None or is_other or action not in ("search", "open", "find"):
            self._recorder.call(name, arguments, result, joined=joined)
        elif action == "search":
            self._search(name, values, result, joined)
        elif action == "open":
            self._open(values, result, joined)
        else:
            observation = result.text
            self._show(observation, self._pages.get(self._cursor(values), _Page()))
            self._recorder.aside(LOOK, observation, joined=joined)

    def named(self, step: Step) -> Step:
        """The step with the addresses that later became known."""
        results = tuple(replace(hit, docid=self._addresses.get(hit.docid, hit.docid)) for hit in step.results)
        return replace(step, results=results, docid=self._addresses.get(step.docid or "", step.docid))

    def _search(self, name: str, values: Mapping[str, Any], result: Result, joined: bool) -> None:
        observation = result.text
        asked = queries_of(self._recorder.mapping.find(name) or SEARCH, values)
        links = list(_LINK.finditer(observation))
        if asked and links and not result.failed:
            hits = self._candidates(asked, links, values)
            if hits is None:
                self._recorder.accounts.lists.drop(TOLD_APART, len(asked), example=observation)
            num_lists = 0 if hits is None else len(asked)
            self._recorder.search(asked, hits or (), observation, joined=joined, num_lists=num_lists)
            self._show(observation, _Page(links=_links(observation)))
            return
        self._recorder.call(name, values, result, joined=joined)
        results = self._recorder.steps[-1].results
        self._show(observation, _Page(links=_numbers(observation, results)))

    def _candidates(
        self, asked: Sequence[str], links: Sequence[re.Match[str]], values: Mapping[str, Any]
    ) -> tuple[Candidate, ...] | None:
        """What a page of results lists; None where nothing says which query listed what.

        Lists of several queries stand there one behind the other, with nothing between them. Where there are as many
        results as the queries could get at most, each of them has its full share; else nothing says where they end.
        """
        share = len(links)
        if len(asked) > 1:
            share = integer_of(values.get("topn")) or MOST_RESULTS
            if share * len(asked) != len(links):
                return None
        return tuple(
            Candidate(
                index // share, index % share + 1, _docid(link), link["title"].strip(), _snippet(link["snippet"])
            )
            for index, link in enumerate(links)
        )

    def _open(self, values: Mapping[str, Any], result: Result, joined: bool) -> None:
        observation = result.text
        target, page = values.get("id"), self._pages.get(self._cursor(values), _Page())
        number = integer_of(target)
        if target in (None, "", -1):
            self._show(observation, page)
            self._recorder.aside(LOOK, observation, joined=joined)
            return
        docid = page.links.get(number) if number is not None else None
        if docid is None:
            docid = docid_of(target)
            # A number that no list gave out can still be the id of a document that one listed.
            if number is not None and docid not in self._listed():
                self._recorder.broken_call(f"open of a link that no page shows: {number}", observation, joined=joined)
                return
        error = error_of(observation, failed=result.failed, patterns=self._recorder.mapping.failures)
        if docid is None:
            self._recorder.broken_call("browse without a docid", observation, joined=joined)
            return
        if error is None:
            if number is not None and (address := _address(observation)):
                self._addresses[docid] = address
            self._show(observation, _Page(docid, _links(observation)))
        self._recorder.browse(docid, observation, joined=joined, error=error)

    def _cursor(self, values: Mapping[str, Any]) -> int | None:
        """The number of the page that a call is about: the last one unless it names another."""
        cursor = integer_of(values.get("cursor"))
        return self._current if cursor is None or cursor < 0 else cursor

    def _show(self, observation: str, page: _Page) -> None:
        header = _HEADER.match(observation)
        self._current = int(header["cursor"]) if header else len(self._pages)
        self._pages[self._current] = page

    def _listed(self) -> set[str]:
        return {hit.docid for step in self._recorder.steps for hit in step.results}


def _arguments(arguments: Any) -> Mapping[str, Any] | None:
    arguments = json_or_none(arguments) if isinstance(arguments, str) else arguments
    return arguments if isinstance(arguments, dict) else None


def _opens_link(values: Mapping[str, Any] | None) -> bool:
    """Whether these are arguments of a browser's `open`, not those of a tool that opens a document by another key."""
    return values is not None and values.keys() <= OPEN_ARGUMENTS


def _links(observation: str) -> dict[int, str]:
    return {int(link["number"]): _docid(link) for link in _LINK.finditer(observation)}


def _docid(link: re.Match[str]) -> str:
    """What a link leads to, as far as it says: an address or an id; with a site alone, its title tells it apart."""
    title, site = link["title"].strip(), (link["site"] or "").strip()
    return site if site and not _BARE_SITE.fullmatch(site) else f"{title} ({site})" if site else title


def _snippet(text: str) -> str:
    """The text below a link, without the browser's line numbers and the bullet of the next entry."""
    return " ".join(_LINE_NUMBER.sub("", text).split()).removesuffix("*").strip()


def _numbers(observation: str, results: tuple[Candidate, ...]) -> dict[int, str]:
    """Docids of a list that is JSON by the numbers of its rows, where it gives them."""
    value = json_or_none(observation)
    rows = value if isinstance(value, list) else object_of(value).get("results")
    listed = {hit.docid for hit in results}
    numbers = {}
    for row in rows if isinstance(rows, list) else ():
        keys = object_of(row)
        docid = next((name for key in ("docid", "url", "link") if (name := docid_of(keys.get(key))) in listed), None)
        number = next(
            (number for key in ("id", "index", "rank") if (number := integer_of(keys.get(key))) is not None), None
        )
        if docid is not None and number is not None:
            numbers[number] = docid
    return numbers


def _address(observation: str) -> str | None:
    """The address in a page's header, `[2] Title (url)`."""
    header = _HEADER.match(observation)
    if header is None or not header["header"].rstrip().endswith(")"):
        return None
    return header["header"].rstrip()[:-1].rpartition(" (")[2] or None
