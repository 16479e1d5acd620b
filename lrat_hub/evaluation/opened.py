"""A benchmark out of logs alone: the searches of agents, for each of which the documents that it opened are relevant.

That is no judgement. An agent opens what looks right in the list that its own retriever gave it: what was not in that
list counts as not relevant, however good it is, and a document that was opened in vain counts as relevant unless a
judge has left it out of the pairs. Systems can be compared by it; how good one is it doesn't say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lrat_hub.documents import Documents
from lrat_hub.errors import LratError
from lrat_hub.evaluation.benchmark import Benchmark
from lrat_hub.evaluation.seen import text_key
from lrat_hub.queries import QueryState
from lrat_hub.schema import Pair, Trajectory
from lrat_hub.walk import Walk


@dataclass(frozen=True)
class Opening:
    """A document that an agent opened out of the result list of a query.

    Args:
        trajectory_id, turn: The search that the query is of.
        query_id: The agent's question.
        state: The query, and what the agent knew when it sent it.
    """

    trajectory_id: str
    turn: int
    query_id: str
    state: QueryState
    docid: str


def openings_of_pairs(pairs: Iterable[Pair]) -> Iterator[Opening]:
    """Those of the pairs that are trained on: they have a weight, and a judge, where there was one, let them pass."""
    for pair in pairs:
        if pair.weight is not None:
            state = QueryState(pair.query, pair.question, pair.previous_queries, pair.reasoning_before)
            yield Opening(pair.trajectory_id, pair.search_turn, pair.query_id, state, pair.positive_id)


def openings_of_runs(trajectories: Iterable[Trajectory]) -> Iterator[Opening]:
    """Those of the browses that belong to a search (`lrat_hub.walk`), whatever became of the run."""
    for run in trajectories:
        for browse in Walk.over(run.steps).browses:
            if browse.opened is not None and browse.listing is not None:
                search = browse.listing.search
                state = search.state(run.question, browse.listing.query_index)
                yield Opening(run.trajectory_id, search.turn, run.query_id, state, browse.opened)


def opened_benchmark(documents: Documents, openings: Iterable[Opening], *, what: str) -> Benchmark:
    """The queries of searches, with what was opened out of their lists as the relevant documents.

    Searches for one question are one cluster, also where several runs ask it under ids of their own.

    Args:
        what: What the openings are of, the start of an error.

    Raises:
        LratError: There are none, or none of the documents is in the corpus.
    """
    ids: dict[tuple[str, int, str], str] = {}
    queries: dict[str, str] = {}
    qrels: dict[str, dict[str, int]] = {}
    clusters: dict[str, str] = {}
    states: dict[str, QueryState] = {}
    questions: dict[str, str] = {}
    for one in openings:
        key = (one.trajectory_id, one.turn, one.state.query)
        if key not in ids:
            name = ids[key] = f"{one.trajectory_id}/{one.turn}/{len(ids)}"
            question = text_key(one.state.question) if one.state.question else one.query_id or name
            queries[name], states[name], qrels[name] = one.state.query, one.state, {}
            clusters[name] = questions.setdefault(question, one.query_id or name)
        qrels[ids[key]][one.docid] = 1
    if not queries:
        raise LratError(f"{what}: expected documents that agents opened out of result lists, found none.")
    opened = (docid for grades in qrels.values() for docid in grades)
    join = documents.match(opened, name="documents that agents opened", what=what)
    return Benchmark(documents, queries, qrels, clusters, states, (join,))
