"""A benchmark: a corpus, queries and their relevance judgements; also as a task of MTEB."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lrat_hub.corpora.loading import load_corpus, load_qrels
from lrat_hub.documents import Documents
from lrat_hub.errors import LratError
from lrat_hub.evaluation.metrics import METRICS, RetrievalScores, Run, evaluate_retrieval, has_relevant, search_all
from lrat_hub.hub.inputs import Source, load_table
from lrat_hub.hub.refs import HubRef
from lrat_hub.ledger.joins import Join, match_ids, require_once
from lrat_hub.queries import QueryState, QueryStyle, render_query
from lrat_hub.retrieval import Retriever
from lrat_hub.retrieval.dense import DenseRetriever
from lrat_hub.significance import Difference, clusters_of, paired_difference
from lrat_hub.storage import rows_of

if TYPE_CHECKING:
    from mteb.abstasks import AbsTaskRetrieval
    from sentence_transformers import SentenceTransformer

MTEB_SPLIT = "test"

CONTEXT = ("question", "previous_queries", "reasoning_before")
"""Columns of a table of queries that styles other than "plain" render."""


@dataclass(frozen=True)
class Benchmark:
    """What retrievers are compared on.

    Args:
        queries: Query id to text.
        qrels: Query id to docid to relevance.
        clusters: Query id to the question it came from; whole questions are resampled for intervals.
        states: Query id to what an agent knew when it searched, where that is known.
        joins: How the judgements met the queries and the documents.
    """

    documents: Documents
    queries: Mapping[str, str]
    qrels: Mapping[str, Mapping[str, int]]
    clusters: Mapping[str, str]
    states: Mapping[str, QueryState] = field(default_factory=dict)
    joins: tuple[Join, ...] = ()

    def __repr__(self) -> str:
        judged = f"{len(self.qrels)} of {len(self.queries)} queries with judgements"
        return f"Benchmark({judged}, of {self.num_questions} questions, {self.documents!r})"

    @property
    def num_questions(self) -> int:
        """Of the queries with judgements."""
        return len({self.clusters[query_id] for query_id in self.qrels})

    @classmethod
    def load(cls, corpus: Source, queries: Source, qrels: Source) -> Benchmark:
        """Reads the three tables. Judged queries count when their text is given and a document is relevant to them.

        Raises:
            LratError: One of them is missing or of another kind, an id of a query or document comes twice, or no
                judged query or no relevant document is there.
        """
        documents = load_corpus(corpus)
        table = load_table(queries, "queries", config="queries")
        ids = list(table["query_id"])
        require_once(ids, what=str(queries), name="query id")
        questions = table["question_id"] if "question_id" in table.column_names else ids
        known = [name for name in CONTEXT if name in table.column_names]
        rows = rows_of(table.select_columns(["query_id", "query", *known])) if known else ()
        benchmark = cls(
            documents,
            dict(zip(ids, table["query"], strict=True)),
            {},
            clusters_of(ids, list(questions)),
            {row["query_id"]: QueryState.from_dict(row) for row in rows},
        )
        return benchmark.judged_by(qrels)

    def judged_by(self, qrels: Source, *, config: str = "qrels_evidence") -> Benchmark:
        """The same benchmark with these judgements.

        Raises:
            LratError: They are none, or none of the judged queries or of the relevant documents is there.
        """
        judged = load_qrels(qrels, config=config)
        wanted = {query_id: grades for query_id, grades in judged.items() if has_relevant(grades)}
        if not wanted:
            raise LratError(f"{qrels}: expected at least one query with a relevant document, found none.")
        of_queries = match_ids(
            wanted, self.queries, wanted_name="judged queries", given_name="queries", what=str(qrels)
        )
        kept = {query_id: grades for query_id, grades in wanted.items() if query_id in self.queries}
        relevant = (docid for grades in kept.values() for docid, grade in grades.items() if grade > 0)
        of_documents = self.documents.match(relevant, name="relevant documents", what=str(qrels))
        return replace(self, qrels=kept, joins=(of_queries, of_documents))

    def without(self, query_ids: Collection[str]) -> Benchmark:
        """The same benchmark with these queries left out of what is asked and scored."""
        kept = {query_id: grades for query_id, grades in self.qrels.items() if query_id not in query_ids}
        return replace(self, qrels=kept)

    def texts(self, style: QueryStyle = "plain") -> dict[str, str]:
        """Query id to what a retriever is given, in the style it was trained with."""
        return {
            query_id: render_query(self.states.get(query_id) or QueryState(text), style)
            for query_id, text in self.queries.items()
        }

    def search(self, retriever: Retriever, depth: int, *, style: QueryStyle = "plain") -> Run:
        """The results of all judged queries."""
        return search_all(retriever, self.texts(style), self.qrels, depth)

    def score(
        self, retriever: Retriever, *, style: QueryStyle = "plain", metrics: Sequence[str] = METRICS
    ) -> RetrievalScores:
        return evaluate_retrieval(retriever, self.texts(style), self.qrels, metrics=metrics)

    def score_model(self, model: SentenceTransformer, *, style: QueryStyle = "plain") -> RetrievalScores:
        """Scores a model by exact search over the corpus, which is encoded for it with a progress bar."""
        return self.score(DenseRetriever(model, self.documents.in_order(), show_progress=True), style=style)

    def difference(self, system: RetrievalScores, baseline: RetrievalScores, metric: str) -> Difference:
        """Mean difference per query with its paired 95 % interval and test."""
        return paired_difference(system.values(metric), baseline.values(metric), self.clusters)


def mteb_task(
    benchmark: Benchmark,
    *,
    name: str,
    source: HubRef,
    style: QueryStyle = "plain",
    language: str = "eng-Latn",
    license: str = "not specified",
) -> AbsTaskRetrieval:
    """The benchmark as a task for `mteb.evaluate(model, [task])`. Needs the extra `mteb`.

    Texts are those that every retriever here is given (MTEB itself would join title and text by a blank), queries are
    in the style given, and prompts are the model's.

    Args:
        name: Name of the task in MTEB's results.
        source: Where the benchmark is published, at a commit.
        style: How queries are rendered: as the model was trained.
        language: Language (BCP 47) and script, as in MTEB.
    """
    from datasets import Dataset
    from mteb import TaskMetadata
    from mteb.abstasks import AbsTaskRetrieval

    class BenchmarkTask(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name=name,
            description=f"Queries over {len(benchmark.documents)} documents, from {source}.",
            dataset={"path": source.repo_id, "revision": source.revision},
            type="Retrieval",
            category="t2t",
            modalities=["text"],
            eval_splits=[MTEB_SPLIT],
            eval_langs=[language],
            main_score="ndcg_at_10",
            license=license,
        )

        def load_data(self, *args: object, **kwargs: object) -> None:
            if self.data_loaded:
                return
            texts = benchmark.texts(style)
            corpus = ({"id": row.docid, "title": "", "text": row.content} for row in benchmark.documents.in_order())
            self.dataset = {
                "default": {
                    MTEB_SPLIT: {
                        "corpus": Dataset.from_list(list(corpus)),
                        "queries": Dataset.from_list(
                            [{"id": query_id, "text": texts[query_id]} for query_id in benchmark.qrels]
                        ),
                        "relevant_docs": {query_id: dict(grades) for query_id, grades in benchmark.qrels.items()},
                        "top_ranked": None,
                    }
                }
            }
            self.data_loaded = True

    return BenchmarkTask()
