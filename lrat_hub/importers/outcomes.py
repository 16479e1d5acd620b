"""What a record says of its run as a whole: the question, the gold answer, the verdict, and how it ended.

Every framework and script has words of its own for these. They are taken by looking at the values: a key counts when
what stands under it can be understood. What can't be understood stays in the metadata and is counted.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from lrat_hub.importers.prompts import without_prompt
from lrat_hub.importers.values import identifier_of, json_or_none, text_of
from lrat_hub.schema import Status

UNCLEAR_VERDICTS = "verdicts that are not understood"
UNCLEAR_ANSWERS = (
    "answers that may be the agent's or the gold one: say `final_answer: answer` or `gold_answer: answer` in a "
    "mapping file"
)

QUERY_IDS = ("query_id", "qid", "question_id", "task_id", "example_id", "item_id")
IDS = (*QUERY_IDS, "id")

# Ids that an API gives its answers; a call for the same question again has another one.
_OF_API = re.compile(r"(?:resp|chatcmpl|cmpl|msg|gen|run|thread|batch|req|item|rs|call)[-_][\w-]{6,}")

_NESTED = ("metadata", "meta", "extra_info")
_IN_METADATA = (
    *QUERY_IDS, "question", "gold_answer", "gold_answers", "golden_answers", "ground_truth", "correct_answer",
    "reference_answer", "expected_answer", "correct", "is_correct",
)  # fmt: skip
"""Keys that say in a record's metadata, too, what they say beside its messages."""

QUESTIONS = ("question", "Question", "problem")
"""Keys that name the question."""

QUERIES = ("query", "user_query")
"""Keys that name the question, or what a search was for."""

TASKS = (*QUERIES, "task_description", "task", "input", "prompt", "instruction", "user_input")
"""Keys that hold the question, a prompt around it, a search, or the name of a task: the user's message decides."""

GOLD_ANSWERS = (
    "gold_answer", "gold_answers", "golden_answers", "golden_answer", "gold", "ground_truth", "ground_truths",
    "groundtruth", "true_answer", "reference_answer", "reference_answers", "reference", "correct_answer",
    "expected_answer", "Final answer", "expected_output", "expected", "target", "targets", "gts", "gt", "reward_model",
)  # fmt: skip
"""Keys that name the gold answer."""

ANSWERS = ("answer", "answers", "Answer", "solution")
"""Keys that hold the gold answer where no key names it and the agent's is known; else they hold the agent's."""

LONG_ANSWER = 100
"""Characters from which on no gold answer is the text of an agent word by word."""

FINAL_ANSWERS = (
    "final_answer", "prediction", "predicted_answer", "pred_answer", "final_boxed_answer", "final_response",
    "model_answer", "response",
)  # fmt: skip
"""Keys that name the agent's answer."""

VERDICTS = (
    "correct", "is_correct", "judged_correct", "answer_correct", "judgement", "judgment", "judge_result",
    "final_judge_result", "verdict", "passed", "is_passed", "grade", "auto_judge", "exact_match",
    "em", "acc", "accuracy", "score",
)  # fmt: skip
"""Keys that hold the verdict on the answer."""

EVALUATIONS = ("judge", "evaluation", "eval", "eval_result", "grading", "judge_output", "metrics", "scores")
"""Keys of objects in which a verdict may stand under a key of its own."""

STATUSES = (
    "status",
    "termination",
    "state",
    "exit_status",
    "exit_reason",
    "stopped_reason",
    "stop_reason",
    "finish_reason",
)
"""Keys that say how a run ended."""

ONLY_TOOLS = "unknown: tool calls alone are logged"
"""The status of a run whose log has no word of the agent: it has neither an answer nor says that there was none."""

NO_WORDS = "runs of which tool calls alone are logged, so that they count as completed"

_RIGHT = {"yes", "true", "correct", "right", "y", "1", "pass", "passed", "accurate"}
_WRONG = {
    "no", "false", "incorrect", "wrong", "n", "0", "fail", "failed", "not correct", "not_correct", "inaccurate",
    "not_attempted", "not attempted", "not_attempt",
}  # fmt: skip
_MARKED = re.compile(r"\b(?:correct|is_correct|judge?ment|verdict|grade)[\"'*]*\s*[:=]\s*[\"'*]*(\w+)", re.IGNORECASE)

