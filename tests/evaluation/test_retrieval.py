"""An evaluation of retrievers on a small benchmark: what is asked, and the rows of the comparison."""

import pytest

from lrat_hub.documents import Documents
from lrat_hub.errors import LratError
from lrat_hub.evaluation.benchmark import Benchmark
from lrat_hub.evaluation.retrieval import AS_LOGGED, EVIDENCE, QUERIES, SEARCHES, RetrievalEvaluation, comparison_rows
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
