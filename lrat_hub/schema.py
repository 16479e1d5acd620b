"""Records of the project and the `datasets` features of the rows they are stored as.

Everything that is published or read is one of these. A record's fields are the columns of its dataset config,
in order; `to_dict` gives the row and `from_dict` takes it back.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, get_args

from lrat_hub.obfuscation import canary_of_run, plain_run, stored_run

if TYPE_CHECKING:
    from datasets import Features

Action = Literal["search", "browse", "answer", "invalid"]

Status = Literal["completed", "limited", "failed"]
"""How a run ended: with an answer of its own, with one it was made to give at a limit, or without any."""

STATUSES: tuple[Status, ...] = get_args(Status)

Outcome = Literal["correct", "incorrect", "unjudged"]
"""What is known of a run's answer."""

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


def outcome_of(correct: bool | None) -> Outcome:
    """The outcome of a run by its column `correct`, which is None when the answer was not judged."""
    if correct is None:
        return "unjudged"
    return "correct" if correct else "incorrect"


Verdict = Literal["relevant", "irrelevant", "unjudged"]

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True)
class Document:
    """One entry of a corpus: what a search lists and a browse opens."""

    docid: str
    title: str
    text: str

    @property
    def content(self) -> str:
        """Title and text as one string: what every retriever encodes, so that all of them rank the same text."""
        return f"{self.title}\n{self.text}" if self.title else self.text


@dataclass(frozen=True)
class Candidate:
    """A document in a result list, as the agent saw it.

    Args:
        query_index: Which of the step's queries found it, 0-based.
        rank: Its place in that query's list, 1 for the first.
        score: The retriever's score, or None where the log has none.
    """

    query_index: int
    rank: int
    docid: str
    title: str = ""
    snippet: str = ""
    score: float | None = None

    # A run lists hundreds. What a frozen dataclass makes by itself takes more than twice as long.
    def __init__(
        self,
        query_index: int,
        rank: int,
        docid: str,
        title: str = "",
        snippet: str = "",
        score: float | None = None,
    ) -> None:
        columns = vars(self)
        columns["query_index"] = query_index
        columns["rank"] = rank
        columns["docid"] = docid
        columns["title"] = title
        columns["snippet"] = snippet
        columns["score"] = score


@dataclass(frozen=True)
class Step:
    """One (reasoning, action, observation) triple of a trajectory (paper, section 3.1).

    Args:
        turn: 0-based position among the trajectory's actions.
        reasoning: What the agent reasoned before it acted: "" when it said nothing, None when this action
            came in the same message as the previous one, so that both share the reasoning before and after.
        queries: The queries of a search that were run; a search can carry several.
        results: Candidates of all its queries, ordered by query and rank.
        docid: The document of a browse.
        observation: What the agent was shown, as text.
        error: Why an action failed or could not be read, or None.
        search_turn: The turn of the search that a browse says it is for; None where nothing says so.
    """

    turn: int
    reasoning: str | None
    action: Action
    queries: tuple[str, ...] = ()
    results: tuple[Candidate, ...] = ()
    docid: str | None = None
    observation: str = ""
    error: str | None = None
    search_turn: int | None = None


@dataclass(frozen=True)
class Sampling:
    """The sampling parameters that were sent to the agent's model; None where they are unknown."""

    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Trajectory:
    """One run of an agent on one question.

    Args:
        correct: Whether the final answer is right; None when it was not judged.
        agent_revision, retriever_revision: Commit shas where they are known.
        metadata: A JSON object with what the source says beyond these columns.
    """

    trajectory_id: str
    query_id: str
    question: str
    steps: tuple[Step, ...]
    gold_answer: str | None = None
    final_answer: str | None = None
    status: Status = "completed"
    correct: bool | None = None
    agent: str = ""
    agent_revision: str | None = None
    retriever: str = ""
    retriever_revision: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    metadata: str = "{}"

    def count(self, action: Action) -> int:
        return sum(step.action == action for step in self.steps)

    @property
    def outcome(self) -> Outcome:
        """Whether the answer is known to be right, known to be wrong, or was not judged."""
        return outcome_of(self.correct)

    @property
    def num_steps(self) -> int:
        """Searches and browses together: what the paper counts as steps (section 6.1.3)."""
        return self.num_searches + self.num_browses

    @property
    def num_searches(self) -> int:
        return self.count("search")

    @property
    def num_browses(self) -> int:
        return self.count("browse")

    @property
    def num_invalid(self) -> int:
        return self.count("invalid")

    @property
    def canary(self) -> str | None:
        """The canary that the texts of the run are stored with, obfuscated as its question is; None for plain ones."""
        return canary_of_run(self.metadata)

    def to_dict(self) -> dict[str, Any]:
        """The row of the run, as it is stored: obfuscated, if its question is."""
        # dataclasses.asdict copies each text's container and takes five times as long.
        steps = [
            {
                **{name: getattr(step, name) for name in _field_names(Step)},
                "results": tuple(dict(vars(hit)) for hit in step.results),
            }
            for step in self.steps
        ]
        row = {
            **{name: getattr(self, name) for name in _field_names(Trajectory)},
            "steps": tuple(steps),
            "sampling": dict(vars(self.sampling)),
            "num_searches": self.num_searches,
            "num_browses": self.num_browses,
            "num_invalid": self.num_invalid,
        }
        return stored_run(row)

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> Trajectory:
        row = plain_run(row)
        steps = tuple(
            Step(
                **{
                    **_known(Step, step),
                    "queries": tuple(step["queries"] or ()),
                    "results": tuple(Candidate(**_known(Candidate, result)) for result in step["results"] or ()),
                }
            )
            for step in row["steps"] or ()
        )
        return cls(**{**_known(cls, row), "steps": steps, "sampling": Sampling(**row["sampling"] or {})})


