"""What an evaluation puts on the Hub beside its own dataset: results in the cards of models, and metrics as Spaces."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lrat_hub.errors import LratError
from lrat_hub.evaluation.systems import COMPARED, AgentSystem
from lrat_hub.evaluation.tables import interval_rows, score_table
from lrat_hub.hub.cards import markdown_table, render_card, replace_section
from lrat_hub.hub.inputs import Source
from lrat_hub.hub.lineage import LINEAGE_FILE, Lineage
from lrat_hub.hub.publish import refuse_public
from lrat_hub.hub.refs import HubRef, hub_errors
from lrat_hub.hub.retries import read

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo, EvalResult, ModelCardData

RESULTS_SECTION = "results"
AGENTS_SECTION = "agents"

SPACE_TEMPLATE = "metric_space"
SPACE_APP = """import evaluate
from evaluate.utils import launch_gradio_widget

launch_gradio_widget(evaluate.load("{repo_id}"))
"""
SPACE_REQUIREMENTS = "evaluate\ndatasets\n"


def put_results_into_card(
    model: HubRef,
    scores: Sequence[Mapping[str, Any]],
    *,
    system: str,
    benchmark: Mapping[str, Source],
    evaluation: HubRef,
    task: str = "evidence",
) -> HubRef:
    """Writes results into a model's card: in the standard metadata, and as tables.

    Args:
        model: The pin that was evaluated; the card goes to the tip of `main`, whose weights must still be these.
        scores: Rows of `TaskComparison.scores`; those of the judgements and of the content check go into the metadata.
        system: The model's name in them.
        benchmark: What it was evaluated on, by the options: "corpus", and "queries" with "qrels", or "pairs" or
            "trajectories" alone. The metadata names what the queries come from as the dataset.
        evaluation: Where everything about the comparison is.
        task: The task that systems are compared by first.

    Raises:
        LratError: `main` has moved on to another model since.
    """
    from huggingface_hub import EvalResult

    asked = next(benchmark[name] for name in ("queries", "pairs", "trajectories") if name in benchmark)
    subjects = {task: asked, "gold": asked, "content": benchmark["corpus"]}
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
    tables = [markdown_table(score_table(scores, task))]
    if task == "opened":
        tables.append("Relevant is what agents opened out of result lists: nobody has judged it.")
    tables.append(f"On `{asked}`; intervals, tests and queries: `{evaluation}`.")
    if content := score_table(scores, "content"):
        tables.append("Forgetting check: each passage is searched for by one of its sentences, without title words.")
        tables.append(markdown_table(content))
    return write_results(model, results, section=RESULTS_SECTION, text="\n\n".join(tables))


def put_agent_results_into_card(
    model: HubRef, cells: Sequence[AgentSystem], *, shown: Sequence[AgentSystem], queries: Source, evaluation: HubRef
) -> HubRef:
    """Writes success, evidence recall and steps into a model's card: in the standard metadata, and as a table.

    Args:
        model: The pin that the agents searched with; see `write_results`.
        cells: Those with this model as the retriever.
        shown: All cells that the table compares.
        queries: The benchmark, which the metadata names as the dataset.
        evaluation: Where everything about the evaluation is.
    """
    from huggingface_hub import EvalResult

    results = [
        EvalResult(
            task_type="question-answering",
            task_name=f"Search agent {cell.agent}",
            **dataset_fields(queries),
            dataset_args={"agent": cell.agent, "k": cell.k, "questions": cell.scores.counts["questions"]},
            metric_type=f"agent_{metric}",
            metric_name=f"{metric} of {cell.agent}{'' if cell.k is None else f', K = {cell.k}'}",
            metric_value=round(interval.mean, 6),
            metric_args={"low": round(interval.low, 6), "high": round(interval.high, 6), "confidence": 0.95},
            source_name="lrat eval agents",
            source_url=page_of(evaluation),
        )
        for cell in cells
        for metric, interval in cell.intervals.items()
        if metric in COMPARED
    ]
    text = (
        "As the retriever of search agents, in percent of the questions, with 95 % intervals:\n\n"
        f"{markdown_table(interval_rows(shown))}\n\nOn `{queries}`; tests and all questions: `{evaluation}`."
    )
    return write_results(model, results, section=AGENTS_SECTION, text=text)


def write_results(model: HubRef, results: Sequence[EvalResult], *, section: str, text: str) -> HubRef:
    """Writes results into a model's card in the place of earlier ones of the same stage, and a text into a section.

    Args:
        model: The pin that was evaluated; the card goes to the tip of `main`, whose weights must still be these.
        results: All of one stage, which is their `source_name`; what other stages found stays.

    Raises:
        LratError: `main` has moved on to another model since, or the card has no such section.
    """
    from huggingface_hub import ModelCard

    from lrat_hub.hub.inputs import fetch_file
    from lrat_hub.hub.publish import CARD_FILE, update_card

    main = HubRef(model.repo_id)
    tip = main.pin()
    if _weights(model) != _weights(tip):
        raise LratError(f"{main}: expected the model that was evaluated ({model}), found another. Evaluate again.")
    if (path := fetch_file(tip, CARD_FILE)) is None:
        raise LratError(f"{main}: expected a model with a card ({CARD_FILE}), found none.")
    card = ModelCard.load(path)
    # ModelCard makes the class of its data; the general one has no results.
    data = cast("ModelCardData", card.data)
    stages = {result.source_name for result in results}
    others = [result for result in data.eval_results or () if result.source_name not in stages]
    data.model_name = model.repo_id.partition("/")[2]
    data.eval_results = [*others, *results]
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


def _weights(ref: HubRef) -> dict[str, str | None]:
    """Identity of everything in a model's repository but its card."""
    from huggingface_hub import HfApi

    api = HfApi()
    info = read(ref, lambda: api.model_info(ref.repo_id, revision=ref.revision, files_metadata=True))
    return {item.rfilename: item.blob_id for item in info.siblings or () if item.rfilename != "README.md"}


