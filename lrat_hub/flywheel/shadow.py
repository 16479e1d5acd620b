"""The retriever in the shadow: what one that is not the champion would have listed for the agent's queries.

The agent saw the champion's lists alone. Each of its queries is asked again, in the state that the agent was in, so
that nothing of its run depends on the other retriever.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from lrat_hub.evaluation.replay import Search, searches_of
from lrat_hub.queries import render_query
from lrat_hub.retrieval import Retriever, style_read_by
from lrat_hub.schema import Trajectory

BATCH = 256
"""Queries that are asked together."""


def shadow_rows(runs: Iterable[Trajectory], retriever: Retriever) -> Iterator[dict[str, Any]]:
    """A row for each query of the runs: what was listed, and what the retriever lists, of as many documents.

    `overlap` is the share of the documents that were listed which the retriever lists, too; None where none were.
    """
    style = style_read_by(retriever)
    searches = (search for run in runs for search in searches_of(run))
    while batch := list(islice(searches, BATCH)):
        asked = [render_query(search.state, style) for search in batch]
        found = retriever.search(asked, max(len(search.listed) for search in batch) or 1)
        for search, hits in zip(batch, found, strict=True):
            yield _row(search, tuple(hit.docid for hit in hits[: len(search.listed)]))


def _row(search: Search, would: tuple[str, ...]) -> dict[str, Any]:
    same = len(set(search.listed) & set(would))
    return {
        "search_id": search.search_id,
        "query": search.state.query,
        "listed": list(search.listed),
        "would_list": list(would),
        "overlap": same / len(search.listed) if search.listed else None,
    }
