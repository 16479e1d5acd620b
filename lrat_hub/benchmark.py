"""A benchmark: a corpus, queries and their relevance judgements, and the comparison of systems on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lrat_hub.documents import Documents
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import Source, load_table
from lrat_hub.metrics import RetrievalScores, evaluate_retrieval, has_relevant
from lrat_hub.retrieval import Retriever
from lrat_hub.retrieval.dense import DenseRetriever
from lrat_hub.significance import Difference, clusters_of, paired_difference

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
        """Reads the three tables. Judged queries count when their text is given and a document is relevant to them.

        Raises:
            LratError: One of them is missing or of another kind, or no relevant document is in the corpus.
        """
        documents = Documents(load_table(corpus, "corpus", config="corpus"))
        query_table = load_table(queries, "queries", config="queries")
        ids = list(query_table["query_id"])
        questions = query_table["question_id"] if "question_id" in query_table.column_names else ids
        judged: dict[str, dict[str, int]] = {}
        for row in load_table(qrels, "qrels", config="qrels_evidence"):
            judged.setdefault(row["query_id"], {})[row["docid"]] = row["relevance"]
        texts = dict(zip(ids, query_table["query"], strict=True))
        kept = {query_id: grades for query_id, grades in judged.items() if query_id in texts and has_relevant(grades)}
        relevant = {docid for grades in kept.values() for docid, grade in grades.items() if grade > 0}
        if not any(docid in documents for docid in relevant):
            raise LratError(
                f"Qrels: expected judgements of the queries and documents given, found none in {len(judged)} judged "
                f"queries and {len(relevant)} relevant documents of theirs. The three don't belong together."
            )
        return cls(documents, texts, kept, clusters_of(ids, list(questions)))

    def score(self, retriever: Retriever) -> RetrievalScores:
        return evaluate_retrieval(retriever, self.queries, self.qrels)

    def score_model(self, model: SentenceTransformer) -> RetrievalScores:
        """Scores a model by exact search over the corpus, which is encoded for it with a progress bar."""
        return self.score(DenseRetriever(model, self.documents.in_order(), show_progress=True))

    def difference(self, system: RetrievalScores, baseline: RetrievalScores, metric: str) -> Difference:
        """Mean difference per query with its paired 95 % interval and test."""
        return paired_difference(
            {query_id: scores[metric] for query_id, scores in system.per_query.items()},
            {query_id: scores[metric] for query_id, scores in baseline.per_query.items()},
            self.clusters,
        )
