"""What an agent did, as steps: what its calls meant and what the tools showed. Every format comes down to this."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lrat_hub.importers.accounts import Accounts
from lrat_hub.importers.mapping import BLOCKS, LINKS, ResultFormat, Tool, Tools, short_name
from lrat_hub.importers.messages import Call
from lrat_hub.importers.other_tools import other_action
from lrat_hub.importers.values import (
    docid_of,
    identifier_of,
    join_texts,
    json_or_none,
    listed,
    load_json,
    number_of,
    object_of,
    text_of,
)
from lrat_hub.schema import Candidate, Step

UNATTRIBUTED = "queries whose results can't be told apart"
SHARED = "searches whose results can't be told from those of others in the message"
NO_ACTION = "runs without a search or a browse"
UNREAD = "candidates announced that could not be read"
UNRECOGNISED = "searches whose results are in no form that is known"
# A query can hold quotes itself, so it ends only where the announcement goes on.
_SECTION = re.compile(r"^A search for '(?P<query>.*?)' found (?P<found>\d{1,9}) results:", re.MULTILINE | re.DOTALL)
_DOCUMENT = re.compile(r"^Document (?P<docid>\S+?):", re.MULTILINE)
_FAILURE = re.compile(
    r"\s*(No results found for|Search error for query|\[Document not found\]|\[Error retrieving"
    r"|\[Search\] Invalid request format|Error: Tool|Error fetching URL)"
)


class Recorder:
    """Collects reasoning and actions in their order and numbers them as steps.

    An action that can't be read becomes an `invalid` step: it costs itself and keeps its turn.

    Args:
        tools: What the tools of the log do.
        accounts: What was read, kept and lost is counted here.
    """

    def __init__(self, tools: Tools, accounts: Accounts) -> None:
        self.tools = tools
        self.accounts = accounts
        self.ledger = accounts.steps
        self.steps: list[Step] = []
        self.final_answer: str | None = None
        self._reasoning: list[str] = []

    def reason(self, text: str) -> None:
        """Reasoning that leads to the next action."""
        self._reasoning.append(text)

    def call(
        self, name: Any, arguments: Any, observation: str, *,
        joined: bool = False, failed: bool = False, shared: bool = False,
    ) -> None:  # fmt: skip
        """A tool call and what it showed.

        Args:
            arguments: An object, or its JSON.
            joined: Whether it came in the same message as the action before it.
            failed: Whether the log marks the call as failed.
            shared: Whether the observation is that of other searches too, so that what it lists may be theirs.
        """
        if isinstance(arguments, str):
            try:
                arguments = load_json(arguments)
            except (ValueError, RecursionError):
                return self.invalid("arguments are not JSON", observation, joined=joined)
        if not isinstance(arguments, dict):
            return self.invalid("arguments are not an object", observation, joined=joined)
        tool = self.tools.find(name)
        if tool is None:
            if isinstance(name, str) and (what := other_action(short_name(name))) is not None:
                return self.aside(what, observation, joined=joined)
            return self.invalid(f"unknown tool: {name!r}", observation, joined=joined)
        error = error_of(observation, failed=failed)
        if tool.action == "search":
            return self._search(tool, arguments, observation, joined=joined, error=error, shared=shared)
        if tool.action == "browse":
            return self._browse(tool, arguments, observation, joined=joined, error=error)
        answer = tool.argument(arguments)
        if answer is None:
            return self.invalid("answer without a text", observation, joined=joined)
        return self.answer(text_of(answer), joined=joined)

    def calls(self, calls: Sequence[Call], observation: str, *, failure: str = "") -> None:
        """The calls of one message, which share one observation.

        It goes to the first search, or to the first call when there is none.

        Args:
            failure: Why they failed, where they did.
        """
        tools = [None if call.error else self.tools.find(call.name) for call in calls]
        searches = [place for place, tool in enumerate(tools) if tool is not None and tool.action == "search"]
        holder = searches[0] if searches else 0
        for place, call in enumerate(calls):
            shown = (observation if place == holder else "") or failure
            if call.error is not None:
                self.invalid(call.error, shown, joined=place > 0)
            else:
                self.call(
                    call.name, call.arguments, shown,
                    joined=place > 0, failed=bool(failure), shared=len(searches) > 1,
                )  # fmt: skip

    def _search(
        self, tool: Tool, arguments: Mapping[str, Any], observation: str, *,
        joined: bool, error: str | None, shared: bool,
    ) -> None:  # fmt: skip
        asked = queries_of(tool, arguments)
        if shared:
            self.ledger.note(SHARED)
            results = SearchResults(tuple(asked), ())
        else:
            results = read_results(observation, asked, tool.result_format)
        if not results.queries:
            return self.invalid("search without a query", observation, joined=joined)
        self.ledger.note(UNATTRIBUTED, results.unattributed)
        self.ledger.lose(UNREAD, results.unread)
        self.ledger.lose(UNRECOGNISED, int(results.unrecognised and error is None))
        return self.search(results.queries, results.candidates, observation, joined=joined, error=error)

    def _browse(
        self, tool: Tool, arguments: Mapping[str, Any], observation: str, *, joined: bool, error: str | None
    ) -> None:
        docids = [docid for value in listed(tool.argument(arguments)) if (docid := docid_of(value))]
        if len(docids) > 1:
            # Several documents in one call: those that were shown are browses of one message.
            shown = documents_shown(observation)
            docids = [docid for docid in docids if docid in shown] or docids[:1]
        if not docids:
            return self.invalid("browse without a docid", observation, joined=joined)
        for place, docid in enumerate(docids):
            self.browse(docid, observation if place == 0 else "", joined=joined or place > 0, error=error)
        return None

    def search(
        self, queries: Sequence[str], results: Sequence[Candidate], observation: str, *,
        joined: bool = False, error: str | None = None,
    ) -> None:  # fmt: skip
        """A search whose results have been read."""
        step = Step(0, self._taken(joined), "search", tuple(queries), tuple(results), None, observation, error)
        self._add(step)

    def browse(self, docid: str, observation: str, *, joined: bool = False, error: str | None = None) -> None:
        """A document that was opened."""
        self._add(Step(0, self._taken(joined), "browse", docid=docid, observation=observation, error=error))

    def answer(self, text: str, *, joined: bool = False) -> None:
        """The final answer; a later one replaces it."""
        self.final_answer = text
        self._add(Step(0, self._taken(joined), "answer"))

    def invalid(self, error: str, observation: str = "", *, joined: bool = False) -> None:
        """An action that can't be read. What stands before a colon in the error is the reason in the ledger."""
        self._add(Step(0, self._taken(joined), "invalid", observation=observation, error=error))

    def aside(self, what: str, observation: str, *, joined: bool = False) -> None:
        """An action that was read and is none of ours: an `invalid` step, which keeps turns and reasoning in place."""
        self.ledger.note(f"kept as invalid steps, {what}")
        self._add(Step(0, self._taken(joined), "invalid", observation=observation, error=what), is_loss=False)

    def restore(self, step: Step, *, joined: bool = False) -> None:
        """A step that was recorded once before; its turn and reasoning follow from its place."""
        self._add(replace(step, reasoning=self._taken(joined)), is_loss=False)

    def finish(self, *, restored: bool = False) -> tuple[Step, ...]:
        """All steps. What was reasoned last, in a run that ended there, still belongs to the browse before it.

        Args:
            restored: Whether the steps were recorded once before, so that a run without an action is what it was.
        """
        if any(self._reasoning):
            self.invalid("no action follows")
        if not restored and not any(step.action in ("search", "browse") for step in self.steps):
            self.accounts.records.lose(NO_ACTION)
        return tuple(self.steps)

    def _taken(self, joined: bool) -> str | None:
        """The reasoning of an action; None when it shares that of the action before it."""
        reasoning = join_texts(*self._reasoning)
        self._reasoning = []
        return None if joined and not reasoning else reasoning

    def _add(self, step: Step, *, is_loss: bool = True) -> None:
        if step.action == "invalid" and is_loss:
            self.ledger.drop((step.error or "").partition(":")[0])
        else:
            self.ledger.keep()
        self.steps.append(replace(step, turn=len(self.steps)))


