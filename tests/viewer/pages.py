"""Runs that a page must cope with, and reading what a page has as its own scripts do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from lrat_hub.schema import Candidate, Sampling, Step, Trajectory

HOSTILE = '<img src=x onerror="window.hacked=1"></script><script>window.hacked=1</script>'
ADDRESS = "https://example.org/a/very/long/address/that/does/not/end?query=with&many=parameters&and=more"
CANARY = "BrowseComp:canary:00000000"


def hits(*docids: str, query: int = 0) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(query, rank, docid, f"Title of {docid}", f"Snippet of {docid}.", 10 / rank)
        for rank, docid in enumerate(docids, start=1)
    )


def run(number: int, *, steps: tuple[Step, ...] | None = None, **fields: Any) -> Trajectory:
    """A run that searches twice, opens what it lists, and answers; its question has three runs."""
    question = number // 3
    steps = steps or (
        Step(0, "I look for it.", "search", queries=("first", "second"),
             results=hits("a", "b", "c") + hits("c", "d", query=1)),
        Step(1, "The third one seems right.", "browse", docid="c", observation="The page of c."),
        Step(2, "It says nothing of the year, so I search again.", "search", queries=("year",), results=hits("e")),
        Step(3, None, "browse", docid="e", observation="The page of e."),
        Step(4, "Now I know.", "answer"),
    )  # fmt: skip
    values: dict[str, Any] = {
        "question": f"What is question {question}?",
        "gold_answer": "1934", "final_answer": "In 1934.", "correct": (True, False, None)[number % 3],
        "agent": "an agent", "retriever": ("bm25", "dense")[number % 2],
    }  # fmt: skip
    return Trajectory(f"run-{number}", f"q{question}", steps=steps, **(values | fields))


def hostile_run(odd: str = "half a pair \ud83d of surrogates") -> Trajectory:
    """A run all of whose texts are markup with scripts, too long, or missing. Arrow takes no half pairs."""
    steps = (
        Step(0, HOSTILE + "A long thought. " * 400, "search", queries=(HOSTILE, "nothing"),
             results=(Candidate(0, 1, ADDRESS, HOSTILE, HOSTILE, float("nan")), Candidate(0, 2, HOSTILE))),
        Step(1, "x" * 400, "browse", docid=ADDRESS, observation=HOSTILE + "w " * 20_000),
        Step(2, "", "browse", docid=HOSTILE, error=HOSTILE),
        Step(3, odd + " \u2028", "invalid", observation=HOSTILE, error=HOSTILE),
    )  # fmt: skip
    return Trajectory(
        HOSTILE, "hostile", HOSTILE + " Why? " * 60, steps, gold_answer=HOSTILE, final_answer=HOSTILE,
        status="limited", agent=HOSTILE, agent_revision="a" * 40, retriever=HOSTILE,
        sampling=Sampling(temperature=0.0),
    )  # fmt: skip


def read_data(folder: Path, name: str) -> Any:
    """The value in a file of data."""
    text = (folder / "data" / f"{name}.js").read_text(encoding="utf-8")
    match = re.fullmatch(rf'lrat\.take\("{re.escape(name)}",(.*)\)\n', text, re.DOTALL)
    assert match is not None, text[:200]
    return json.loads(match[1])


def read_index(folder: Path) -> list[dict[str, Any]]:
    """All runs of the index, in their order."""
    count = len(list((folder / "data" / "index").iterdir()))
    parts = [read_data(folder, f"index/{number}")[0] for number in range(count)]
    return [dict(zip(part, values, strict=True)) for part in parts for values in zip(*part.values(), strict=True)]
