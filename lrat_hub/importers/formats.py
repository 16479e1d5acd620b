"""The formats of logs that are read, which of them a source is in, and reading it.

`FORMATS` is the table of formats. Each has a function that recognises its records, and one that parses them or one
that converts them to chat records, which `lrat_hub.importers.chat` then parses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from lrat_hub.importers.accounts import Accounts
from lrat_hub.importers.browser import parse_browser, recognise_browser
from lrat_hub.importers.chat import parse_chat, recognise_chat
from lrat_hub.importers.converters.anthropic import convert_anthropic, group_anthropic, recognise_anthropic
from lrat_hub.importers.converters.atif import convert_atif, recognise_atif
from lrat_hub.importers.converters.autogen import convert_autogen, is_autogen_message, recognise_autogen
from lrat_hub.importers.converters.bedrock import convert_bedrock, recognise_bedrock
from lrat_hub.importers.converters.chat_exports import (
    convert_chatgpt,
    convert_claude_ai,
    recognise_chatgpt,
    recognise_claude_ai,
)
from lrat_hub.importers.converters.claude_code import convert_claude_code, group_claude_code, recognise_claude_code
from lrat_hub.importers.converters.codex import convert_codex, group_codex, recognise_codex
from lrat_hub.importers.converters.cohere import convert_cohere, recognise_cohere
from lrat_hub.importers.converters.dspy import convert_dspy, recognise_dspy
from lrat_hub.importers.converters.gemini import convert_gemini, recognise_gemini
from lrat_hub.importers.converters.gemini_sessions import (
    convert_gemini_session,
    group_gemini_sessions,
    is_adk_event,
    is_cli_message,
    recognise_gemini_session,
)
from lrat_hub.importers.converters.haystack import convert_haystack, is_haystack_message, recognise_haystack
from lrat_hub.importers.converters.inspect_logs import convert_inspect, group_inspect, recognise_inspect
from lrat_hub.importers.converters.interactions import convert_interaction, recognise_interaction
from lrat_hub.importers.converters.langchain_runs import (
    convert_langchain,
    group_langchain,
    is_langchain_event,
    is_langchain_update,
    recognise_langchain,
)
from lrat_hub.importers.converters.langfuse import convert_langfuse, group_langfuse, recognise_langfuse
from lrat_hub.importers.converters.langsmith import convert_langsmith, group_langsmith, recognise_langsmith
from lrat_hub.importers.converters.llamaindex import (
    convert_llamaindex,
    group_llamaindex,
    is_llamaindex_event,
    recognise_llamaindex,
)
from lrat_hub.importers.converters.microsoft import convert_microsoft, is_microsoft_message, recognise_microsoft
from lrat_hub.importers.converters.openai import convert_responses, group_responses, recognise_responses
from lrat_hub.importers.converters.openhands import convert_openhands, is_openhands_event, recognise_openhands
from lrat_hub.importers.converters.pydantic_ai import (
    convert_pydantic_ai,
    is_pydantic_ai_message,
    recognise_pydantic_ai,
)
from lrat_hub.importers.converters.requests import convert_requests, group_requests, recognise_requests
from lrat_hub.importers.converters.research import (
    convert_dr_tulu,
    convert_mirothinker,
    convert_webthinker,
    recognise_dr_tulu,
    recognise_mirothinker,
    recognise_webthinker,
)
from lrat_hub.importers.converters.rollouts import convert_rollout, recognise_rollout
from lrat_hub.importers.converters.skimsearch import convert_skimsearch, recognise_skimsearch
from lrat_hub.importers.converters.spans import convert_spans, group_spans, recognise_spans
from lrat_hub.importers.converters.steps import convert_steps, is_step, recognise_steps
from lrat_hub.importers.converters.strands import convert_strands, group_strands, recognise_strands
from lrat_hub.importers.converters.trackers import (
    convert_braintrust,
    convert_opik,
    convert_weave,
    group_braintrust,
    group_opik,
    group_weave,
    recognise_braintrust,
    recognise_opik,
    recognise_weave,
)
from lrat_hub.importers.converters.vercel import convert_vercel, group_vercel, is_vercel_step, recognise_vercel
from lrat_hub.importers.mapping import LogMapping
from lrat_hub.importers.message_lists import is_conversation, messages_by, run_of_message
from lrat_hub.importers.published import parse_row, recognise_row, without_traces
from lrat_hub.importers.runs import (
    parse_agentir,
    parse_browsecomp,
    parse_release,
    recognise_agentir,
    recognise_browsecomp,
    recognise_release,
)
from lrat_hub.importers.served import group_served, parse_served, recognise_served
from lrat_hub.importers.smolagents import parse_memory, recognise_memory
from lrat_hub.importers.sources.grouping import Grouper
from lrat_hub.importers.sources.records import Record
from lrat_hub.importers.traces import parse_trace, recognise_trace, sessions
from lrat_hub.importers.values import UnreadableRecord
from lrat_hub.ledger import Ledger
from lrat_hub.schema import Trajectory

Reader = Callable[[Any], "dict[str, Any] | Iterable[dict[str, Any]] | None"]
"""A function of the user's: a record in, a chat record out, or several, or None to leave the record out."""

