"""An evaluation of retrievers on a small benchmark: what is asked, and the rows of the comparison."""

from dataclasses import replace

import pytest

from lrat_hub.documents import Documents
from lrat_hub.errors import LratError
from lrat_hub.evaluation.benchmark import Benchmark
from lrat_hub.evaluation.retrieval import AS_LOGGED, EVIDENCE, QUERIES, SEARCHES, RetrievalEvaluation, comparison_rows
from lrat_hub.evaluation.tables import FEW_QUESTIONS, difference_table, too_few_questions
from lrat_hub.retrieval import Hit
from lrat_hub.schema import document_features
from lrat_hub.significance import paired_difference
from lrat_hub.storage import table_of
from tests.builders import answer, search, trajectory

NUMBER = 12
QUESTIONS = {f"q{n}": f"Question q{n}?" for n in range(NUMBER)}


class Listed:
    """A retriever that lists the document of a query first, where it knows the query."""

    name, revision = "listed", None

    def __init__(self, known):
        self.known = {text: number for number, text in enumerate(known)}

    def search(self, queries, k):
        return [[Hit(f"d{self.known.get(text, NUMBER - 1)}", 1.0, 1)] for text in queries]


@pytest.fixture
def evaluation():
    rows = [{"docid": f"d{n}", "title": "", "text": "A text."} for n in range(NUMBER)]
    qrels = {name: {f"d{n}": 1} for n, name in enumerate(QUESTIONS)}
    benchmark = Benchmark(
        Documents(table_of(rows, document_features())), QUESTIONS, qrels, {name: name for name in QUESTIONS}
    )
    return RetrievalEvaluation.of(benchmark, depth=10)


def test_rows_say_how_every_system_differs_from_the_first(evaluation):
    texts = list(QUESTIONS.values())
    systems = {name: evaluation.search(Listed(texts[:known])) for name, known in (("few", 3), ("all", NUMBER))}
    comparison = evaluation.compare(systems)[EVIDENCE]
    # The last document is what an unknown query gets, and it is right for the last one.
    assert [(row["system"], row["recall@1"]) for row in comparison.summary()] == [("few", 4 / NUMBER), ("all", 1.0)]
    assert "recall@100" not in comparison.metrics
    [row] = [row for row in comparison_rows(comparison.scores()) if row["metric"] == "mrr@10"]
    expected = paired_difference(
        comparison.values["all"]["mrr@10"], comparison.values["few"]["mrr@10"], comparison.task.clusters
    )
    assert (row["system"], row["baseline"], row["questions"]) == ("all", "few", NUMBER)
    assert (row["difference"], row["low"], row["high"]) == (expected.mean, expected.low, expected.high)
    assert len(comparison.per_query()) == 2 * NUMBER
    assert len(comparison.all_values()) == 2 * NUMBER * len(comparison.metrics)


def test_searches_of_trajectories_are_compared_with_what_the_agents_were_shown(evaluation):
    runs = [trajectory(search("x", f"d{n}", "d0"), search("y", f"d{n}"), answer(), name=f"q{n}") for n in range(2)]
    evaluation.add_trajectories(runs, evaluation.queries.qrels)
    systems = {"all": evaluation.search(Listed(list(QUESTIONS.values()))), "run file": {QUERIES: {}}}
    comparisons = evaluation.compare(systems)
    assert list(comparisons[EVIDENCE].values) == ["all", "run file"]
    assert list(comparisons[SEARCHES].values) == [AS_LOGGED, "all"]
    assert [row["evidence_share"] for row in evaluation.curves(systems) if row["system"] == AS_LOGGED] == [1, 1]


def test_trajectories_without_a_search_and_passages_without_sentences_are_said(evaluation):
    with pytest.raises(LratError, match="expected some with a search, found none"):
        evaluation.add_trajectories([trajectory(answer(), name="q0")], {})
    assert len(evaluation.add_controls(passages=5)) == 2
    assert list(evaluation.asked) == [QUERIES]


def scores_of(evaluation, **known):
    texts = list(QUESTIONS.values())
    systems = {name: evaluation.search(Listed(texts[:number])) for name, number in known.items()}
    comparison = evaluation.compare(systems)[EVIDENCE]
    return comparison.scores(), comparison


def test_what_is_printed_has_the_differences_and_says_which_are_more_than_chance(evaluation):
    scores, comparison = scores_of(evaluation, few=3, more=5, all=NUMBER)
    recall = comparison.of_metric("recall@10")
    differences = {name: paired_difference(recall[name], recall["few"]) for name in ("more", "all")}
    rows = {"recall": (EVIDENCE, "recall@10"), "deep": (EVIDENCE, "recall@100"), "check": ("content", "recall@10")}
    assert difference_table(scores, rows) == [
        {"difference from few": "recall", "more": str(differences["more"]), "all": f"**{differences['all']}**"}
    ]
    # A task that starts with another system, such as one that run files have no part in, is not put beside it.
    other = [row | {"task": "content", "baseline": row["baseline"] and "another"} for row in scores]
    assert len(difference_table([*scores, *other], rows)) == 1
    same = [row | {"task": "content"} for row in scores if row["system"] != "more"]
    assert difference_table([*scores, *same], rows)[1]["more"] == ""


def test_few_questions_are_warned_of_with_what_they_could_show(evaluation):
    scores, _ = scores_of(evaluation, few=3, all=NUMBER)
    [row] = [row for row in comparison_rows(scores) if row["metric"] == "ndcg@10"]
    told = too_few_questions(scores, EVIDENCE, "ndcg@10")
    assert told.startswith(f"{NUMBER} questions are few: a true difference below {row['detectable']:.3f} in ndcg@10")
    same, _ = scores_of(evaluation, one=3, other=3)
    assert "don't differ in ndcg@10 on any" in too_few_questions(same, EVIDENCE, "ndcg@10")
    enough = [row | {"questions": FEW_QUESTIONS} for row in scores]
    assert too_few_questions(enough, EVIDENCE, "ndcg@10") == ""
    alone, _ = scores_of(evaluation, one=3)
    assert too_few_questions(alone, EVIDENCE, "ndcg@10") == ""


@pytest.mark.parametrize(("questions", "can"), [(5, False), (6, True)])
def test_questions_that_no_test_could_find_a_difference_on_are_told(evaluation, questions, can):
    """Five that all differ in one way are 2 / 32 by chance, six are 2 / 64."""
    kept = dict(list(evaluation.queries.qrels.items())[:questions])
    small = RetrievalEvaluation.of(replace(evaluation.queries, qrels=kept), depth=10)
    scores, comparison = scores_of(small, none=0, all=NUMBER)
    assert ("can't show any difference" not in too_few_questions(scores, EVIDENCE, "ndcg@10")) == can
    assert (comparison.differences("ndcg@10")["all"].p_value < 0.05) == can
