"""Logs of research agents that keep their texts with tags in records of their own.

- **WebThinker and Search-o1**: RUC-NLPIR/WebThinker@2d6546f: scripts/run_web_thinker.py, scripts/run_search_o1.py.
- **DR-Tulu**: rlresearch/dr-tulu@6188f34: agent/dr_agent/workflow.py, client.py, tool_interface/.
- **MiroThinker**: MiroMindAI/MiroThinker@370f983: apps/miroflow-agent/src/logging/task_logger.py, and
  core/orchestrator.py, apps/collect-trace.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lrat_hub.importers.chat_messages import assistant
from lrat_hub.importers.converters.native import native_messages, plain_text
from lrat_hub.importers.converters.tag_calls import call
from lrat_hub.importers.converters.tagged import count_unknown, result_message, tagged_messages
from lrat_hub.importers.converters.tagged_lists import Row, lists_in
from lrat_hub.importers.outcomes import gold_answer_of
from lrat_hub.importers.values import (
    UnreadableRecord,
    docid_of,
    identifier_of,
    listed,
    object_of,
    text_of,
)
from lrat_hub.ledger import Ledger

Messages = list[dict[str, Any]]

_BOXED = re.compile(r"\\boxed\s*\{")
_WORDS = re.compile(r"\\text\{(?P<text>[^{}]*)\}")


def boxed_answer(text: str) -> str | None:
    r"""What stands in the last `\boxed{...}` that is closed, or None."""
    for match in reversed(list(_BOXED.finditer(text))[-20:]):
        depth = 1
        for index in range(match.end(), min(len(text), match.end() + 10_000)):
            depth += {"{": 1, "}": -1}.get(text[index], 0)
            if depth == 0:
                answer = text[match.end() : index].strip()
                return (words["text"] if (words := _WORDS.fullmatch(answer)) else answer) or None
    return None


def answered(messages: Messages, answer: str | None) -> Messages:
    """The messages with the answer as the last of them, and the text around it as its reasoning."""
    if not answer or not messages:
        return messages
    last = object_of(messages[-1])
    if last.get("role") != "assistant" or last.get("tool_calls"):
        return [*messages, assistant(answer)]
    text = plain_text(last) or ""
    thoughts = [last.get("reasoning_content") or "", text if text.strip() != answer else ""]
    return [*messages[:-1], {**last, "content": answer, "reasoning_content": "\n".join(filter(None, thoughts))}]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


# WebThinker and Search-o1


def recognise_webthinker(value: Any) -> str | None:
    """Why a value is an item of WebThinker or Search-o1, or None."""
    if not isinstance(value, dict) or not isinstance(value.get("Output"), str) or "Question" not in value:
        return None
    explorer = " and `WebExplorer`" if "WebExplorer" in value else ""
    return f"an object with `Question`, `Output`{explorer}"


def convert_webthinker(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """The run of one item. What the web explorer did for a search follows that search.

    Raises:
        UnreadableRecord: It has no `Output`.
    """
    record = object_of(value)
    if not isinstance(record.get("Output"), str):
        raise UnreadableRecord("not an item of WebThinker: no `Output`")
    output = record["Output"]
    count_unknown(output, parts)
    messages = tagged_messages(output) or [assistant(output)]
    parts.keep(len(messages))
    messages = answered(_explored(messages, listed(record.get("WebExplorer")), parts), boxed_answer(output))
    left_out = ("Output", "WebExplorer", "prompt", "history")
    yield {
        **{key: record[key] for key in record if key not in left_out},
        "question": _text(record.get("Question")),
        "messages": messages,
    }


def _explored(messages: Messages, explorers: Sequence[Any], parts: Ledger) -> Messages:
    """The messages with the lists that each search gave, and with what was searched and opened within it."""
    waiting = [explorer for explorer in explorers if isinstance(explorer, dict)]
    parts.drop("web explorer is not an object", len(explorers) - len(waiting))
    explored: Messages = []
    query, within = None, None
    for message in messages:
        explored.append(message)
        if message["role"] == "assistant":
            query = next(iter(_queries(message)), None)
        elif query is not None:
            within = next((other for other in waiting if _text(other.get("search_query")).strip() == query), None)
            if within is not None:
                waiting.remove(within)
                parts.keep()
                if lists := lists_in(_text(within.get("Input"))):
                    message["results"] = lists
                explored.extend(tagged_messages(_text(within.get("Output"))) or [])
            query = None
    parts.drop("web explorer of no search", len(waiting), example=text_of(waiting[:1]))
    return explored


def _queries(message: Mapping[str, Any]) -> Iterator[str]:
    for made in message.get("tool_calls", []):
        function = object_of(made.get("function"))
        if function.get("name") == "search":
            yield text_of(object_of(function.get("arguments")).get("query"))


# DR-Tulu


def recognise_dr_tulu(value: Any) -> str | None:
    """Why a value is a run of DR-Tulu, or None."""
    traces = object_of(object_of(value).get("full_traces"))
    if isinstance(traces.get("generated_text"), str) or isinstance(traces.get("tool_calls"), list):
        return "an object with `full_traces` of DR-Tulu"
    return None


def convert_dr_tulu(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """The run of one example: what the text says, with documents and failures from the calls beside it.

    Raises:
        UnreadableRecord: It has no `full_traces`.
    """
    if recognise_dr_tulu(value) is None:
        raise UnreadableRecord("not a run of DR-Tulu: no `full_traces`")
    record, traces = object_of(value), object_of(value["full_traces"])
    text, outputs = _text(traces.get("generated_text")), listed(traces.get("tool_calls"))
    count_unknown(text, parts)
    messages = tagged_messages(text) or [assistant(text)]
    parts.keep(len(messages))
    if not any(message.get("tool_calls") for message in messages):
        messages = _of_outputs(outputs, parts) + (messages if text else [])
    else:
        _with_documents(messages, outputs, parts)
    original = object_of(record.get("original_data"))
    run = {
        **{key: record[key] for key in record if key not in ("full_traces", "original_data")},
        "question": _text(record.get("problem")),
        "messages": messages,
        "final_answer": _text(record.get("final_response")),
        "stopped_reason": "completed" if traces.get("stopped_reason") == "natural" else traces.get("stopped_reason"),
    }
    if gold_answer_of(record)[0] is None and (gold := gold_answer_of(original)[0]) is not None:
        run["gold_answer"] = gold
    yield run


def _with_documents(messages: Messages, outputs: Sequence[Any], parts: Ledger) -> None:
    """Adds what the calls' outputs say: a list where the text has none that can be read, and failures."""
    shown = [message for message in messages if message["role"] == "tool"]
    if len(shown) != len(outputs):
        parts.note("outputs that can't be told to which call of the text they belong", len(outputs))
        return
    for message, output in zip(shown, map(object_of, outputs), strict=True):
        parts.keep()
        if not message.get("results") and not message.get("docids") and (rows := _document_rows(output)):
            message["results"] = [rows]
        if _is_failed(output):
            message["is_error"] = True


