"""What an import came to as a whole: runs by outcome, and what is most of it and should make its owner look."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lrat_hub.importers.accounts import OTHER_FORMAT, Accounts
from lrat_hub.importers.chat import SEVERAL_RUNS
from lrat_hub.importers.outcomes import UNCLEAR_VERDICTS, VERDICTS
from lrat_hub.importers.redaction.detection import EMAIL
from lrat_hub.importers.redaction.redactor import CHANGED_DOCIDS, CHANGED_QUERY_IDS, MERGED_DOCIDS, docids_of
from lrat_hub.importers.redaction.replacement import LEFT
from lrat_hub.importers.runs import UNLISTED
from lrat_hub.schema import OUTCOMES, Trajectory
from lrat_hub.walk.opens import Opens

MOST = 0.5
"""From this share on, something is most of the input."""

MANY_RUNS = 5
"""So many runs with the same question are no accident."""

SHORT_PAGE = 60
"""Characters up to which one line is hardly a document."""

SHORT_PAGES = 0.2
MANY_SHORT_PAGES = 3
"""So many documents of one short line, and this share of those that were opened, should make people look."""

UNKNOWN_TOOL = re.compile(r"unknown tool:? *")
_UNKNOWN_ROLE = re.compile(r"messages? of (?:an )?unknown role")
TOOLS_NAMED = 3
FILES_NAMED = 3
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


def concerns(summary: Summary, accounts: Accounts) -> Iterator[str]:
    """What is most of the input and can hardly be meant, a line each, with what can be done about it."""
    runs = summary.num_runs
    if not runs:
        return
    unknown_roles = Counter({
        reason.partition("role")[2].strip(": "): count
        for reason, count in accounts.parts.dropped.items()
        if _UNKNOWN_ROLE.match(reason)
    })  # fmt: skip
    if unknown_roles:
        roles = [role for role, _ in unknown_roles.most_common(TOOLS_NAMED) if role]
        plain = [role.strip("'") for role in roles]
        yield (
            f"{unknown_roles.total()} messages have an unknown role{': ' if roles else ''}{', '.join(roles)}; "
            "they are left out, and so is what they showed; say whose role it is in a `mapping` file, such as "
            f"roles: {{tool: [{', '.join(plain) or '...'}]}}"
        )
    if unclear := accounts.records.lost[UNCLEAR_VERDICTS]:
        key = accounts.records.examples.get(UNCLEAR_VERDICTS, "").partition(":")[0]
        # After a mapping it stands under `correct`, whatever key the file named.
        key = key if key in VERDICTS and key != "correct" else "its key"
        yield (
            f"{unclear} of {runs} runs have a verdict that is not understood: they will count as unjudged, which "
            f"mining takes by default; say what its values mean in a `mapping` file, correct: {{key: {key}, "
            "true: [...], false: [...]}"
        )
    cure = "say what the tools do with `mapping`, or turn the records into chat records with `reader`"
    unknown = "; ".join(
        f"unknown tool {name}: {count} {'call' if count == 1 else 'calls'}"
        for name, count in summary.unknown_tools.most_common(TOOLS_NAMED)
    )
    if unknown:
        unknown += f"; say what {'it does' if len(summary.unknown_tools) == 1 else 'they do'} with `mapping`"
    if _is_most(accounts.records.lost[UNLISTED], runs):
        yield (
            f"{accounts.records.lost[UNLISTED]} of {runs} runs count their calls and list none: they can be "
            "evaluated by what they say they retrieved, and nothing can be mined from them"
        )
    elif _is_most(summary.without_action, runs):
        yield f"{summary.without_action} of {runs} runs have no search and no browse: {unknown or cure}"
    else:
        if not summary.actions["search"]:
            yield f"no run has a search, so no pair can be mined: {unknown or cure}"
        if is_search_only(summary, accounts):
            yield (
                "no tool of these runs opens a document, so they give no pairs: a pair is a document that the agent "
                "chose from a list and opened. They still serve to compare retrievers by replay (lrat eval retrieval "
                "with trajectories and qrels), for analysis (lrat analyze) and to train an agent (lrat train-agent). "
                "If a tool that searches also opens documents, say so with `mapping`"
            )
        elif not summary.actions["browse"]:
            yield f"no run has a browse, so no pair can be mined: {unknown or cure}"
        elif not summary.opening:
            yield f"no browse opened a document: all {summary.failed['browse']} failed"
        elif _is_most(summary.failed["browse"], summary.actions["browse"]):
            yield f"{summary.failed['browse']} of {summary.actions['browse']} browses failed"
        elif summary.lists and summary.opens.concern:
            yield summary.opens.concern
        if summary.opens.pairs and not summary.texts:
            yield (
                "no document has a title or a text in these logs, as with searches that an API hosts: pairs can be "
                "trained on with a corpus of your own alone, whose ids are those of the logs"
            )
        if _is_most(summary.unknown_tools.total(), summary.actions.total() - summary.actions["answer"]):
            yield f"most calls are of unknown tools: {unknown}"
    opened = summary.actions["browse"] - summary.failed["browse"]
    if summary.short_pages >= MANY_SHORT_PAGES and summary.short_pages >= SHORT_PAGES * opened:
        yield (
            f"of {summary.short_pages} of {opened} opened documents, the log shows one short line, such as "
            f"{_short(summary.short_page)!r}; if visits that show it failed, give a pattern for it under `failure` "
            "in a `mapping` file, or they will be mined as documents that were read"
        )
    without_list = summary.queries - summary.lists
    if (
        _is_most(without_list, summary.queries)
        and not unknown_roles
        and not _is_most(accounts.lists.num_dropped, accounts.lists.read)
    ):
        yield (
            f"{without_list} of {summary.queries} queries have no list of results that was "
            "understood; say how lists are written with `mapping`"
        )
    if _is_most(summary.without_question, runs):
        yield (
            f"{summary.without_question} of {runs} runs have no question; say where it stands with `mapping`, or join "
            "the questions by their ids with `queries`"
        )
    elif runs >= MANY_RUNS and len(summary.questions) == 1:
        (question,) = summary.questions
        yield (
            f"all {runs - summary.without_question} runs have the same question, {_short(question)!r}; if that is "
            "none, say where it stands with `mapping`"
        )
    for reason in accounts.records.lost:
        if reason.startswith(SEVERAL_RUNS):
            key = reason.removeprefix(SEVERAL_RUNS)
            yield f"messages of one file differ in {key}, so they may be of several runs: give `group_by` {key}"
    texts = accounts.texts
    if changed := texts.notes[CHANGED_DOCIDS]:
        merged = texts.notes[MERGED_DOCIDS]  # which are one in what is counted here
        equal = f", of which {merged} became equal to another" if merged else ""
        yield (
            f"redaction changed {changed} of {summary.docids + merged} document ids (distinct in each run){equal}, "
            f"such as {texts.examples.get(CHANGED_DOCIDS, '')!r}: they are not found in a corpus unless its ids are "
            "redacted alike (docs/importing.md, Secrets)"
        )
    if changed := texts.notes[CHANGED_QUERY_IDS]:
        yield (
            f"redaction changed {changed} of {runs} query ids, such as {texts.examples.get(CHANGED_QUERY_IDS, '')!r}: "
            "they don't match those of queries or qrels unless these are redacted alike"
        )
    if addresses := texts.notes[LEFT + EMAIL.name]:
        yield (
            f"{addresses} e-mail {'address is' if addresses == 1 else 'addresses are'} left in the texts, such as "
            f"{texts.examples.get(LEFT + EMAIL.name, '')}; `redact_emails` redacts them, too"
        )
    yield from _left_out(accounts)
    if _is_most(summary.without_answer, runs):
        yield f"{summary.without_answer} of {runs} runs have no answer"
    for ledger, what in (
        (accounts.parts, "parts are not understood"),
        (accounts.calls, "calls became no step"),
        (
            accounts.lists,
            "result lists can't be read, or can't be told from others; say how lists are written with `mapping`",
        ),
        (accounts.browses, "documents that were to be opened became no browse"),
        (accounts.records, "records have no run"),
        (accounts.files, "files are not read"),
    ):
        if _is_most(ledger.num_dropped, ledger.read):
            reason, count = ledger.dropped.most_common(1)[0]
            yield f"{ledger.num_dropped} of {ledger.read} {what}, {count} of them: {reason}"


def _left_out(accounts: Accounts) -> Iterator[str]:
    """Files without runs, and records in other formats than the one that the source is read in."""
    if without := list(accounts.without_runs.names):
        named = ", ".join(map(repr, without[:FILES_NAMED])) + (" ..." if len(without) > FILES_NAMED else "")
        yield (
            f"{len(without)} of {accounts.files.kept} files hold no runs that were read: {named}; if they should, "
            "import them apart with their `format` or a `mapping`"
        )
    others = {
        what.removeprefix(OTHER_FORMAT): count
        for what, count in accounts.records.notes.items()
        if what.startswith(OTHER_FORMAT)
    }
    if others:
        listed = ", ".join(
            f"{count} in {format}, such as {accounts.records.examples.get(OTHER_FORMAT + format, '')!r}"
            for format, count in sorted(others.items())
        )
        yield (
            f"{sum(others.values())} of {accounts.records.read} records were left out because they are in another "
            f"format: {listed}; an import reads one format, so import them apart with `format` "
            f"{' or '.join(sorted(others))}, and a `config_name` of their own"
        )


def is_search_only(summary: Summary, accounts: Accounts) -> bool:
    """Whether the runs search, everything that they call is understood, and nothing of it opens a document."""
    return bool(
        summary.actions["search"]
        and not summary.actions["browse"]
        and not summary.unknown_tools
        and not accounts.browses.read
        and not accounts.steps.num_dropped
    )


def _is_short(page: str) -> bool:
    page = page.strip()
    return 0 < len(page) <= SHORT_PAGE and "\n" not in page


def _is_most(count: int, of: int) -> bool:
    return count > 0 and count >= MOST * of


def _short(text: str, length: int = 60) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else f"{text[: length - 3]}..."