def metric_texts(script: Path) -> dict[str, str]:
    """A module's DESCRIPTION, INPUTS and CITATION, read without importing it."""
    texts: dict[str, str] = {}
    for node in ast.parse(script.read_text(encoding="utf-8")).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):
                texts[name] = text.strip()
    return {name: texts[name] for name in ("DESCRIPTION", "INPUTS", "CITATION")}


def publish_metric(script: Path, namespace: str, *, private: bool = False) -> str:
    """Publishes a module with its card and a small app as the Space `namespace/<name of the script>`, in one commit.

    The same module again makes no new commit.

    Returns:
        The sha of the commit that the Space is at.

    Raises:
        LratError: The Space holds something else, or the Hub refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    repo_id = f"{namespace}/{script.stem}"
    target = HubRef(repo_id)
    lineage = Lineage("eval publish-metrics", {}, {"metric": script.stem}, {})
    files = {
        script.name: script.read_text(encoding="utf-8"),
        "README.md": render_card(SPACE_TEMPLATE, lineage, repo_id=repo_id, name=script.stem, **metric_texts(script)),
        "app.py": SPACE_APP.format(repo_id=repo_id),
        "requirements.txt": SPACE_REQUIREMENTS,
        LINEAGE_FILE: lineage.to_json(),
    }
    api = HfApi()
    with hub_errors(target):
        api.create_repo(repo_id, repo_type="space", space_sdk="gradio", private=private, exist_ok=True)
        tip = api.space_info(repo_id)
        if private and not tip.private:
            refuse_public(replace(target, repo_type="space"))
        there = {item.rfilename for item in tip.siblings or ()} - {".gitattributes", "README.md"}
        if there and LINEAGE_FILE not in there:
            raise LratError(f"Space {repo_id}: expected nothing or an earlier publication there, found other files.")
        commit: CommitInfo = api.create_commit(
            repo_id,
            [CommitOperationAdd(name, text.encode()) for name, text in files.items()],
            repo_type="space",
            commit_message=f"lrat {lineage.stage}",
            parent_commit=tip.sha,
        )
    return commit.oid
