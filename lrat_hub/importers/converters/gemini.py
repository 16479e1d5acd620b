"""Gemini contents: histories, requests with their responses, batches of them, in camelCase and snake_case.

Source: the models of `google-genai` 3.6.1 (PyPI), `google/genai/types.py`. A function's call and its response meet by
id, or by order where they have none. Of searches that the API did itself, the log shows which queries there were and
which pages were used, together: they are a search of these queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lrat_hub.importers.converters.contents import flat, label_of, tool_text
from lrat_hub.importers.converters.turns import Turns, chat_record
from lrat_hub.importers.values import UnreadableRecord, listed, object_of, text_of
from lrat_hub.ledger import Ledger

_PARTS = {
    "text", "functionCall", "functionResponse", "executableCode", "codeExecutionResult", "inlineData", "fileData",
    "toolCall", "toolResponse", "thought",
}  # fmt: skip
_MEDIA = {"inlineData", "fileData", "videoMetadata", "executableCode", "codeExecutionResult"}
_ROLES = ("user", "model", "function", "tool", "system")
_HISTORIES = ("contents", "history", "chat_history", "messages", "automaticFunctionCallingHistory")
_SEARCHES = ("GOOGLE_SEARCH_WEB", "FILE_SEARCH")


def recognise_gemini(value: Any) -> str | None:
    """Why a record holds Gemini contents, or None."""
    if _contents_in(value) is not None:
        return "a list of contents with `parts` (Gemini)"
    if _responses_in(value):
        return "a response with `candidates` of contents with `parts` (Gemini)"
    return None


def is_content(value: Any) -> bool:
    """Whether a value is a content of Gemini: a role and parts, each of which is called by its key."""
    content = object_of(value)
    parts = content.get("parts")
    if content.get("role", "user") not in _ROLES or not isinstance(parts, list) or not parts:
        return False
    return all(isinstance(part, dict) and "type" not in part and _keys(part) & _PARTS for part in parts)


def convert_gemini(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """A conversation as a chat record; several where a request has several candidates.

    Raises:
        UnreadableRecord: There are no contents in it.
    """
    contents, responses = _contents_in(value) or [], _responses_in(value)
    if not contents and not responses:
        raise UnreadableRecord("not a conversation of Gemini: no contents with `parts`")
    record = object_of(value)
    request = object_of(record.get("request"))
    response = responses[0] if responses else {}
    system = camel(request).get("systemInstruction") or camel(record).get("systemInstruction")
    candidates = listed(response.get("candidates")) or [None]
    for number, candidate in enumerate(candidates):
        turns = Turns()
        if system:
            turns.says("system", flat(object_of(system).get("parts", system)))
        # The contents that were the prompt are the same for each candidate, and are counted once.
        counted = parts if number == 0 else Ledger("parts")
        for content in contents or listed(camel(response).get("automaticFunctionCallingHistory")):
            add_content(content, turns, counted)
        if candidate is not None:
            add_candidate(object_of(candidate), turns, parts)
        used = {*_HISTORIES, "request", "response", "candidates", "systemInstruction", "system_instruction", "tools"}
        beside = {key: part for key, part in record.items() if key not in used}
        key = record.get("key") or record.get("custom_id")
        model = camel(response).get("modelVersion") or request.get("model")
        yield chat_record(turns, beside, query_id=key, agent=record.get("model") or model)


def _contents_in(value: Any) -> list[Any] | None:
    """The contents of a history, or of a request."""
    if isinstance(value, list):
        return value if value and any(map(is_content, value)) else None
    record = object_of(value)
    for outer in (record, object_of(record.get("request"))):
        for key in _HISTORIES:
            contents = outer.get(key)
            if key == "contents" and isinstance(contents, str) and _responses_in(value):
                return [{"role": "user", "parts": [{"text": contents}]}]
            if isinstance(contents, dict) and is_content(contents):
                return [contents]
            if isinstance(contents, list) and any(map(is_content, contents)):
                return contents
    return None


def _responses_in(value: Any) -> list[Mapping[str, Any]]:
    """The response in a record, as a list of none or one."""
    record = object_of(value)
    for response in (record, object_of(record.get("response"))):
        candidates = response.get("candidates")
        if isinstance(candidates, list) and any(is_content(object_of(part).get("content")) for part in candidates):
            return [response]
    return []


def add_content(value: Any, turns: Turns, parts: Ledger) -> None:
    """Adds a content to a run."""
    content = object_of(value)
    role = content.get("role") or "user"
    raw = content.get("parts")
    if role not in _ROLES or not isinstance(raw, list):
        parts.drop("content without parts or of an unknown role", example=text_of(value))
        return
    parts.keep()
    if role == "model":
        turns.close()
    texts: list[Any] = []
    for part in map(camel, raw):
        if role != "model" and isinstance(part.get("text"), str):
            texts.append(part)
        else:
            _part(part, turns, parts)
    if texts:
        turns.says("system" if role == "system" else "user", flat(texts))


def add_candidate(candidate: Mapping[str, Any], turns: Turns, parts: Ledger) -> None:
    """Adds the content of a response, after what the API searched and opened for it."""
    candidate = camel(candidate)
    turns.close()
    grounding(candidate.get("groundingMetadata"), candidate.get("urlContextMetadata"), turns)
    if is_content(candidate.get("content")):
        add_content({**candidate["content"], "role": "model"}, turns, parts)
    elif candidate.get("content"):
        parts.drop("content without parts or of an unknown role", example=text_of(candidate["content"]))


def grounding(metadata: Any, url_context: Any, turns: Turns) -> None:
    """The searches and visits that the API did itself, as calls of `web_search` and `visit`."""
    search = camel(metadata)
    queries = [query for key in ("webSearchQueries", "retrievalQueries") for query in listed(search.get(key)) if query]
    chunks = [row for chunk in listed(search.get("groundingChunks")) if (row := _chunk(chunk)) is not None]
    if queries:
        turns.call("web_search", {"query": queries if len(queries) > 1 else queries[0]}, "grounding")
        # The pages of several queries come as one list, which does not say whose they are.
        rows = [chunks] if len(queries) == 1 else None
        turns.result(text_of(chunks), "grounding", results=rows)
    for number, raw in enumerate(listed(camel(url_context).get("urlMetadata"))):
        page = camel(raw)
        status, url = text_of(page.get("urlRetrievalStatus")), page.get("retrievedUrl")
        turns.call("visit", {"url": url}, f"url-{number}")
        failed = status not in ("", "URL_RETRIEVAL_STATUS_SUCCESS")
        turns.result(status if failed else "", f"url-{number}", failed=failed)
    turns.close()


def _chunk(value: Any) -> dict[str, Any] | None:
    chunk = camel(value)
    page = next((camel(chunk[key]) for key in ("web", "retrievedContext", "maps") if chunk.get(key)), {})
    docid = page.get("uri") or page.get("documentName")
    if not docid:
        return None
    return {"docid": text_of(docid), "title": text_of(page.get("title")), "snippet": text_of(page.get("text"))}


def _part(part: Mapping[str, Any], turns: Turns, parts: Ledger) -> None:
    if isinstance(part.get("functionCall"), dict):
        call = part["functionCall"]
        turns.call(call.get("name"), call.get("args"), call.get("id"))
    elif isinstance(part.get("functionResponse"), dict):
        response = part["functionResponse"]
        text, failed = response_text(response.get("response"))
        turns.result(text, response.get("id"), failed=failed)
    elif isinstance(part.get("toolCall"), dict):
        call = camel(part["toolCall"])
        kind = call.get("toolType")
        name = "web_search" if kind in _SEARCHES else "visit" if kind == "URL_CONTEXT" else kind
        turns.call(name, call.get("args"), call.get("id"))
    elif isinstance(part.get("toolResponse"), dict):
        response = part["toolResponse"]
        text, failed = response_text(response.get("response"))
        turns.result(text, response.get("id"), failed=failed)
    elif isinstance(part.get("text"), str):
        (turns.reason if part.get("thought") is True else turns.text)(part["text"])
    elif not _keys(part) & (_MEDIA | {"thought", "thoughtSignature"}):
        parts.drop(f"part of unknown type {label_of(part)!r}", example=text_of(part))


def response_text(response: Any) -> tuple[str, bool]:
    """What a function returned, which the SDK puts under `result` or `output`, and whether it is an error."""
    values = {key: part for key, part in object_of(response).items() if part is not None}
    if len(values) == 1:
        ((key, part),) = values.items()
        if key in ("result", "output", "response"):
            return tool_text(part)
        if key in ("error", "errorMessage"):
            return text_of(part), True
    return tool_text(response)


def camel(value: Any) -> dict[str, Any]:
    """An object with its keys in camelCase, without nulls."""
    return {_camel(key): part for key, part in object_of(value).items() if part is not None}


def _camel(key: str) -> str:
    head, *rest = key.split("_")
    return head + "".join(word.capitalize() for word in rest)


def _keys(part: Mapping[str, Any]) -> set[str]:
    return {_camel(key) for key, content in part.items() if content is not None}