Converter = Callable[[Any, Ledger], Iterator[dict[str, Any]]]
"""Makes chat records of one record, or raises UnreadableRecord. The ledger is that of the record's parts."""


class Parser(Protocol):
    """Makes trajectories of one record, or raises UnreadableRecord when it holds none.

    Args:
        name: The record's name, unique in its source; usually the trajectory's id.
        value: The record: what JSON or a row of a table can hold.
        accounts: What `lrat_hub.importers.actions.Recorder` fills.
        mapping: What the tools of the log do; None for the defaults.
    """

    def __call__(
        self, name: str, value: Any, accounts: Accounts, mapping: LogMapping | None = None
    ) -> Iterable[Trajectory]: ...


@dataclass(frozen=True)
class Format:
    """One format. It has `parse` or `convert`.

    Args:
        recognise: Says why a record, as it stands in its file, is in this format, as the end of "this record is ...";
            None when it is not.
        is_part: Whether an element of a JSON array is a part of a record, so that the array is one record.
        special_case_of: A more general format whose `recognise` accepts this format's records, too.
        group_by: Path of keys to the name of a run, by which the user wants records to be put together.
        stands_alone: Whether a record is all of a run in a format that has `group`. Without it, none is known to be.
        spans_files: Whether a run may go on in another file of the same folder.
        is_general: Whether records that any other format recognises are none of this one.
        is_run: Whether a value is a run by what a mapping says, which `recognise` does not know.
    """

    recognise: Callable[[Any], str | None]
    parse: Parser | None = None
    convert: Converter | None = None
    group: Grouper | None = None
    is_part: Callable[[Any], bool] | None = None
    special_case_of: FormatName | None = None
    group_by: str | None = None
    stands_alone: Callable[[Any], bool] | None = None
    spans_files: bool = False
    is_general: bool = False
    is_run: Callable[[Any], bool] | None = None

    def trajectories(self, record: Record, accounts: Accounts, mapping: LogMapping | None) -> Iterator[Trajectory]:
        """The runs in a record. Raises UnreadableRecord when it holds none."""
        if self.parse is not None:
            yield from self.parse(record.name, record.value, accounts, mapping)
        elif self.convert is not None:
            yield from parse_chat_records(record.name, self.convert(record.value, accounts.parts), accounts, mapping)


