"""What an agent did, as steps: what its calls meant and what the tools showed. Every format comes down to this."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lrat_hub.importers.accounts import Accounts
from lrat_hub.importers.failures import emptiness_of, error_of
from lrat_hub.importers.listed import Listed
from lrat_hub.importers.listings import SearchResults
from lrat_hub.importers.mapping import LogMapping, Tool, first_at
from lrat_hub.importers.messages import Call, Result
from lrat_hub.importers.opened import read_documents
from lrat_hub.importers.other_tools import other_action
from lrat_hub.importers.results import read_results
from lrat_hub.importers.rows import value_of
from lrat_hub.importers.values import docid_of, identifier_of, join_texts, json_or_none, listed, object_of, text_of
from lrat_hub.schema import Candidate, Step

SHARED = "lists of several searches in one text"
NO_ACTION = "runs without a search or a browse"
UNREAD = "entries of lists that can't be read"
NOT_RUN = "queries that the tool did not run"
NOT_SHOWN = "documents that the text does not show"
NOT_DIVIDED = "documents of one call whose texts can't be told apart"
OTHER_ADDRESS = "browses of a listed page under an address that is written otherwise"
OTHER_NAME = "browses of a listed document under another id or address of its entry"
CUT_OFF = "arguments that are cut off behind the one that counts"
MAX_NAMES = 100
"""Unknown tools that are counted by their names."""


class Recorder:
    """Collects reasoning and actions in their order and numbers them as steps.

    An action that can't be read becomes an `invalid` step: it costs itself and keeps its turn.

    Args:
        mapping: What the tools of the log do.
        accounts: What was read, kept and lost is counted here.
    """

    def __init__(self, mapping: LogMapping, accounts: Accounts) -> None:
        self.mapping = mapping
        self.accounts = accounts
        self.ledger = accounts.steps
        self.steps: list[Step] = []
        self.final_answer: str | None = None
        self._reasoning: list[str] = []
        self._named: dict[str, list[Step]] = {}
        self._listed = Listed(self.steps)

    def reason(self, text: str) -> None:
        """Reasoning that leads to the next action."""
        self._reasoning.append(text)

    def call(self, name: Any, arguments: Any, result: Result, *, joined: bool = False, shared: bool = False) -> None:
        """A tool call and what it showed.

        Args:
            arguments: An object, its JSON, or the one argument that a tool has.
            joined: Whether it came in the same message as the action before it.
            shared: Whether the text is that of other searches too, so that what it lists may be theirs.
        """
        tool = self.mapping.find(name)
        if tool is None and (what := other_action(name)) is not None:
            return self.aside(what, result.text, joined=joined)
        values, problem, is_cut = arguments_of(arguments, tool)
        if values is None:
            return self.broken_call(problem, result.text, joined=joined, example=text_of(arguments))
        if tool is None:
            return self._unknown(name, values, result.text, joined=joined)
        if is_cut:
            self.accounts.calls.lose(CUT_OFF, example=text_of(arguments))
        if tool.action == "search":
            return self._search(tool, values, result, joined=joined, shared=shared)
        if tool.action == "browse":
            return self._browse(tool, values, result, joined=joined)
        answer = tool.argument(values)
        if answer is None:
            return self.broken_call("answer without a text", result.text, joined=joined)
        self.accounts.calls.keep()
        return self.answer(text_of(answer), joined=joined)

    def calls(self, calls: Sequence[Call], observation: str, *, failure: str = "") -> None:
        """The calls of one message, which share one observation.

        It goes to the first search, or to the first call when there is none.

        Args:
            failure: Why they failed, where they did.
        """
        known = [None if call.error else self.mapping.find(call.name) for call in calls]
        searches = [index for index, tool in enumerate(known) if tool is not None and tool.action == "search"]
        holder = searches[0] if searches else 0
        for index, call in enumerate(calls):
            shown = (observation if index == holder else "") or failure
            if call.error is not None:
                self.broken_call(call.error, shown, joined=index > 0, example=text_of(call.arguments))
            else:
                result = Result(shown, failed=bool(failure))
                self.call(call.name, call.arguments, result, joined=index > 0, shared=len(searches) > 1)

    def broken_call(self, error: str, observation: str = "", *, joined: bool = False, example: str = "") -> None:
        """A call that can't be read: an `invalid` step."""
        self.accounts.calls.drop(error.partition(":")[0], example=example)
        self.invalid(error, observation, joined=joined)

    def _unknown(self, name: Any, arguments: Mapping[str, Any], observation: str, *, joined: bool) -> None:
        dropped = self.accounts.calls.dropped
        reason = f"unknown tool {name!r:.80}, say what it does in a mapping file"
        if reason not in dropped and len(dropped) >= MAX_NAMES:
            reason = "further unknown tools"
        self.accounts.calls.drop(reason, example=text_of(arguments))
        self.invalid(f"unknown tool: {name!r}", observation, joined=joined)

    def _search(self, tool: Tool, arguments: Mapping[str, Any], result: Result, *, joined: bool, shared: bool) -> None:
        asked = queries_of(tool, arguments)
        lists, shown = self.accounts.lists, result.text or text_of(list(result.results or ()))
        if shared:
            lists.drop(SHARED, max(1, len(asked)), example=shown)
            results = SearchResults(tuple(asked))
        else:
            results = read_results(
                result.text, asked, tool.result_format, results=result.results, docids=result.docids or None
            )
            results = self._listed.with_addresses(results)
            lists.note(NOT_RUN, results.not_run)
            lists.lose(UNREAD, results.unread, example=shown)
        if not any(results.queries):
            return self.broken_call("search without a query", result.text, joined=joined, example=text_of(arguments))
        error = None
        if result.failed or not results.candidates:
            error = error_of(result.text, failed=result.failed, patterns=self.mapping.failures)
        if error is None or results.candidates:
            for reason, count in results.dropped:
                lists.drop(reason, count, example=shown)
        else:
            lists.note("searches that failed")
        self.search(
            results.queries, results.candidates, result.text, joined=joined, error=error, num_lists=results.num_lists,
            search_id=search_id_of(result),
        )  # fmt: skip
        self._listed.add_aliases(results.aliases)
        if result.call_id is not None:
            # ATIF has no other name for a search than that of its call.
            self._named.setdefault(result.call_id, []).append(self.steps[-1])
        return None

    def _browse(self, tool: Tool, arguments: Mapping[str, Any], result: Result, *, joined: bool) -> None:
        asked = documents_of(tool, arguments)
        if result.docids:
            # The log names what was opened by the ids that its lists have.
            self.accounts.browses.drop(NOT_SHOWN, max(0, len(asked) - len(result.docids)), example=result.text)
            asked = list(dict.fromkeys(result.docids))
        if not asked:
            self.accounts.browses.drop("browse without a docid", example=text_of(arguments))
            return self.broken_call("browse without a docid", result.text, joined=joined, example=text_of(arguments))
        self.accounts.calls.keep()
        search_id = text_of(arguments.get("search_id")) or None
        if len(asked) == 1:
            error = error_of(result.text, failed=result.failed, patterns=self.mapping.failures)
            return self.browse(asked[0], result.text, joined=joined, error=error, is_call=False, search_id=search_id)
        opened = read_documents(result.text, asked, tool.section)
        self.accounts.browses.drop(NOT_SHOWN, len(opened.missing), example=result.text)
        if not opened.is_divided:
            self.accounts.browses.lose(NOT_DIVIDED, len(asked) - 1, example=result.text)
        for docid in (docid for docid in asked if docid not in opened.missing):
            # A failure of the whole call is that of each document.
            text = opened.texts.get(docid, "") if opened.is_divided or not result.text else result.text
            failed = result.failed or docid in opened.failed
            shown = opened.failed.get(docid) or opened.texts.get(docid, "")
            error = error_of(shown if opened.is_divided else text, failed=failed, patterns=self.mapping.failures)
            self.browse(docid, shown, joined=joined, error=error, is_call=False, search_id=search_id)
            joined = True
        return None

    def search(
        self, queries: Sequence[str], results: Sequence[Candidate], observation: str, *,
        joined: bool = False, error: str | None = None, num_lists: int = 1, search_id: str | None = None,
    ) -> None:  # fmt: skip
        """A search whose results have been read.

        Args:
            num_lists: How many of its queries have a list, which may be empty.
            search_id: What browses call it that say which search they are for.
        """
        self.accounts.calls.keep()
        self.accounts.lists.keep(num_lists)
        self._add(
            Step(self._turn, self._taken(joined), "search", tuple(queries), tuple(results), None, observation, error)
        )
        if search_id is not None:
            self._named.setdefault(search_id, []).append(self.steps[-1])

    def browse(
        self, docid: str, observation: str, *, joined: bool = False, error: str | None = None, is_call: bool = True,
        search_id: str | None = None,
    ) -> None:  # fmt: skip
        """A document that was opened.

        Args:
            is_call: Whether it is the only document of its call.
            search_id: What names the search that it is for.
        """
        self.accounts.calls.keep(int(is_call))
        self.accounts.browses.keep()
        error = error or emptiness_of(observation)
        self.accounts.browses.note("browses that failed", int(error is not None), example=error or "")
        if docid not in self._listed:
            if self._listed.has_page(docid):
                self.accounts.browses.note(OTHER_ADDRESS, int(error is None), example=docid)
            elif (listed_as := self._listed.by_alias(docid)) is not None:
                self.accounts.browses.note(OTHER_NAME, int(error is None), example=docid)
                docid = listed_as
        turn, search_turn = self._turn, self._search_turn(search_id, docid)
        self._add(Step(turn, self._taken(joined), "browse", (), (), docid, observation, error, search_turn))

    def _search_turn(self, search_id: str | None, docid: str) -> int | None:
        """The turn of the search of a name; of several, whose queries were logged one by one, one that listed it."""
        named = self._named.get(search_id, []) if search_id is not None else []
        listing = (step.turn for step in reversed(named) if any(hit.docid == docid for hit in step.results))
        return next(listing, named[-1].turn if named else None)

    def answer(self, text: str, *, joined: bool = False) -> None:
        """The final answer; a later one replaces it."""
        self.final_answer = text
        self._add(Step(self._turn, self._taken(joined), "answer"))

    def invalid(self, error: str, observation: str = "", *, joined: bool = False) -> None:
        """An action that can't be read. What stands before a colon in the error is the reason in the ledger."""
        self._add(Step(self._turn, self._taken(joined), "invalid", observation=observation, error=error))

    def aside(self, what: str, observation: str, *, joined: bool = False) -> None:
        """An action that was read and is none of ours: an `invalid` step, which keeps turns and reasoning in place."""
        self.accounts.calls.keep()
        self.ledger.note(f"kept as invalid steps, {what}")
        self._add(Step(self._turn, self._taken(joined), "invalid", observation=observation, error=what), is_loss=False)

    def restore(self, step: Step, *, joined: bool = False) -> None:
        """A step that was recorded once before; its turn and reasoning follow from its place."""
        self._add(replace(step, turn=self._turn, reasoning=self._taken(joined)), is_loss=False)

    def finish(self, *, restored: bool = False, without_action: str = NO_ACTION) -> tuple[Step, ...]:
        """All steps. What was reasoned last, in a run that ended there, still belongs to the browse before it.

        Args:
            restored: Whether the steps were recorded once before, so that a run without an action is what it was.
            without_action: As what a run without a search or a browse is counted.
        """
        if any(self._reasoning):
            self.invalid("no action follows")
        if not restored and not any(step.action in ("search", "browse") for step in self.steps):
            self.accounts.records.lose(without_action)
        return tuple(self.steps)

    @property
    def _turn(self) -> int:
        """The turn of the next step."""
        return len(self.steps)

    def _taken(self, joined: bool) -> str | None:
        """The reasoning of an action; None when it shares that of the action before it."""
        reasoning = join_texts(*self._reasoning) if self._reasoning else ""
        self._reasoning = []
        return None if joined and not reasoning else reasoning

    def _add(self, step: Step, *, is_loss: bool = True) -> None:
        if step.action == "invalid" and is_loss:
            self.ledger.drop((step.error or "").partition(":")[0])
        else:
            self.ledger.keep()
        self.steps.append(step)