@dataclass(frozen=True)
class Pair:
    """A query, the document the agent opened for it and the listed documents it left (paper, section 5.1).

    Args:
        search_turn, browse_turn: 0-based positions among the trajectory's actions.
        negative_ids: Of each kind in rank order. `negative_kinds` says for each what it is.
        reasoning: The reasoning right after the browse; `reasoning_length` is its length in tokens.
        previous_queries: What the agent had searched for before this query, oldest first.
        reasoning_before: The reasoning that led to the search.
        read_ids: Documents the agent had opened before the search, in their order.
        num_browses: How often it opened the positive from this result list; the reasoning is the longest of theirs.
        weight: Intensity weight (Eq. 3); None on pairs that are not trained on.
        judge, judge_prompt: Who gave the verdict, by which prompt or rules; None if there was no judge.
        agent, retriever: As the trajectory names them.
    """

    pair_id: str
    trajectory_id: str
    query_id: str
    search_turn: int
    browse_turn: int
    question: str
    query: str
    positive_id: str
    negative_ids: tuple[str, ...]
    negative_kinds: tuple[str, ...]
    reasoning: str
    reasoning_length: int
    previous_queries: tuple[str, ...] = ()
    reasoning_before: str = ""
    read_ids: tuple[str, ...] = ()
    num_browses: int = 1
    weight: float | None = None
    verdict: Verdict = "unjudged"
    judge: str | None = None
    judge_prompt: str | None = None
    agent: str = ""
    retriever: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _field_names(Pair)}

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> Pair:
        known = _known(cls, row)
        lists = ("negative_ids", "negative_kinds", "previous_queries", "read_ids")
        return cls(**{**known, **{name: tuple(known[name]) for name in lists if name in known}})


def _known(record: type, row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in _field_names(record) if name in row}


@lru_cache
def _field_names(record: type) -> tuple[str, ...]:
    return tuple(item.name for item in dataclasses.fields(record))


def trajectory_features() -> Features:
    """Features of a config of trajectories."""
    from datasets import Features, List, Value

    text, string, integer = Value("large_string"), Value("string"), Value("int32")
    candidate = {
        "query_index": integer,
        "rank": integer,
        "docid": string,
        "title": string,
        "snippet": text,
        "score": Value("float64"),
    }
    step = {
        "turn": integer,
        "reasoning": text,
        "action": string,
        "queries": List(text),
        "results": List(candidate),
        "docid": string,
        "observation": text,
        "error": string,
        "search_turn": integer,
    }
    sampling = {
        "temperature": Value("float64"),
        "top_p": Value("float64"),
        "presence_penalty": Value("float64"),
        "seed": Value("int64"),
    }
    return Features(
        {
            "trajectory_id": string,
            "query_id": string,
            "question": text,
            "steps": List(step),
            "gold_answer": text,
            "final_answer": text,
            "status": string,
            "correct": Value("bool"),
            "agent": string,
            "agent_revision": string,
            "retriever": string,
            "retriever_revision": string,
            "sampling": sampling,
            "metadata": text,
            "num_searches": integer,
            "num_browses": integer,
            "num_invalid": integer,
        }
    )


def pair_features() -> Features:
    """Features of the config `pairs`."""
    from datasets import Features, List, Value

    text, string, integer = Value("large_string"), Value("string"), Value("int32")
    return Features(
        {
            "pair_id": string,
            "trajectory_id": string,
            "query_id": string,
            "search_turn": integer,
            "browse_turn": integer,
            "question": text,
            "query": text,
            "positive_id": string,
            "negative_ids": List(string),
            "negative_kinds": List(string),
            "reasoning": text,
            "reasoning_length": integer,
            "previous_queries": List(text),
            "reasoning_before": text,
            "read_ids": List(string),
            "num_browses": integer,
            "weight": Value("float64"),
            "verdict": string,
            "judge": string,
            "judge_prompt": string,
            "agent": string,
            "retriever": string,
        }
    )


def document_features() -> Features:
    """Features of the configs `corpus` and `documents`."""
    from datasets import Features, Value

    return Features({"docid": Value("string"), "title": Value("string"), "text": Value("large_string")})


def query_features(*, canary: bool = False) -> Features:
    """Features of a config of queries; `question_id` groups queries that came from one question.

    Args:
        canary: With the column `canary`, which says of a row that its texts are obfuscated with it.
    """
    from datasets import Features, Value

    text, string = Value("large_string"), Value("string")
    columns = {"query_id": string, "query": text, "answer": text, "question_id": string}
    return Features(columns | ({"canary": string} if canary else {}))


def qrel_features() -> Features:
    """Features of a config of relevance judgements."""
    from datasets import Features, Value

    return Features({"query_id": Value("string"), "docid": Value("string"), "relevance": Value("int32")})
