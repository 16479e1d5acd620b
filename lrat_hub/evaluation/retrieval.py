"""An evaluation of retrievers: what they are asked, what is measured of their answers, and how they compare."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lrat_hub.errors import LratError
from lrat_hub.evaluation.benchmark import Benchmark
from lrat_hub.evaluation.controls import CHECK_METRIC, content_check, title_check
from lrat_hub.evaluation.costs import MeasuredRetriever, SearchCost
from lrat_hub.evaluation.metrics import DEPTH, Qrels, Run, Values, metrics_to, score_run
from lrat_hub.evaluation.own_documents import OwnDocuments
from lrat_hub.evaluation.replay import LIST_LENGTH, OwnCandidates, Replay
from lrat_hub.evaluation.run_files import with_known_ids
from lrat_hub.ledger.joins import Join, match_ids
from lrat_hub.queries import QueryStyle
from lrat_hub.retrieval import Retriever
from lrat_hub.retrieval.fusion import FUSION_DEPTH
from lrat_hub.schema import Pair, Trajectory
from lrat_hub.significance import Comparison, clear_winner, compare_with_baseline, mean_interval

QUERIES, CONTENT, TITLES, SEARCHES, PAIRS = "queries", "content", "titles", "searches", "pairs"
"""What systems are asked."""

EVIDENCE, GOLD, OPENED = "evidence", "gold", "opened"
"""The tasks that the queries are asked for; the others are named by what is asked. The last is that of logs without
judgements, see `lrat_hub.evaluation.opened`."""

AS_LOGGED = "as logged"
"""The retriever that the agents of trajectories had."""

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Task:
    """Something that every system is measured by.

    Args:
        name: In tables. "evidence" and "gold" are the two kinds of judgements, "opened" what takes
            their place where there are none, "content" and "titles" the controls,
            "searches" and "pairs" what trajectories and mined pairs are asked for.
        asked: The queries it is about, as a key of the runs: tasks that differ in judgements alone share them.
        measure: What it makes of a run.
        clusters: What values are of, to the question they belong to; whole questions are resampled.
    """

    name: str
    asked: str
    measure: Callable[[Run], Values]
    clusters: Mapping[str, str]

    @classmethod
    def of(cls, name: str, asked: str, benchmark: Benchmark, metrics: Sequence[str]) -> Task:
        """The task of finding what a benchmark's judgements call relevant."""

        def measure(run: Run) -> Values:
            scores = score_run(run, benchmark.qrels, metrics=metrics)
            return {metric: scores.values(metric) for metric in metrics}

        return cls(name, asked, measure, benchmark.clusters)


@dataclass(frozen=True)
class TaskComparison:
    """Systems measured by one task, each against the first of them.

    Args:
        values: System to its values. A metric that has none for any system is left out.
    """

    task: Task
    values: Mapping[str, Values]

    @classmethod
    def of(cls, task: Task, runs: Mapping[str, Run]) -> TaskComparison:
        measured = {system: task.measure(run) for system, run in runs.items()}
        return cls(
            task,
            {
                system: {metric: scores for metric, scores in values.items() if scores}
                for system, values in measured.items()
            },
        )

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(next(iter(self.values.values()), ()))

    def of_metric(self, metric: str) -> dict[str, Mapping[str, float]]:
        return {system: values[metric] for system, values in self.values.items()}

    def mean(self, system: str, metric: str) -> float:
        values = self.values[system][metric]
        return sum(values.values()) / len(values)

    def summary(self) -> Rows:
        """A row a system: its mean of every metric."""
        return [
            {"system": system, **{metric: self.mean(system, metric) for metric in self.metrics}}
            for system in self.values
        ]

    def differences(self, metric: str) -> dict[str, Comparison]:
        """Every system but the first, compared with that one.

        One family of tests is one metric of one task: who looks at several metrics should name one beforehand.
        """
        systems = self.of_metric(metric)
        return compare_with_baseline(systems, next(iter(systems)), self.task.clusters)

    def scores(self) -> Rows:
        """A row for each metric and system: its mean with its interval, and its difference from the first system."""
        rows = []
        for metric in self.metrics:
            systems = self.of_metric(metric)
            winner = clear_winner(systems, self.task.clusters)
            differences = self.differences(metric)
            baseline = next(iter(systems))
            for system, scores in systems.items():
                interval = mean_interval(scores, self.task.clusters)
                row = {
                    "task": self.task.name,
                    "metric": metric,
                    "system": system,
                    "mean": interval.mean,
                    "low": interval.low,
                    "high": interval.high,
                    "values": len(scores),
                    "questions": interval.clusters,
                    "best": system == winner,
                    **dict.fromkeys(("baseline", *DIFFERENCE_COLUMNS)),
                }
                if system in differences:
                    row |= {"baseline": baseline, **difference_columns(differences[system])}
                rows.append(row)
        return rows

    def per_query(self) -> Rows:
        """A row for each system and query, for a task whose values are all of queries."""
        first = self.metrics[0]
        return [
            {
                "system": system,
                "query_id": query_id,
                "question_id": self.task.clusters[query_id],
                **{metric: values[metric][query_id] for metric in self.metrics},
            }
            for system, values in self.values.items()
            for query_id in values[first]
        ]

    def all_values(self) -> Rows:
        """A row for each value of each system."""
        return [
            {"task": self.task.name, "system": system, "metric": metric, "measured_on": name,
             "question_id": self.task.clusters[name], "value": value}
            for system, values in self.values.items()
            for metric, by_name in values.items()
            for name, value in by_name.items()
        ]  # fmt: skip


