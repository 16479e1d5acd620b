"""Results of a comparison for people: tables, a leaderboard's file, and what goes into the cards of models."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lrat_hub.errors import LratError
from lrat_hub.evaluation.comparison import Rows, TaskComparison
from lrat_hub.hub.cards import markdown_table, replace_section
from lrat_hub.hub.inputs import Source
from lrat_hub.hub.refs import HubRef, hub_errors

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

RESULTS_SECTION = "results"
FILL_IN = "change me when submitting"


def score_table(scores: Sequence[Mapping[str, Any]], task: str) -> Rows:
    """A task's scores for people: a row a system, its means; in bold where it beats every other one significantly."""
    rows: dict[str, dict[str, Any]] = {}
    for score in scores:
        if score["task"] == task:
            text = f"{score['mean']:.3f}"
            rows.setdefault(score["system"], {"system": score["system"]})[score["metric"]] = (
                f"**{text}**" if score["best"] else text
            )
    return list(rows.values())


def interval_table(scores: Sequence[Mapping[str, Any]], task: str, metrics: Sequence[str]) -> Rows:
    """A few metrics of a task for people: a row each and system, with its interval and difference from the first."""
    interval = "{difference:+.3f} [{difference_low:+.3f}, {difference_high:+.3f}]"
    chosen = [row for row in scores if row["task"] == task and row["metric"] in metrics]
    baseline = next((row["baseline"] for row in chosen if row["baseline"] is not None), None)
    rows = []
    for row in chosen:
        cells = {
            "metric": row["metric"],
            "system": row["system"],
            "mean": "{mean:.3f} [{low:.3f}, {high:.3f}]".format(**row),
        }
        if baseline is not None:
            is_first = row["baseline"] is None
            cells |= {
                f"difference from {baseline}": "" if is_first else interval.format(**row),
                "p, corrected": "" if is_first else f"{row['corrected']:.4f}",
                "detectable": "" if row["detectable"] is None else f"{row['detectable']:.3f}",
            }
        rows.append(cells)
    return rows


def system_name(source: Source) -> str:
    """A model's name in tables: its repository or folder, with the first digits of its sha or digest."""
    name, version = (
        (source.repo_id, source.revision) if isinstance(source, HubRef) else (source.path.name, source.digest)
    )
    return f"{name}@{version[:7]}"


def browsecomp_leaderboard(system: str, evidence: TaskComparison, gold: TaskComparison) -> dict[str, Any]:
    """A system's line in the table of retrievers of BrowseComp-Plus, in percent.

    The benchmark publishes recall@5, @100, @1000 and nDCG@10 by evidence documents, and nDCG@10 by gold documents; the
    names of the fields are ours, after those of its agents' summaries. The link and the date are the submitter's.
    """

    def percent(comparison: TaskComparison, metrics: Sequence[str]) -> dict[str, float]:
        names = {"ndcg@10": "nDCG@10"}
        return {
            f"{names.get(metric, metric.capitalize())} (%)": round(100 * comparison.mean(system, metric), 2)
            for metric in metrics
            if metric in comparison.metrics
        }

    metrics = ("recall@5", "recall@100", "recall@1000", "ndcg@10")
    return {
        "Retriever": system,
        "Evidence": percent(evidence, metrics),
        "Gold": percent(gold, metrics),
        "Link": FILL_IN,
        "Evaluation Date": FILL_IN,
    }


def leaderboard_files(comparisons: Mapping[str, TaskComparison]) -> dict[str, str]:
    """A file for each system's line, where there are judgements of both kinds; else none."""
    if not {"evidence", "gold"} <= comparisons.keys():
        return {}
    evidence, gold = comparisons["evidence"], comparisons["gold"]
    return {
        f"runs/{name.replace('/', '__')}.leaderboard.json": json.dumps(
            browsecomp_leaderboard(name, evidence, gold), indent=2, ensure_ascii=False
        )
        + "\n"
        for name in evidence.values
    }


