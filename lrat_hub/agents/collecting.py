"""What an agent's runs come to: judged, as tables on the disk, and counted as the paper's Table 1 does."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub.agents.journal import Journal
from lrat_hub.agents.runner import Question
from lrat_hub.judges.answers import AnswerJudge
from lrat_hub.schema import OUTCOMES, Trajectory, outcome_of

if TYPE_CHECKING:
    from datasets import Dataset

NOT_SHOWN = "an error that is not shown, as it may quote an obfuscated question"

JUDGED_TOGETHER = 512
"""Runs that are in memory while they are judged."""

_SPECIFIC = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")
"""What tells one error from another of its kind."""


def judged(runs: Iterable[Trajectory], judge: AnswerJudge | None) -> Iterator[Trajectory]:
    """Runs with verdicts on their answers; without a judge as they are."""
    runs = iter(runs)
    while batch := list(islice(runs, JUDGED_TOGETHER)):
        yield from batch if judge is None else judge.judge_runs(batch)


@dataclass
class CollectedRuns:
    """Runs as they are published.

    Args:
        tables: A config for each retriever.
        outcomes: The columns of the paper's Table 1: completed runs, and their mean searches (S), browses (B), B/S
            and steps (T), by retriever and outcome.
        statuses: How runs ended; "missing" is what has not been run yet.
        decided: What gave the verdicts.
        errors: Calls that could not be carried out, by kind.
        first_error: Of a run that failed; "" when none did.
    """

    tables: dict[str, Dataset] = field(default_factory=dict)
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    decided: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    first_error: str = ""

    def counted(self, runs: Iterable[Trajectory]) -> Iterator[Trajectory]:
        """The runs as they pass, with what they add to the counts."""
        for run in runs:
            metadata = json.loads(run.metadata)
            if "judge" in metadata:
                self.decided[f"{metadata['judge']['verdict']}, {metadata['judge']['by']}"] += 1
            # An error can quote the question, and counts are published.
            shown = (lambda text: text) if run.canary is None else (lambda _: NOT_SHOWN)
            self.errors.update(shown(_SPECIFIC.sub("...", step.error)) for step in run.steps if step.error)
            self.first_error = self.first_error or (shown(metadata["error"]) if "error" in metadata else "")
            yield run

    def to_dict(self) -> dict[str, Any]:
        """The counts, for lineage and card."""
        return {
            "statuses": {status: self.statuses[status] for status in ("completed", "limited", "failed", "missing")},
            "verdicts": dict(sorted(self.decided.items())),
            "errors": dict(sorted(self.errors.items(), key=lambda entry: (-entry[1], entry[0]))),
            "outcomes": self.outcomes,
        }


def collect_runs(
    journals: Mapping[str, Journal], questions: Sequence[Question], judge: AnswerJudge | None, folder: Path
) -> CollectedRuns:
    """All runs of all journals, judged, in tables on the disk.

    Args:
        journals: By the name of the config.
        folder: Where the tables' files go.
    """
    from lrat_hub.storage import write_trajectories

    collected = CollectedRuns()
    for name, journal in journals.items():
        runs = collected.counted(judged(journal.trajectories(questions), judge))
        table = write_trajectories(runs, folder / f"{name}.arrow")
        collected.statuses.update(journal.statuses(questions))
        if len(table):
            collected.tables[name] = table
            collected.outcomes += outcome_rows(table, journal.settings["retriever"]["name"])
    return collected


def outcome_rows(table: Dataset, retriever: str) -> list[dict[str, Any]]:
    """The rows of Table 1 for one retriever: correct, incorrect and unjudged runs where there are any, and all."""
    columns = ("status", "correct", "num_searches", "num_browses")
    runs = [run for run in zip(*(table[column] for column in columns), strict=True) if run[0] == "completed"]
    rows = []
    for outcome in (*OUTCOMES, "all"):
        group = [run for run in runs if outcome == "all" or outcome_of(run[1]) == outcome]
        if group or outcome == "all":
            searches, browses = sum(run[2] for run in group), sum(run[3] for run in group)
            size = max(len(group), 1)
            rows.append(
                {
                    "retriever": retriever,
                    "outcome": outcome,
                    "N": len(group),
                    "Avg. S": searches / size,
                    "Avg. B": browses / size,
                    "B/S": browses / searches if searches else None,
                    "Avg. T": (searches + browses) / size,
                }
            )
    return rows
