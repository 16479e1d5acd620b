"""Metrics that need trajectories: how a retriever would have served the searches that an agent really made.

Each search of a trajectory is asked again, in the state the agent was in. What the agent did next is what it did with
its own retriever, so this compares lists, not runs: for those, `lrat eval agents` runs the agents.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from lrat_hub.evaluation.benchmark import Benchmark
from lrat_hub.evaluation.metrics import Qrels, Run, Values
from lrat_hub.queries import QueryState
from lrat_hub.retrieval import Hit
from lrat_hub.schema import Pair, Trajectory
from lrat_hub.walk import Walk

LIST_LENGTH = 10
"""Results a search that the agent would be shown: the paper's."""


@dataclass(frozen=True)
class Search:
    """One query of one search of a trajectory.

    Args:
        search_id: `<trajectory_id>/<turn>/<index of the query in its step>`.
        number: Of the search step among the trajectory's, from 1.
        seen: Documents that earlier search steps had listed.
        listed: What the agent was shown, in rank order.
    """

    search_id: str
    trajectory_id: str
    query_id: str
    number: int
    state: QueryState
    seen: frozenset[str]
    listed: tuple[str, ...]


def searches_of(trajectory: Trajectory) -> list[Search]:
    """All queries that a trajectory searched with, in order. A search that failed has none."""
    walk = Walk.over(trajectory.steps)
    asked = [action for action in walk.searches if action.step.queries]
    return [
        Search(
            f"{trajectory.trajectory_id}/{action.turn}/{index}",
            trajectory.trajectory_id,
            trajectory.query_id,
            number,
            action.state(trajectory.question, index),
            walk.listed_before(action),
            tuple(candidate.docid for candidate in action.lists.get(index, ())),
        )
        for number, action in enumerate(asked, start=1)
        for index in range(len(action.step.queries))
    ]


@dataclass(frozen=True)
class Replay:
    """The searches of trajectories, to be asked again.

    Args:
        evidence: Query id to the documents that are its evidence.
    """

    searches: tuple[Search, ...]
    evidence: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, trajectories: Iterable[Trajectory], qrels: Qrels) -> Replay:
        evidence = {
            query_id: frozenset(docid for docid, grade in grades.items() if grade > 0)
            for query_id, grades in qrels.items()
        }
        searches = tuple(search for trajectory in trajectories for search in searches_of(trajectory))
        return cls(searches, {query_id: docids for query_id, docids in evidence.items() if docids})

    @property
    def clusters(self) -> dict[str, str]:
        """The question of each search and each trajectory: what intervals resample."""
        return {name: search.query_id for search in self.searches for name in (search.search_id, search.trajectory_id)}

    def benchmark(self, base: Benchmark) -> Benchmark:
        """The searches as queries over a benchmark's documents; the evidence of their question is relevant."""
        return replace(
            base,
            queries={search.search_id: search.state.query for search in self.searches},
            qrels={
                search.search_id: dict.fromkeys(sorted(self.evidence.get(search.query_id, ())), 1)
                for search in self.searches
            },
            clusters=self.clusters,
            states={search.search_id: search.state for search in self.searches},
        )

    def logged(self) -> Run:
        """What the agents were shown, as a run: that of the retriever they had."""
        return {
            search.search_id: [Hit(docid, float(-rank), rank) for rank, docid in enumerate(search.listed, start=1)]
            for search in self.searches
        }

    def measure(self, run: Run, *, k: int = LIST_LENGTH) -> Values:
        """Metrics of a run over the searches, by its first `k` results each.

        - `novelty@k`, a search: the share of them that earlier searches had not listed; 0 where nothing is found.
        - `evidence_mrr@k`, a search whose question has evidence: one over the rank of the first of it, 0 where
          there is none.
        - `evidence_any@k` and `evidence_share@k`, a trajectory whose question has evidence: whether any of it is in
          the lists of all searches together, and what share.
        """
        novelty, reciprocal_ranks = {}, {}
        for search in self.searches:
            docids = self._first(run, search, k)
            novelty[search.search_id] = sum(docid not in search.seen for docid in docids) / max(1, len(docids))
            if evidence := self.evidence.get(search.query_id):
                found = (1 / rank for rank, docid in enumerate(docids, start=1) if docid in evidence)
                reciprocal_ranks[search.search_id] = next(found, 0.0)
        shares = {trajectory_id: curve[-1] for trajectory_id, curve in self.curves(run, k=k).items()}
        return {
            f"novelty@{k}": novelty,
            f"evidence_mrr@{k}": reciprocal_ranks,
            f"evidence_any@{k}": {trajectory_id: float(share > 0) for trajectory_id, share in shares.items()},
            f"evidence_share@{k}": shares,
        }

    def curves(self, run: Run, *, k: int = LIST_LENGTH) -> dict[str, list[float]]:
        """The share of the evidence that lists have shown by search 1, 2, ..., for each trajectory with evidence."""
        shown: dict[str, set[str]] = {}
        curves: dict[str, list[float]] = {}
        for search in self.searches:
            evidence = self.evidence.get(search.query_id)
            if not evidence:
                continue
            docids = shown.setdefault(search.trajectory_id, set())
            docids.update(evidence.intersection(self._first(run, search, k)))
            curve = curves.setdefault(search.trajectory_id, [])
            # The queries of one step count as one search.
            del curve[search.number - 1 :]
            curve.append(len(docids) / len(evidence))
        return curves

    def mean_curve(self, run: Run, *, k: int = LIST_LENGTH) -> list[float]:
        """The mean of `curves` over trajectories, up to the longest; one that has ended keeps what it had."""
        curves = list(self.curves(run, k=k).values())
        longest = max(map(len, curves), default=0)
        return [sum(curve[min(number, len(curve) - 1)] for curve in curves) / len(curves) for number in range(longest)]

    @staticmethod
    def _first(run: Run, search: Search, k: int) -> list[str]:
        return [hit.docid for hit in run.get(search.search_id, ())[:k]]


