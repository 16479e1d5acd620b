"""Questions, gold answers and verdicts of runs whose logs have none: joined by ids or by questions, and compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from lrat_hub.importers.accounts import Accounts
from lrat_hub.importers.values import identifier_of, json_or_none, listed, object_of
from lrat_hub.judges.answers import AnswerJudge
from lrat_hub.ledger.joins import near_miss
from lrat_hub.schema import Trajectory

Questions = Mapping[str, tuple[str, str | None]]
"""Query id to question and gold answer."""

OWN_IDS = (
    "id", "response", "responses", "conversation", "conversation_id", "session", "session_id", "thread_id", "trace_id",
    "run_id",
)  # fmt: skip
"""Keys of a run's metadata under which logs name what they are of. Such an id is none of a question, but who has only
such logs knows the questions by it."""

JOINED = "runs joined with a question by their query id"
JOINED_BY_OWN = "runs joined with a question by the id of their response, conversation, session or trace"
JOINED_BY_TEXT = "runs joined with a question by its text"
AMBIGUOUS = "runs whose question several of those to join have, with different answers"
NOT_JOINED = "runs that no question was joined with"
UNNAMED = "of them, runs without a query id in their log"
OTHER_TEXT = "runs joined by their query id, although they ask another question"
QUESTIONS_GIVEN, QUESTIONS_MISSING = "runs that got a question", "runs whose question is still missing"
GOLD_GIVEN, GOLD_MISSING = "runs that got a gold answer", "runs whose gold answer is still missing"
JUDGED = "runs without a verdict whose answer was compared with the gold answer"
NOT_JUDGED = "runs without a verdict that have no gold answer to compare with"


@dataclass(frozen=True)
class _Found:
    """A question to join, with its query id, which is "" where several questions with the same text and answer are."""

    query_id: str
    question: str
    gold_answer: str | None


class QuestionTable:
    """Questions and gold answers to join with runs: by the query id, an id of the log, or the text of the question.

    Texts are compared as the splits of `lrat_hub.mining.tables` compare them: without case, accents, punctuation and
    articles. A text that several questions share is joined only if their gold answers are equal. A run whose log has
    no query id gets that of its question.
    """

    def __init__(self, questions: Questions) -> None:
        from lrat_hub.mining.tables import normalized_question

        self._questions = questions
        self._normalized = normalized_question
        self._by_text: dict[str, _Found | None] = {}
        for query_id, (question, gold) in questions.items():
            text = normalized_question(question)
            known = self._by_text.get(text, here := _Found(query_id, question, gold))
            is_one = known is not None and known.gold_answer == gold
            self._by_text[text] = (here if known is here else replace(here, query_id="")) if is_one else None

    def joined(self, run: Trajectory, accounts: Accounts) -> Trajectory:
        """The run with the question and the gold answer that belong to it, where it has none."""
        note = accounts.records.note
        text = self._normalized(run.question) if run.question else ""
        by_id, by_text = self._at(run.query_id), self._by_text.get(text) if text else None
        # An id such as 7 may number the runs and not the questions: then the question says which one is meant.
        differs = by_id is not None and not self._is_asked(by_id, text)
        if by_id is not None and not (differs and by_text is not None):
            found, how = by_id, JOINED
            note(OTHER_TEXT, int(differs), example=f"{run.query_id}: {run.question!r:.90} and {by_id.question!r:.90}")
        elif by_text is not None:
            found, how = by_text, JOINED_BY_TEXT
        elif (by_own := self._by_own_id(run, text)) is not None:
            found, how = by_own, JOINED_BY_OWN
        else:
            found, how = _Found("", "", None), AMBIGUOUS if text and text in self._by_text else NOT_JOINED
        note(how, example=run.query_id if how == NOT_JOINED else run.question if how == AMBIGUOUS else "")
        if how == NOT_JOINED and _is_unnamed(run):
            note(UNNAMED, example=next(iter(own_ids(run)), ""))
        if not run.question:
            note(QUESTIONS_GIVEN if found.question else QUESTIONS_MISSING)
        if run.gold_answer is None:
            note(GOLD_MISSING if found.gold_answer is None else GOLD_GIVEN)
        return replace(
            run,
            query_id=found.query_id if found.query_id and _is_unnamed(run) else run.query_id,
            question=run.question or found.question,
            gold_answer=found.gold_answer if run.gold_answer is None else run.gold_answer,
        )

    def _at(self, query_id: str) -> _Found | None:
        found = self._questions.get(query_id)
        return None if found is None else _Found(query_id, *found)

    def _is_asked(self, found: _Found, text: str) -> bool:
        """Whether a run with this text as its question, if it has one, may ask it."""
        return not text or self._normalized(found.question) in text

    def _by_own_id(self, run: Trajectory, text: str) -> _Found | None:
        """What is under an id of the log. A session may have several questions, so the run's must be that or none."""
        found = next(filter(None, map(self._at, own_ids(run))), None)
        return found if found is not None and self._is_asked(found, text) else None


