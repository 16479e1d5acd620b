"""Runs of agents matched by ids with the questions, the evidence and the verdicts that they are evaluated by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lrat_hub.evaluation.agents import Qrels, plain_id
from lrat_hub.ledger.joins import Join, match_ids, require_match
from lrat_hub.schema import Trajectory
from lrat_hub.walk import Walk

if TYPE_CHECKING:
    from lrat_hub.evaluation.verdicts import VerdictRow


def match_runs(trajectories: Iterable[Trajectory], queries: Iterable[str], *, what: str) -> Join:
    """Matches the questions of a benchmark with those that runs are of.

    Args:
        queries: Ids of the questions.
        what: What the runs are, the start of an error.

    Raises:
        LratError: None of the runs is of a question of the benchmark.
    """
    asked = (plain_id(run.query_id) for run in trajectories)
    return match_ids(
        map(plain_id, queries),
        asked,
        what=what,
        wanted_name="questions of the benchmark",
        given_name="questions of the runs",
    )


def match_evidence(
    trajectories: Iterable[Trajectory], queries: Iterable[str], qrels: Qrels, *, what: str
) -> list[Join]:
    """Matches annotated evidence with the questions of a benchmark, and with the documents that runs were shown.

    Raises:
        LratError: No question has evidence, or no document of the runs is evidence and a usual difference of ids keeps
            them apart. Runs that found no evidence at all are no error.
    """
    ids = dict.fromkeys(map(plain_id, queries))
    annotated = {plain_id(query_id): grades for query_id, grades in qrels.items()}
    annotated = {query_id: grades for query_id, grades in annotated.items() if any(map(_is_evidence, grades.values()))}
    joins = [
        match_ids(
            ids, annotated, what=what, wanted_name="questions of the benchmark", given_name="questions with evidence"
        )
    ]
    evidence = (
        plain_id(docid)
        for query_id in ids
        if query_id in annotated
        for docid, grade in sorted(annotated[query_id].items())
        if _is_evidence(grade)
    )
    return [*joins, match_listed(trajectories, evidence, what=what)]


def match_listed(trajectories: Iterable[Trajectory], evidence: Iterable[str], *, what: str) -> Join:
    """Matches documents of the evidence with those that runs were shown.

    Raises:
        LratError: None of them was, and a usual difference of ids keeps them apart.
    """
    listed = (plain_id(docid) for run in trajectories for docid in Walk.over(run.steps).first_listed)
    join = match_ids(
        evidence,
        listed,
        what=what,
        require=False,
        wanted_name="documents of the evidence",
        given_name="documents that runs were shown",
    )
    # Documents of one corpus can differ by a prefix and mean different things, so that alone proves nothing here.
    apart = join.hint and "prefix" not in join.hint
    return require_match(join, what=what) if apart else join


def _is_evidence(grade: int) -> bool:
    return grade > 0


def match_verdicts(query_ids: Iterable[str], verdicts: Iterable[VerdictRow], *, what: str) -> Join:
    """Matches the questions of runs with those that verdicts are about.

    Raises:
        LratError: No verdict is about one of them.
    """
    asked = (plain_id(query_id) for query_id in query_ids)
    return match_ids(
        asked,
        (verdict.query_id for verdict in verdicts),
        what=what,
        wanted_name="questions of the runs",
        given_name="questions with a verdict",
    )