@dataclass(frozen=True)
class OwnCandidates:
    """Mined pairs, whose positive is to be ranked above the candidates it was chosen from.

    Args:
        pairs: Those with a positive and negatives; of the others there is nothing to ask.
    """

    pairs: tuple[Pair, ...]

    @classmethod
    def of(cls, pairs: Iterable[Pair]) -> OwnCandidates:
        """Those that are trained on (they have a weight) and have negatives."""
        return cls(tuple(pair for pair in pairs if pair.weight is not None and pair.negative_ids))

    @property
    def clusters(self) -> dict[str, str]:
        return {pair.pair_id: pair.query_id for pair in self.pairs}

    @property
    def random_baseline(self) -> float:
        """What a random order would reach as `own_first`."""
        return sum(1 / (1 + len(pair.negative_ids)) for pair in self.pairs) / len(self.pairs)

    def benchmark(self, base: Benchmark) -> Benchmark:
        """The pairs' queries over a benchmark's documents; the positive is relevant."""
        return replace(
            base,
            queries={pair.pair_id: pair.query for pair in self.pairs},
            qrels={pair.pair_id: {pair.positive_id: 1} for pair in self.pairs},
            clusters=self.clusters,
            states={
                pair.pair_id: QueryState(pair.query, pair.question, pair.previous_queries, pair.reasoning_before)
                for pair in self.pairs
            },
        )

    def measure(self, run: Run) -> Values:
        """Metrics of a run over the pairs' queries.

        `own_first` is whether the positive comes before all of its pair's negatives (recall@1 among its own
        candidates), and `own_mrr` one over its rank among them. A run says nothing of what it does not list: a
        positive it lacks comes last, also where it lacks the negatives, so the run should be deep.
        """
        ranks = {pair.pair_id: self._rank(pair, run.get(pair.pair_id, ())) for pair in self.pairs}
        return {
            "own_first": {name: float(rank == 1) for name, rank in ranks.items()},
            "own_mrr": {name: 1 / rank for name, rank in ranks.items()},
        }

    @staticmethod
    def _rank(pair: Pair, hits: Sequence[Hit]) -> int:
        own = {pair.positive_id, *pair.negative_ids}
        listed = [hit.docid for hit in hits if hit.docid in own]
        return listed.index(pair.positive_id) + 1 if pair.positive_id in listed else len(own)
