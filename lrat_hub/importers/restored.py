"""Runs that were trajectories before, made again of what rows and traces say of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast, get_args

from lrat_hub.importers.actions import Recorder
from lrat_hub.importers.values import integer_of, listed, number_of, object_of, sampling_of, text_of
from lrat_hub.schema import Action, Candidate, Status, Step, Trajectory

INT32 = range(-(2**31), 2**31)


def restored_run(name: str, columns: Mapping[str, Any], recorder: Recorder) -> Trajectory:
    """The run of the steps that were recorded.

    Args:
        columns: What is known of the run; what can't be read of it is counted.
    """
    known = {key: value for key, value in columns.items() if key in _COLUMNS and _COLUMNS[key](value)}
    recorder.ledger.note("columns of a run that could not be read", len(_COLUMNS.keys() - known.keys()))
    sampling = sampling_of(object_of(known.pop("sampling", None)))
    blank: dict[str, Any] = {"trajectory_id": name, "query_id": name, "question": ""}
    return Trajectory(**(blank | known), steps=recorder.finish(restored=True), sampling=sampling)


def restore_step(extra: Mapping[str, Any], content: str, recorder: Recorder) -> None:
    """A step by what is known of it beside its reasoning, which the recorder has.

    Args:
        content: What it showed, but for an answer, whose observation stands in `extra`.
    """
    action, joined = extra.get("action"), extra.get("joined") is True
    queries, docid, error = extra.get("queries", []), extra.get("docid"), extra.get("error")
    search_turn = integer_of(extra.get("search_turn"), INT32)
    rows = listed(extra.get("results"))
    results = [hit for row in rows if (hit := _candidate(row)) is not None]
    if (
        action not in get_args(Action)
        or len(results) < len(rows)
        or not (isinstance(queries, (list, tuple)) and all(isinstance(query, str) for query in queries))
        or not (_is_optional_text(docid) and _is_optional_text(error))
        or (action == "invalid" and error is None)
        or (action == "browse" and docid is None)
        or any(not 0 <= hit.query_index < len(queries) for hit in results)
    ):
        recorder.invalid("step can't be read", content, joined=joined)
        return
    observation = text_of(extra.get("observation")) if action == "answer" else content
    recorder.restore(
        Step(0, None, cast("Action", action), tuple(queries), tuple(results), docid, observation, error, search_turn),
        joined=joined,
    )


def _candidate(row: Any) -> Candidate | None:
    values = object_of(row)
    query_index, rank = (integer_of(values.get(key), INT32) for key in ("query_index", "rank"))
    docid, title, snippet = (values.get(key, "") for key in ("docid", "title", "snippet"))
    if query_index is None or rank is None or not all(isinstance(text, str) for text in (docid, title, snippet)):
        return None
    return Candidate(query_index, rank, docid, title, snippet, number_of(values.get("score")))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_optional_text(value: Any) -> bool:
    return value is None or isinstance(value, str)


_COLUMNS: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("trajectory_id", "query_id", "question", "agent", "retriever", "metadata"), _is_text),
    **dict.fromkeys(("gold_answer", "final_answer", "agent_revision", "retriever_revision"), _is_optional_text),
    "status": lambda value: value in get_args(Status),
    "correct": lambda value: value is None or isinstance(value, bool),
    "sampling": lambda value: isinstance(value, dict),
}
"""The columns of a run beside its steps, and which values they can have."""
