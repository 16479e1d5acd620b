"""Files of BrowseComp-Plus: runs and its leaderboard's summary, written; its judge's prompts and verdicts, read.

Runs are read by `lrat import`. The format is that of https://github.com/texttron/BrowseComp-Plus.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub.errors import LratError
from lrat_hub.evaluation.agents import plain_id, recorded_calls, tokens_of
from lrat_hub.evaluation.leaderboard import OfficialScores, retriever_line
from lrat_hub.evaluation.verdicts import VerdictRow
from lrat_hub.judges.replies import CONFLICT, after_thinking
from lrat_hub.schema import Action, Status, Step, Trajectory

if TYPE_CHECKING:
    from lrat_hub.evaluation.agents import Qrels
    from lrat_hub.evaluation.retrieval import TaskComparison

OFFICIAL_JUDGE = "BrowseComp-Plus"

STATUSES: dict[Status, str] = {
    "completed": "completed",
    "limited": "generate an answer as token limit reached",
    "failed": "incomplete",
}
"""Our statuses as runs have them; BrowseComp-Plus itself asks only whether it is "completed"."""

CALLS: dict[Action, str] = {"search": "search", "browse": "get_document"}
"""Actions that count as calls, and the names of their tools in BrowseComp-Plus."""

_FIELDS = ("extracted_final_answer", "[correct_answer]", "reasoning", "correct", "confidence")
_FIELD = re.compile(
    rf"^[\s*_#>-]*({'|'.join(map(re.escape, _FIELDS))})[*_`]*\s*:[*_]*[ \t]*", re.IGNORECASE | re.MULTILINE
)


def run_of(trajectory: Trajectory) -> dict[str, Any]:
    """A trajectory as a run of BrowseComp-Plus, which its scripts evaluate and `lrat import` reads back.

    What that format can't say is lost: whether two calls came in one message, and the errors of invalid calls. Ids are
    plain, since its scripts compare them as texts. The answer is the last item: they look for it nowhere else.
    """
    items: list[dict[str, Any]] = []
    for step in trajectory.steps:
        if step.reasoning:
            items.append(_item("reasoning", step.reasoning))
        if step.action != "answer" and (
            step.action != "invalid" or step.observation or step.turn + 1 < len(trajectory.steps)
        ):
            items.append(_call(step))
    if trajectory.final_answer and trajectory.final_answer.strip():
        items.append(_item("output_text", trajectory.final_answer))
    metadata = {"model": trajectory.agent, "searcher_type": trajectory.retriever}
    metadata |= {name: value for name, value in trajectory.to_dict()["sampling"].items() if value is not None}
    tokens = tokens_of(trajectory)
    retrieved = [hit.docid for step in trajectory.steps for hit in step.results]
    counts: dict[Action, int] = {action: trajectory.count(action) for action in CALLS}
    if (recorded := recorded_calls(trajectory)) is not None:
        retrieved, counts = recorded
    return {
        "metadata": metadata,
        "query_id": plain_id(trajectory.query_id),
        "tool_call_counts": {tool: counts[action] for action, tool in CALLS.items()},
        **({} if tokens is None else {"usage": {"total_tokens": tokens}}),
        "status": STATUSES[trajectory.status],
        "retrieved_docids": sorted(set(map(plain_id, retrieved))),
        "result": items,
        "query": trajectory.question,
        "answer": trajectory.gold_answer,
    }


def missing_run(query_id: str) -> dict[str, Any]:
    """The run of a question that has none: it counts as wrong, where the benchmark would leave it out."""
    calls = dict.fromkeys(CALLS.values(), 0)
    return {
        "query_id": query_id,
        "tool_call_counts": calls,
        "status": "incomplete",
        "retrieved_docids": [],
        "result": [],
    }


def submission(
    trajectories: Iterable[Trajectory],
    verdicts: Sequence[VerdictRow],
    queries: Iterable[str],
    qrels: Qrels | None,
    *,
    agent: str,
    retriever: str,
) -> dict[str, str]:
    """The files of a submission by name: a run for each question, the leaderboard's summary, and the citations.

    The benchmark's script gives the same figures when it reads these runs with the same verdicts. Of several runs of a
    question the first counts, as everywhere in this library.

    Args:
        queries: The ids of all questions of the benchmark.
    """
    first: dict[str, Trajectory] = {}
    for trajectory in trajectories:
        first.setdefault(plain_id(trajectory.query_id), trajectory)
    files: dict[str, str] = {}
    runs: list[dict[str, Any]] = []
    counted: list[VerdictRow] = []
    by_run = {(plain_id(row.query_id), row.trajectory_id): row for row in verdicts}
    for query_id in map(plain_id, queries):
        trajectory = first.get(query_id)
        run = missing_run(query_id) if trajectory is None else run_of(trajectory)
        runs.append(run)
        named = None if trajectory is None else trajectory.trajectory_id
        name = f"run_{_file_name(named or query_id)}"
        name = f"{name}.json" if f"{name}.json" not in files else f"{name}_{len(files)}.json"
        files[name] = json.dumps(run, ensure_ascii=False, indent=1) + "\n"
        # A verdict may name the question alone.
        if row := by_run.get((query_id, named)) or by_run.get((query_id, None)):
            counted.append(row)
    scores = OfficialScores.of(runs, counted, qrels)
    files["evaluation_summary.json"] = json.dumps(scores.summary(agent=agent, retriever=retriever), indent=2) + "\n"
    files["citations.json"] = json.dumps(scores.citations, indent=2) + "\n"
    return files


def leaderboard_files(comparisons: Mapping[str, TaskComparison]) -> dict[str, str]:
    """A file for each system's line, where there are judgements of both kinds; else none."""
    if not {"evidence", "gold"} <= comparisons.keys():
        return {}
    evidence, gold = comparisons["evidence"], comparisons["gold"]
    return {
        f"runs/{name.replace('/', '__')}.leaderboard.json": json.dumps(
            retriever_line(name, evidence, gold), indent=2, ensure_ascii=False
        )
        + "\n"
        for name in evidence.values
    }


