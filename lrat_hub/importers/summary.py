"""What an import came to as a whole: runs, actions and documents in numbers."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from lrat_hub.importers.redaction.redactor import docids_of
from lrat_hub.schema import OUTCOMES, Trajectory
from lrat_hub.walk.opens import Opens

SHORT_PAGE = 60
"""Characters up to which one line is hardly a document."""

UNKNOWN_TOOL = re.compile(r"unknown tool:? *")
TOOLS_COUNTED = 1_000
"""Names of unknown tools that are counted apart: a log may hold any number of them."""


@dataclass
class Summary:
    """Counts over trajectories. They are the same whatever the number of runs: nothing is kept of each.

    Args:
        runs, searches, browses: Trajectories, and actions of theirs, by outcome and in "all".
        statuses: Trajectories by status.
        actions: Steps by action.
        queries, lists: Queries that were sent, and those of them with at least one candidate.
        failed: Searches and browses that failed.
        unknown_tools: Calls of tools of which nobody knows what they do, by the tool.
        opening, without_action, without_question, without_answer: Trajectories with a browse that opened something,
            with neither a search nor a browse, with no question, and with no answer.
        texts: Steps that show a title or a text of a document.
        docids: Documents that were listed or opened, distinct in each run.
        golden, repeated_answers: Trajectories with a gold answer, and those whose own answer is the same.
        short_pages: Opened documents of which the log shows one short line, and `short_page`, the first in the
            alphabet.
        opens: How often searches were followed by an opened document of their lists.
        questions: At most two of the questions, which is enough to know whether they differ.
    """

    runs: Counter[str] = field(default_factory=Counter)
    searches: Counter[str] = field(default_factory=Counter)
    browses: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    unknown_tools: Counter[str] = field(default_factory=Counter)
    queries: int = 0
    lists: int = 0
    opening: int = 0
    without_action: int = 0
    without_question: int = 0
    without_answer: int = 0
    texts: int = 0
    docids: int = 0
    golden: int = 0
    repeated_answers: int = 0
    short_pages: int = 0
    short_page: str = ""
    opens: Opens = field(default_factory=Opens)
    questions: set[str] = field(default_factory=set)

    def count(self, run: Trajectory) -> None:
        actions = Counter(step.action for step in run.steps)
        self.actions.update(actions)
        for name in (run.outcome, "all"):
            self.runs[name] += 1
            self.searches[name] += actions["search"]
            self.browses[name] += actions["browse"]
        self.statuses[run.status] += 1
        for step in run.steps:
            if step.error is not None and step.action in ("search", "browse"):
                self.failed[step.action] += 1
            if step.action == "invalid" and (unknown := UNKNOWN_TOOL.match(step.error or "")):
                self._count_tool((step.error or "")[unknown.end() :], 1)
            if step.action == "browse" and step.error is None and _is_short(step.observation):
                self.short_pages += 1
                self._see_page(step.observation.strip())
            self.texts += bool(step.action == "browse" and step.error is None and step.observation.strip()) or any(
                hit.title or hit.snippet for hit in step.results
            )
            if step.action == "search":
                self.queries += len(step.queries)
                self.lists += len({hit.query_index for hit in step.results})
        self.opens.count(run.steps)
        self.docids += len(docids_of(run))
        self.opening += any(step.action == "browse" and step.error is None for step in run.steps)
        self.without_action += not (actions["search"] or actions["browse"])
        self.without_question += not run.question
        self.without_answer += run.final_answer is None
        self.golden += bool(run.gold_answer)
        self.repeated_answers += bool(run.gold_answer) and run.gold_answer == run.final_answer
        self._see({run.question} if run.question else set())

    def add(self, other: Summary) -> None:
        """Adds the counts of other trajectories, such as those of another process."""
        for name, value in vars(other).items():
            mine = getattr(self, name)
            if name == "unknown_tools":
                for tool, count in value.items():
                    self._count_tool(tool, count)
            elif isinstance(mine, Counter):
                mine.update(value)
            elif isinstance(mine, Opens):
                mine.add(value)
            elif isinstance(mine, int):
                setattr(self, name, mine + value)
        self._see(other.questions)
        self._see_page(other.short_page)

    def _count_tool(self, tool: str, count: int) -> None:
        is_new = tool not in self.unknown_tools
        self.unknown_tools["others" if is_new and len(self.unknown_tools) >= TOOLS_COUNTED else tool] += count

    def _see_page(self, page: str) -> None:
        self.short_page = min(filter(None, (self.short_page, page)), default="")

    def _see(self, questions: set[str]) -> None:
        self.questions = set(sorted(self.questions | questions)[:2])

    @property
    def num_runs(self) -> int:
        return self.runs["all"]

    def outcome_rows(self) -> list[dict[str, Any]]:
        """Number of trajectories and their mean searches, browses and steps, by outcome: Table 1 of the paper.

        There is a row for each outcome that occurs, and one for "all".
        """
        return [
            {
                "outcome": name,
                "N": size,
                "searches": self.searches[name] / size,
                "browses": self.browses[name] / size,
                "B/S": self.browses[name] / self.searches[name] if self.searches[name] else None,
                "steps": (self.searches[name] + self.browses[name]) / size,
            }
            for name in (*OUTCOMES, "all")
            if (size := self.runs[name])
        ]


def _is_short(page: str) -> bool:
    page = page.strip()
    return 0 < len(page) <= SHORT_PAGE and "\n" not in page
