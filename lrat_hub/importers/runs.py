"""Runs that list their steps: files of BrowseComp-Plus, of the LRAT release, and of AgentIR.

All write a JSON object with a `result` list, whose items are reasoning, tool calls and texts, each with `type`,
`tool_name`, `arguments` and `output`. They differ in what stands in them:

- **BrowseComp-Plus** (texttron/BrowseComp-Plus@97c637c: search_agent/*_client.py): reasoning is a text, a list of
  texts, or the parts of a summary; the Anthropic and Gemini clients write each text of the model as `output_text`.
- **LRAT release**: Tongyi and WebExplorer, OpenAI and gpt-oss; settings in `metadata`.
- **AgentIR** (texttron/AgentIR@24d9078: evaluation/search_agent/tools/types.py): settings under `agent` and
  `searcher`; the ids of what a call showed stand in `docids`, since its text has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from lrat_hub.importers.accounts import Accounts
from lrat_hub.importers.actions import NO_ACTION
from lrat_hub.importers.chat import parse_conversation
from lrat_hub.importers.chat_messages import assistant, tool_call, tool_result
from lrat_hub.importers.converters.tagged import tagged_messages
from lrat_hub.importers.converters.tagged_lists import lists_in
from lrat_hub.importers.mapping import LogMapping
from lrat_hub.importers.outcomes import status_in
from lrat_hub.importers.values import (
    UnreadableRecord,
    docid_of,
    identifier_of,
    join_texts,
    json_or_none,
    listed,
    model_name,
    number_of,
    object_of,
    text_of,
)
from lrat_hub.schema import Status, Trajectory

RELEASE_FORMAT = "LRAT release"
BROWSECOMP_FORMAT = "BrowseComp-Plus run"
AGENTIR_FORMAT = "AgentIR run"

LRAT_KEYS = ("searcher_type", "snippet_max_tokens", "presence_penalty")
RUN_COLUMNS = {"metadata", "query_id", "query", "answer", "result", "raw_messages", "agent", "searcher"}
SAMPLING = ("temperature", "top_p", "presence_penalty", "seed")
KINDS = ("reasoning", "tool_call", "output_text")
UNLISTED_CALLS = "calls that runs count and do not list"
UNLISTED = "runs whose log counts their calls and lists none"
MOST_CALLS = 1_000_000
"""A count beyond this is no count."""

# Statuses that end without an answer of the agent's own, whatever words they share with others.
_WITHOUT_ANSWER = re.compile(
    r"format error|answer not found|no answer|tool_calls?$|tool_use$|pause_turn$", re.IGNORECASE
)
# Entries of a list without ids: `3. [Title]`, perhaps with an address, and a snippet below.
_NUMBERED = re.compile(r"^(?P<rank>\d{1,3})\. \[(?P<title>[^\n]*)\](?:\([^\n]*\))?[ \t]*$", re.MULTILINE)


def recognise_release(value: Any) -> str | None:
    """Why a value is a run of the LRAT release, or None."""
    if not _is_run(value):
        return None
    known = [key for key in LRAT_KEYS if key in object_of(value.get("metadata"))]
    known += ["tool_call_counts_all"] if "tool_call_counts_all" in value else []
    return f"a `result` list, and {known[0]} of the release" if known else None


def recognise_browsecomp(value: Any) -> str | None:
    """Why a value is a run of BrowseComp-Plus, or None."""
    return "a `result` list without the keys of the LRAT release" if _is_run(value) else None


def recognise_agentir(value: Any) -> str | None:
    """Why a value is a run of AgentIR, or None."""
    if not _is_run(value) or not isinstance(value.get("agent"), dict) or not isinstance(value.get("searcher"), dict):
        return None
    return "a `result` list, and settings under `agent` and `searcher`"


def _is_run(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(items := value.get("result"), list):
        return False
    # Others have lists of results, too, such as the Berkeley Function Calling Leaderboard.
    return not items or any(isinstance(object_of(item).get("type"), str) for item in items)


def parse_release(
    name: str, value: Any, accounts: Accounts, mapping: LogMapping | None = None, *, format_name: str = RELEASE_FORMAT
) -> Iterator[Trajectory]:
    """One run as a trajectory.

    Args:
        name: The file's name in its folder or archive; it becomes the trajectory's id. Archives keep correct and
            wrong runs in folders `<retriever>_true` and `<retriever>_false`, which is where `correct` comes from.
        accounts: What was read, kept and lost is counted here.

    Raises:
        UnreadableRecord: It is not such a run.
    """
    if not _is_run(value):
        raise UnreadableRecord("not a trajectory: no `result` list")
    messages = [message for number, item in enumerate(value["result"]) for message in _messages(item, number)]
    counted = [count for count in object_of(value.get("tool_call_counts")).values() if isinstance(count, int)]
    num_unlisted = sum(count for count in counted if 0 < count < MOST_CALLS)
    if any(object_of(item).get("type") == "tool_call" for item in value["result"]):
        num_unlisted = 0
    accounts.calls.note(UNLISTED_CALLS, num_unlisted, example=name)
    columns: dict[str, Any] = {}
    if (folder := PurePosixPath(name).parent.name.rpartition("_")[2]) in ("true", "false"):
        columns["correct"] = folder == "true"
    if (status := value.get("status")) is not None:
        columns["status"] = _status(text_of(status))
    # A run without an item has no message, and is a run all the same.
    record = {**_settings(value), "messages": messages or [assistant("")]}
    without_action = UNLISTED if num_unlisted else NO_ACTION
    for run in parse_conversation(
        name, record, accounts, mapping or LogMapping(), format_name, without_action=without_action, **columns
    ):
        # A run that was stopped and made to answer is limited; one that never answered has failed.
        yield replace(run, status="failed") if run.status == "limited" and run.final_answer is None else run


def parse_browsecomp(
    name: str, value: Any, accounts: Accounts, mapping: LogMapping | None = None
) -> Iterator[Trajectory]:
    """One run of BrowseComp-Plus as a trajectory; see `parse_release`."""
    return parse_release(name, value, accounts, mapping, format_name=BROWSECOMP_FORMAT)


def parse_agentir(
    name: str, value: Any, accounts: Accounts, mapping: LogMapping | None = None
) -> Iterator[Trajectory]:
    """One run of AgentIR as a trajectory; see `parse_release`."""
    return parse_release(name, value, accounts, mapping, format_name=AGENTIR_FORMAT)


def _settings(value: Mapping[str, Any]) -> dict[str, Any]:
    """What a run says beside its steps, in the words of a chat record."""
    meta, agent, searcher = (object_of(value.get(key)) for key in ("metadata", "agent", "searcher"))
    sampling = agent or meta
    retriever = [
        text_of(searcher.get("searcher_type") or meta.get("searcher_type")),
        model_name(searcher.get("model_name")),
    ]
    extra = {key: value[key] for key in value if key not in RUN_COLUMNS and key != "status"}
    extra |= {"source_agent": agent, "source_searcher": searcher} if agent or searcher else {"source_metadata": meta}
    settings: dict[str, Any] = {
        "question": text_of(value.get("query")),
        "gold_answer": value.get("answer"),
        "agent": model_name(agent.get("model") or meta.get("model")),
        "retriever": " / ".join(filter(None, retriever)),
        "metadata": extra,
        **{key: sampling[key] for key in SAMPLING if key in sampling},
    }
    if (query_id := identifier_of(value.get("query_id"))) is not None:
        settings["query_id"] = query_id
    return {key: setting for key, setting in settings.items() if setting is not None}


def _status(status: str) -> Status:
    """A status in one of the three words; one that is not known is no completed run."""
    return "failed" if _WITHOUT_ANSWER.match(status.strip()) else status_in(status) or "failed"


def _messages(item: Any, number: int) -> Iterator[dict[str, Any]]:
    """An item as messages."""
    kind = item.get("type") if isinstance(item, dict) else None
    if kind == "reasoning":
        yield assistant("", flat_text(item.get("output")))
    elif kind == "tool_call":
        yield from _call(item, f"item-{number}")
    elif kind == "output_text":
        text = flat_text(item.get("output"))
        yield from tagged_messages(text) or [assistant(text)]
    else:
        # An action may be lost here, so what stands around it must not look like neighbours.
        yield assistant("", "", [{"unreadable": f"unknown kind of item: {kind!r}"}])


def _call(item: Mapping[str, Any], call_id: str) -> Iterator[dict[str, Any]]:
    """A call and what it showed. A result whose call the client could not find has no name."""
    name, arguments, output = item.get("tool_name"), item.get("arguments"), item.get("output")
    if name is not None:
        yield assistant("", "", [tool_call(name, arguments, call_id)])
    shown = flat_text(output)
    # What was never answered was not seen.
    failed = item.get("success") is False or bool(item.get("error")) or output is None
    if isinstance(item.get("docids"), list):
        docids = [docid for value in item["docids"] if (docid := docid_of(value)) is not None]
        lists = [_rows(docids, shown)]
    else:
        docids, lists = None, lists_in(shown) or None
    text = shown or text_of(item.get("error"))
    yield tool_result(text, call_id, failed=failed, results=lists, docids=docids)


def _rows(docids: list[str], shown: str) -> list[dict[str, Any]]:
    """The documents that a search listed, with the titles and snippets that its text has at their places."""
    value = json_or_none(shown) if shown.lstrip().startswith("[") else None
    by_id = {docid: row for row in map(object_of, listed(value)) if (docid := docid_of(row.get("docid"))) is not None}
    matches = list(_NUMBERED.finditer(shown))
    # A snippet can have such a line itself, so only those count that go on counting.
    entries: list[re.Match[str]] = []
    for match in matches:
        if int(match["rank"]) == len(entries) + 1:
            entries.append(match)
    ends = [entry.start() for entry in entries[1:]] + [len(shown)]
    texts = [(entry["title"], shown[entry.end() : end].strip()) for entry, end in zip(entries, ends, strict=False)]
    texts = texts if len(texts) == len(docids) else [("", "")] * len(docids)
    return [
        {
            "docid": docid,
            "title": text_of(object_of(by_id.get(docid)).get("title")) or title,
            "snippet": text_of(object_of(by_id.get(docid)).get("snippet")) or snippet,
            "score": number_of(object_of(by_id.get(docid)).get("score")),
        }
        for docid, (title, snippet) in zip(docids, texts, strict=True)
    ]


def flat_text(value: Any) -> str:
    """The text of an output: itself, or that of its parts, a line each."""
    if isinstance(value, list) and all(isinstance(part, str) or "text" in object_of(part) for part in value):
        return join_texts(*(part if isinstance(part, str) else text_of(part["text"]) for part in value))
    if (
        isinstance(value, dict)
        and isinstance(value.get("text"), str)
        and value.keys() <= {"type", "text", "annotations"}
    ):
        return value["text"]
    return text_of(value)
