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
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from lrat_hub.importers.accounts import Accounts
from lrat_hub.importers.actions import NO_ACTION, Recorder
from lrat_hub.importers.converters.native import native_messages
from lrat_hub.importers.mapped_records import MESSAGES, chat_record
from lrat_hub.importers.mapping import LogMapping, short_name
from lrat_hub.importers.message_lists import BARE_MESSAGE, conversation_of, is_bare_message, several_runs
from lrat_hub.importers.messages import Call, Message, Result, is_message, read_messages
from lrat_hub.importers.other_tools import ASKS
from lrat_hub.importers.outcomes import (
    IDS,
    QUESTIONS,
    STATUSES,
    final_answer_of,
    gold_answer_of,
    is_nudge,
    query_id_of,
    question_of,
    status_of,
    verdict_of,
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
SEVERAL_RUNS = "conversations whose messages may be of several runs, named by their key "


class CallReader(Protocol):
    """What tool calls are given to: `Recorder`, or something that understands calls by what came before them."""

    def call(self, name: Any, arguments: Any, result: Result, *, joined: bool = False) -> None: ...


@dataclass
class _Turn:
    """A message of the agent, and what the tools answered: a result for each call, None where there is none."""

    message: Message
    results: list[Result | None] = field(default_factory=list)
    unmatched: list[Result] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.results = [None] * len(self.message.calls)

    def waiting(self, call_id: str | None) -> int | None:
        """The first call with an id that has no result yet; with None, the first call without an id."""
        return next(
            (
                index
                for index, call in enumerate(self.message.calls)
                if call.id == call_id and self.results[index] is None
            ),
            None,
        )


@dataclass
class _Run:
    """The part of a conversation that answers one question."""

    question: str = ""
    turns: list[_Turn] = field(default_factory=list)

    @property
    def is_answered(self) -> bool:
        """Whether tools were called, and the agent then spoke to the user, and did not ask something back."""
        last = next((turn.message.calls for turn in reversed(self.turns) if turn.message.calls), ())
        if any(isinstance(call.name, str) and short_name(call.name) in ASKS for call in last):
            return False
        return (
            bool(self.turns)
            and not self.turns[-1].message.calls
            and any(turn.message.calls for turn in self.turns)
            and (self.turns[-1].message.text != "" or self.turns[-1].message.answer is not None)
        )


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
    record = object_of(value)
    messages = list(_readable(native_messages(raw, accounts.parts), accounts))
    asked = next((message.text for message in messages if message.role == "user" and message.text), "")
    named = (record.get(key) for key in (*QUESTIONS, "query", "user_query"))
    runs = _runs(messages, accounts, whole=any(text and text == question_of(record, asked) for text in named))
    accounts.records.note(QUESTIONS_IN_ONE, len(runs) - 1)
    for number, run in enumerate(runs, start=1):
        recorder = Recorder(mapping, accounts)
        _record(run.turns, recorder, reader(recorder))
        steps = recorder.finish(without_action=without_action)
        outcome = _outcome(name, record, recorder, run, number, accounts)
        yield Trajectory(
            **{
                "trajectory_id": name if number == 1 else f"{name}-{number}",
                "steps": steps,
                "metadata": metadata_of(format_name, _metadata(record, outcome["question"])),
                **outcome,
                **columns,
            }
        )


def _outcome(name: str, record: Any, recorder: Recorder, run: _Run, number: int, accounts: Accounts) -> dict[str, Any]:
    """Columns of a trajectory that say how its run went.

    What the record says holds for the first of several runs.
    """
    values = record if number == 1 else {}
    gold, gold_key = gold_answer_of(values)
    answer = recorder.final_answer if recorder.final_answer is not None else final_answer_of(values, gold_key)
    correct, unclear_verdicts = verdict_of(values)
    status, unclear_statuses = status_of(values, answer)
    accounts.records.lose(
        "verdicts that are not understood", int(bool(unclear_verdicts)),
        example=", ".join(f"{key}: {text_of(values[key])}" for key in unclear_verdicts),
    )  # fmt: skip
    accounts.records.note(
        "statuses that are not understood", int(bool(unclear_statuses)),
        example=", ".join(f"{key}: {text_of(values[key])}" for key in unclear_statuses),
    )  # fmt: skip
    return {
        "query_id": (query_id_of(record) or name) + ("" if number == 1 else f"-{number}"),
        "question": question_of(values, run.question),
        "gold_answer": gold,
        "final_answer": answer,
        "status": status,
        "correct": correct,
        "agent": model_name(record.get("agent") or record.get("model")),
        "retriever": text_of(record.get("retriever")),
        "sampling": sampling_of(record),
    }


def _metadata(record: Any, question: str) -> dict[str, Any]:
    """What a record says beyond the columns, which includes everything that was not understood."""
    _, gold_key = gold_answer_of(record)
    columns = COLUMNS | {key for key in IDS if isinstance(record.get(key), (str, int))}
    columns |= {key for key in (*QUESTIONS, "query", "user_query") if record.get(key) == question}
    columns |= {gold_key} if gold_key is not None and isinstance(record[gold_key], str) else set()
    columns |= {key for key in ("correct", "is_correct") if isinstance(record.get(key), bool)}
    columns |= {key for key in STATUSES if record.get(key) in ("completed", "limited", "failed")}
    return {**{key: record[key] for key in record if key not in columns}, **object_of(record.get("metadata"))}


def call_names(value: Any) -> Iterator[str]:
    """Names of the tools that a conversation calls."""
    unused = Ledger("parts")
    for raw in conversation_of(value) or ():
        if is_message(raw):
            for message in read_messages(raw, unused):
                yield from (call.name for call in message.calls if isinstance(call.name, str))


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


def _runs(messages: Sequence[Message], accounts: Accounts, *, whole: bool) -> list[_Run]:
    """A conversation by the questions that it answers.

    Args:
        whole: Whether everything belongs to one question, because the record names it.
    """
    runs = [_Run()]
    for message in messages:
        run = runs[-1]
        if message.role == "assistant":
            run.turns.append(_Turn(message))
        elif message.results and (run.turns or message.role == "tool"):
            for result in message.results:
                _match(run, result, accounts.parts)
        elif message.role == "user" and message.text:
            # A context that was cut down begins again with the question and what is known by then.
            is_again = run.question != "" and run.question != message.text and run.question in message.text
            if not whole and run.is_answered and not is_again and not is_nudge(message.text):
                runs.append(_Run(message.text))
            elif not run.question and not run.turns:
                run.question = message.text
    return runs


def _match(run: _Run, result: Result, parts: Ledger) -> None:
    """Gives a result to its call: by id to the nearest that has none yet, or by order where there are no ids."""
    last = run.turns[-1] if run.turns else None
    if result.call_id is not None:
        for turn in reversed(run.turns):
            if (index := turn.waiting(result.call_id)) is not None:
                turn.results[index] = result
                return
    if last is not None and (result.call_id is None or not any(call.id for call in last.message.calls)):
        if len(last.message.calls) > 1 and all(call.id for call in last.message.calls) and result.call_id is None:
            # Nothing says which of the calls it answers: it may be all of them.
            last.unmatched.append(result)
            return
        index = _in_order(last, last.results, result)
        if index is not None:
            last.results[index] = result
            return
    parts.lose("tool results without a call", example=result.text)


def _in_order(turn: _Turn, results: Sequence[Result | None], result: Result) -> int | None:
    """The first call without a result, of those of the tool that the result names where there are any."""
    waiting = [index for index, known in enumerate(results) if known is None]
    named = [index for index in waiting if result.tool is not None and turn.message.calls[index].name == result.tool]
    return next(iter(named or waiting), None)


def _record(turns: Sequence[_Turn], recorder: Recorder, reader: CallReader) -> None:
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


def _record_calls(turn: _Turn, recorder: Recorder, reader: CallReader) -> None:
    results = list(turn.results)
    if turn.message.at_once and results[0] is not None and not any(results[1:]):
        texts, tools = (
            texts_of_values(results[0].text),
            [recorder.mapping.find(call.name) for call in turn.message.calls],
        )
        are_hits = any(tool is not None and tool.action == "search" for tool in tools) and any(map(is_hit, texts))
        if len(texts) != len(results) or are_hits:
            recorder.calls(turn.message.calls, results[0].text)
            return
        results = [replace(results[0], text=text) for text in texts]
    for result in turn.unmatched:
        # Several results for several calls, none of which names its call: they come in the order of the calls.
        waiting = _in_order(turn, results, result)
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