def queries_of(tool: Tool, arguments: Mapping[str, Any]) -> list[str]:
    """The queries that a call asks for."""
    return [text_of(query) for query in listed(tool.argument(arguments)) if identifier_of(query)]


@dataclass(frozen=True)
class SearchResults:
    """A search's observation.

    Args:
        queries: The queries that were run, as far as the observation shows.
        candidates: What they found.
        unattributed: Queries that were asked and whose results, if any, can't be told from those of the others.
        unread: Candidates that the observation announces and does not show in a form that can be read.
        unrecognised: Whether the observation says something, but has no list in a form that is known.
    """

    queries: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    unattributed: int = 0
    unread: int = 0
    unrecognised: bool = False


def read_results(observation: str, asked: Sequence[str], result_format: ResultFormat | None) -> SearchResults:
    """The result lists of a search that was asked for some queries.

    A call can ask for more queries than the tool ran, as in the LRAT release. So a query counts as run when the
    observation names it, or has a list for it; of those that share one list only the first does.

    Args:
        result_format: How the list is written, or None to look for every way that is known.
    """
    observation = observation.replace("\r\n", "\n")
    if result_format is None and (sections := list(_SECTION.finditer(observation))):
        ends = [match.start() for match in sections[1:]] + [len(observation)]
        candidates = tuple(
            candidate
            for index, (match, end) in enumerate(zip(sections, ends, strict=True))
            for candidate in _entries(observation[match.end() : end], BLOCKS, index)
        )
        announced = sum(int(match["found"]) for match in sections)
        queries = tuple(match["query"] for match in sections)
        return SearchResults(queries, candidates, unread=max(0, announced - len(candidates)))
    found = _lists(observation, asked, result_format)
    lists = (found or [])[: max(1, len(asked))]
    queries = tuple(asked[: max(1, len(lists))])
    candidates = tuple(candidate for entries in lists for candidate in entries.candidates)
    return SearchResults(
        queries,
        candidates,
        unattributed=len(asked) - len(queries),
        unread=sum(entries.announced for entries in lists) - len(candidates),
        unrecognised=found is None and observation.strip() != "",
    )


