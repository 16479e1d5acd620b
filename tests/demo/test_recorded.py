"""The questions and runs that a large language model left: whole, and over the passages that are there."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from lrat_hub.demo.recorded import K, RecordedJudge, held_out_docids, read_questions, read_runs
from lrat_hub.demo.wikipedia import read_documents
from lrat_hub.judges.answers import AnswerJudge
from lrat_hub.mining import mine_pairs

DOCUMENTS = read_documents()
QUESTIONS = {question.query_id: question for question in read_questions()}


@pytest.fixture(scope="module")
def runs():
    return read_runs(DOCUMENTS)


def test_questions_are_told_apart_by_articles_and_their_evidence_is_there():
    assert len({question.question for question in QUESTIONS.values()}) == len(QUESTIONS) >= 300
    articles = {split: set() for split in ("train", "dev", "test")}
    for question in QUESTIONS.values():
        assert question.evidence
        assert set(question.evidence) | set(question.also) <= DOCUMENTS.keys()
        assert not set(question.evidence) & set(question.also)
        articles[question.split] |= {docid.partition("-")[0] for docid in question.evidence}
    assert not articles["train"] & articles["test"]
    assert not articles["dev"] & (articles["train"] | articles["test"])


def test_answers_stand_in_their_evidence():
    found = Counter()
    for question in QUESTIONS.values():
        text = " ".join(DOCUMENTS[docid].content for docid in question.evidence).casefold()
        found[any(answer.casefold() in text for answer in (question.answer, *question.aliases))] += 1
        assert question.answer.strip()
    # Some answers follow from the evidence, and don't stand in it word for word.
    assert found[True] > 0.85 * len(QUESTIONS)


def test_runs_only_open_what_was_listed_and_all_come_to_an_answer(runs):
    assert len(runs) >= 260
    assert Counter(run.query_id.partition("-")[0] for run in runs)["test"] >= 60
    for run in runs:
        listed = set()
        for step in run.steps:
            if step.action == "search":
                per_query = Counter(candidate.query_index for candidate in step.results)
                # BM25 lists no passage without a word of the query.
                assert per_query.keys() == set(range(len(step.queries)))
                assert max(per_query.values()) <= K
                assert all(candidate.snippet in step.observation for candidate in step.results)
                listed |= {candidate.docid for candidate in step.results}
            elif step.action == "browse":
                assert step.docid in listed
                assert DOCUMENTS[step.docid].text in step.observation
            assert step.reasoning, "it was asked to say what it thinks with each call"
        assert run.steps[-1].action == "answer"


def test_runs_are_read_where_an_event_loop_runs_already_as_in_notebooks(runs):
    async def cell():
        return read_runs(DOCUMENTS)

    assert asyncio.run(cell()) == runs


def test_all_answers_are_right(runs):
    judge = AnswerJudge()
    right = sum(
        any(
            judge.match(run.final_answer, gold).correct
            for gold in (QUESTIONS[run.query_id].answer, *QUESTIONS[run.query_id].aliases)
        )
        for run in runs
    )
    assert right == len(runs)


def test_every_browse_is_mined_with_its_reasoning(runs):
    mined = mine_pairs(runs)
    assert len(mined.pairs) == sum(run.num_browses for run in runs)
    assert all(pair.reasoning and pair.negative_ids for pair in mined.pairs)


def test_what_is_held_out_is_all_of_the_articles_of_dev_and_test_and_no_other():
    held_out = held_out_docids(DOCUMENTS)
    evidence = {split: {docid for one in QUESTIONS.values() if one.split == split for docid in one.evidence}
                for split in ("train", "dev", "test")}  # fmt: skip
    assert evidence["dev"] | evidence["test"] <= held_out
    assert not evidence["train"] & held_out
    articles = {docid.partition("-")[0] for docid in evidence["dev"] | evidence["test"]}
    assert held_out == {docid for docid in DOCUMENTS if docid.partition("-")[0] in articles}


def test_recorded_verdicts_are_on_the_pairs_of_the_training_runs(runs):
    training = [run for run in runs if QUESTIONS[run.query_id].split == "train"]
    judged = Counter(pair.verdict for pair in mine_pairs(training, judge=RecordedJudge()).pairs)
    assert min(judged["relevant"], judged["irrelevant"]) > 0
    assert judged["unjudged"] < 0.05 * judged.total()


def test_verdicts_go_to_the_browses_they_are_about_and_others_are_unjudged(runs):
    pairs = mine_pairs(runs[:5]).pairs
    rows = [
        {
            "trajectory_id": pair.trajectory_id,
            "browse_turn": pair.browse_turn,
            "docid": pair.positive_id,
            "verdict": given,
        }
        for pair, given in zip(pairs, ["relevant", "irrelevant", "relevant"], strict=False)
    ]
    verdicts = RecordedJudge(rows).judge(pairs[::-1])[::-1]
    assert verdicts == ["relevant", "irrelevant", "relevant", *["unjudged"] * (len(pairs) - 3)]
