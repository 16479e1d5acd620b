"""Queries that are documents themselves, as in ArguAna and Quora: a retriever finds the query's own document first.

BEIR leaves the document with the query's id out of every ranking. Here that is done on request, and also by text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lrat_hub.evaluation.benchmark import Benchmark
from lrat_hub.evaluation.metrics import Run
from lrat_hub.retrieval import Hit

NOTED_SHARE = 0.05
"""A share of the queries from which on it is noted that their own documents rank first."""


@dataclass(frozen=True)
class OwnDocuments:
    """The documents that are the queries themselves.

    Args:
        docids: Query id to its own documents: those with its id or its text that are not judged relevant to it.
    """

    docids: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, benchmark: Benchmark) -> OwnDocuments:
        """Finds the own documents of all judged queries, in one pass over the corpus.

        Texts are compared without case and surplus blanks, with the document's text and with its title and text. A
        document that is judged relevant to the query is never its own: it is what the query is to find.
        """
        own: dict[str, set[str]] = {
            query_id: {query_id} for query_id in benchmark.qrels if query_id in benchmark.documents
        }
        asked: dict[str, list[str]] = {}
        for query_id in benchmark.qrels:
            asked.setdefault(_plain(benchmark.queries[query_id]), []).append(query_id)
        asked.pop("", None)
        longest = 2 * max(map(len, asked), default=0)
        for document in benchmark.documents.in_order():
            # Most documents are longer than any query, and comparing them would take most of the time.
            if len(document.text) <= longest:
                for text in {_plain(document.text), _plain(document.content)}:
                    for query_id in asked.get(text, ()):
                        own.setdefault(query_id, set()).add(document.docid)
        kept = {
            query_id: frozenset(docid for docid in docids if benchmark.qrels[query_id].get(docid, 0) <= 0)
            for query_id, docids in own.items()
        }
        return cls({query_id: docids for query_id, docids in kept.items() if docids})

    @property
    def most(self) -> int:
        """The largest number of own documents that a query has."""
        return max(map(len, self.docids.values()), default=0)

    def ranked_first(self, run: Run) -> int:
        """For how many queries a run has an own document at the top."""
        return sum(bool(run.get(query_id)) and run[query_id][0].docid in own for query_id, own in self.docids.items())

    def without(self, run: Run, depth: int) -> Run:
        """A run without the queries' own documents, to a depth, with new ranks."""
        return {
            query_id: _ranked([hit for hit in hits if hit.docid not in self.docids.get(query_id, ())][:depth])
            for query_id, hits in run.items()
        }


def _ranked(hits: Sequence[Hit]) -> list[Hit]:
    return [hit._replace(rank=rank) for rank, hit in enumerate(hits, start=1)]


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
