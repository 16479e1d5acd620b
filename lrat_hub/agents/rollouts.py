"""An agent's runs on the questions of a dataset: what retrieves for it, who judges its answers, and their tables."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lrat_hub.agents import Agent, Question, SearchEnvironment
from lrat_hub.agents.journal import Journal
from lrat_hub.errors import LratError
from lrat_hub.judges.answers import AnswerJudge
from lrat_hub.llm.serving import NamedModel, Serving, open_model
from lrat_hub.schema import Trajectory

if TYPE_CHECKING:
    from datasets import Dataset

    from lrat_hub.documents import Documents
    from lrat_hub.hub.inputs import Inputs, Source
    from lrat_hub.retrieval import Retriever

JudgeName = Literal["match", "containment", "llm", "none"]

JUDGED_TOGETHER = 512
"""Runs that are in memory while they are judged."""

_SPECIFIC = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")
"""What tells one error from another of its kind."""

OUTCOMES = {"correct": True, "incorrect": False, "unjudged": None}


def open_retrievers(
    inputs: Inputs, name: str, indexes: Sequence[str], *, corpus: Source, documents: Documents
) -> list[Retriever]:
    """What a stage's options name: an index or several, or one retriever over the whole corpus.

    Args:
        name: Any name that `open_retriever` takes; beside an index, its model where that is not on the Hub, or "".
        indexes: References or URLs.

    Raises:
        LratError: Something can't be opened, or is of another corpus or model.
    """
    from lrat_hub.retrieval.opening import RetrieverOpener, index_name

    opener = RetrieverOpener(corpus, documents, inputs=inputs, show_progress=True)
    if not indexes:
        return [opener.open(name, input_name="retriever")]
    model = inputs.resolve("retriever", name, repo_type="model") if name else None
    names = ["index"] if len(indexes) == 1 else [f"index_{number}" for number in range(1, len(indexes) + 1)]
    return [
        opener.open(index_name(text), input_name=label, model=model)
        for label, text in zip(names, indexes, strict=True)
    ]


def config_folders(folder: Path, agent: Agent, environments: Sequence[SearchEnvironment]) -> list[Path]:
    """Where the journal of the runs with each retriever is kept, in a folder named as their config is.

    Raises:
        LratError: Two of the retrievers have the same name.
    """
    folders: list[Path] = []
    for environment in environments:
        name = re.sub(r"[^\w.-]+", "__", f"{agent.name}_{environment.retriever.name}", flags=re.ASCII)
        if folder / name in folders:
            raise LratError(f"lrat rollout: found two indexes of {environment.retriever.name}. Leave one out.")
        folders.append(folder / name)
    return folders


@contextmanager
def open_judge(name: JudgeName, model: NamedModel | None, serving: Serving | None) -> Iterator[AnswerJudge | None]:
    """The judge of answers that a stage's options name, None for "none"; its server runs while inside `with`.

    Args:
        model: The judge's, for "llm".
        serving: Where it is asked; None while it can't be, and what only it could say is then unjudged.
    """
    from lrat_hub.judges.cache import ReplyCache, default_cache

    if name == "none":
        yield None
    elif name != "llm":
        yield AnswerJudge(containment=name == "containment")
    elif serving is None or model is None:
        yield AnswerJudge(mismatch="unjudged")
    else:
        with open_model(model, serving) as served:
            yield AnswerJudge(served.client, cache=ReplyCache(default_cache()))


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
            self.errors.update(_SPECIFIC.sub("...", step.error) for step in run.steps if step.error)
            self.first_error = self.first_error or metadata.get("error", "")
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
        group = [run for run in runs if outcome == "all" or run[1] is OUTCOMES[outcome]]
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
