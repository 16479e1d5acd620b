"""The figures of champion and challenger, out of the evaluations that a round has published."""

from __future__ import annotations

from collections.abc import Mapping

from lrat_hub.evaluation.metrics import RetrievalScores
from lrat_hub.evaluation.published import EVIDENCE, LONG_HASH, Evaluations, RetrievalResults
from lrat_hub.evaluation.retrieval import CONTENT, TITLES
from lrat_hub.flywheel.figures import Measured
from lrat_hub.flywheel.steps import AGENTS, ALONE, ELSEWHERE, INDEXED, MODEL, SIDES
from lrat_hub.hub.refs import HubRef
from lrat_hub.retrieval.opening import INDEX_PREFIX


def measured_in(pins: Mapping[str, str], champion: str) -> tuple[Measured, Measured]:
    """What champion and challenger of a round were measured at.

    Args:
        pins: Name of each step of the round to the pin of what it made; any evaluation may be missing.
        champion: The retriever, as `Champion.retriever` names it.

    Raises:
        LratError: An evaluation can't be read.
    """
    inside, by_task = Evaluations(), Evaluations()
    for step, evaluations in ((AGENTS, inside), (ALONE, by_task)):
        if step.name in pins:
            evaluations.add(HubRef.parse(pins[step.name]))
    cells = {cell.retriever: cell.scores for cell in inside.cells}
    tasks = {results.task: results for results in by_task.retrieval}
    clusters = {query: question for results in tasks.values() for query, question in results.clusters.items()}
    names = {side: system_of(text) for side, text in zip(SIDES, (champion, pins[INDEXED.name]), strict=True)}
    elsewhere, elsewhere_names = _elsewhere(pins)
    first, second = (
        Measured.of(
            cells.get(side),
            _scores(tasks.get(EVIDENCE), names[side]),
            content=_scores(tasks.get(CONTENT), names[side]),
            titles=_scores(tasks.get(TITLES), names[side]),
            out_of_domain=_scores(elsewhere, elsewhere_names[side]),
            clusters=clusters,
        )
        for side in SIDES
    )
    return first, second


def _elsewhere(pins: Mapping[str, str]) -> tuple[RetrievalResults | None, Mapping[str, str]]:
    """The evaluation on another corpus, with the names of champion and challenger in it."""
    if ELSEWHERE.name not in pins:
        return None, dict.fromkeys(SIDES, "")
    evaluations = Evaluations()
    evaluations.add(HubRef.parse(pins[ELSEWHERE.name]))
    (results,) = evaluations.retrieval
    challenger = system_of(pins[MODEL.name])
    (champion,) = results.scores.keys() - {challenger}
    return results, dict(zip(SIDES, (champion, challenger), strict=True))


def system_of(retriever: str) -> str:
    """The name that an evaluation of retrievers gives to a champion or a challenger."""
    return LONG_HASH.sub(r"\1", retriever.removeprefix(INDEX_PREFIX))


def _scores(results: RetrievalResults | None, system: str) -> RetrievalScores | None:
    if results is None or system not in results.scores:
        return None
    per_query: dict[str, dict[str, float]] = {}
    for metric, values in results.scores[system].items():
        for query, value in values.items():
            per_query.setdefault(query, {})[metric] = value
    return RetrievalScores(per_query, {}) if per_query else None