def put_results_into_card(
    model: HubRef,
    scores: Sequence[Mapping[str, Any]],
    *,
    system: str,
    benchmark: Mapping[str, Source],
    evaluation: HubRef,
) -> HubRef:
    """Writes results into a model's card: in the standard metadata, and as tables.

    Args:
        model: The pin that was evaluated; the card goes to the tip of `main`, whose weights must still be these.
        scores: Rows of `TaskComparison.scores`; those of the judgements and of the content check go into the metadata.
        system: The model's name in them.
        benchmark: What it was evaluated on: "queries", which the metadata names as the dataset, "corpus" and "qrels".
        evaluation: Where everything about the comparison is.

    Raises:
        LratError: `main` has moved on to another model since.
    """
    from huggingface_hub import EvalResult

    subjects = {"evidence": benchmark["queries"], "gold": benchmark["queries"], "content": benchmark["corpus"]}
    results = [
        EvalResult(
            task_type="information-retrieval",
            task_name={"content": "Sentence to passage, without title words"}.get(row["task"], "Retrieval"),
            **dataset_fields(subjects[row["task"]], note=", gold" if row["task"] == "gold" else ""),
            dataset_args={name: str(source) for name, source in benchmark.items()},
            metric_type=_metric_name(row),
            metric_name=_metric_name(row),
            metric_value=round(row["mean"], 6),
            metric_args={"low": round(row["low"], 6), "high": round(row["high"], 6), "confidence": 0.95},
            source_name="lrat eval retrieval",
            source_url=page_of(evaluation),
        )
        for row in scores
        if row["system"] == system and row["task"] in subjects
    ]
    tables = [markdown_table(score_table(scores, "evidence"))]
    tables.append(f"On `{benchmark['queries']}`; intervals, tests and queries: `{evaluation}`.")
    if content := score_table(scores, "content"):
        tables.append("What it may have forgotten: a passage found by a sentence of it, without title words.")
        tables.append(markdown_table(content))
    return write_results(model, results, section=RESULTS_SECTION, text="\n\n".join(tables))


def write_results(model: HubRef, results: Sequence[EvalResult], *, section: str, text: str) -> HubRef:
    """Writes results into a model's card in the place of earlier ones of the same stage, and a text into a section.

    Args:
        model: The pin that was evaluated; the card goes to the tip of `main`, whose weights must still be these.
        results: All of one stage, which is their `source_name`; what other stages found stays.

    Raises:
        LratError: `main` has moved on to another model since, or the card has no such section.
    """
    from huggingface_hub import ModelCard, hf_hub_download

    from lrat_hub.hub.publish import CARD_FILE, update_card

    main = HubRef(model.repo_id)
    tip = main.pin()
    with hub_errors(main):
        if _weights(model) != _weights(tip):
            raise LratError(f"{main}: expected the model that was evaluated ({model}), found another. Evaluate again.")
        card = ModelCard.load(hf_hub_download(tip.repo_id, CARD_FILE, revision=tip.revision))
    stages = {result.source_name for result in results}
    others = [result for result in card.data.eval_results or () if result.source_name not in stages]
    card.data.model_name = model.repo_id.partition("/")[2]
    card.data.eval_results = [*others, *results]
    return update_card(main, replace_section(str(card), section, text), parent=tip.revision)


def dataset_fields(source: Source, *, note: str = "") -> dict[str, Any]:
    """What the metadata of results says of the dataset they are on."""
    return {
        "dataset_type": getattr(source, "repo_id", "local"),
        "dataset_name": f"{source}{note}",
        "dataset_config": source.config,
        "dataset_split": source.split,
        "dataset_revision": getattr(source, "revision", None),
    }


def page_of(evaluation: HubRef) -> str:
    """Where an evaluation is looked at."""
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/datasets/{evaluation.repo_id}/tree/{evaluation.revision}"


def _metric_name(row: Mapping[str, Any]) -> str:
    """One of its own for each task: who reads metadata looks for a name."""
    return row["metric"] if row["task"] == "evidence" else f"{row['task']}_{row['metric']}"


def _weights(ref: HubRef) -> dict[str, str]:
    """Identity of everything in a model's repository but its card."""
    from huggingface_hub import HfApi

    info = HfApi().model_info(ref.repo_id, revision=ref.revision, files_metadata=True)
    return {item.rfilename: item.blob_id for item in info.siblings if item.rfilename != "README.md"}