FormatName = Literal[
    "lrat", "browsecomp-plus", "chat", "smolagents", "openresearcher", "traces",
    "atif", "vercel", "llamaindex", "haystack", "gemini", "gemini-session", "gemini-interactions",
    "langchain", "requests",
    "agentir", "tagged-text", "webthinker", "dr-tulu", "mirothinker", "skimsearch", "steps",
    "autogen", "pydantic-ai", "bedrock", "strands", "dspy", "openhands",
    "cohere", "microsoft",
    "openai-responses", "codex", "anthropic", "claude-code", "chatgpt", "claude-ai",
    "otel", "langfuse", "langsmith", "opik", "braintrust", "weave", "inspect", "served", "rows",
]  # fmt: skip
FORMATS: dict[FormatName, Format] = {
    "lrat": Format(recognise_release, parse_release, special_case_of="browsecomp-plus"),
    "browsecomp-plus": Format(recognise_browsecomp, parse_browsecomp),
    "agentir": Format(recognise_agentir, parse_agentir, special_case_of="browsecomp-plus"),
    "chat": Format(recognise_chat, parse_chat, group=messages_by(run_of_message), stands_alone=is_conversation),
    "smolagents": Format(recognise_memory, parse_memory),
    "openresearcher": Format(recognise_browser, parse_browser, special_case_of="chat"),
    "traces": Format(recognise_trace, parse_trace, group=sessions),
    "atif": Format(recognise_atif, convert=convert_atif),
    "vercel": Format(
        recognise_vercel, convert=convert_vercel, group=group_vercel, is_part=is_vercel_step, special_case_of="chat"
    ),
    "llamaindex": Format(
        recognise_llamaindex, convert=convert_llamaindex, group=group_llamaindex, is_part=is_llamaindex_event,
        special_case_of="chat",
    ),
    "haystack": Format(
        recognise_haystack, convert=convert_haystack, is_part=is_haystack_message, special_case_of="chat"
    ),
    "gemini": Format(recognise_gemini, convert=convert_gemini, special_case_of="chat"),
    "gemini-interactions": Format(recognise_interaction, convert=convert_interaction),
    "gemini-session": Format(
        recognise_gemini_session, convert=convert_gemini_session, group=group_gemini_sessions,
        is_part=lambda value: is_cli_message(value) or is_adk_event(value), special_case_of="chat",
    ),
    "langchain": Format(
        recognise_langchain, convert=convert_langchain, group=group_langchain, 
        is_part=lambda value: is_langchain_event(value) or is_langchain_update(value),
        special_case_of="chat",
    ),
    "autogen": Format(recognise_autogen, convert=convert_autogen, is_part=is_autogen_message),
    "pydantic-ai": Format(recognise_pydantic_ai, convert=convert_pydantic_ai, is_part=is_pydantic_ai_message),
    "bedrock": Format(recognise_bedrock, convert=convert_bedrock, special_case_of="chat"),
    "strands": Format(recognise_strands, convert=convert_strands, group=group_strands, spans_files=True),
    "openhands": Format(
        recognise_openhands, convert=convert_openhands, is_part=is_openhands_event, special_case_of="chat"
    ),
    "cohere": Format(recognise_cohere, convert=convert_cohere, special_case_of="chat"),
    "microsoft": Format(
        recognise_microsoft, convert=convert_microsoft, is_part=is_microsoft_message, special_case_of="chat"
    ),
    "dspy": Format(recognise_dspy, convert=convert_dspy),
    "requests": Format(recognise_requests, convert=convert_requests, group=group_requests, special_case_of="chat"),
    "tagged-text": Format(recognise_rollout, convert=convert_rollout),
    "webthinker": Format(recognise_webthinker, convert=convert_webthinker),
    "dr-tulu": Format(recognise_dr_tulu, convert=convert_dr_tulu),
    "mirothinker": Format(recognise_mirothinker, convert=convert_mirothinker),
    "skimsearch": Format(recognise_skimsearch, convert=convert_skimsearch),
    "steps": Format(recognise_steps, convert=convert_steps, is_part=is_step, is_general=True),
    "openai-responses": Format(
        recognise_responses, convert=convert_responses, group=group_responses, special_case_of="requests"
    ),
    "codex": Format(recognise_codex, convert=convert_codex, group=group_codex, special_case_of="openai-responses"),
    "anthropic": Format(
        recognise_anthropic, convert=convert_anthropic, group=group_anthropic, special_case_of="requests"
    ),
    "claude-code": Format(recognise_claude_code, convert=convert_claude_code, group=group_claude_code),
    "chatgpt": Format(recognise_chatgpt, convert=convert_chatgpt),
    "claude-ai": Format(recognise_claude_ai, convert=convert_claude_ai),
    "otel": Format(recognise_spans, convert=convert_spans, group=group_spans),
    "langfuse": Format(recognise_langfuse, convert=convert_langfuse, group=group_langfuse),
    "langsmith": Format(
        recognise_langsmith, convert=convert_langsmith, group=group_langsmith, special_case_of="langchain"
    ),
    "opik": Format(recognise_opik, convert=convert_opik, group=group_opik, special_case_of="langfuse"),
    "braintrust": Format(recognise_braintrust, convert=convert_braintrust, group=group_braintrust),
    "weave": Format(recognise_weave, convert=convert_weave, group=group_weave),
    "inspect": Format(recognise_inspect, convert=convert_inspect, group=group_inspect, special_case_of="requests"),
    "served": Format(recognise_served, parse_served, group=group_served, spans_files=True),
    "rows": Format(
        recognise_row, parse_row, group=without_traces, special_case_of="traces",
        stands_alone=lambda value: recognise_row(value) is not None,
    ),
}  # fmt: skip


def parse_chat_records(
    name: str, records: Iterable[Any], accounts: Accounts, mapping: LogMapping | None
) -> Iterator[Trajectory]:
    """Trajectories of chat records that come from one record; from the second on, the name has a number."""
    empty, count = True, 0
    for chat in records:
        empty = False
        # A conversation of several questions numbers its runs itself, so that the number is that of the next run.
        for trajectory in parse_chat(name if count == 0 else f"{name}-{count + 1}", chat, accounts, mapping):
            count += 1
            yield trajectory
    if empty:
        raise UnreadableRecord("no run in it")
