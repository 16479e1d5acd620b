"""Conversations with tool calls: the messages of a run, from whatever wrote them, as a trajectory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, get_args

from lrat_hub.importers.actions import Recorder
from lrat_hub.importers.mapping import Tools
from lrat_hub.importers.messages import Call, Message, Result, is_message, read_messages
from lrat_hub.importers.values import (
    UnreadableRecord,
    identifier_of,
    join_texts,
    metadata_of,
    model_name,
    object_of,
    sampling_of,
    text_of,
)
from lrat_hub.ledger import Ledger
from lrat_hub.schema import Status, Trajectory

FORMAT = "chat messages"

IDS = ("query_id", "qid", "question_id", "task_id", "id")
QUESTIONS = ("question", "query", "problem", "task")
GOLD_ANSWERS = ("gold_answer", "answer", "ground_truth", "reference_answer", "solution")
COLUMNS = {
    "messages", "conversations", "conversation", "prompt", "completion", "tools", "correct", "is_correct", "status",
    "agent", "model", "retriever", *IDS, *QUESTIONS, *GOLD_ANSWERS,
}  # fmt: skip


class CallReader(Protocol):
    """What tool calls are given to: `Recorder`, or something that understands calls by what came before them."""

    def call(
        self, name: Any, arguments: Any, observation: str, *, joined: bool = False, failed: bool = False
    ) -> None: ...


@dataclass
class _Turn:
    """A message of the agent and what the tools answered."""

    message: Message
    results: list[Result] = field(default_factory=list)


def conversation_of(value: Any) -> Sequence[Any] | None:
    """The list of messages in a record, or None when it has none."""
    if isinstance(value, list):
        messages = value
    elif not isinstance(value, dict):
        return None
    elif isinstance(value.get("prompt"), list) and isinstance(value.get("completion"), list):
        messages = [*value["prompt"], *value["completion"]]
    else:
        keys = ("messages", "conversations", "conversation")
        messages = next((value[key] for key in keys if isinstance(value.get(key), list)), None)
    return messages if messages and any(map(is_message, messages)) else None


def recognise_chat(value: Any) -> str | None:
    """Why a value is a conversation, or None."""
    messages = conversation_of(value)
    if messages is None:
        return None
    first = next(filter(is_message, messages))
    shown = next((key for key in ("role", "from", "type") if key in first), "lc")
    where = "a list" if isinstance(value, list) else "an object"
    return f"{where} of messages with `{shown}`{'' if shown == 'role' else ' (LangChain)' if shown != 'from' else ''}"


def parse_chat(name: str, value: Any, steps: Ledger, tools: Tools | None = None) -> Trajectory:
    """A conversation as a trajectory.

    The first message of the user is the question where the record names none. Text and reasoning of a message with
    calls lead to its first call; the last message of the agent without a call is the answer.

    Args:
        name: Becomes the trajectory's id.
        value: A list of messages, or an object with `messages` or with `prompt` and `completion`.
        steps: The account of steps.

    Raises:
        UnreadableRecord: There are no messages in it.
    """
    recorder = Recorder(tools or Tools(), steps)
    return parse_conversation(name, value, recorder, recorder, FORMAT)


def parse_conversation(
    name: str, value: Any, recorder: Recorder, reader: CallReader, format_name: str, **columns: Any
) -> Trajectory:
    """A conversation as a trajectory, its calls read by `reader`, which records them in `recorder`.

    Args:
        columns: Columns of the trajectory that are known from elsewhere.
    """
    raw = conversation_of(value)
    if raw is None:
        raise UnreadableRecord("not a trajectory: no messages")
    record = object_of(value)
    messages = list(_readable(raw, recorder))
    _record(messages, recorder, reader)
    question = text_of(next((record[key] for key in QUESTIONS if record.get(key)), "")) or next(
        (message.text for message in messages if message.role == "user" and message.text), ""
    )
    gold = next((text_of(record[key]) for key in GOLD_ANSWERS if record.get(key) is not None), None)
    correct = record.get("correct", record.get("is_correct"))
    return Trajectory(
        **{
            "trajectory_id": name,
            "query_id": next((found for key in IDS if (found := identifier_of(record.get(key)))), name),
            "question": question,
            "steps": recorder.finish(),
            "gold_answer": gold,
            "final_answer": recorder.final_answer,
            "status": _status(record.get("status"), recorder.final_answer),
            "correct": correct if isinstance(correct, bool) else None,
            "agent": model_name(record.get("agent") or record.get("model")),
            "retriever": text_of(record.get("retriever")),
            "sampling": sampling_of(record),
            "metadata": metadata_of(format_name, {key: record[key] for key in record if key not in COLUMNS}),
            **columns,
        }
    )


def call_names(value: Any) -> Iterator[str]:
    """Names of the tools that a conversation calls."""
    for raw in conversation_of(value) or ():
        if is_message(raw):
            yield from (
                call.name for message in read_messages(raw) for call in message.calls if isinstance(call.name, str)
            )


def _readable(raw: Sequence[Any], recorder: Recorder) -> Iterator[Message]:
    for item in raw:
        if not isinstance(item, dict):
            # Most likely an action is lost here, so what stands around it must not look like neighbours.
            yield Message("assistant", calls=(Call(None, None, error="message is not an object"),))
            continue
        try:
            yield from read_messages(item)
        except UnreadableRecord as error:
            recorder.ledger.note(f"messages left out, {error}")


def _record(messages: Sequence[Message], recorder: Recorder, reader: CallReader) -> None:
    turns: list[_Turn] = []
    for message in messages:
        if message.role == "assistant":
            turns.append(_Turn(message))
        elif message.results and turns:
            turns[-1].results.extend(message.results)
        else:
            recorder.ledger.note("tool results without a call", len(message.results))
    for place, turn in enumerate(turns):
        message = turn.message
        is_last = place == len(turns) - 1
        is_answer = message.answer is not None or (is_last and not message.calls and message.text != "")
        recorder.reason(join_texts(message.reasoning, "" if is_answer and message.answer is None else message.text))
        if len(message.calls) > 1 and len(turn.results) == 1 and message.calls[0].id and not turn.results[0].call_id:
            recorder.calls(message.calls, turn.results[0].text)
            continue
        for index, (call, result) in enumerate(_matched(turn, recorder.ledger)):
            if call.error is not None:
                recorder.invalid(call.error, result.text, joined=index > 0)
            else:
                reader.call(call.name, call.arguments, result.text, joined=index > 0, failed=result.failed)
        if is_answer:
            answer = message.text if message.answer is None else message.answer
            recorder.answer(answer, joined=bool(message.calls))


def _matched(turn: _Turn, ledger: Ledger) -> Iterator[tuple[Call, Result]]:
    """Calls of a message with their results: by id, or by order where one of the two has none."""
    by_id = {result.call_id: result for result in turn.results if result.call_id is not None}
    in_order = [result for result in turn.results if result.call_id is None]
    if not any(call.id for call in turn.message.calls):
        in_order, by_id = list(turn.results), {}
    used = 0
    for call in turn.message.calls:
        if call.id in by_id:
            yield call, by_id.pop(call.id)
        elif in_order:
            yield call, in_order.pop(0)
        elif used and call.id is None:
            # Agents of text protocols write several calls, of which the first alone is carried out.
            ledger.note("calls that were not carried out")
            continue
        else:
            yield call, Result("")
        used += 1
    ledger.note("tool results without a call", len(by_id) + len(in_order))


def _status(status: Any, answer: str | None) -> Status:
    if status in get_args(Status):
        return status
    return "completed" if answer is not None else "failed"
