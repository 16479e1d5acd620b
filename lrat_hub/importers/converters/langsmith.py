"""LangSmith's runs: trees with `child_runs`, and the lists of single runs of an export, by their traces.

Checked with the runs that the tracer of langchain-core 1.8.3 with langsmith 0.15.1 (PyPI) makes; the columns of the
bulk export with records of our own alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lrat_hub.importers.converters.dialects import messages_in
from lrat_hub.importers.converters.observations import (
    Kind,
    Observation,
    arguments_of,
    documents_of,
)
from lrat_hub.importers.converters.trace_values import Unknown, call_id_in, parsed, question_in, shown_text
from lrat_hub.importers.converters.transcripts import runs_of
from lrat_hub.importers.sources.grouping import by_key, parts_of
from lrat_hub.importers.times import seconds_of
from lrat_hub.importers.values import UnreadableRecord, identifier_of, listed, number_of, object_of, text_of
from lrat_hub.ledger import Ledger

MAX_RUNS = 100_000

_KINDS: Mapping[str, Kind] = {"llm": "model", "tool": "tool", "retriever": "retriever"}
_RUN_TYPES = {"chain", "llm", "tool", "retriever", "embedding", "prompt", "parser", "agent"}
_VERDICTS = ("correctness", "correct", "accuracy", "exact_match", "is_correct")
"""Names of feedback that says whether the answer is correct."""


def recognise_langsmith(value: Any) -> str | None:
    """Why a record is a run of LangSmith, or None."""
    if not isinstance(value, dict) or text_of(value.get("run_type")) not in _RUN_TYPES:
        return None
    if "inputs" not in value and "outputs" not in value:
        return None
    return "a run of LangSmith, with `run_type`, `inputs` and `outputs`"


def trace_of(value: Any) -> str | None:
    """The trace of a run that stands in a list of runs; None for a run that has its children with it."""
    if not isinstance(value, dict) or "run_type" not in value or _children(value):
        return None
    # The order starts with that of the root: a time and, behind the Z, its id.
    order = value.get("dotted_order")
    root = order.partition(".")[0].rpartition("Z")[2] if isinstance(order, str) else None
    parent = identifier_of(value.get("parent_run_id"))
    return identifier_of(value.get("trace_id")) or root or parent or identifier_of(value.get("id"))


group_langsmith = by_key(trace_of)
"""Puts the runs of a trace together."""


def convert_langsmith(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """Chat records of the runs of a trace, or of a run with its children.

    Args:
        parts: The account of runs.

    Raises:
        UnreadableRecord: It is no run.
    """
    runs = [run for part in parts_of(value) for run in _flat(part)]
    if not any(recognise_langsmith(run) for run in runs):
        raise UnreadableRecord("not a run of LangSmith: no `run_type` with inputs or outputs")
    ids = {identifier_of(run.get("id")) for run in runs} - {None}
    roots = [run for run in runs if identifier_of(run.get("parent_run_id")) not in ids]
    at_the_root = set(map(id, roots))
    unknown = Unknown(parts)
    observations: list[Observation] = []
    for run in runs:
        if (kind := run.get("run_type")) is None or text_of(kind) in _RUN_TYPES:
            parts.keep()
        else:
            parts.drop(f"run of unknown type {kind!r:.40}", example=str(run.get("name", "")))
        observations.append(_observation(run, unknown, is_root=id(run) in at_the_root))
    for is_main, record in runs_of(observations, parts):
        yield {**record, **(_outcome(roots[0]) if is_main and roots else {}), "metadata": _metadata(roots)}


def _children(run: Mapping[str, Any]) -> list[Any]:
    children = parsed(run.get("child_runs"))
    return children if isinstance(children, list) else []


def _flat(run: Any, parent: str | None = None) -> Iterator[dict[str, Any]]:
    """A run and those below it."""
    waiting = [(run, parent)]
    count = 0
    while waiting and count < MAX_RUNS:
        value, above = waiting.pop()
        if not isinstance(value, dict):
            continue
        count += 1
        # Runs within runs need not say what they are in, nor have an id.
        run_id = identifier_of(value.get("id")) or f"run {count}"
        yield {**value, "id": run_id, "parent_run_id": value.get("parent_run_id") or above}
        waiting += [(child, run_id) for child in reversed(_children(value))]


def _observation(run: Mapping[str, Any], unknown: Unknown, *, is_root: bool) -> Observation:
    run_type = run.get("run_type")
    kind = _KINDS.get(run_type, "other") if isinstance(run_type, str) else "other"
    name = run.get("name")
    item = Observation(
        kind,
        identifier_of(run.get("id")),
        identifier_of(run.get("parent_run_id")),
        seconds_of(run.get("start_time")),
        name if isinstance(name, str) else "",
        failed=bool(run.get("error")) or run.get("status") == "error",
    )
    inputs, outputs = parsed(run.get("inputs")), parsed(run.get("outputs"))
    if kind == "tool":
        item.arguments = arguments_of(inputs)
        item.shown = shown_text(outputs) or (str(run["error"]) if isinstance(run.get("error"), str) else "")
        item.call_id = call_id_in(outputs)
        output = object_of(object_of(outputs).get("output"))
        item.failed = item.failed or (object_of(output.get("kwargs")) or output).get("status") == "error"
    elif kind == "retriever":
        text = question_in(inputs)
        item.arguments = {"query": text} if text else arguments_of(inputs)
        item.documents = documents_of(outputs)
        item.shown = shown_text(outputs)
    elif kind != "other" or is_root:  # chains repeat what the calls within them say
        item.inputs = messages_in(inputs, unknown)
        item.outputs = messages_in(outputs, unknown, role="assistant")
        item.question, item.answer = question_in(inputs), question_in(outputs)
        item.model, item.sampling = _settings(run)
    return item


def _settings(run: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The model and its sampling parameters."""
    extra = object_of(parsed(run.get("extra")))
    metadata, invocation = object_of(extra.get("metadata")), object_of(extra.get("invocation_params"))
    names = (metadata.get("ls_model_name"), invocation.get("model"), invocation.get("model_name"))
    model = next((name for name in names if isinstance(name, str) and name), "")
    sampling = {key: metadata.get(f"ls_{key}", invocation.get(key)) for key in ("temperature", "top_p", "seed")}
    return model, {key: value for key, value in sampling.items() if number_of(value) is not None}


