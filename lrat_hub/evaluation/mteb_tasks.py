"""A benchmark as a task of MTEB, so that models are also run by the evaluation that the field compares them with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lrat_hub.evaluation.benchmark import Benchmark
from lrat_hub.hub.refs import HubRef
from lrat_hub.queries import QueryStyle

if TYPE_CHECKING:
    from mteb.abstasks import AbsTaskRetrieval

SPLIT = "test"


def mteb_task(
    benchmark: Benchmark,
    *,
    name: str,
    source: HubRef,
    style: QueryStyle = "plain",
    language: str = "eng-Latn",
    license: str = "not specified",
) -> AbsTaskRetrieval:
    """The task, for `mteb.evaluate(model, [task])`. Needs the extra `mteb`.

    Texts are those that every retriever here is given (MTEB itself would join title and text by a blank), queries are
    in the style given, and prompts are the model's.

    Args:
        name: The task's, in MTEB's results.
        source: Where the benchmark is published, at a commit.
        style: That of the model.
        language: BCP 47 and script, as MTEB has them.
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
            eval_splits=[SPLIT],
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
                    SPLIT: {
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
