"""What an evaluation of agents found, in the card of the retriever."""

from __future__ import annotations

from collections.abc import Sequence

from lrat_hub.evaluation.cells import COMPARED, Cell
from lrat_hub.evaluation.results import dataset_fields, page_of, write_results
from lrat_hub.evaluation.tables import interval_rows
from lrat_hub.hub.cards import markdown_table
from lrat_hub.hub.inputs import Source
from lrat_hub.hub.refs import HubRef

SECTION = "agents"


def put_agent_results_into_card(
    model: HubRef, cells: Sequence[Cell], *, shown: Sequence[Cell], queries: Source, evaluation: HubRef
) -> HubRef:
    """Writes success, evidence recall and steps into a model's card: in the standard metadata, and as a table.

    Args:
        model: The pin that the agents searched with; see `lrat_hub.evaluation.results.write_results`.
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
    return write_results(model, results, section=SECTION, text=text)
