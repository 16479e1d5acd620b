"""Logs of Inspect: `.json`, the members of an `.eval` archive, and samples one a line. A sample is a run.

Source: inspect_ai 0.3.285 (PyPI: log/_log.py, log/_condense.py, _util/content.py, event/_model.py) and logs that it
wrote. Messages that events keep, and tools that a provider runs, are checked with samples of our own alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lrat_hub.importers.chat_messages import Chat, assistant, tool_call, tool_result
from lrat_hub.importers.converters.observations import Observation
from lrat_hub.importers.converters.trace_values import parsed
from lrat_hub.importers.converters.transcripts import runs_of
from lrat_hub.importers.outcomes import verdict_in
from lrat_hub.importers.sources.grouping import parts_of
from lrat_hub.importers.sources.records import Record
from lrat_hub.importers.times import seconds_of
from lrat_hub.importers.values import (
    UnreadableRecord,
    identifier_of,
    integer_of,
    join_texts,
    listed,
    number_of,
    object_of,
    text_of,
)
from lrat_hub.ledger import Ledger

MAX_DEPTH = 30
MISSING = "attachments that are not in the log"

_ATTACHMENTS = ("attachment://", "tc://")
_GRADES = {"C": True, "I": False}
_SILENT = {"image", "audio", "video", "document", "data"}
_SIDE_FILES = ("header", "summaries", "reductions", "start")


def recognise_inspect(value: Any) -> str | None:
    """Why a record is a log or a sample of Inspect, or None."""
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("eval"), dict) and ("plan" in value or isinstance(value.get("samples"), list)):
        return "a log of Inspect, with `eval` and `plan`"
    is_sample = isinstance(value.get("epoch"), int) and "input" in value and "target" in value
    if is_sample and (isinstance(value.get("messages"), list) or isinstance(value.get("events"), list)):
        return "a sample of Inspect, with `epoch`, `input`, `target` and `messages`"
    return None


def group_inspect(records: Iterator[Record]) -> Iterator[Record]:
    """Records without what an `.eval` archive holds beside its samples: the header, summaries, and the journal."""
    for record in records:
        folder, _, name = record.source.rpartition("/")
        is_side_file = name in _SIDE_FILES or "_journal" in folder.split("/")
        value = object_of(record.value)
        has_runs = "messages" in value or ("eval" in value and "samples" in value)
        if has_runs or not is_side_file:
            yield record


def convert_inspect(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """Chat records of the samples of a log, or of one sample.

    Args:
        parts: The account of messages.

    Raises:
        UnreadableRecord: It is neither, or a log without samples.
    """
    log = object_of(next(iter(parts_of(value)), None))
    if recognise_inspect(log) is None:
        raise UnreadableRecord("not a log of Inspect: neither `eval` with `samples` nor a sample with `epoch`")
    if not (evaluation := object_of(log.get("eval"))):
        yield _run(log, {}, parts)
        return
    samples = [sample for sample in listed(log.get("samples")) if isinstance(sample, dict)]
    if not samples:
        raise UnreadableRecord("log of Inspect without samples")
    for sample in samples:
        yield _run(sample, evaluation, parts)


def _run(sample: Mapping[str, Any], evaluation: Mapping[str, Any], parts: Ledger) -> dict[str, Any]:
    resolver = _Attachments(sample, parts)
    chats = [chat for raw in listed(sample.get("messages")) for chat in _chats(resolver.resolved(raw), parts)]
    record: dict[str, Any] = {"messages": chats}
    if not any(chat.get("tool_calls") for chat in chats) and (rebuilt := _of_events(sample, resolver, parts)):
        record = rebuilt
        chats = record["messages"]
    if (query_id := identifier_of(sample.get("id"))) is not None:
        record["query_id"] = query_id
    asked = resolver.resolved(sample.get("input"))
    if isinstance(asked, str) and asked.strip():
        record["question"] = asked
    output = object_of(sample.get("output"))
    completion = resolver.resolved(output.get("completion"))
    last: Chat = chats[-1] if chats else {}
    is_answered = last.get("role") == "assistant" and not last.get("tool_calls") and bool(last.get("content"))
    if isinstance(completion, str) and completion.strip() and not is_answered:
        record["final_answer"] = completion
    target = resolver.resolved(sample.get("target"))
    if target not in ("", [], None):
        record["gold_answer"] = target
    names = (output.get("model"), evaluation.get("model"), record.get("agent"))
    record["agent"] = next((name for name in names if isinstance(name, str) and name), "")
    record |= _sampling(evaluation) | _outcome(sample)
    record["metadata"] = _metadata(sample, evaluation)
    return record


def _sampling(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    config = object_of(evaluation.get("model_generate_config"))
    return {key: config[key] for key in ("temperature", "top_p", "seed") if number_of(config.get(key)) is not None}


def _outcome(sample: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict, where the scores agree on one, and how the sample ended."""
    outcome: dict[str, Any] = {}
    verdicts = {verdict for value in _scores(sample).values() if (verdict := _verdict(value)) is not None}
    if len(verdicts) == 1:
        outcome["correct"] = verdicts.pop()
    if sample.get("error"):
        outcome["status"] = "failed"
    elif sample.get("limit"):
        outcome["status"] = "limited"
    return outcome


