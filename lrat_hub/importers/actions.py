"""An agent's actions, one after the other, as steps: what every format comes down to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lrat_hub.importers.mapping import Tool, Tools
from lrat_hub.importers.messages import Call
from lrat_hub.importers.observations import Results, documents_shown, failure_of, first_line, read_results
from lrat_hub.importers.values import docid_of, identifier_of, join_texts, listed, load_json, text_of
from lrat_hub.ledger import Ledger
from lrat_hub.schema import Candidate, Step

UNTOLD = "queries whose results can't be told apart"
SHARED = "searches whose results can't be told from those of others in the message"
UNREAD = "candidates announced that could not be read"
UNKNOWN = "searches whose results are in no form that is known"
LOSSES = (UNREAD, UNKNOWN)
"""Notes of the account of steps that say that something was lost inside of a step that is kept."""


class Recorder:
    """Collects reasoning and actions in their order and numbers them as steps.

    An action that can't be read becomes an `invalid` step: it costs itself and keeps its turn.

    Args:
        tools: What the tools of the log do.
        ledger: The account of steps: those that could be read are kept, others dropped by reason.
    """

    def __init__(self, tools: Tools, ledger: Ledger) -> None:
        self.tools = tools
        self.ledger = ledger
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
            return self.invalid(f"unknown tool: {name!r}", observation, joined=joined)
        error = (first_line(observation) or "the tool failed") if failed else failure_of(observation)
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
            found = Results(tuple(asked), ())
        else:
            found = read_results(observation, asked, tool.listing)
        if not found.queries:
            return self.invalid("search without a query", observation, joined=joined)
        self.ledger.note(UNTOLD, found.untold)
        self.ledger.note(UNREAD, found.unread)
        self.ledger.note(UNKNOWN, int(found.unknown and error is None))
        return self.search(found.queries, found.candidates, observation, joined=joined, error=error)

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

    def finish(self) -> tuple[Step, ...]:
        """All steps. What was reasoned last, in a run that ended there, still belongs to the browse before it."""
        if any(self._reasoning):
            self.invalid("no action follows")
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
