"""Rows of SkimSearchAgent's run record, `rows.jsonl`: a line for each question, with its episode.

Source: ielab/skim-search-agent@0eab410: docs/RUN_RECORD.md, agent_search/training/triples.py. Its tools have a name
for each setting (`search_s`, `bm25_search`, `fetch_s`); here they are `search` and `visit`, by the same rule as there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lrat_hub.importers.chat_messages import assistant
from lrat_hub.importers.converters.research import answered
from lrat_hub.importers.converters.tag_calls import call
from lrat_hub.importers.converters.tagged import tagged_messages
from lrat_hub.importers.converters.tagged_lists import Row, ranked_rows
from lrat_hub.importers.values import UnreadableRecord, docid_of, integer_of, listed, object_of, text_of
from lrat_hub.ledger import Ledger

Messages = list[dict[str, Any]]

_READS = frozenset({"visit", "fetch", "read", "get_document", "open"})
_STOPS = {"answer": "completed", "submit": "completed", "stop": "completed", "fix": "completed"}
_FETCH_ERROR = re.compile(r"\s*(?:\w+:\s*)?(?:\[[^\n]{0,300}\]\s*)?ERROR\b")


def recognise_skimsearch(value: Any) -> str | None:
    """Why a value is a row of SkimSearchAgent's run record, or None."""
    steps = object_of(value).get("trajectory")
    first = object_of(steps[0]) if isinstance(steps, list) and steps else {}
    if isinstance(first.get("action"), str) and "observation" in first and ("args" in first or "query" in first):
        return "a row with a `trajectory` of actions and observations"
    return "a row of a run record without an episode" if _is_skipped(value) else None


def _is_skipped(value: Any) -> bool:
    return isinstance(value, dict) and "skipped" in value and "instance_id" in value


def convert_skimsearch(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """The run of one row.

    Raises:
        UnreadableRecord: It has no trajectory: the row of an instance that was skipped.
    """
    record = object_of(value)
    if _is_skipped(value):
        raise UnreadableRecord(f"an instance that the run skipped: {text_of(record['skipped'])[:40]}")
    if not isinstance(record.get("trajectory"), list):
        raise UnreadableRecord("not a row of SkimSearchAgent: no `trajectory`")
    known = {
        docid: row for row in map(object_of, listed(record.get("retrieved"))) if (docid := docid_of(row.get("doc_id")))
    }
    observations = listed(record.get("observations"))
    messages: Messages = []
    hits: list[str] = []
    for number, step in enumerate(record["trajectory"]):
        if not isinstance(step, dict) or not isinstance(step.get("action"), str):
            parts.drop("step without an action", example=text_of(step))
            continue
        parts.keep()
        if step["action"] in _STOPS:
            # The reasoning before the answer; the answer itself is `final_answer`.
            messages.append(assistant("", _thoughts(step)))
            continue
        # Older rows keep a shortened observation in the step, and the whole one beside the trajectory.
        shown = _words(observations[number]) if number < len(observations) else ""
        shown = shown or _words(step.get("observation"))
        messages.extend(_skim_step(step, shown, hits, known))
    answer = record.get("final_answer") if isinstance(record.get("final_answer"), str) else None
    left_out = ("trajectory", "retrieved", "observations", "actions", "queries", "hits_per_step", "surfaced_docs",
                "declared", "tool_description", "judge_reasoning", "settings")  # fmt: skip
    run = {key: record[key] for key in record if key not in left_out}
    stopped, settings = record.get("stopped"), object_of(record.get("settings"))
    run |= {"correct": record["judge_correct"]} if isinstance(record.get("judge_correct"), bool) else {}
    run |= {"status": _STOPS.get(stopped, stopped)} if isinstance(stopped, str) else {}
    run |= {"agent": settings["model"]} if isinstance(settings.get("model"), str) else {}
    yield {**run, "query_id": record.get("instance_id"), "messages": answered(messages, answer)}


def _skim_step(step: Mapping[str, Any], shown: str, hits: list[str], known: Mapping[str, Any]) -> Messages:
    """A step as a message with a call and one with its result; `hits` are the documents of the last list."""
    name, arguments = step["action"], object_of(step.get("args"))
    message: dict[str, Any] = {"role": "tool", "content": shown}
    kind = name.rpartition("_")[0] or name
    if "search" in name or name == "grep":
        queries = [query for query in (step.get("query"), arguments.get("query"), arguments.get("pattern")) if query]
        # The tools run the first query of a list.
        query = next(iter(listed(queries[0])), "") if queries else ""
        rows = {row["docid"]: row for row in ranked_rows(shown)}
        ids = [docid for hit in listed(step.get("hit_ids")) if (docid := docid_of(hit))] or list(rows)
        hits[:] = ids
        message["results"] = [[_skim_row(docid, rows.get(docid) or known.get(docid) or {}) for docid in ids]]
        made = call("search", {"query": text_of(query)})
    elif name in _READS or kind in _READS:
        docids = [docid for hit in listed(step.get("read_ids")) if (docid := docid_of(hit))]
        docids = docids or list(_referred(arguments, hits))
        message["docids"] = docids
        if _FETCH_ERROR.match(shown):
            message["is_error"] = True
        made = call("visit", {"docid": docids[0] if len(docids) == 1 else docids})
    else:
        made = call(name, dict(arguments))
    return [assistant("", _thoughts(step), [made]), message]


def _skim_row(docid: str, row: Mapping[str, Any]) -> Row:
    return {"docid": docid, "title": _words(row.get("title")), "snippet": _words(row.get("snippet"))}


def _referred(arguments: Mapping[str, Any], hits: Sequence[str]) -> Iterator[str]:
    """The documents that arguments name: by a place in the last list, or by an id."""
    references = [arguments.get(key) for key in ("rank", "id", "doc", "doc_id", "docid")]
    references += [part[0] for part in listed(arguments.get("specs")) if isinstance(part, list) and part]
    seen: set[str] = set()
    for reference in references:
        name = docid_of(reference)
        if name is None:
            continue
        rank = integer_of(int(name)) if name.isdecimal() and len(name) < 6 else None
        docid = hits[rank - 1] if rank is not None and 1 <= rank <= len(hits) else name
        if docid not in seen:
            seen.add(docid)
            yield docid


def _thoughts(step: Mapping[str, Any]) -> str:
    """What the model wrote before its call."""
    text = _words(step.get("raw_output"))
    written = tagged_messages(text) if text else None
    if written is None:
        return text.strip()
    first = written[0]
    if step["action"] in _STOPS:
        return first.get("reasoning_content", "")
    return "\n".join(filter(None, (first.get("reasoning_content", ""), _words(first.get("content")))))


def _words(value: Any) -> str:
    return value if isinstance(value, str) else ""