_SEARCH_ID = re.compile(r"""["']search_id["']\s{0,9}:\s{0,9}["']([^"'\\]{1,256})["']""")


def search_id_of(result: Result) -> str | None:
    """The name that a search gave itself in its results, as `lrat serve` does."""
    rows = (row for rows in result.results or () for row in rows)
    named = next((name for row in rows if (name := text_of(object_of(row).get("search_id")))), None)
    # Every quote of a text may begin the pattern, and hardly any text has the name.
    match = _SEARCH_ID.search(result.text) if not named and "_" in result.text and "search_id" in result.text else None
    return match[1] if match else named


def arguments_of(arguments: Any, tool: Tool | None) -> tuple[dict[str, Any] | None, str, bool]:
    """The arguments of a call; why there are none; and whether they are cut off behind the last one that is there.

    They come as an object, as its JSON (which may be encoded twice or cut off) or the repr of a Python object, and for
    tools with one argument as that alone.
    """
    for _ in range(2):
        if not isinstance(arguments, str):
            break
        text = arguments.strip()
        value = json_or_none(text)
        if value is not None and not (isinstance(value, (int, float)) and tool is not None):
            arguments = value
            if isinstance(value, str) and not value.lstrip().startswith(("{", "[")):
                break
            continue
        if (value := value_of(text)) is not None:
            arguments = value
        elif text.startswith("{"):
            cut = _completed(text)
            return (
                (cut, "arguments are not JSON", True) if cut is not None else (None, "arguments are not JSON", False)
            )
        break
    if isinstance(arguments, dict):
        return arguments, "", False
    if arguments is None:
        return {}, "", False
    is_one = isinstance(arguments, str) or (
        isinstance(arguments, list) and arguments and all(isinstance(part, str) for part in arguments)
    )
    if tool is not None and is_one:
        return {tool.keys[0]: arguments}, "", False
    problem = "arguments are not JSON" if isinstance(arguments, str) else "arguments are not an object"
    return None, problem, False