_LIMITED = re.compile(
    r"limit|exceed|max[_ -]?(?:\w+[_ -])?(?:steps?|turns?|tokens?|iterations?|calls?|rounds?|length)|truncat"
    r"|budget|incomplete|^length$|out of (?:context|tokens|budget)",
    re.IGNORECASE,
)
_FAILED = re.compile(
    r"fail|error|crash|cancel|abort|exception|interrupted|killed|refus|no[_ ]answer|time[d _-]*out|invalid",
    re.IGNORECASE,
)
_COMPLETED = re.compile(
    r"^(?:completed?|success(?:ful|ful(?:ly)?)?|succeeded|done|finish(?:ed)?|ok|answer(?:ed)?|stop(?:ped)?|end(?:_turn|ed)?"
    r"|final[_ ]?answer|submitted|natural|eos|solved|terminated)$",
    re.IGNORECASE,
)
_WORST_FIRST: tuple[Status, ...] = ("failed", "limited", "completed")

_LITERAL = 10_000


def with_nested(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record with the names of its question, gold answer and verdict that stand in its metadata alone."""
    for inner in (record[key] for key in _NESTED if isinstance(record.get(key), dict)):
        found = {key: inner[key] for key in _IN_METADATA if not _is_blank(inner.get(key))}
        record = {**found, **record} if found else record
    return record


def query_id_of(record: Mapping[str, Any]) -> str | None:
    """The question's id, or None."""
    named = next((known for key in QUERY_IDS if (known := identifier_of(record.get(key)))), None)
    other = identifier_of(record.get("id"))
    return named or (other if is_query_id("id", other) else None)


def is_query_id(key: str, value: Any) -> bool:
    """Whether a value is the id of a question, under one of `IDS`, and not one that an API gave its answer."""
    return isinstance(value, (str, int)) and (key != "id" or not _OF_API.fullmatch(str(value).strip()))


def question_of(record: Mapping[str, Any], user_message: str) -> str:
    """The question: under a key that names it, else what the user wrote, without a prompt around it.

    Args:
        user_message: The first message of the user, "" when there is none.
    """
    for key in QUESTIONS:
        if isinstance(record.get(key), str) and record[key].strip():
            return record[key]
    for key in TASKS:
        task = record.get(key)
        if (
            isinstance(task, str)
            and task.strip()
            and (not user_message or (task != user_message and task in user_message))
        ):
            return without_prompt(task)
    return without_prompt(user_message)


def gold_answer_of(record: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The gold answer, one a line where there are several, and the key that it stands under."""
    for key in (*GOLD_ANSWERS, *ANSWERS):
        texts = list(dict.fromkeys(_texts(record.get(key))))
        if texts:
            return "\n".join(texts), key
    return None, None


class Answers(NamedTuple):
    """The answers of a run.

    Args:
        gold_key: The key of the record that the gold answer stands under.
        unclear: What may be the one or the other.
    """

    gold: str | None = None
    gold_key: str | None = None
    final: str | None = None
    unclear: str | None = None


def answers_of(record: Mapping[str, Any], said: str | None) -> Answers:
    """The gold answer and the agent's.

    An `answer` is the gold one only beside an answer of the agent, or where the run ended without any.

    Args:
        said: The answer in the agent's own steps, None where there is none.
    """
    gold, key = gold_answer_of(record)
    if key in ANSWERS:
        final = said if said is not None else _first_text(record, FINAL_ANSWERS)
        if gold is not None and record[key] == gold:  # and no list of answers, which no agent gives
            if final is None and status_of(record, gold)[0] == "completed":
                return Answers(unclear=gold)
            if final is not None and len(gold) >= LONG_ANSWER and _plain(gold) in _plain(final):
                return Answers(final=final)
        return Answers(gold, key, final)
    return Answers(gold, key, said if said is not None else _first_text(record, (*FINAL_ANSWERS, *ANSWERS)))


def _plain(text: str) -> str:
    """A text without emphasis, in one line."""
    return " ".join(text.replace("*", "").split())


def _first_text(record: Mapping[str, Any], keys: Iterable[str]) -> str | None:
    return next((record[key] for key in keys if isinstance(record.get(key), str) and record[key].strip()), None)


def verdict_of(record: Mapping[str, Any]) -> tuple[bool | None, list[str]]:
    """Whether the answer is correct, None when that is not known, and the keys whose values were not understood.

    Keys that contradict each other leave the verdict open.
    """
    verdicts = {key: verdict_in(record[key]) for key in VERDICTS if not _is_blank(record.get(key))}
    if not verdicts:
        inner = {key: verdict_in(record[key]) for key in EVALUATIONS if isinstance(record.get(key), dict)}
        verdicts = {key: verdict for key, verdict in inner.items() if verdict is not None}
    clear = {verdict for verdict in verdicts.values() if verdict is not None}
    if len(clear) == 1:
        return clear.pop(), []
    return None, list(verdicts)


def verdict_in(value: Any) -> bool | None:
    """A verdict: a boolean, 0 or 1, a word, a text in which a judge marks it, or an object with one."""
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return bool(value) if value in (0, 1) else None
    if isinstance(value, str):
        word = value.strip().strip(".!*'\"").casefold()
        if word in _RIGHT or word in _WRONG:
            return word in _RIGHT
        if word in ("0.0", "1.0"):
            return word == "1.0"
        marked = {verdict_in(mark) for mark in _MARKED.findall(value)} - {None}
        return (
            marked.pop()
            if len(marked) == 1
            else verdict_in(parsed)
            if isinstance(parsed := json_or_none(value), dict)
            else None
        )
    if isinstance(value, dict):
        return verdict_of(
            {**value, **({"correct": value["value"]} if "value" in value and "correct" not in value else {})}
        )[0]
    if isinstance(value, list) and len(value) == 1:
        return verdict_in(value[0])
    return None


def status_of(record: Mapping[str, Any], answer: str | None) -> tuple[Status, list[str]]:
    """How a run ended, the worst where several keys say it, and the keys whose values were not understood.

    A run without an answer has failed, unless it says that a limit stopped it, or no word of its agent is logged.
    """
    told = {key: record[key] for key in STATUSES if not _is_blank(record.get(key)) and record[key] != ONLY_TOOLS}
    statuses = {key: status_in(value) for key, value in told.items()}
    clear = [status for status in statuses.values() if status is not None]
    status: Status = "completed"
    for known in _WORST_FIRST:
        if known in clear:
            status = known
            break
    unclear = [key for key, known in statuses.items() if known is None]
    if answer is None and status != "limited" and (clear or record.get("status") != ONLY_TOOLS):
        status = "failed"
    return status, unclear


def status_in(value: Any) -> Status | None:
    """A status by the words that frameworks have for it, or None when they are not known."""
    if isinstance(value, dict):
        return next((known for key in ("status", "type", "reason") if (known := status_in(value.get(key)))), None)
    if not isinstance(value, str):
        return None
    words = value.strip()
    if _COMPLETED.match(words):
        return "completed"
    if _LIMITED.search(words):
        return "limited"
    return "failed" if _FAILED.search(words) else None


def _is_blank(value: Any) -> bool:
    return value is None or value == "" or value == [] or value == {}


def _texts(value: Any) -> Iterator[str]:
    """The answers in a value: lists in lists, also as a text, and objects with a target."""
    if isinstance(value, str):
        literal = _literal(value)
        if isinstance(literal, list) and literal:
            yield from _texts(literal)
        elif value.strip():
            yield value
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield text_of(value)
    elif isinstance(value, list):
        yield from _all_texts(value)
    elif isinstance(value, dict):
        keys = ("target", "ground_truth", "answer", "answers", "value", "text", "normalized_value", "aliases")
        yield from _texts(next((value[key] for key in keys if not _is_blank(value.get(key))), None))


def _all_texts(values: Sequence[Any]) -> Iterable[str]:
    return (text for value in values for text in _texts(value))


def _literal(text: str) -> Any:
    """The list that a text is the JSON or the Python literal of, or None."""
    text = text.strip()
    if not (text.startswith("[") and text.endswith("]")) or len(text) > _LITERAL:
        return None
    if isinstance(value := json_or_none(text), list):
        return value
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
