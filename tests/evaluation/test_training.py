"""A model before and after training, and variants over seeds: what tables say of the scores of queries."""

from statistics import mean, stdev

import pytest

from lrat_hub.documents import Documents
from lrat_hub.evaluation.benchmark import Benchmark
from lrat_hub.evaluation.metrics import METRICS, RetrievalScores
from lrat_hub.evaluation.training import TASK, TrainingEvaluation, VariantRun, run_rows, sweep_table
from lrat_hub.schema import document_features
from lrat_hub.significance import paired_difference
from lrat_hub.storage import table_of

QUERIES = [f"q{number}" for number in range(40)]


def scores(hits: int) -> RetrievalScores:
    """The first queries find their document first, the others not at all."""
    return RetrievalScores(
        {name: dict.fromkeys(METRICS, float(place < hits)) for place, name in enumerate(QUERIES)}, {}
    )


@pytest.fixture
def evaluation():
    own = {name: name for name in QUERIES}
    task = Benchmark(Documents(table_of([], document_features())), own, {name: {"d": 1} for name in QUERIES}, own)
    return TrainingEvaluation.of(task, task.documents, passages=0)


@pytest.mark.parametrize(("after", "verdict"), [(30, "better"), (10, "no difference"), (2, "worse")])
def test_the_verdict_is_better_or_worse_where_the_interval_excludes_none(evaluation, after, verdict):
    result = evaluation.compare({TASK: scores(10)}, {TASK: scores(after)})
    assert result.verdict.startswith(f"{verdict} on the development queries (recall@10 ")
    assert [(change.metric, change.base, change.trained) for change in result.changes] == [
        (metric, 0.25, after / 40) for metric in METRICS
    ]


def test_without_queries_the_verdict_says_what_to_give():
    nothing = TrainingEvaluation()
    assert nothing.compare({}, {}).verdict == "not tried on queries: give `corpus`, `queries` and `qrels`"


def test_a_sweep_compares_the_means_over_seeds_with_the_base_and_the_variant_before(evaluation):
    base = VariantRun("base", None, 0, {TASK: scores(10)})
    naive = [VariantRun("naive", seed, 24, {TASK: scores(hits)}) for seed, hits in enumerate((16, 20))]
    kept = [VariantRun("+ filter", seed, 18, {TASK: scores(hits)}) for seed, hits in enumerate((24, 28))]
    first, second, third = [
        row for row in sweep_table([base, *naive, *kept], evaluation) if row["metric"] == "ndcg@10"
    ]
    assert [(row["variant"], row["pairs"], row["mean"]) for row in (first, second, third)] == [
        ("base", 0, 0.25), ("naive", 24, pytest.approx(0.45)), ("+ filter", 18, pytest.approx(0.65))
    ]  # fmt: skip
    assert (first["sd"], second["sd"]) == (None, pytest.approx(stdev((0.4, 0.5))))
    assert (first["from base"], first["from the one before"], second["from the one before"]) == (None, None, None)

    def of(runs):
        values = [run.scores[TASK].values("ndcg@10") for run in runs]
        return {name: mean(value[name] for value in values) for name in QUERIES}

    clusters = {name: name for name in QUERIES}
    assert third["from base"] == str(paired_difference(of(kept), of([base]), clusters))
    assert third["from the one before"] == str(paired_difference(of(kept), of(naive), clusters))
    assert len(run_rows([base, *naive])) == 3 * len(METRICS)


def test_without_a_task_documents_are_cut_as_in_training_and_the_cost_is_said():
    rows = [{"docid": f"d{n}", "title": "T", "text": f"It begins. The tower number{n} was built by mason{n} of it."}
            for n in range(8)]  # fmt: skip
    documents = Documents(table_of(rows, document_features()))
    alone = TrainingEvaluation.of(None, documents, passages=3, max_length=64)
    assert alone.cost == "8 documents, at most 64 tokens each, and 3 queries"
    own = {"q": "q"}
    task = Benchmark(documents, own, {"q": {"d1": 1}}, own)
    both = TrainingEvaluation.of(task, documents, passages=3, max_length=64)
    assert both.cost == "8 documents, as long as the model takes, and 4 queries"
    assert TrainingEvaluation().cost == ""