def _completed(text: str) -> dict[str, Any] | None:
    """The arguments of an object that is cut off, as far as they are complete."""
    if text.endswith("}"):
        return None
    for part in (text, text[: max(text.rfind(","), 0)]):
        for end in ("}", "]}"):
            if isinstance(value := json_or_none(part + end), dict) and value:
                return value
    return None


def queries_of(tool: Tool, arguments: Mapping[str, Any]) -> list[str]:
    """The queries that a call asks for."""
    value = tool.argument(arguments)
    several = arguments.get("queries")
    if isinstance(several, list) and several and "queries" in tool.keys and not isinstance(value, list):
        # Some tools take one query and say again which ones they made of it.
        value = several if value in several or value is None else [value, *several]
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")) and isinstance(inner := value_of(value), list):
        value = inner if all(isinstance(part, str) for part in inner) else value
    return [text_of(query) for part in listed(value) if identifier_of(query := _inner(part, ("query", "q")))]


_ADDRESS = re.compile(r"https?://\S+")
# Models put quotes around an address, or write a link.
_WRAPPED = re.compile(
    r"(?:<|(?P<quote>[\"'`]))(?P<quoted>\w+://[^\s<>\"'`]+)(?(quote)(?P=quote)|>)|\[[^\[\]]*\]\((?P<linked>\w+://[^\s()]+)\)"
)
_BETWEEN_ADDRESSES = re.compile(r"[,;]?\s{1,20}(?=https?://)")


def documents_of(tool: Tool, arguments: Mapping[str, Any]) -> list[str]:
    """The documents that a call is to open, each once."""
    value = tool.argument(arguments)
    if isinstance(value, str) and value.lstrip().startswith("[") and isinstance(inner := value_of(value), list):
        value = inner
    if isinstance(value, str) and "://" in value:
        wrapped = _WRAPPED.fullmatch(value.strip())
        value = wrapped["quoted"] or wrapped["linked"] if wrapped else value
        addresses = _BETWEEN_ADDRESSES.split(value.strip())
        value = addresses if all(_ADDRESS.fullmatch(address) for address in addresses) else value
    keys = ("docid", "id", "url", "link")
    return list(dict.fromkeys(docid for part in listed(value) if (docid := docid_of(_inner(part, keys))) is not None))


def _inner(value: Any, keys: tuple[str, ...]) -> Any:
    return first_at(value, keys) if isinstance(value, dict) else value