def _of_outputs(outputs: Sequence[Any], parts: Ledger) -> Messages:
    """Messages of the calls' outputs alone, for runs whose calls are not in the text."""
    messages: Messages = []
    for output in outputs:
        output = object_of(output)
        name, query = output.get("tool_name"), output.get("query")
        if not isinstance(name, str) or not isinstance(query, str):
            parts.drop("output of a call without a query", example=text_of(dict(output)))
            continue
        parts.keep()
        arguments = {"query": query, "url": query}
        messages.append(assistant("", "", [call(name, arguments)]))
        message = result_message(_text(output.get("output")))
        if rows := _document_rows(output):
            message["results"] = [rows]
        messages.append(message | ({"is_error": True} if _is_failed(output) else {}))
    return messages


def _is_failed(output: Mapping[str, Any]) -> bool:
    return bool(output.get("error")) or output.get("timeout") is True or output.get("called") is False


def _document_rows(output: Mapping[str, Any]) -> list[Row]:
    rows = []
    for document in listed(output.get("documents")):
        document = object_of(document)
        if docid := docid_of(document.get("url")) or docid_of(document.get("id")):
            snippet = _text(document.get("snippet")) or _text(document.get("text"))
            rows.append({"docid": docid, "title": _text(document.get("title")), "snippet": snippet,
                         "score": document.get("score")})  # fmt: skip
    return rows


# MiroThinker


def recognise_mirothinker(value: Any) -> str | None:
    """Why a value is a task log of MiroThinker, or None."""
    keys = ("main_agent_message_history", "sub_agent_message_history_sessions")
    known = [
        key for key in keys if _history_of(object_of(value).get(key)) or (isinstance(value, dict) and key in value)
    ]
    return f"a task log with `{known[0]}`" if known else None


def convert_mirothinker(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """The runs of a task: that of the main agent, then one for each session of an agent that it sent out.

    Raises:
        UnreadableRecord: No agent has a message.
    """
    record = object_of(value)
    main = _history_of(record.get("main_agent_message_history"))
    sessions = object_of(record.get("sub_agent_message_history_sessions"))
    histories = {name: messages for name in sessions if (messages := _history_of(sessions[name]))}
    if not main and not histories:
        raise UnreadableRecord("not a task log of MiroThinker: no messages")
    task = identifier_of(record.get("task_id"))
    settings = object_of(record.get("env_info"))
    names = {"agent": "llm_model_name", "temperature": "llm_temperature", "top_p": "llm_top_p"}
    common = {key: settings[name] for key, name in names.items() if settings.get(name) is not None}
    if main:
        asked = record.get("input")
        question = _text(asked) or _text(object_of(asked).get("task_description"))
        keys = ("ground_truth", "final_judge_result", "status", "error")
        yield {
            **common,
            **{key: record[key] for key in keys if record.get(key)},
            **({"query_id": task} if task else {}),
            **({"question": question} if question else {}),
            "messages": answered(native_messages(main, parts), _text(record.get("final_boxed_answer")) or None),
        }
    for name, messages in histories.items():
        subtask = next((plain_text(part) or "" for part in messages if object_of(part).get("role") == "user"), "")
        yield {
            **common,
            "query_id": f"{task}/{name}" if task else name,
            "question": subtask,
            "messages": native_messages(messages, parts),
            "metadata": {"agent_of": task, "session": name},
        }


def _history_of(value: Any) -> list[Any]:
    """The messages of an agent, which stand in an object with its system prompt."""
    messages = value if isinstance(value, list) else object_of(value).get("message_history")
    return messages if isinstance(messages, list) else []