def own_ids(run: Trajectory) -> list[str]:
    """The ids that a log gives a run: of its responses, conversation, session or trace; see `OWN_IDS`."""
    metadata = object_of(json_or_none(run.metadata))
    values = (value for key in OWN_IDS for value in listed(metadata.get(key)))
    return list(dict.fromkeys(filter(None, map(identifier_of, values))))


def _is_unnamed(run: Trajectory) -> bool:
    """Whether the log names no query, so that the run's own name stands in its place."""
    return run.query_id == run.trajectory_id


def with_verdict(run: Trajectory, judge: AnswerJudge, accounts: Accounts) -> Trajectory:
    """The run with the judge's verdict on its answer, where it has a gold answer and no verdict."""
    if run.correct is not None:
        return run
    accounts.records.note(JUDGED if run.gold_answer else NOT_JUDGED)
    return judge.judge_runs([run])[0]


def join_lines(accounts: Accounts, questions: Questions | None, judge: AnswerJudge | None) -> Iterator[str]:
    """How many runs were joined with questions, got gold answers, and were judged, a line each."""
    count = accounts.records.notes
    if questions is not None:
        by_id, by_own, by_text, ambiguous = (count[how] for how in (JOINED, JOINED_BY_OWN, JOINED_BY_TEXT, AMBIGUOUS))
        runs = num_joined(accounts) + ambiguous + count[NOT_JOINED]
        own = f", {by_own} by another id of their log" if by_own else ""
        unclear = f"; {ambiguous} have a question that is there with different answers" if ambiguous else ""
        yield (
            f"queries: {num_joined(accounts)} of {runs} runs joined, {by_id} by their query id{own} and {by_text} by "
            f"their question's text{unclear}"
        )
        for what, given, missing in (
            ("question", QUESTIONS_GIVEN, QUESTIONS_MISSING),
            ("gold answer", GOLD_GIVEN, GOLD_MISSING),
        ):
            yield f"queries: {count[given]} of {count[given] + count[missing]} runs without a {what} got one"
    if judge is not None:
        yield (
            f"answer judge: {count[JUDGED]} of {count[JUDGED] + count[NOT_JUDGED]} runs without a verdict have a gold "
            "answer and were judged by it"
        )


def join_concerns(accounts: Accounts, questions: Questions | None, judge: AnswerJudge | None) -> Iterator[str]:
    """What of the joins came to nothing, or can hardly be meant, a line each."""
    count, examples = accounts.records.notes, accounts.records.examples
    found_none = not num_joined(accounts) and count[NOT_JOINED] + count[AMBIGUOUS] > 0
    if questions is not None and found_none and not join_refusal(accounts, questions):
        yield _no_join(accounts, questions)
    if 2 * count[OTHER_TEXT] > count[JOINED]:
        yield (
            f"{count[OTHER_TEXT]} of {count[JOINED]} runs that were joined by their query id ask another question "
            f"than `queries` have under it, such as {examples.get(OTHER_TEXT, '')}; if the ids are of other data, "
            "leave `queries` out"
        )
    if judge is not None and not count[JUDGED] and count[NOT_JUDGED]:
        yield (
            f"0 of {count[NOT_JUDGED]} runs without a verdict have a gold answer, so `answer_judge` judged none; give "
            "gold answers with `queries`, or say where they stand with `mapping`"
        )


def num_joined(accounts: Accounts) -> int:
    """How many runs were joined with a question, by an id or its text."""
    return sum(accounts.records.notes[how] for how in (JOINED, JOINED_BY_OWN, JOINED_BY_TEXT))


def join_refusal(accounts: Accounts, questions: Questions | None) -> str:
    """Why an import is refused: runs have no question, and no run was joined with one, which can't be meant."""
    if questions is None or num_joined(accounts) or not accounts.records.notes[QUESTIONS_MISSING]:
        return ""
    return _no_join(accounts, questions)


def _no_join(accounts: Accounts, questions: Questions) -> str:
    """That no run was joined with a question, with an id of each side and what keeps them apart."""
    count, examples = accounts.records.notes, accounts.records.examples
    example = examples.get(NOT_JOINED, "")
    runs = count[NOT_JOINED] + count[AMBIGUOUS]
    if not count[NOT_JOINED]:
        return (
            f"`queries`: 0 of {runs} runs were joined: the questions of all of them are there with different answers, "
            f"such as {accounts.records.examples.get(AMBIGUOUS, '')!r:.90}"
        )
    own = examples.get(UNNAMED, "")
    if count[UNNAMED] < count[NOT_JOINED]:
        sought, found = example, f"the query id {example!r} in a run"
    elif own:
        sought, found = own, f"no query id in the log, which calls a run {own!r},"
    else:
        sought, found = "", f"no id in the log, whose runs are named after their records, such as {example!r},"
    hint = near_miss([sought], questions) if sought else "Say where the log has its ids with `mapping`"
    other = " nor another id of the log" if own else ""
    return (
        f"`queries`: 0 of {runs} runs were joined, neither by their query id{other} nor by their question's text; "
        f"found {found} and {next(iter(questions), 'none')!r} in the queries. {hint or 'Are they of other data?'}"
    )
