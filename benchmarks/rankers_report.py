"""The tables of `rankers.py`: means over seeds, with paired intervals over questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import TYPE_CHECKING

from lrat_hub.hub.cards import markdown_table
from lrat_hub.significance import paired_difference

if TYPE_CHECKING:
    from lrat_hub.evaluation.costs import SearchCost

SEARCH_METRICS = ("ndcg@10", "recall@5", "recall@10")
READER_METRICS = ("evidence_share", "opened_share", "searches", "success")
QUESTIONS = ", questions"
"""The end of the names of systems that were trained on questions, too."""

BASES = {"bi-encoder": "MiniLM", "distilled bi-encoder": "MiniLM", "late interaction": "MiniLM, late interaction"}


@dataclass(frozen=True)
class Result:
    """What the evaluations of a system say.

    Args:
        values: Metric to query id to value.
    """

    values: Mapping[str, Mapping[str, float]]
    cost: SearchCost


def read_results(pins: Sequence[str], names: Sequence[str]) -> dict[str, Result]:
    """System to what a published evaluation of retrievers and one of agents say.

    Args:
        pins: The two evaluations.
        names: What tables call the systems, in the order in which both evaluations have them.
    """
    from lrat_hub.evaluation.published import Evaluations
    from lrat_hub.hub.refs import HubRef

    found = Evaluations()
    for pin in pins:
        found.add(HubRef.parse(pin, repo_type="dataset"))
    (alone,) = found.retrieval
    return {
        name: Result(
            {metric: alone.scores[system][metric] for metric in SEARCH_METRICS}
            | {metric: cell.scores.values(metric) for metric in READER_METRICS},
            alone.costs[system],
        )
        for name, system, cell in zip(names, alone.scores, found.cells, strict=True)
    }


def tables_of(systems: Mapping[str, Sequence[Result]]) -> list[str]:
    """One search, the reader, and what a search costs, by the fastest of the seeds.

    Args:
        systems: System to its results, one a seed.
    """
    means = {
        name: {metric: averaged(results, metric) for metric in results[0].values} for name, results in systems.items()
    }
    rows: list[list[dict[str, str]]] = [[], [], []]
    for name, results in systems.items():
        first = compared_with(name)
        head = {"system": name, "seeds": str(len(results))}
        for table, metrics in zip(rows, (SEARCH_METRICS, READER_METRICS), strict=False):
            row = head | {"compared with": first}
            for metric in metrics:
                seeds = [mean(one.values[metric].values()) for one in results]
                spread = f" (sd {stdev(seeds):.3f})" if len(seeds) > 1 else ""
                row[metric] = f"{mean(seeds):.3f}{spread}"
                difference = paired_difference(means[name][metric], means[first][metric]) if first else ""
                row[f"{metric}, difference"] = str(difference)
            table.append(row)
        rows[-1].append(head | min((one.cost for one in results), key=lambda cost: cost.milliseconds).cells())
    return [markdown_table(table) for table in rows]


def averaged(results: Sequence[Result], metric: str) -> dict[str, float]:
    """The mean over seeds, question by question."""
    return {query_id: mean(one.values[metric][query_id] for one in results) for query_id in results[0].values[metric]}


def compared_with(name: str) -> str:
    """What a system is compared with: the first stage of a reranker, the base of a trained model; "" for a base."""
    first, reranked, _ = name.partition(" > ")
    if reranked:
        return first if first == "BM25" or not name.endswith(QUESTIONS) else first + QUESTIONS
    return BASES.get(name.removesuffix(QUESTIONS), "")
