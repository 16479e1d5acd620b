from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from lrat_hub.agents import (
    Answer,
    Browse,
    Call,
    Invalid,
    Observation,
    Question,
    Search,
    SearchEnvironment,
    run_agents,
)
from lrat_hub.agents.rollouts import journaled_runs
from lrat_hub.evaluation.replay import searches_of
from lrat_hub.mining import mine_pairs
from lrat_hub.queries import render_query
from lrat_hub.retrieval import Hit
from lrat_hub.schema import Document, Sampling, Trajectory

DOCUMENTS = {docid: Document(docid, f"Title {docid}", f"Text of {docid}.") for docid in ("d1", "d2")}
QUESTIONS = [Question(f"q{number}", f"question {number}?", f"gold {number}") for number in range(5)]


class Lister:
    """Finds every document for every query."""

    name, revision = "lister", "0" * 40

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        self.batches.append(list(queries))
        return [[Hit(docid, 1.0 / rank, rank) for rank, docid in enumerate(DOCUMENTS, start=1)] for _ in queries]


class Scripted:
    """An agent whose calls for a question are given by a function; keeps what it was shown."""

    name, revision, sampling = "scripted", None, Sampling(seed=7)

    def __init__(self, script: Callable[[str], Sequence[Call]]) -> None:
        self.settings: dict[str, Any] = {"style": "plain"}
        self.started: list[str] = []
        self.shown: list[Observation | None] = []
        self._script = script

    def start(self, question: str) -> Scripted._Episode:
        self.started.append(question)
        return Scripted._Episode(self, iter(self._script(question)))

    class _Episode:
        def __init__(self, agent: Scripted, calls: Iterator[Call]) -> None:
            self._agent, self._calls, self.notes = agent, calls, {"tokens": 3}

        async def act(self, observation: Observation | None) -> Call:
            self._agent.shown.append(observation)
            return next(self._calls)


def run(script: Callable[[str], Sequence[Call]], questions: Sequence[Question] = QUESTIONS[:1], **options: Any):
    agent, retriever = Scripted(script), Lister()
    trajectories = run_agents(agent, questions, SearchEnvironment(retriever, DOCUMENTS), **options)
    return trajectories, agent, retriever


def search_and_answer(question: str) -> list[Call]:
    return [
        Search("I search.", (f"{question} 1",)),
        Browse("I open one.", "d2"),
        Search("Again.", (f"{question} 2", "more")),
        Answer("I know.", f"answer to {question}"),
    ]


def test_steps_are_recorded_as_the_agent_saw_them():
    (trajectory,), agent, _ = run(search_and_answer)
    assert [step.action for step in trajectory.steps] == ["search", "browse", "search", "answer"]
    assert [step.turn for step in trajectory.steps] == [0, 1, 2, 3]
    assert [step.reasoning for step in trajectory.steps] == ["I search.", "I open one.", "Again.", "I know."]
    assert [step.observation for step in trajectory.steps[:-1]] == [seen.text for seen in agent.shown if seen]
    assert trajectory.steps[1].docid == "d2"
    assert len(trajectory.steps[2].results) == 2 * len(DOCUMENTS)
    assert (trajectory.trajectory_id, trajectory.status, trajectory.correct) == ("q0-0", "completed", None)
    assert trajectory.final_answer == "answer to question 0?"
    assert (trajectory.retriever, trajectory.retriever_revision) == ("lister", "0" * 40)
    assert json.loads(trajectory.metadata)["agent"] == {"style": "plain"}


def test_the_agent_gets_the_question_string_and_nothing_else():
    _, agent, _ = run(search_and_answer, QUESTIONS)
    assert agent.started == [question.text for question in QUESTIONS]


def test_searches_of_agents_that_run_at_once_arrive_in_one_batch():
    _, _, retriever = run(search_and_answer, QUESTIONS, concurrency=len(QUESTIONS))
    assert [len(batch) for batch in retriever.batches] == [5, 10]


def test_agents_are_run_where_an_event_loop_runs_already_as_in_notebooks(tmp_path):
    async def cell():
        kept = journaled_runs(
            Scripted(search_and_answer),
            QUESTIONS,
            SearchEnvironment(Lister(), DOCUMENTS),
            tmp_path,
            max_turns=9,
            inputs={},
        )
        return kept, run(search_and_answer, QUESTIONS)[0]

    for trajectories in asyncio.run(cell()):
        assert [one.final_answer for one in trajectories] == [f"answer to {question.text}" for question in QUESTIONS]