DIFFERENCE_COLUMNS = ("difference", "difference_low", "difference_high", "p_value", "corrected", "detectable")


def difference_columns(one: Comparison) -> dict[str, Any]:
    """`DIFFERENCE_COLUMNS` of a comparison."""
    difference = one.difference
    values = (difference.mean, difference.low, difference.high, one.p_value, one.corrected, difference.detectable)
    return dict(zip(DIFFERENCE_COLUMNS, values, strict=True))


def comparison_rows(scores: Iterable[Mapping[str, Any]]) -> Rows:
    """Config `comparisons`: those of the rows of `TaskComparison.scores` that are about a difference."""
    return [
        {
            "system": row["system"],
            "baseline": row["baseline"],
            "metric": row["metric"],
            "difference": row["difference"],
            "low": row["difference_low"],
            "high": row["difference_high"],
            "questions": row["questions"],
            **{name: row[name] for name in ("p_value", "corrected", "detectable")},
        }
        for row in scores
        if row["baseline"] is not None
    ]


@dataclass
class RetrievalEvaluation:
    """What every retriever is asked, and the tasks it is measured by.

    Start with `of` and add the rest.

    Args:
        asked: Name to queries, and to how many results a query are wanted.
        replay: The searches of trajectories, when there are some.
        random_baselines: What a random order would reach, by metric, where that is known.
        joins: How the tables met by their ids, as they were added.
        own: Documents that are left out of the rankings of their own queries; see `leave_out_own`.
        main: The task that systems are compared by first.
    """

    asked: dict[str, tuple[Benchmark, int]] = field(default_factory=dict)
    tasks: list[Task] = field(default_factory=list)
    replay: Replay | None = None
    random_baselines: dict[str, float] = field(default_factory=dict)
    joins: list[Join] = field(default_factory=list)
    own: OwnDocuments | None = None
    main: str = EVIDENCE

    @classmethod
    def of(
        cls, evidence: Benchmark, gold: Benchmark | None = None, *, depth: int = DEPTH, main: str = EVIDENCE
    ) -> RetrievalEvaluation:
        """An evaluation on queries with relevant documents.

        Args:
            gold: The same benchmark with other judgements.
            depth: Results a query.
            main: What the first task is called: "opened" where what agents opened stands for judgements.
        """
        metrics = metrics_to(depth)
        judged = evidence if gold is None else replace(evidence, qrels={**gold.qrels, **evidence.qrels})
        tasks = [Task.of(main, QUERIES, evidence, metrics)]
        tasks += [Task.of(GOLD, QUERIES, gold, metrics)] if gold else []
        joins = [join for benchmark in (evidence, gold) if benchmark for join in benchmark.joins]
        return cls({QUERIES: (judged, depth)}, tasks, joins=joins, main=main)

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
            qrels: Of the trajectories' questions. Where none of these is judged, there are no figures of evidence.

        Raises:
            LratError: They hold no search, or list no document of the corpus.
        """
        self.replay = Replay.of(trajectories, qrels)
        if not self.replay.searches:
            raise LratError("Trajectories: expected some with a search, found none.")
        what = "Trajectories"
        asked = (search.query_id for search in self.replay.searches)
        names = {"wanted_name": "questions of trajectories", "given_name": "questions with evidence"}
        if qrels:
            self.joins.append(match_ids(asked, self.replay.evidence, what=what, require=False, **names))
        listed = {docid for search in self.replay.searches for docid in search.listed}
        if listed:
            name = "documents that trajectories were shown"
            self.joins.append(self.queries.documents.match(sorted(listed), name=name, what=what))
        self.asked[SEARCHES] = (self.replay.benchmark(self.queries), max(LIST_LENGTH, FUSION_DEPTH))
        self.tasks.append(Task(SEARCHES, SEARCHES, self.replay.measure, self.replay.clusters))

    def add_pairs(self, pairs: Iterable[Pair]) -> None:
        """Adds the queries of mined pairs.

        Raises:
            LratError: No pair is trained on and has negatives, or none of their documents is in the corpus.
        """
        own = OwnCandidates.of(pairs)
        if not own.pairs:
            raise LratError("Pairs: expected some with a weight and negatives, found none.")
        positives = (pair.positive_id for pair in own.pairs)
        self.joins.append(self.queries.documents.match(positives, name="positives of pairs", what="Pairs"))
        self.random_baselines["own_first_by_chance"] = own.random_baseline
        self.asked[PAIRS] = (own.benchmark(self.queries), DEPTH)
        self.tasks.append(Task(PAIRS, PAIRS, own.measure, own.clusters))

    def leave_out_own(self, own: OwnDocuments) -> None:
        """Leaves the queries' own documents out of every ranking from now on, also out of runs that are given."""
        self.own = own

    def given_run(self, run: Run) -> tuple[Run, list[Join]]:
        """What counts of a run that was made elsewhere: its hits for judged queries, to the depth of the others.

        Ids that were escaped for its file are read as they were (`lrat_hub.evaluation.run_files`).

        Returns:
            The run, and how its queries and its documents met those that are asked and searched.

        Raises:
            LratError: No query of it is judged, or a document of it is not in the corpus.
        """
        judged, documents, what = self.queries.qrels, self.queries.documents, "Run file"
        run = with_known_ids(run, judged, documents)
        of_queries = match_ids(
            judged, run, wanted_name="judged queries", given_name="queries of the run file", what=what
        )
        kept = {query_id: hits for query_id, hits in run.items() if query_id in judged}
        listed = (hit.docid for hits in kept.values() for hit in hits)
        of_documents = documents.match(listed, name="documents of the run file", what=what)
        if not of_documents.is_complete:
            raise LratError(
                f"{what}: expected documents of the corpus alone; {of_documents}. Does it belong to another corpus?"
            )
        return self._counted(kept), [of_queries, of_documents]

    def search(
        self,
        retriever: Retriever,
        *,
        style: QueryStyle = "plain",
        on_cost: Callable[[SearchCost], object] | None = None,
    ) -> dict[str, Run]:
        """All that a retriever finds, by what was asked.

        Args:
            on_cost: Gets what the search with the judged queries cost, which is measured for it.
        """
        runs = {}
        for name, (asked, depth) in self.asked.items():
            if name != QUERIES:
                runs[name] = asked.search(retriever, depth, style=style)
                continue
            more = self.own.most if self.own else 0
            measured = MeasuredRetriever(retriever, documents=len(asked.documents))
            searched = measured if on_cost else retriever
            runs[name] = self._counted(asked.search(searched, depth + more, style=style))
            if on_cost and measured.cost:
                on_cost(measured.cost)
        return runs

    def _counted(self, run: Run) -> Run:
        """What counts of a run of the queries: to their depth, without own documents where these are left out."""
        depth = self.asked[QUERIES][1]
        if self.own:
            return self.own.without(run, depth)
        return {query_id: hits[:depth] for query_id, hits in run.items()}

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
        runs |= {name: scores[SEARCHES] for name, scores in systems.items() if SEARCHES in scores}
        return [
            {"system": name, "search": number, "evidence_share": share}
            for name, run in runs.items()
            for number, share in enumerate(self.replay.mean_curve(run), start=1)
        ]
