"""Logs alone as a benchmark: the searches of agents, and what was opened out of their lists."""

from dataclasses import replace

import pytest

from lrat_hub.documents import Documents
from lrat_hub.errors import LratError
from lrat_hub.evaluation.opened import opened_benchmark, openings_of_pairs, openings_of_runs
from lrat_hub.evaluation.seen import Seen, TrainingPairs, text_key
from lrat_hub.mining import mine_pairs
from lrat_hub.queries import QueryState
from lrat_hub.schema import document_features
from lrat_hub.storage import table_of
from tests.builders import answer, browse, search, trajectory


@pytest.fixture
def documents():
    rows = [{"docid": docid, "title": "", "text": f"text of {docid}"} for docid in "abcdef"]
    return Documents(table_of(rows, document_features()))


RUNS = [
    trajectory(
        search("one", "a", "b", "c"), browse("a"), browse("b"), search("two", "d", "e"), browse("e"), browse("f"),
        answer(), name="q1", correct=False,
    ),
    trajectory(search("three", "c", "d"), search("four", "a"), browse("a"), answer(), name="q2"),
]  # fmt: skip


def test_a_query_has_what_was_opened_out_of_its_own_list(documents):
    made = opened_benchmark(documents, openings_of_runs(RUNS), what="Trajectories")
    # No list has `f`, and nothing was opened after `three`.
    assert {made.queries[key]: set(grades) for key, grades in made.qrels.items()} == {
        "one": {"a", "b"}, "two": {"e"}, "four": {"a"},
    }  # fmt: skip
    assert [made.clusters[key] for key in made.qrels] == ["q1", "q1", "q2"]
    [last] = [key for key, query in made.queries.items() if query == "four"]
    assert made.states[last] == QueryState("four", "Question q2?", ("three",), "I search.")
    assert (made.joins[0].num_matched, made.num_questions) == (3, 2)


def test_pairs_that_were_mined_say_the_same_as_the_runs(documents):
    pairs = mine_pairs(RUNS, outcomes=("incorrect", "unjudged")).pairs
    assert opened_benchmark(documents, openings_of_pairs(pairs), what="Pairs") == opened_benchmark(
        documents, openings_of_runs(RUNS), what="Pairs"
    )


def test_pairs_that_a_judge_has_left_out_are_not_relevant(documents):
    first, *others = mine_pairs(RUNS, outcomes=("incorrect", "unjudged")).pairs
    made = opened_benchmark(documents, openings_of_pairs([replace(first, weight=None), *others]), what="Pairs")
    assert sorted(docid for grades in made.qrels.values() for docid in grades) == ["a", "b", "e"]
    with pytest.raises(LratError, match="expected documents that agents opened out of result lists, found none"):
        opened_benchmark(documents, openings_of_pairs([replace(first, weight=None)]), what="Pairs")


def test_runs_of_one_question_are_one_cluster_whatever_their_ids(documents):
    again = replace(RUNS[1], trajectory_id="again", query_id="again", question="QUESTION q2?")
    made = opened_benchmark(documents, openings_of_runs([*RUNS, again]), what="Trajectories")
    assert len(made.queries) == 4
    assert set(made.clusters.values()) == {"q1", "q2"}


def test_documents_of_another_corpus_are_refused(documents):
    other = trajectory(search("x", "A"), browse("A"))
    with pytest.raises(LratError, match="would match but for upper and lower case"):
        opened_benchmark(documents, openings_of_runs([other]), what="Trajectories")


@pytest.mark.parametrize(
    ("field", "trained_on", "told", "figures"),
    [
        ("questions", "question q1?", "2 of 3 queries, of 1 of 2 questions, were mined from", (2, 1, 0)),
        # Another question's query: q2's agent sent the same text by chance.
        ("queries", "FOUR", "of 0 of 2 questions, were mined from, 1 more has the text of", (0, 0, 1)),
        ("questions", "one", "of 0 of 2 questions, were mined from, 1 more has the text of", (0, 0, 1)),
        ("queries", "question q1?", "0 of 3 queries, of 0 of 2 questions, were mined from", (0, 0, 0)),
        ("queries", "something else", "0 of 3 queries, of 0 of 2 questions, were mined from", (0, 0, 0)),
    ],
)
def test_questions_that_are_shared_are_told_from_queries_with_the_same_text(
    documents, field, trained_on, told, figures
):
    made = opened_benchmark(documents, openings_of_runs(RUNS), what="Trajectories")
    pairs = replace(TrainingPairs(sources=("pairs",)), **{field: frozenset({text_key(trained_on)})})
    asked_for = {key: (made.clusters[key], made.states[key].question) for key in made.queries}
    seen = Seen.of("model", pairs, made.queries, {}, asked_for)
    assert told in str(seen)
    assert ("more" in str(seen)) == bool(figures[2])
    row = seen.to_dict()
    assert (row["seen_queries"], row["seen_questions"], row["same_text_queries"]) == figures
    assert len(seen.left_out) == figures[0] + figures[2]


def test_negatives_count_their_documents_and_the_queries_that_want_them(documents):
    pairs = TrainingPairs(sources=("pairs",), positives=frozenset("a"), negatives=frozenset("abf"))
    queries = {"q1": "one", "q2": "two", "q3": "three"}
    seen = Seen.of("model", pairs, queries, {"q1": ["a", "b"], "q2": ["b", "c"], "q3": ["d"]})
    assert str(seen) == (
        "model: 0 of 3 queries were mined from, 1 of 4 relevant documents are positives of training pairs and 2 are "
        "negatives (for 2 of 3 queries)"
    )
    assert seen.ids()["negative_docids"] == ["a", "b"]
