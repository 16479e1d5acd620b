"""Conversations with tool calls: the messages of a run, from whatever wrote them, as trajectories.

The **chat record** is the shape that converters of other formats, and readers of the user's own, turn their records
into::

    {"query_id": "12", "question": "Who ...?",                  # both optional
     "messages": [
       {"role": "user", "content": "Who ...?"},
       {"role": "assistant", "reasoning_content": "I look for it.", "content": "",
        "tool_calls": [{"id": "c1", "function": {"name": "search", "arguments": {"query": "..."}}}]},
       {"role": "tool", "tool_call_id": "c1", "content": "what the agent saw", "is_error": False,
        "results": [[{"docid": "7", "title": "", "snippet": "", "score": 1.5}]],     # optional: a list for each query
        "docids": ["7"]},                                                           # optional: what a browse opened
       {"role": "assistant", "content": "The answer."}],
     "final_answer": "...", "gold_answer": "...", "correct": True, "status": "completed",     # all optional
     "agent": "...", "retriever": "...", "temperature": 0.6, "metadata": {...}}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from lrat_hub.importers.accounts import Accounts
from lrat_hub.importers.actions import NO_ACTION, Recorder
from lrat_hub.importers.conversation_runs import Run, Turn, in_order, runs_of
from lrat_hub.importers.converters.native import native_messages
from lrat_hub.importers.mapped_records import MESSAGES, OTHER_MESSAGES, chat_record
from lrat_hub.importers.mapping import LogMapping
from lrat_hub.importers.message_lists import (
    BARE_MESSAGE,
    conversation_of,
    in_order_of_time,
    is_bare_message,
    several_runs,
)
from lrat_hub.importers.messages import Call, Message, Result, is_message, read_messages
from lrat_hub.importers.outcomes import (
    IDS,
    NO_WORDS,
    ONLY_TOOLS,
    QUERIES,
    QUESTIONS,
    STATUSES,
    UNCLEAR_ANSWERS,
    UNCLEAR_VERDICTS,
    Answers,
    answers_of,
    is_query_id,
    query_id_of,
    question_of,
    status_of,
    verdict_of,
    with_nested,
)
from lrat_hub.importers.rows import is_hit, texts_of_values
from lrat_hub.importers.sources.grouping import Oversized
from lrat_hub.importers.values import (
    UnreadableRecord,
    join_texts,
    metadata_of,
    model_name,
    object_of,
    sampling_of,
    text_of,
)
from lrat_hub.ledger import Ledger
from lrat_hub.schema import Trajectory

FORMAT = "chat messages"

COLUMNS = {
    *MESSAGES,
    *OTHER_MESSAGES[:2],
    "prompt",
    "completion",
    "tools",
    "functions",
    "agent",
    "model",
    "retriever",
    "final_answer",
    "metadata",
}
"""Keys of a record that are columns of the trajectory, or that its steps were made of."""

QUESTIONS_IN_ONE = "further questions of a conversation, which are runs of their own"
OUT_OF_ORDER = "conversations whose messages were put in the order of their times"
SEVERAL_RUNS = "conversations whose messages may be of several runs, named by their key "


class CallReader(Protocol):
    """What tool calls are given to: `Recorder`, or something that understands calls by what came before them."""

    def call(self, name: Any, arguments: Any, result: Result, *, joined: bool = False) -> None: ...


def recognise_chat(value: Any) -> str | None:
    """Why a value is a conversation, or None."""
    messages = conversation_of(value)
    if messages is None:
        return BARE_MESSAGE if is_bare_message(value) else None
    first = next(filter(is_message, messages))
    shown = next((key for key in ("role", "from", "type") if key in first), "lc")
    where = "a list" if isinstance(value, list) else "an object"
    return f"{where} of messages with `{shown}`{'' if shown == 'role' else ' (LangChain)' if shown != 'from' else ''}"


def parse_chat(name: str, value: Any, accounts: Accounts, mapping: LogMapping | None = None) -> Iterator[Trajectory]:
    """The trajectories of a conversation: one, or one for each question where a conversation goes on to further ones.

    The first message of the user is the question where the record names none. Text and reasoning of a message with
    calls lead to its first call; the last message of the agent without a call is the answer.

    Args:
        name: Becomes the trajectory's id; from the second on with a number.
        value: A list of messages, or an object with `messages` or with `prompt` and `completion`: a chat record.
        accounts: What was read, kept and lost is counted here.

    Raises:
        UnreadableRecord: There are no messages in it.
    """
    mapping = mapping or LogMapping()
    if isinstance(value, Oversized):
        raise UnreadableRecord(value.reason)
    record, count = chat_record(value, mapping), 0
    for trajectory in parse_conversation(name, record, accounts, mapping, FORMAT):
        count += 1
        yield trajectory
    if isinstance(value, list) and (found := several_runs(conversation_of(record) or ())):
        key, expected = found
        (accounts.records.note if count == expected else accounts.records.lose)(f"{SEVERAL_RUNS}{key}", example=name)


def parse_conversation(
    name: str,
    value: Any,
    accounts: Accounts,
    mapping: LogMapping,
    format_name: str,
    reader: Callable[[Recorder], CallReader] = lambda recorder: recorder,
    without_action: str = NO_ACTION,
    **columns: Any,
) -> Iterator[Trajectory]:
    """The trajectories of a conversation; see `parse_chat`.

    Args:
        without_action: As what a run without a search or a browse is counted.
        reader: Makes what reads the calls of a run, and records them in the recorder.
        columns: Columns of the trajectories that are known from elsewhere.
    """
    raw = conversation_of(value)
    if raw is None:
        raise UnreadableRecord("not a trajectory: no messages")
    record = with_nested(object_of(value))
    ordered = in_order_of_time(raw)
    accounts.records.note(OUT_OF_ORDER, int(ordered is not raw), example=name)
    messages = list(_readable(native_messages(ordered, accounts.parts), accounts))
    asked = next((message.text for message in messages if message.role == "user" and message.text), "")
    named = (record.get(key) for key in (*QUESTIONS, *QUERIES))
    runs = runs_of(messages, accounts, whole=any(text and text == question_of(record, asked) for text in named))
    accounts.records.note(QUESTIONS_IN_ONE, len(runs) - 1)
    for number, run in enumerate(runs, start=1):
        recorder = Recorder(mapping, accounts)
        _record(run.turns, recorder, reader(recorder))
        steps = recorder.finish(without_action=without_action)
        answers = answers_of(record, recorder.final_answer)
        if number > 1:
            answers = Answers(gold_key=answers.gold_key, final=recorder.final_answer)
        outcome = _outcome(name, record, answers, run, number, accounts)
        yield Trajectory(
            **{
                "trajectory_id": name if number == 1 else f"{name}-{number}",
                "steps": steps,
                "metadata": metadata_of(format_name, _metadata(record, raw, outcome["question"], answers.gold_key)),
                **outcome,
                **columns,
            }
        )


def _outcome(name: str, record: Any, answers: Answers, run: Run, number: int, accounts: Accounts) -> dict[str, Any]:
    """Columns of a trajectory that say how its run went.

    What the record says holds for the first of several runs.
    """
    values = record if number == 1 else {}
    correct, unclear_verdicts = verdict_of(values)
    status, unclear_statuses = status_of(values, answers.final)
    accounts.records.lose(UNCLEAR_ANSWERS, int(answers.unclear is not None), example=answers.unclear or "")
    accounts.records.note(NO_WORDS, int(values.get("status") == ONLY_TOOLS and status == "completed"), example=name)
    accounts.records.lose(
        UNCLEAR_VERDICTS, int(bool(unclear_verdicts)),
        example=", ".join(f"{key}: {text_of(values[key])}" for key in unclear_verdicts),
    )  # fmt: skip
    accounts.records.note(
        "statuses that are not understood", int(bool(unclear_statuses)),
        example=", ".join(f"{key}: {text_of(values[key])}" for key in unclear_statuses),
    )  # fmt: skip
    return {
        "query_id": (query_id_of(record) or name) + ("" if number == 1 else f"-{number}"),
        "question": question_of(values, run.question),
        "gold_answer": answers.gold,
        "final_answer": answers.final,
        "status": status,
        "correct": correct,
        "agent": model_name(record.get("agent") or record.get("model")),
        "retriever": text_of(record.get("retriever")),
        "sampling": sampling_of(record),
    }


def _metadata(record: Any, messages: Sequence[Any], question: str, gold_key: str | None) -> dict[str, Any]:
    """What a record says beyond the columns, which includes everything that was not understood."""
    columns = COLUMNS | {key for key in IDS if is_query_id(key, record.get(key))}
    columns |= {key for key in (*QUESTIONS, *QUERIES) if record.get(key) == question}
    columns |= {key for key in OTHER_MESSAGES if record.get(key) is messages}
    columns |= {gold_key} if gold_key is not None and isinstance(record[gold_key], str) else set()
    columns |= {key for key in ("correct", "is_correct") if isinstance(record.get(key), bool)}
    columns |= {key for key in STATUSES if record.get(key) in ("completed", "limited", "failed")}
    return {**{key: record[key] for key in record if key not in columns}, **object_of(record.get("metadata"))}


def calls_in(value: Any) -> Iterator[Call]:
    """The tool calls of a conversation."""
    unused = Ledger("parts")
    for raw in conversation_of(value) or ():
        if is_message(raw):
            for message in read_messages(raw, unused):
                yield from message.calls


def _readable(raw: Sequence[Any], accounts: Accounts) -> Iterator[Message]:
    for item in raw:
        if not isinstance(item, dict):
            # Most likely an action is lost here, so what stands around it must not look like neighbours.
            accounts.parts.drop("message is not an object", example=text_of(item))
            yield Message("assistant", calls=(Call(None, None, error="message is not an object"),))
            continue
        try:
            yield from read_messages(item, accounts.parts)
        except UnreadableRecord as error:
            accounts.parts.drop(str(error), example=text_of(item))


def _record(turns: Sequence[Turn], recorder: Recorder, reader: CallReader) -> None:
    for number, turn in enumerate(turns, start=1):
        message = turn.message
        is_answer = message.answer is not None or (number == len(turns) and not message.calls and message.text != "")
        recorder.reason(join_texts(message.reasoning, "" if is_answer and message.answer is None else message.text))
        if len(turn.unmatched) == 1 and not any(turn.results):
            recorder.calls(message.calls, turn.unmatched[0].text)
        else:
            _record_calls(turn, recorder, reader)
        if is_answer:
            answer = message.text if message.answer is None else message.answer
            recorder.answer(answer, joined=bool(message.calls))


def _record_calls(turn: Turn, recorder: Recorder, reader: CallReader) -> None:
    results = list(turn.results)
    if turn.message.at_once and results[0] is not None and not any(results[1:]):
        texts = texts_of_values(results[0].text)
        tools = [recorder.mapping.find(call.name) for call in turn.message.calls]
        are_hits = any(tool is not None and tool.action == "search" for tool in tools) and any(map(is_hit, texts))
        if len(texts) != len(results) or are_hits:
            recorder.calls(turn.message.calls, results[0].text)
            return
        results = [results[0]._replace(text=text) for text in texts]
    for result in turn.unmatched:
        # Several results for several calls, none of which names its call: they come in the order of the calls.
        waiting = in_order(turn, results, result)
        if waiting is None:
            recorder.accounts.parts.lose("tool results without a call", example=result.text)
        else:
            results[waiting] = result
    num_recorded = 0
    for call, result in zip(turn.message.calls, results, strict=True):
        if result is None and num_recorded and call.id is None:
            # Agents of text protocols write several calls, of which the first alone is carried out.
            recorder.accounts.calls.note("calls that were not carried out")
            continue
        shown = result or Result("")
        if call.error is not None:
            recorder.broken_call(call.error, shown.text, joined=num_recorded > 0)
        else:
            reader.call(call.name, call.arguments, shown, joined=num_recorded > 0)
        num_recorded += 1
