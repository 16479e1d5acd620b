"""What converters build chat records of: turns in their order, texts of contents, documents as result rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lrat_hub.importers.calls import call_of
from lrat_hub.importers.chat_messages import Chat, assistant, tool_call, tool_result
from lrat_hub.importers.values import (
    UnreadableRecord,
    identifier_of,
    join_texts,
    listed,
    number_of,
    object_of,
    text_of,
)

MESSAGE_LISTS = ("messages", "conversations", "conversation", "history", "chat_history", "trajectory", "events")


class Turns:
    """Builds the messages of a chat record from what a log says, in its order.

    Reasoning, texts and calls of the agent belong to one message until a result has come: what the agent says then
    opens the next one.
    """

    def __init__(self) -> None:
        self.messages: list[Chat] = []
        self._reasoning: list[str] = []
        self._texts: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._results: list[Chat] = []

    def says(self, role: str, text: str) -> None:
        """A message of the user or the system."""
        self.close()
        self.messages.append({"role": role, "content": text})

    def reason(self, text: str) -> None:
        """Reasoning of the agent."""
        self._open()
        self._reasoning.append(text)

    def text(self, text: str) -> None:
        """What the agent says."""
        self._open()
        self._texts.append(text)

    def call(self, name: Any, arguments: Any, call_id: Any = None) -> None:
        """A tool call."""
        self._open()
        self._calls.append(tool_call(name, arguments, call_id))

    def result(
        self, text: str, call_id: Any = None, *, failed: bool = False,
        results: Sequence[Sequence[Mapping[str, Any]]] | None = None, docids: Sequence[str] | None = None,
    ) -> None:  # fmt: skip
        """What a tool showed; see `tool_result`."""
        self._results.append(tool_result(text, call_id, failed=failed, results=results, docids=docids))

    def has_call(self, call_id: Any) -> bool:
        """Whether a call of this id stands in the message that is being built."""
        wanted = identifier_of(call_id)
        return wanted is not None and any(call.get("id") == wanted for call in self._calls)

    @property
    def has_words(self) -> bool:
        """Whether the agent has said or reasoned anything."""
        agents = (message for message in self.messages if message["role"] == "assistant")
        said = any(message["content"] or message.get("reasoning_content") for message in agents)
        return said or any(self._texts) or any(self._reasoning)

    def close(self) -> None:
        """Ends the message that is being built."""
        if self._reasoning or self._texts or self._calls:
            self.messages.append(assistant(join_texts(*self._texts), join_texts(*self._reasoning), self._calls))
        self.messages.extend(self._results)
        self._reasoning, self._texts, self._calls, self._results = [], [], [], []

    def finish(self) -> list[Chat]:
        """All messages."""
        self.close()
        return self.messages

    def _open(self) -> None:
        if self._results:
            self.close()


def conversation_in(
    value: Any, is_ours: Callable[[Any], bool], keys: Iterable[str] = MESSAGE_LISTS
) -> tuple[list[Any], dict[str, Any]] | None:
    """The list of messages in a record and what stands beside it, or None where no message is of the format."""
    if isinstance(value, list):
        return (value, {}) if any(map(is_ours, value)) else None
    if not isinstance(value, dict):
        return None
    for key in keys:
        if isinstance(messages := value.get(key), list) and any(map(is_ours, messages)):
            return messages, {name: part for name, part in value.items() if name != key}
    return None


def chat_record(turns: Turns, beside: Mapping[str, Any] | None = None, **columns: Any) -> dict[str, Any]:
    """A chat record: the messages, what the source says beside them, and columns that are known.

    Raises:
        UnreadableRecord: There are no messages.
    """
    messages = turns.finish()
    if not messages:
        raise UnreadableRecord("not a trajectory: no messages")
    known = {key: value for key, value in columns.items() if value is not None and value != ""}
    return {**(beside or {}), **known, "messages": messages}


LOOKED_AT = 20
"""Documents of a list whose ids are looked for in what the agent saw."""

_IDS = ("docid", "doc_id", "document_id", "id", "id_", "node_id", "source", "url", "link", "uri", "file_path")
_TITLES = ("title", "name")
_TEXTS = ("page_content", "content", "text", "snippet", "raw_content")


def document_rows(documents: Any, shown: str = "") -> list[dict[str, Any]] | None:
    """Documents of a framework as rows of a result list, or None where the value is no list of documents.

    Read are LangChain's (`page_content`, `metadata`), LlamaIndex's (`node` and `score`, or a node) and Haystack's
    (`content`, `meta`, `score`). Documents carry several ids: that of the chunk, of its source, an address. The one
    counts that the agent saw and can ask for: the first whose values stand in the text that was shown.

    Args:
        shown: What the agent saw.
    """
    if not isinstance(documents, list) or not documents:
        return None
    rows = [_document_fields(document) for document in documents]
    known = [row for row in rows if row is not None]
    if len(known) < len(rows):
        return None
    keys = [key for key in _IDS if all(identifier_of(ids.get(key)) for ids, _ in known)]
    if not keys:
        return None
    looked_at = known[:LOOKED_AT]
    key = next((key for key in keys if all(str(identifier_of(ids[key])) in shown for ids, _ in looked_at)), keys[0])
    return [{"docid": identifier_of(ids[key]), **row} for ids, row in known]


def _document_fields(document: Any) -> tuple[Mapping[str, Any], dict[str, Any]] | None:
    """What may be the id of a document, and its row; None where it is none."""
    outer = constructed(document)
    pair = document if isinstance(document, list) and len(document) == 2 else None
    if pair is not None:  # LangChain's similarity_search_with_score
        outer = {**constructed(pair[0]), "score": pair[1]}
    node = object_of(outer["node"]) if isinstance(outer.get("node"), dict) else outer
    metadata = next((node[key] for key in ("metadata", "meta") if isinstance(node.get(key), dict)), None)
    text = next((node[key] for key in _TEXTS if isinstance(node.get(key), str)), None)
    if text is None or (metadata is None and "score" not in outer):
        return None
    ids = {key: node[key] for key in _IDS if node.get(key) is not None}
    ids = {**{key: value for key, value in object_of(metadata).items() if key in _IDS and key not in ids}, **ids}
    title = next((text_of(metadata[key]) for key in _TITLES if metadata and metadata.get(key)), "")
    row: dict[str, Any] = {"title": title or text_of(node.get("title")), "snippet": text}
    score = number_of(outer.get("score", object_of(metadata).get("score")))
    return ids, row if score is None else {**row, "score": score}


def constructed(value: Any) -> Mapping[str, Any]:
    """The fields of an object, also where LangChain's serialisation stands around them."""
    fields = object_of(value)
    return object_of(fields["kwargs"]) if "lc" in fields and isinstance(fields.get("kwargs"), dict) else fields


def calls_in(raw: Any) -> list[tuple[Any, Any, Any]]:
    """Name, arguments and id of tool calls as the APIs write them."""
    calls = map(call_of, listed(raw))
    return [(call.name, call.arguments, call.id) for call in calls]
