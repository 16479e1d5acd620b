"""Natural questions over the Wikipedia passages, and a large language model's runs on them: see docs/recorded_runs.md.

Only what was written for this project is stored: questions, answers, thoughts and queries. Passages are named by their
docids, and their texts come from the dump (`lrat_hub.demo.wikipedia`). A language model's verdicts on the opened
passages of the training runs are there as rows, and `RecordedJudge` gives them to whoever mines the runs.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from lrat_hub.agents.environment import SearchEnvironment
from lrat_hub.demo.wikipedia import read_documents
from lrat_hub.importers import trace_files
from lrat_hub.llm.chat import run_blocking
from lrat_hub.retrieval import Hit
from lrat_hub.schema import Document, Pair, Step, Trajectory, Verdict

AGENT = "a large language model, November 2026"

K, SNIPPET_WORDS = 10, 20
"""What the agent was shown of a search: results of each query, and words of each passage."""

SPLITS = ("train", "dev", "test")

_QUESTIONS, _RUNS, _VERDICTS = "questions.jsonl.gz", "runs.jsonl.gz", "verdicts.jsonl.gz"


@dataclass(frozen=True)
class NaturalQuestion:
    """A question that was written by somebody who had read the passages, and read again by somebody who had not.

    Args:
        split: No article is asked about in two splits.
        kind: "two_hop" and "comparison" need several passages; a "description" leaves out the name of its subject.
        aliases: Other right ways to write the answer.
        evidence: Docids of the passages that give the answer together.
        also: Further docids that the second reader would have taken in place of one of these.
        problem: What the second reader objected to; "" for most.
    """

    query_id: str
    split: Literal["train", "dev", "test"]
    kind: Literal["one_hop", "two_hop", "comparison", "description"]
    question: str
    answer: str
    aliases: tuple[str, ...]
    evidence: tuple[str, ...]
    also: tuple[str, ...]
    problem: str


def read_questions() -> list[NaturalQuestion]:
    """All questions, those of the training articles first."""
    lists = ("aliases", "evidence", "also")
    return [NaturalQuestion(**{**row, **{name: tuple(row[name]) for name in lists}}) for row in _rows(_QUESTIONS)]


def read_runs(documents: Mapping[str, Document]) -> list[Trajectory]:
    """The recorded runs as they were: what was shown is put together again from the passages.

    Scores are not stored, and nobody has judged the answers.

    Args:
        documents: The passages of all articles of the dump, by docid.
    """
    questions = {question.query_id: question for question in read_questions()}

    async def restored() -> list[Trajectory]:
        return [await _restored(row, questions[row["query_id"]], documents) for row in _rows(_RUNS)]

    return run_blocking(restored())


def write_logs(folder: Path) -> dict[str, int]:
    """Writes the runs as files of logs, a folder a split, and gives how many runs each has."""
    split_of = {question.query_id: question.split for question in read_questions()}
    runs: dict[str, list[Trajectory]] = {"train": [], "test": []}
    for run in read_runs(read_documents()):
        runs[split_of[run.query_id]].append(run)
    for split, those in runs.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        for name, content in trace_files(those).items():
            (folder / split / Path(name).name).write_text(content, encoding="utf-8")
    return {split: len(those) for split, those in runs.items()}


def held_out_docids(docids: Iterable[str]) -> set[str]:
    """Those of the passages whose articles the questions of dev and test are about: nobody may train on them."""
    asked = {_article(docid) for one in read_questions() if one.split != "train" for docid in one.evidence}
    return {docid for docid in docids if _article(docid) in asked}


def _article(docid: str) -> str:
    return docid.partition("-")[0]


class RecordedJudge:
    """The verdicts that a language model gave on the opened passages of all runs, out of the package.

    Mining with `lrat_hub.demo.recorded:RecordedJudge` as the judge needs no model. What it was not asked
    about is "unjudged".

    Args:
        rows: The verdicts by `trajectory_id`, `browse_turn` and `docid`; those of the package if None.
    """

    name = "recorded"

    def __init__(self, rows: Sequence[Mapping[str, Any]] | None = None) -> None:
        rows = list(_rows(_VERDICTS)) if rows is None else rows
        self.prompt = hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]
        self._verdicts: dict[tuple[str, int, str], Verdict] = {
            (row["trajectory_id"], row["browse_turn"], row["docid"]): row["verdict"] for row in rows
        }

    def judge(self, pairs: Sequence[Pair]) -> list[Verdict]:
        asked = ((pair.trajectory_id, pair.browse_turn, pair.positive_id) for pair in pairs)
        return [self._verdicts.get(key, "unjudged") for key in asked]


def _rows(name: str) -> Iterator[dict[str, Any]]:
    for line in gzip.decompress(files("lrat_hub.demo").joinpath(name).read_bytes()).decode().splitlines():
        yield json.loads(line)


async def _restored(row: dict[str, Any], question: NaturalQuestion, documents: Mapping[str, Document]) -> Trajectory:
    steps: list[Step] = []
    for turn, kept in enumerate(row["steps"]):
        step = Step(turn, kept["reasoning"], kept["action"], error=kept.get("error"))
        if step.action == "search":
            lists = dict(zip(kept["queries"], kept["results"], strict=True))
            shown = await _environment(lists, documents).search(kept["queries"])
            results = tuple(replace(candidate, score=None) for candidate in shown.results)
            step = replace(step, queries=tuple(kept["queries"]), results=results, observation=shown.text)
        elif step.action == "browse":
            shown = await _environment({}, documents).browse(kept["docid"])
            step = replace(step, docid=kept["docid"], observation=shown.text)
        elif step.action == "invalid":
            step = replace(step, observation=kept["observation"])
        steps.append(step)
    return Trajectory(
        f"{question.query_id}-0", question.query_id, question.question, tuple(steps),
        gold_answer=question.answer, final_answer=row["final_answer"], agent=AGENT, retriever=row["retriever"],
    )  # fmt: skip


def _environment(lists: Mapping[str, Sequence[str]], documents: Mapping[str, Document]) -> SearchEnvironment:
    return SearchEnvironment(_Recorded(lists), documents, k=K, snippet_tokens=SNIPPET_WORDS)


class _Recorded:
    """A retriever that lists what was listed."""

    name = "recorded"
    revision: str | None = None

    def __init__(self, lists: Mapping[str, Sequence[str]]) -> None:
        self._lists = lists

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        return [[Hit(docid, 0.0, rank) for rank, docid in enumerate(self._lists[query], 1)] for query in queries]