def parse_judgement(text: str) -> dict[str, str]:
    """The fields of a reply in the official judge's format, by name; markdown around their names is passed over."""
    text = after_thinking(text) or ""
    fields = list(_FIELD.finditer(text))
    ends = [*(match.start() for match in fields), len(text)][1:]
    return {match[1].lower(): text[match.end() : end].strip() for match, end in zip(fields, ends, strict=True)}


def judged_correct(text: str) -> bool | None:
    """The verdict of a reply in the official judge's format; None where it says neither yes nor no, or both."""
    verdicts = _verdicts(text)
    return "yes" in verdicts if len(verdicts) == 1 else None


def _verdicts(text: str) -> frozenset[str]:
    """What a reply says: "yes", "no", both, or nothing. Answers that it quotes may have fields in them, too."""
    text = after_thinking(text) or ""
    fields = list(_FIELD.finditer(text))
    ends = [*(match.start() for match in fields), len(text)][1:]
    values = [
        text[match.end() : end] for match, end in zip(fields, ends, strict=True) if match[1].lower() == "correct"
    ]
    lines = [
        value.strip().partition("\n")[0] for value in values if re.match(r"\W*(?:yes|no)\b", value, re.IGNORECASE)
    ]
    return frozenset(word.lower() for line in lines for word in re.findall(r"\b(?:yes|no)\b", line, re.IGNORECASE))


def read_verdicts(folder: Path) -> Iterator[VerdictRow]:
    """Verdicts out of the files that the official evaluation leaves, `*_eval.json`.

    A reply that its own parser could not read is read again here: it misses some ways to write "correct: yes".

    Raises:
        LratError: There are no such files, or one of them is something else.
    """
    files = sorted(folder.rglob("*_eval.json"))
    if not files:
        raise LratError(f"{folder}: expected verdicts of BrowseComp-Plus in files named *_eval.json, found none.")
    for file in files:
        try:
            row = json.loads(file.read_text(encoding="utf-8"))
            result, reply = row.get("judge_result") or {}, row.get("judge_response") or ""
            identifier, known = row.get("query_id", file.name.removesuffix("_eval.json")), result.get("correct")
        except (ValueError, AttributeError) as error:
            raise LratError(
                f"{file}: expected a verdict of BrowseComp-Plus, found something else: {error}."
            ) from error
        reply = reply if isinstance(reply, str) else json.dumps(reply)
        is_read = isinstance(known, bool) and not result.get("parse_error")
        percent = result.get("confidence")
        yield VerdictRow(
            query_id=plain_id(str(identifier)),
            judge=_judge_name(row),
            correct=known if is_read else judged_correct(reply),
            extracted=result.get("extracted_final_answer") or parse_judgement(reply).get("extracted_final_answer"),
            reason=CONFLICT
            if not is_read and len(_verdicts(reply)) > 1
            else result.get("reasoning") or parse_judgement(reply).get("reasoning") or "",
            confidence=percent / 100 if is_read and isinstance(percent, (int, float)) else None,
            recovered=not is_read,
        )


def _judge_name(row: Mapping[str, Any]) -> str:
    model = (row.get("model_info") or {}).get("judge_model")
    return f"{OFFICIAL_JUDGE} ({model})" if model else OFFICIAL_JUDGE


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.-]", "_", text)


def _item(kind: str, output: str, name: str | None = None, arguments: str | None = None) -> dict[str, Any]:
    return {"type": kind, "tool_name": name, "arguments": arguments, "output": output}


def _call(step: Step) -> dict[str, Any]:
    if step.action == "browse":
        return _item("tool_call", step.observation, "get_document", json.dumps({"docid": step.docid}))
    if step.action == "invalid":
        return _item("tool_call", step.observation, "invalid", "{}")
    lists = [
        [
            {"docid": hit.docid, "title": hit.title, "snippet": hit.snippet, "score": hit.score}
            for hit in step.results
            if hit.query_index == index
        ]
        for index in range(len(step.queries))
    ]
    queries = list(step.queries)
    asked = queries if len(queries) > 1 else queries[0]
    # What failed is told as it was; result lists are written as that format's own search tool writes them.
    shown = step.observation if step.error else json.dumps(lists if len(lists) > 1 else lists[0], ensure_ascii=False)
    return _item("tool_call", shown, "search", json.dumps({"query": asked}, ensure_ascii=False))