def documents_shown(observation: str) -> set[str]:
    """Ids of the documents that a browse of several shows."""
    return {match["docid"].removeprefix("DocID:") for match in _DOCUMENT.finditer(observation)}


def failure_of(observation: str) -> str | None:
    """Why an action failed, where the observation says so."""
    if _FAILURE.match(observation):
        return _first_line(observation)
    value = _json_of(observation)
    if isinstance(value, dict) and set(value) <= {"error", "message", "status", "code"} and value.get("error"):
        return _first_line(text_of(value["error"]))
    return None


def error_of(observation: str, *, failed: bool) -> str | None:
    """The error of an action: what the tool showed where the log marks the call as failed, or `failure_of`."""
    return (_first_line(observation) or "the tool failed") if failed else failure_of(observation)


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def value_at(value: Any, path: str) -> Any:
    """What a path of keys leads to in objects within objects, or None."""
    for key in path.split(".") if path else ():
        value = value.get(key) if isinstance(value, dict) else None
    return value


@dataclass(frozen=True)
class _ResultList:
    """One result list.

    Args:
        announced: How many entries it has, with those that could not be read.
    """

    candidates: tuple[Candidate, ...]
    announced: int


def _lists(observation: str, asked: Sequence[str], result_format: ResultFormat | None) -> list[_ResultList] | None:
    """A list for each query, as far as they are kept apart; None where nothing looks like one."""
    if result_format is not None and result_format.pattern is not None:
        return [_text_list(observation, result_format.pattern)]
    if (value := _json_of(observation)) is not None:
        lists = _json_lists(value, asked, result_format)
        if lists is None:
            return None
        return [_candidates_of_rows(rows, result_format or ResultFormat(), index) for index, rows in enumerate(lists)]
    if result_format is None:
        for known in (BLOCKS, LINKS):
            if (entries := _text_list(observation, known)).candidates:
                return [entries]
    return None


def _json_of(observation: str) -> Any:
    if not observation.lstrip().startswith(("[", "{")):
        return None
    return json_or_none(observation)


def _json_lists(value: Any, asked: Sequence[str], result_format: ResultFormat | None) -> list[list[Any]] | None:
    """The rows for each query: lists in a list, in objects of a list, under the queries, or one list for all."""
    known = result_format or ResultFormat()
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


def _list_in(value: Any, result_format: ResultFormat) -> list[Any] | None:
    found = (value_at(value, path) for path in result_format.rows)
    return next((candidate for candidate in found if isinstance(candidate, list)), None)


def _candidates_of_rows(rows: Sequence[Any], result_format: ResultFormat, query_index: int) -> _ResultList:
    """Rows as candidates. One without an id is none, but keeps its place in the ranking."""
    candidates = [
        Candidate(
            query_index,
            rank,
            docid,
            text_of(_first(row, result_format.title)),
            text_of(_first(row, result_format.snippet)),
            number_of(_first(row, result_format.score)),
        )
        for rank, row in enumerate(rows, start=1)
        if isinstance(row, dict) and (docid := docid_of(_first(row, result_format.docid))) is not None
    ]
    return _ResultList(tuple(candidates), len(rows))


def _first(row: Mapping[str, Any], paths: Sequence[str]) -> Any:
    return next((found for path in paths if (found := value_at(row, path)) is not None), None)


def _text_list(text: str, pattern: re.Pattern[str]) -> _ResultList:
    candidates = tuple(_entries(text, pattern, 0))
    return _ResultList(candidates, len(candidates))


def _entries(text: str, pattern: re.Pattern[str], query_index: int) -> Iterator[Candidate]:
    matches = [(match, docid) for match in pattern.finditer(text) if (docid := docid_of(match["docid"]))]
    ends = [match.start() for match, _ in matches[1:]] + [len(text)]
    for rank, ((match, docid), end) in enumerate(zip(matches, ends, strict=False), start=1):
        groups = match.groupdict()
        snippet = groups["snippet"] or "" if "snippet" in groups else text[match.end() : end]
        yield Candidate(query_index, rank, docid, groups.get("title") or "", snippet.strip())
