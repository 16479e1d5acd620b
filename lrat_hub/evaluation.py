"""Results of a comparison as tables, and in the cards of the models that were compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lrat_hub.benchmark import Benchmark
from lrat_hub.errors import LratError
from lrat_hub.hub.cards import markdown_table, replace_section
from lrat_hub.hub.inputs import Source
from lrat_hub.hub.refs import HubRef, hub_errors
from lrat_hub.metrics import METRICS, RetrievalScores

RESULTS_SECTION = "results"


def system_name(source: Source) -> str:
    """A model's name in tables: its repository or folder, with the first digits of its sha or digest."""
    name, version = (
        (source.repo_id, source.revision) if isinstance(source, HubRef) else (source.path.name, source.digest)
    )
    return f"{name}@{version[:7]}"


def summary_table(systems: Mapping[str, RetrievalScores]) -> list[dict[str, Any]]:
    """A row a system: its mean of every metric."""
    return [{"system": name, **scores.means} for name, scores in systems.items()]


def comparison_table(benchmark: Benchmark, systems: Mapping[str, RetrievalScores]) -> list[dict[str, Any]]:
    """Every system against the first, metric by metric: mean difference and its paired 95 % interval."""
    baseline, *others = systems
    rows = []
    for name in others:
        for metric in METRICS:
            interval = benchmark.difference(systems[name], systems[baseline], metric)
            rows.append(
                {
                    "system": name,
                    "baseline": baseline,
                    "metric": metric,
                    "difference": interval.mean,
                    "low": interval.low,
                    "high": interval.high,
                    "questions": interval.clusters,
                }
            )
    return rows


def per_query_rows(benchmark: Benchmark, systems: Mapping[str, RetrievalScores]) -> list[dict[str, Any]]:
    """A row for every system and judged query."""
    return [
        {"system": name, "query_id": query_id, "question_id": benchmark.clusters[query_id], **values}
        for name, scores in systems.items()
        for query_id, values in scores.per_query.items()
    ]


def put_results_into_card(
    model: HubRef, scores: RetrievalScores, *, benchmark: Source, evaluation: HubRef, summary: list[dict[str, Any]]
) -> HubRef:
    """Writes results into a model's card: in the standard metadata, and as a table.

    Args:
        model: The pin that was evaluated; the card goes to the tip of `main`, whose weights must still be these.
        benchmark: The queries, which the metadata names as the dataset.
        evaluation: Where everything about the comparison is.

    Raises:
        LratError: `main` has moved on to another model since.
    """
    from huggingface_hub import EvalResult, ModelCard, constants, hf_hub_download

    from lrat_hub.hub.publish import CARD_FILE, update_card

    main = HubRef(model.repo_id)
    tip = main.pin()
    with hub_errors(main):
        if _weights(model) != _weights(tip):
            raise LratError(f"{main}: expected the model that was evaluated ({model}), found another. Evaluate again.")
        card = ModelCard.load(hf_hub_download(tip.repo_id, CARD_FILE, revision=tip.revision))
    card.data.model_name = model.repo_id.partition("/")[2]
    card.data.eval_results = [
        EvalResult(
            task_type="information-retrieval",
            dataset_type=benchmark.repo_id if isinstance(benchmark, HubRef) else "local",
            dataset_name=str(benchmark),
            dataset_config=benchmark.config,
            dataset_split=benchmark.split,
            dataset_revision=benchmark.revision if isinstance(benchmark, HubRef) else None,
            metric_type=metric,
            metric_name=metric,
            metric_value=round(value, 6),
            source_name="lrat eval retrieval",
            source_url=f"{constants.ENDPOINT}/datasets/{evaluation.repo_id}/tree/{evaluation.revision}",
        )
        for metric, value in scores.means.items()
    ]
    text = f"{markdown_table(summary)}\n\nOn `{benchmark}`; intervals and queries: `{evaluation}`."
    return update_card(main, replace_section(str(card), RESULTS_SECTION, text), parent=tip.revision)


def _weights(ref: HubRef) -> dict[str, str]:
    """Identity of everything in a model's repository but its card."""
    from huggingface_hub import HfApi

    info = HfApi().model_info(ref.repo_id, revision=ref.revision, files_metadata=True)
    return {item.rfilename: item.blob_id for item in info.siblings if item.rfilename != "README.md"}
