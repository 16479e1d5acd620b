"""What tracing tools record of a run, in one form: calls of models, tools and retrievers in a tree, with times.

The traces of OpenTelemetry, Langfuse and LangSmith come down to it, and `lrat_hub.importers.converters.transcripts`
makes chat records of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lrat_hub.importers.chat_messages import Chat
from lrat_hub.importers.converters.trace_values import parsed
from lrat_hub.importers.values import docid_of, number_of, object_of, text_of

Kind = Literal["model", "tool", "retriever", "agent", "other"]

_NAMED_DOCIDS = ("docid", "doc_id", "document_id")
_DOCIDS = ("id", "url", "link", "href", "source", "node_id", "id_", "_id", "file_path")
_TITLES = ("title", "name")
_TEXTS = ("snippet", "content", "page_content", "text", "contents", "body", "chunk")


@dataclass
class Observation:
    """One thing that a tracing tool recorded.

    Args:
        kind: Chains, prompts, and what frameworks do in between are "other".
        id, parent: Its id and that of what it happened in.
        start: When it began, in seconds; None where that is not known.
        name: The tool's name, or that of the step.
        inputs, outputs: The messages that a model was given and gave. An agent's, or those of any other step, are its
            whole conversation.
        arguments, call_id, shown, failed: A tool's call and result.
        documents: What a retriever found; None where nothing says it.
        question, answer: What went into the run, and came out of it, where that is plain text.
        model: The model's name.
        sampling: Its sampling parameters, by the names of a chat record.
        lists: The result lists that a tool showed, one for each of its queries; filled by `transcripts`.
    """

    kind: Kind
    id: str | None = None
    parent: str | None = None
    start: float | None = None
    name: str = ""
    inputs: list[Chat] = field(default_factory=list)
    outputs: list[Chat] = field(default_factory=list)
    arguments: Any = None
    call_id: str | None = None
    shown: str = ""
    failed: bool = False
    documents: list[dict[str, Any]] | None = None
    question: str = ""
    answer: str = ""
    model: str = ""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    lists: list[list[dict[str, Any]]] | None = None


class Tree:
    """The observations of one run by time, and what happened in what.

    Those without a time stand where they are in the file.
    """

    def __init__(self, observations: Sequence[Observation]) -> None:
        self.by_id = {item.id: item for item in observations if item.id is not None}
        if all(item.start is not None for item in observations):
            # A step begins before what happens in it, also when the clock is too coarse to tell.
            depth = {id(item): len(list(self.ancestors(item))) for item in observations}
            observations = sorted(observations, key=lambda item: (item.start or 0.0, depth[id(item)]))
        self.observations = list(observations)
        self.roots = [item for item in self.observations if item.parent is None or item.parent not in self.by_id]

    def ancestors(self, item: Observation) -> Iterator[Observation]:
        """What it happened in, from the inside out."""
        seen = {id(item)}
        while item.parent is not None and (above := self.by_id.get(item.parent)) is not None and id(above) not in seen:
            seen.add(id(above))
            yield above
            item = above

    def scope(self, item: Observation) -> Observation | None:
        """The tool that it happened in, such as one that is an agent; None for what the run did itself."""
        return next((above for above in self.ancestors(item) if above.kind in ("tool", "retriever")), None)


def documents_of(values: Any) -> list[dict[str, Any]] | None:
    """The documents that a retriever found as rows of a result list; None when a value is no list of documents."""
    values = parsed(values)
    if isinstance(values, dict):
        inner = next((values[key] for key in ("documents", "output", "results", "nodes") if key in values), None)
        return documents_of(inner) if isinstance(parsed(inner), (list, dict)) else None
    if not isinstance(values, list):
        return None
    rows = [row for value in values if (row := _document(parsed(value))) is not None]
    return rows if len(rows) == len(values) else None


def _document(value: Any) -> dict[str, Any] | None:
    if not isinstance(value, dict):
        return None
    inner = next((value[key] for key in ("document", "node", "kwargs") if isinstance(value.get(key), dict)), value)
    metadata = object_of(parsed(inner.get("metadata")))
    sources = (inner, metadata)
    docid = next(
        (known for source in (metadata, inner) for key in _NAMED_DOCIDS if (known := docid_of(source.get(key)))), None
    ) or next((known for source in sources for key in _DOCIDS if (known := docid_of(_scalar(source, key)))), None)
    text = next((text_of(source[key]) for source in sources for key in _TEXTS if source.get(key)), "")
    if docid is None and not text:
        return None
    title = next((text_of(source[key]) for source in sources for key in _TITLES if source.get(key)), "")
    score = next(
        (score for source in (value, *sources) for key in ("score", "relevance_score", "similarity")
         if (score := number_of(source.get(key))) is not None),
        None,
    )  # fmt: skip
    # A document without an id keeps its rank.
    row = {"title": title, "snippet": text} | ({"docid": docid} if docid else {})
    return row | ({"score": score} if score is not None else {})


def _scalar(source: Mapping[str, Any], key: str) -> Any:
    value = source.get(key)
    # The path of a serialised class stands under `id`, too.
    return None if isinstance(value, (list, dict)) else value


def arguments_of(value: Any) -> Any:
    """The arguments of a call: an object, its JSON, or a text as it is."""
    value = parsed(value)
    if isinstance(value, dict):
        if isinstance(value.get("args"), list) and isinstance(value.get("kwargs"), dict):
            # A function's call: Python's way to give arguments without names, and with them.
            alone = value["args"][0] if len(value["args"]) == 1 else value["args"]
            return value["kwargs"] or arguments_of(alone)
        for key in ("args", "arguments", "tool_args", "kwargs"):
            if isinstance(inner := parsed(value.get(key)), dict) and (len(value) == 1 or "name" in value):
                return inner
        if len(value) == 1 and isinstance(inner := parsed(value.get("input")), dict):
            return inner
    return value


def keys_of(arguments: Any) -> frozenset[str]:
    """What the arguments of a call are known by: as a whole and, where there is one alone, by its value."""
    arguments = parsed(arguments)
    if arguments in (None, "", {}, []):
        return frozenset()
    keys = {json.dumps(arguments, sort_keys=True, ensure_ascii=False, default=str)}
    if isinstance(arguments, dict) and len(arguments) == 1 and isinstance(only := next(iter(arguments.values())), str):
        keys.add(json.dumps(only, ensure_ascii=False))
    return frozenset(keys)