def _outcome(root: Mapping[str, Any]) -> dict[str, Any]:
    """What the run, its feedback and the example that it was made for say of its outcome."""
    outcome: dict[str, Any] = {}
    example = identifier_of(root.get("reference_example_id"))
    if example is not None:
        outcome["query_id"] = example
    reference = root.get("reference_outputs", root.get("reference_example_outputs"))
    if gold := question_in(reference):
        outcome["gold_answer"] = gold
    verdicts = {
        value
        for name, feedback in object_of(parsed(root.get("feedback_stats"))).items()
        if name in _VERDICTS and (value := _verdict(feedback)) is not None
    }
    if len(verdicts) == 1:
        outcome["correct"] = verdicts.pop()
    return outcome


def _verdict(feedback: Any) -> bool | None:
    """The verdict in the statistics of a feedback: all that was given is 1, or all is 0."""
    stats = object_of(feedback)
    average = stats.get("avg", stats.get("score", feedback))
    if isinstance(average, bool):
        return average
    return {0.0: False, 1.0: True}.get(number) if (number := number_of(average)) is not None else None


def _metadata(roots: list[dict[str, Any]]) -> dict[str, Any]:
    root = roots[0] if roots else {}
    metadata = {"run_id": identifier_of(root.get("id")), "name": root.get("name")}
    metadata["tags"] = [tag for tag in listed(root.get("tags")) if isinstance(tag, str)]
    return {key: value for key, value in metadata.items() if value}