def test_results_keep_the_order_of_the_questions_whatever_order_they_end_in():
    def script(question: str) -> list[Call]:
        return [Answer("", "soon")] if question == QUESTIONS[-1].text else search_and_answer(question)

    ended: list[Trajectory] = []
    trajectories, _, _ = run(script, QUESTIONS, concurrency=3, progress=ended.append)
    assert [trajectory.query_id for trajectory in trajectories] == [question.query_id for question in QUESTIONS]
    assert ended != trajectories
    assert {trajectory.query_id: trajectory for trajectory in ended} == {t.query_id: t for t in trajectories}
    assert trajectories == run(script, QUESTIONS, concurrency=3)[0]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (Browse("r", "d9"), "no document has the DocID 'd9'"),
        (Search("r", ()), "a search needs at least one query"),
        (Invalid("r", "no JSON in the call"), "no JSON in the call"),
    ],
)
def test_a_call_that_cannot_be_carried_out_is_told_to_the_agent_which_goes_on(call, error):
    (trajectory,), agent, _ = run(lambda _: [call, Answer("", "done")])
    invalid = trajectory.steps[0]
    assert (invalid.action, invalid.error, invalid.reasoning) == ("invalid", error, "r")
    assert error in agent.shown[1].text
    assert invalid.observation == agent.shown[1].text
    assert (trajectory.status, trajectory.final_answer) == ("completed", "done")


def test_at_the_limit_an_agent_is_told_to_answer():
    (trajectory,), agent, _ = run(search_and_answer, max_turns=3)
    assert (trajectory.status, trajectory.final_answer) == ("limited", "answer to question 0?")
    assert [seen.is_last for seen in agent.shown if seen] == [False, False, True]
    assert json.loads(trajectory.metadata)["limit"] == "turns"


def test_an_agent_that_does_not_answer_at_the_limit_is_stopped_with_its_last_reasoning_kept():
    (trajectory,), _, retriever = run(search_and_answer, max_turns=2)
    assert (trajectory.status, trajectory.final_answer) == ("limited", None)
    assert [step.action for step in trajectory.steps] == ["search", "browse", "invalid"]
    assert trajectory.steps[2].reasoning == "Again."
    assert len(retriever.batches) == 1


def test_an_agent_that_raises_fails_its_own_question_only():
    def script(question: str) -> list[Call]:
        if question == QUESTIONS[0].text:
            raise ValueError("cannot start")
        # The script of question 1 ends without an answer, which raises in the middle of the run.
        return search_and_answer(question)[: 2 if question == QUESTIONS[1].text else None]

    trajectories, _, _ = run(script, QUESTIONS)
    assert [trajectory.status for trajectory in trajectories] == ["failed", "failed", *["completed"] * 3]
    assert json.loads(trajectories[0].metadata)["error"] == "ValueError: cannot start"
    assert [step.action for step in trajectories[1].steps] == ["search", "browse"]


def test_an_error_of_the_retriever_ends_all_runs():
    class Broken(Lister):
        def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        run_agents(Scripted(search_and_answer), QUESTIONS, SearchEnvironment(Broken(), DOCUMENTS))


def test_trajectories_go_through_rows_unchanged():
    def script(question: str) -> list[Call]:
        return [Browse(None, "d9"), *search_and_answer(question)]

    trajectories, _, _ = run(script, QUESTIONS[:2])
    rows = json.loads(json.dumps([trajectory.to_dict() for trajectory in trajectories]))
    assert [Trajectory.from_dict(row) for row in rows] == trajectories


@pytest.mark.parametrize("style", ["plain", "question", "history", "reasoning", "history_reasoning"])
def test_a_retriever_is_asked_with_the_very_text_that_training_has(style):
    lister = Lister()
    lister.query_style = style
    calls = [
        Search("I look.", ("one", "two")),
        Browse(None, "d1"),
        Search("Not  yet,\nso again.", ()),
        Search(None, ("three",)),
        Browse("It may help.", "d2"),
        Search("Once more.", ("four",)),
        Browse("And this.", "d2"),
        Answer("It says so.", "d1"),
    ]
    (run,) = run_agents(Scripted(lambda _: calls), QUESTIONS[:1], SearchEnvironment(lister, DOCUMENTS))
    asked = [text for batch in lister.batches for text in batch]
    assert asked == [render_query(search.state, style) for search in searches_of(run)]
    pairs = mine_pairs([run]).pairs
    assert len(pairs) >= 2
    assert {render_query(pair, style) for pair in pairs} <= set(asked)
    assert "one" in run.steps[0].observation
    assert "Query:" not in run.steps[0].observation
