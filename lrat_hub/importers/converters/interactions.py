"""Interactions of Gemini's API, its deep research agent's among them: steps of the user, the model and the tools.

The API does not say what a search of its own listed, and not the text of the pages that it opened.

Source: the classes of the PyPI package `google-genai` 3.6.1 (_gaos/types/interactions/).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lrat_hub.importers.converters.contents import PARTS_LOOKED_AT, kind_of, parts_text, tool_text
from lrat_hub.importers.converters.turns import Turns, chat_record
from lrat_hub.importers.values import UnreadableRecord, join_texts, listed, object_of, text_of
from lrat_hub.ledger import Ledger

UNKNOWN_LIST = "searches whose results the log does not keep"

_SEARCHES = {"google_search_call": "google_search", "file_search_call": "search", "retrieval_call": "search"}
_SEARCH_RESULTS = ("google_search_result", "file_search_result", "retrieval_result")
_CALLS = ("function_call", "mcp_server_tool_call")
_RESULTS = ("function_result", "mcp_server_tool_result")
_SILENT = (
    "code_execution_call", "code_execution_result", "google_maps_call", "google_maps_result", "tool_search_call",
    "tool_search_result", "processing_call", "processing_result",
)  # fmt: skip
_OURS = frozenset(("user_input", "model_output", "thought", "url_context_call", *_SEARCHES, *_CALLS))
_STATUSES = {"completed": "completed", "failed": "failed", "cancelled": "failed", "incomplete": "limited"}


def recognise_interaction(value: Any) -> str | None:
    """Why a record is an interaction of Gemini's API, or None."""
    record = object_of(value)
    steps = listed(record.get("steps"))[:PARTS_LOOKED_AT]
    is_ours = "status" in record and any(kind_of(step) in _OURS for step in steps)
    return "an interaction of Gemini's API, with `status` and `steps`" if is_ours else None


def convert_interaction(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """An interaction as a chat record.

    Args:
        parts: The account of steps.

    Raises:
        UnreadableRecord: There are no steps in it.
    """
    if recognise_interaction(value) is None:
        raise UnreadableRecord("not an interaction of Gemini's API: no `steps`")
    turns = Turns()
    steps = [object_of(step) for step in value["steps"]]
    if not any(step.get("type") == "user_input" for step in steps) and (asked := _text(value.get("input"))):
        turns.says("user", asked)
    for step in steps:
        _add(turns, step, parts)
    settings = object_of(value.get("generation_config"))
    beside = {key: settings[key] for key in ("temperature", "top_p", "seed") if key in settings}
    yield chat_record(
        turns, beside, agent=value.get("agent") or value.get("model"), final_answer=value.get("output_text"),
        status=_STATUSES.get(text_of(value.get("status"))), metadata={"interaction": text_of(value.get("id"))},
    )  # fmt: skip


def _add(turns: Turns, step: Mapping[str, Any], parts: Ledger) -> None:
    kind, arguments = text_of(step.get("type")), object_of(step.get("arguments"))
    if kind not in _OURS and kind not in (*_SEARCH_RESULTS, *_RESULTS, *_SILENT, "url_context_result"):
        parts.drop(f"step of unknown type {kind!r:.40}", example=text_of(dict(step)))
        return
    parts.keep()
    if kind == "user_input":
        turns.says("user", _text(step.get("content")))
    elif kind == "model_output":
        turns.text(_text(step.get("content")))
    elif kind == "thought":
        turns.reason(_text(step.get("summary")))
    elif kind in _SEARCHES:
        queries = listed(arguments.get("queries", arguments.get("query")))
        turns.call(_SEARCHES[kind], {"queries": queries}, step.get("id"))
    elif kind == "url_context_call":
        turns.call("visit", {"urls": listed(arguments.get("urls"))}, step.get("id"))
    elif kind in _CALLS:
        turns.call(step.get("name"), step.get("arguments"), step.get("id"))
    elif kind == "url_context_result":
        pages = [object_of(page) for page in listed(step.get("result"))]
        opened = [text_of(page.get("url")) for page in pages if page.get("status", "success") == "success"]
        states = join_texts(*(f"{text_of(page.get('url'))}: {text_of(page.get('status'))}" for page in pages))
        failed = step.get("is_error") is True or (bool(pages) and not opened)
        parts.note("pages whose text is not in the log", len(opened))
        parts.note("pages that could not be opened beside others", len(pages) - len(opened) if opened else 0)
        turns.result(states if failed else "", step.get("call_id"), failed=failed, docids=opened)
    elif kind in _SEARCH_RESULTS:
        parts.note(UNKNOWN_LIST)
        turns.result("", step.get("call_id"), failed=step.get("is_error") is True)
    elif kind in _RESULTS:
        text, failed = tool_text(step.get("result"))
        turns.result(text, step.get("call_id"), failed=failed or step.get("is_error") is True)


def _text(content: Any) -> str:
    return content if isinstance(content, str) else parts_text(listed(content))
