"""A benchmark: a corpus, queries and their relevance judgements, and the comparison of systems on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lrat_hub.hub.inputs import Documents, Source, load_table
from lrat_hub.metrics import METRICS, RetrievalScores, evaluate_retrieval
from lrat_hub.retrieval import Retriever
from lrat_hub.retrieval.dense import DenseRetriever
from lrat_hub.significance import Interval, clusters_of, paired_interval

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


@dataclass(frozen=True)
class Benchmark:
    """What retrievers are compared on.

    Args:
        queries: Query id to text.
        qrels: Query id to docid to relevance.
        clusters: Query id to the question it came from; whole questions are resampled for intervals.
    """

    documents: Documents
    queries: Mapping[str, str]
    qrels: Mapping[str, Mapping[str, int]]
    clusters: Mapping[str, str]

    @classmethod
    def load(cls, corpus: Source, queries: Source, qrels: Source) -> Benchmark:
        """Reads the three tables. Qrels of queries that are not in the table of queries are left out.

        Raises:
            LratError: One of them is missing or of another kind.
        """
        query_table = load_table(queries, "queries", config="queries")
        ids = list(query_table["query_id"])
        questions = query_table["question_id"] if "question_id" in query_table.column_names else ids
        judged: dict[str, dict[str, int]] = {}
        for row in load_table(qrels, "qrels", config="qrels_evidence"):
            judged.setdefault(row["query_id"], {})[row["docid"]] = row["relevance"]
        wanted = set(ids)
        return cls(
            Documents(load_table(corpus, "corpus", config="corpus")),
            dict(zip(ids, query_table["query"], strict=True)),
            {query_id: relevance for query_id, relevance in judged.items() if query_id in wanted},
            clusters_of(ids, list(questions)),
        )

    def score(self, retriever: Retriever) -> RetrievalScores:
        return evaluate_retrieval(retriever, self.queries, self.qrels)

    def score_model(self, model: SentenceTransformer) -> RetrievalScores:
        """Scores a model by exact search over the corpus, which is encoded for it with a progress bar."""
        return self.score(DenseRetriever(model, self.documents.in_order(), show_progress=True))

    def difference(self, system: RetrievalScores, baseline: RetrievalScores, metric: str) -> Interval:
        """Mean difference per query with its paired 95 % interval."""
        return paired_interval(
            {query_id: scores[metric] for query_id, scores in system.per_query.items()},
            {query_id: scores[metric] for query_id, scores in baseline.per_query.items()},
            self.clusters,
        )

    def comparison_rows(self, systems: Mapping[str, RetrievalScores], *, baseline: str) -> list[dict[str, Any]]:
        """A row for each metric: every system's mean, and the last system's difference from the baseline."""
        last = list(systems)[-1]
        return [
            {
                "metric": metric,
                **{name: scores.mean(metric) for name, scores in systems.items()},
                "difference": str(self.difference(systems[last], systems[baseline], metric)),
            }
            for metric in METRICS
        ]
