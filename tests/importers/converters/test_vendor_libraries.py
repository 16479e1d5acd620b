"""Logs that the vendors' own libraries wrote, of runs whose model or server answers by a script.

`vendors/agents_*` are a session of the Agents SDK in SQLite, its run items, and its run state (`openai-agents` 0.24);
`responses` and `anthropic_batch` went through the classes of `openai` 3.57 and `anthropic` 2.14; `claude_code_*` were
written by the command of `claude-agent-sdk` 0.2.189, without the lines that hold no part of a run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lrat_hub.importers import Accounts, read_trajectories, recognise_format
from lrat_hub.schema import Trajectory

LOGS = Path(__file__).parent / "vendors"

LIGHTHOUSE = [
    ("Who built it?", {"lighthouse keeper log": ["11", "12"]}), (None, {"lighthouse builder": ["21", "22"]}),
    ("The second hit fits.", "22"), ("", {"tower year": [], "tower height": []}),
    ("Open the first.", "https://a.example/1"), "Built in 1812.",
]  # fmt: skip
KEEPER = [("Another question.", {"keeper name": ["31"]}), "Its keeper was Ada."]
PAGES = ["https://a.example/1", "https://a.example/2"]
OLD = [
    ("I look in the wiki first.\nSearching.", {"old lighthouse": ["41", "42"]}), (None, {"its keeper": ["41", "42"]}),
    ("42 looks right.", "42"), ("Now the web.", {"lighthouse keeper 1812": PAGES}),
    ("Open the page.", "https://a.example/1 failed"), "The keeper was Ada.",
]  # fmt: skip
WITHOUT_WORDS = [step if isinstance(step, str) else (step[0] and "", step[1]) for step in OLD]
EXPECTED: dict[str, tuple[str, list[tuple[str, list[Any]]]]] = {
    "agents_session": (
        "openai-responses", [("Who built the lighthouse, and when?", LIGHTHOUSE), ("And who kept it?", KEEPER)],
    ),
    "agents_run_items": ("openai-responses", [("", LIGHTHOUSE)]),
    "agents_state": ("openai-responses", [("Who built the lighthouse, and when?", LIGHTHOUSE)]),
    "responses": (
        "openai-responses",
        [
            (
                "What of bells?",
                [
                    ("Files.", {"bell": ["file-1", "file-2"]}), ("", {"bell": [], "tower": []}),
                    ("", {"bells": ["9"]}), ("", "9 failed"), ("", {"q1": []}), ("", {"q1": [], "q2": []}),
                    ("", "https://a.example/1 failed"), "1700.",
                ],
            ),
            ("When?", [("Look it up.", {"bell": ["7", "8"]}), ("Seven.", "7"), "1700."]),
        ],
    ),
    "anthropic_batch": (
        "anthropic",
        [
            (
                "",
                [
                    ("Search first.", {"bell tower": ["https://a.example/1"]}), ("Open it.", "https://a.example/1"),
                    ("One more.", {"bell founder": []}), ("", "https://a.example/9 failed"),
                    ("", {"bells": ["5", "6"]}), "The bell is of 1700.",
                ],
            )
        ],
    ),
    "claude_code_session": (
        "claude-code",
        [("Who kept the old lighthouse?", OLD), ("And what is the time?", ["The keeper was Ada."])],
    ),
    "claude_code_limit": ("claude-code", [("Who kept the old lighthouse, again?", [*OLD[:3], None])]),
    "claude_code_subagent": ("claude-code", [("SUBTASK find it", OLD)]),
    # The words of subagents are not in this stream, apart from their reports.
    "claude_code_stream": ("claude-code", [("", ["Done."]), ("SUBTASK find it", WITHOUT_WORDS)]),
}  # fmt: skip


def shown(run: Trajectory) -> list[Any]:
    """A run's reasoning and actions, and its answer."""
    steps: list[Any] = []
    for step in run.steps:
        if step.action == "search":
            lists = {
                query: [hit.docid for hit in step.results if hit.query_index == index]
                for index, query in enumerate(step.queries)
            }
            steps.append((step.reasoning, lists))
        elif step.action == "browse":
            steps.append((step.reasoning, f"{step.docid}{' failed' if step.error else ''}"))
    return [*steps, run.final_answer]


@pytest.mark.parametrize("name", EXPECTED)
def test_logs_of_the_vendors_own_libraries_are_read(name: str) -> None:
    (log,) = LOGS.glob(f"{name}.*")
    expected_format, expected = EXPECTED[name]
    recognised, accounts = recognise_format(log), Accounts()
    assert recognised is not None
    assert recognised.format == expected_format
    assert [(run.question, shown(run)) for run in read_trajectories(log, accounts)] == expected
    assert not accounts.parts.dropped
    accounts.to_dict()
