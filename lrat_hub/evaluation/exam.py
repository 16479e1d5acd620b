"""Everything that one evaluation asks of its systems, and measures them by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from lrat_hub.errors import LratError
from lrat_hub.evaluation.benchmark import Benchmark
from lrat_hub.evaluation.comparison import Rows, Task, TaskComparison
from lrat_hub.evaluation.controls import CHECK_METRIC, content_check, title_check
from lrat_hub.evaluation.metrics import DEPTH, Qrels, Run, metrics_to
from lrat_hub.evaluation.replay import LIST_LENGTH, OwnCandidates, Replay
from lrat_hub.queries import QueryStyle
from lrat_hub.retrieval import Retriever
from lrat_hub.retrieval.fusion import FUSION_DEPTH
from lrat_hub.schema import Pair, Trajectory

QUERIES, CONTENT, TITLES, SEARCHES, PAIRS = "queries", "content", "titles", "searches", "pairs"
"""What systems are asked."""

EVIDENCE, GOLD = "evidence", "gold"
"""The tasks that the queries are asked for; the others are named by what is asked."""

AS_LOGGED = "as logged"
"""The retriever that the agents of trajectories had."""


@dataclass
class Exam:
    """What every system is asked, and the tasks it is measured by.

    Start with `of` and add the rest.

    Args:
        asked: Name to queries, and to how many results a query are wanted.
        replay: The searches of trajectories, when there are some.
        chances: What a random order would reach, by metric, where that is known.
    """

    asked: dict[str, tuple[Benchmark, int]] = field(default_factory=dict)
    tasks: list[Task] = field(default_factory=list)
    replay: Replay | None = None
    chances: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, evidence: Benchmark, gold: Benchmark | None = None, *, depth: int = DEPTH) -> Exam:
        """An exam on judged queries.

        Args:
            gold: The same benchmark with other judgements.
            depth: Results a query.
        """
        metrics = metrics_to(depth)
        judged = evidence if gold is None else replace(evidence, qrels={**gold.qrels, **evidence.qrels})
        tasks = [Task.of(EVIDENCE, QUERIES, evidence, metrics)]
        tasks += [Task.of(GOLD, QUERIES, gold, metrics)] if gold else []
        return cls({QUERIES: (judged, depth)}, tasks)

    @property
    def queries(self) -> Benchmark:
        return self.asked[QUERIES][0]

    def add_controls(self, *, passages: int) -> list[str]:
        """Adds the content check, and the titles of relevant documents as queries; see `lrat_hub.evaluation.controls`.

        Returns:
            Why one was left out: not every corpus has passages with sentences, or titles.
        """
        left_out = []
        for name, make in (
            (CONTENT, lambda: content_check(self.queries.documents, passages=passages)),
            (TITLES, lambda: title_check(self.queries)),
        ):
            try:
                check = make()
            except LratError as error:
                left_out.append(str(error))
                continue
            self.asked[name] = (check, FUSION_DEPTH)
            self.tasks.append(Task.of(name, name, check, (CHECK_METRIC,)))
        return left_out

    def add_trajectories(self, trajectories: Iterable[Trajectory], qrels: Qrels) -> None:
        """Adds the searches of trajectories, asked again.

        Args:
            qrels: Of the trajectories' questions.

        Raises:
            LratError: They hold no search.
        """
        self.replay = Replay.of(trajectories, qrels)
        if not self.replay.searches:
            raise LratError("Trajectories: expected some with a search, found none.")
        self.asked[SEARCHES] = (self.replay.benchmark(self.queries), max(LIST_LENGTH, FUSION_DEPTH))
        self.tasks.append(Task(SEARCHES, SEARCHES, self.replay.measure, self.replay.clusters))

    def add_pairs(self, pairs: Iterable[Pair]) -> None:
        """Adds the queries of mined pairs.

        Raises:
            LratError: No pair is trained on and has negatives.
        """
        own = OwnCandidates.of(pairs)
        if not own.pairs:
            raise LratError("Pairs: expected some with a weight and negatives, found none.")
        self.chances["own_first_by_chance"] = own.chance
        self.asked[PAIRS] = (own.benchmark(self.queries), DEPTH)
        self.tasks.append(Task(PAIRS, PAIRS, own.measure, own.clusters))

    def search(self, retriever: Retriever, *, style: QueryStyle = "plain") -> dict[str, Run]:
        """All that a retriever finds, by what was asked."""
        return {name: asked.search(retriever, depth, style=style) for name, (asked, depth) in self.asked.items()}

    def compare(self, systems: Mapping[str, Mapping[str, Run]]) -> dict[str, TaskComparison]:
        """Task to the comparison of the systems that were asked for it: a run file answers the queries alone.

        The first system is what the others are compared with; for searches, it is what the agents were shown.
        """
        comparisons = {}
        for task in self.tasks:
            logged = {AS_LOGGED: self.replay.logged()} if task.name == SEARCHES and self.replay else {}
            runs = logged | {name: runs[task.asked] for name, runs in systems.items() if task.asked in runs}
            if runs:
                comparisons[task.name] = TaskComparison.of(task, runs)
        return comparisons

    def curves(self, systems: Mapping[str, Mapping[str, Run]]) -> Rows:
        """A row for each system and search of trajectories, from 1: the mean share of the evidence listed by then."""
        if self.replay is None:
            return []
        runs = {AS_LOGGED: self.replay.logged()}
        runs |= {name: found[SEARCHES] for name, found in systems.items() if SEARCHES in found}
        return [
            {"system": name, "search": number, "evidence_share": share}
            for name, run in runs.items()
            for number, share in enumerate(self.replay.mean_curve(run), start=1)
        ]
