"""What an agent was shown, made again from the corpus, for runs of logs that have only the ids of documents."""

from __future__ import annotations

from dataclasses import replace

from lrat_hub.agents.showing import ShownDocuments, render_results
from lrat_hub.errors import LratError
from lrat_hub.schema import Step, Trajectory


def is_unseen(step: Step) -> bool:
    """Whether a call was carried out, and what it showed is not recorded."""
    return step.action in ("search", "browse") and not step.observation


def restore_shown(run: Trajectory, shown: ShownDocuments, *, k: int) -> Trajectory:
    """A run with result lists and documents as rollouts show them, wherever its log has only their ids.

    Args:
        shown: The corpus, and how much of each document is shown.
        k: Results of each query, from the first; later ones are left out.

    Raises:
        LratError: The corpus lacks a document, or no list that is shown has a document that is opened; the message is
            a reason for a ledger.
    """
    listed: set[str] = set()
    steps = []
    for step in run.steps:
        try:
            if step.action == "search" and is_unseen(step):
                step = _searched(step, shown, k)
            elif is_unseen(step):
                docid = step.docid or ""
                step = replace(step, observation=shown.opened(docid)[1])
                if docid not in listed:
                    raise LratError("it opens a document that no list shows")
        except KeyError as error:
            raise LratError("the corpus lacks a document that it was shown") from error
        listed.update(hit.docid for hit in step.results)
        steps.append(step)
    return replace(run, steps=tuple(steps))


def _searched(step: Step, shown: ShownDocuments, k: int) -> Step:
    queries = tuple(" ".join(query.split()) for query in step.queries)
    results = tuple(
        shown.candidate(hit.query_index, hit.rank, hit.docid, hit.score) for hit in step.results if hit.rank <= k
    )
    return replace(step, queries=queries, results=results, observation=render_results(queries, results))