def _scores(sample: Mapping[str, Any]) -> dict[str, Any]:
    scores = object_of(sample.get("scores"))
    if not scores and (single := object_of(sample.get("score"))):
        scores = {"score": single}
    return {str(name): object_of(score).get("value", score) for name, score in scores.items()}


def _verdict(value: Any) -> bool | None:
    """Correct and incorrect are letters, partial and no answer are neither; numbers count where they are 0 or 1."""
    if isinstance(value, str) and value in ("C", "I", "P", "N"):
        return _GRADES.get(value)
    return verdict_in(value) if isinstance(value, (bool, int, float, str)) else None


def _metadata(sample: Mapping[str, Any], evaluation: Mapping[str, Any]) -> dict[str, Any]:
    scores = {name: value for name, value in _scores(sample).items() if isinstance(value, (str, int, float, bool))}
    limit = object_of(sample.get("limit")).get("type")
    metadata = {
        "epoch": integer_of(sample.get("epoch")),
        "task": evaluation.get("task"),
        "scores": scores,
        "limit": limit if isinstance(limit, str) else None,
    }
    return {key: value for key, value in metadata.items() if value not in (None, {}, "")}


class _Attachments:
    """Long texts of a sample, which stand apart from where they are used."""

    def __init__(self, sample: Mapping[str, Any], parts: Ledger) -> None:
        self._texts = object_of(sample.get("attachments"))
        self._parts = parts

    def resolved(self, value: Any, depth: int = 0) -> Any:
        """A value with the texts that it refers to."""
        if isinstance(value, str) and value.startswith(_ATTACHMENTS):
            text = self._texts.get(value.partition("://")[2])
            if text is None:
                self._parts.lose(MISSING, example=value)
            return value if text is None else text
        if depth > MAX_DEPTH:
            return value
        if isinstance(value, list):
            return [self.resolved(part, depth + 1) for part in value]
        if isinstance(value, dict):
            return {key: self.resolved(part, depth + 1) for key, part in value.items()}
        return value


def _chats(raw: Any, parts: Ledger) -> Iterator[Chat]:
    """The messages in one message: the tools that a provider runs stand in the content of the agent's."""
    message = object_of(raw)
    role = message.get("role")
    if role not in ("system", "user", "assistant", "tool"):
        parts.drop(f"message of unknown role: {role!r:.40}", example=text_of(raw))
        return
    if role == "assistant":
        yield from _agent_chats(message, parts)
        return
    text = join_texts(*_texts(message.get("content"), parts))
    if role != "tool":
        yield {"role": role, "content": text}
        return
    error = message.get("error") or message.get("tool_error")
    reason = text_of(object_of(error).get("message") or error) if error else ""
    yield tool_result(join_texts(text, reason), identifier_of(message.get("tool_call_id")), failed=bool(error))


def _texts(content: Any, parts: Ledger) -> Iterator[str]:
    for part in listed(content):
        kind = part.get("type") if isinstance(part, dict) else None
        if isinstance(part, str):
            yield part
        elif kind == "text":
            yield text_of(part.get("text"))
        elif text_of(kind) not in _SILENT:
            parts.drop(f"part of unknown type {kind!r:.40}", example=text_of(part))


