"""Short ways to write trajectories in tests."""

from __future__ import annotations

from lrat_hub.schema import Candidate, Step, Trajectory


def search(query: str, *docids: str, reasoning: str | None = "I search.") -> Step:
    results = tuple(Candidate(0, rank, docid) for rank, docid in enumerate(docids, start=1))
    return Step(0, reasoning, "search", queries=(query,), results=results)


def browse(docid: str, reasoning: str | None = "I open it.", search_turn: int | None = None) -> Step:
    return Step(0, reasoning, "browse", docid=docid, search_turn=search_turn)


def answer(reasoning: str = "Done.") -> Step:
    return Step(0, reasoning, "answer")


def trajectory(*steps: Step, name: str = "t", correct: bool | None = None) -> Trajectory:
    """A trajectory of these steps, with their turns numbered."""
    from dataclasses import replace

    numbered = tuple(replace(step, turn=turn) for turn, step in enumerate(steps))
    return Trajectory(name, name, f"Question {name}?", numbered, correct=correct)