def _agent_chats(message: Mapping[str, Any], parts: Ledger) -> Iterator[Chat]:
    texts: list[str] = []
    reasoning = [text_of(message["reasoning"])] if message.get("reasoning") else []
    for part in listed(message.get("content")):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "reasoning":
            shown = part.get("summary") if part.get("redacted") else part.get("reasoning") or part.get("summary")
            reasoning.append(text_of(shown))
        elif kind == "tool_use":
            call_id = identifier_of(part.get("id"))
            arguments = parsed(part.get("arguments"))
            if isinstance(arguments, str):
                arguments = {"query": arguments}
            calls = [tool_call(part.get("name"), arguments, call_id)]
            yield assistant(join_texts(*texts), join_texts(*reasoning), calls)
            shown = join_texts(text_of(part.get("result")), text_of(part.get("error")))
            yield tool_result(shown, call_id, failed=bool(part.get("error")))
            texts, reasoning = [], []
        else:
            texts += _texts(part, parts)
    calls = [_call(call) for call in listed(message.get("tool_calls"))]
    if texts or reasoning or calls:
        yield assistant(join_texts(*texts), join_texts(*reasoning), calls)


def _call(raw: Any) -> dict[str, Any]:
    call = object_of(raw)
    function = call.get("function")
    if isinstance(function, dict):  # as the OpenAI API writes it
        return tool_call(function.get("name"), function.get("arguments"), identifier_of(call.get("id")))
    arguments = call.get("arguments")
    # The agents of Inspect submit their answers by a tool of this name.
    name = "submit_answer" if function == "submit" and "answer" in object_of(arguments) else function
    if call.get("parse_error"):
        arguments = text_of(call["parse_error"])
    return tool_call(name, arguments, identifier_of(call.get("id")))


def _of_events(sample: Mapping[str, Any], resolver: _Attachments, parts: Ledger) -> dict[str, Any] | None:
    """A run by its events, for samples whose agents kept messages to themselves."""
    events = [event for event in listed(sample.get("events")) if isinstance(event, dict)]
    if not any(event.get("event") == "tool" for event in events):
        return None
    pool = listed(object_of(sample.get("events_data")).get("messages"))
    scratch = Ledger("parts")  # histories repeat their messages, and what came out of them is counted below
    observations: list[Observation] = []
    for event in events:
        if event.get("event") == "model" and not event.get("pending"):
            observations.append(_model_event(event, pool, resolver, scratch))
        elif event.get("event") == "tool":
            observations.append(_tool_event(event, resolver))
    records = [record for _, record in runs_of(observations, parts)]
    if not records:
        return None
    for reason, count in scratch.dropped.items():
        parts.drop(reason, min(count, 1), scratch.examples.get(reason, ""))
    return max(records, key=lambda record: len(record["messages"]))


def _model_event(event: Mapping[str, Any], pool: list[Any], resolver: _Attachments, scratch: Ledger) -> Observation:
    inputs = listed(event.get("input"))
    for reference in listed(event.get("input_refs")):
        start, end = [*listed(reference), None, None][:2]
        if isinstance(start, int) and isinstance(end, int) and 0 <= start <= end:
            inputs = [*inputs, *pool[start:end]]
    choices = listed(object_of(event.get("output")).get("choices"))
    outputs = [object_of(choice).get("message") for choice in choices[:1]]
    item = Observation("model", start=seconds_of(event.get("timestamp")), model=text_of(event.get("model")))
    item.inputs = [chat for raw in inputs for chat in _chats(resolver.resolved(raw), scratch)]
    item.outputs = [chat for raw in outputs for chat in _chats(resolver.resolved(raw), scratch)]
    return item


def _tool_event(event: Mapping[str, Any], resolver: _Attachments) -> Observation:
    error = event.get("error")
    name = text_of(event.get("function"))
    item = Observation("tool", start=seconds_of(event.get("timestamp")), name=name, failed=bool(error))
    item.arguments = resolver.resolved(event.get("arguments"))
    item.call_id = identifier_of(event.get("id"))
    shown = resolver.resolved(event.get("result"))
    text = join_texts(*_texts(shown, Ledger("parts"))) if isinstance(shown, list) else text_of(shown)
    item.shown = join_texts(text, text_of(object_of(error).get("message")) if error else "")
    return item
