"""The page that shows a look at a source: plain text for a terminal or a pipe, whatever the source holds."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from lrat_hub.importers.look import Look
from lrat_hub.ledger import Ledger
from lrat_hub.schema import Candidate, Step, Trajectory
from lrat_hub.walk import BrowseAction, SearchAction, Walk

STEPS_SHOWN = 30
CANDIDATES_SHOWN = 3
UNDERSTOOD = {"search": "search", "browse": "browse", "answer": "answer", "invalid": "no action"}


def page_of(look: Look, width: int) -> str:
    """A look as a page of text.

    Args:
        width: Columns; no line is wider, so that nothing is wrapped.
    """
    lines = [
        "FORMAT", f"  {plain(look.format)}", "",
        *_source_lines(look), "",
        *_run_lines(look), "",
        "COUNTS", *_count_lines(look), "",
        "NOT UNDERSTOOD", *(list(_loss_lines(look)) or ["  nothing"]), "",
        "MINING, with its defaults and without a judge", *_mining_lines(look), "",
    ]  # fmt: skip
    refusals = {"the import": look.refusal, "mining": look.mining_refusal}
    warnings = [
        *look.concerns,
        *(f"{what} would be refused: {why}" for what, why in refusals.items() if why),
    ]
    lines += ["WARNINGS" if warnings else "No warnings."]
    for warning in warnings:
        lines += _wrapped(f"! {plain(warning)}", width, indent="  ", following="    ", most=8)
    return "\n".join(_fitted(line, width) for line in lines)


def plain(text: str) -> str:
    """A text in one line that does nothing to a terminal: what is no visible character is escaped."""
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """A text of which everything that is no visible character is escaped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if unicodedata.category(character)[0] not in "CZ" or character == " " else _escaped(character)
        for character in text
    )


def _escaped(character: str) -> str:
    return " " if unicodedata.category(character) == "Zs" else character.encode("unicode_escape").decode()


def _columns(text: str) -> int:
    """How many columns a terminal takes for a text."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def _fitted(text: str, width: int) -> str:
    """A text that is cut where it is too wide."""
    if len(text) * 2 <= width or _columns(text) <= width:
        return text
    kept, used = [], 3
    for character in text:
        used += _columns(character)
        if used > width:
            break
        kept.append(character)
    return "".join(kept).rstrip() + "..."


def _wrapped(text: str, width: int, *, indent: str, following: str = "", most: int = 1) -> Iterator[str]:
    """A text over a few lines; the last one is cut."""
    following = following or indent
    words, line, lines = text.split(" "), indent, 0
    for number, word in enumerate(words):
        joined = f"{line}{word}" if line in (indent, following) else f"{line} {word}"
        if _columns(joined) <= width or line in (indent, following):
            line = joined
        elif lines == most - 1:
            yield _fitted(f"{line} {' '.join(words[number:])}", width)
            return
        else:
            yield line
            lines, line = lines + 1, f"{following}{word}"
    yield line


def _source_lines(look: Look) -> Iterator[str]:
    yield "SOURCE" if look.is_whole else f"SOURCE, its first {len(look.runs)} runs: what follows is of these only"
    for ledger in (look.accounts.files, look.accounts.records):
        if ledger.read:
            yield f"  {_totals(ledger)}"


def _totals(ledger: Ledger) -> str:
    return f"{ledger.item}: {ledger.read} read, {ledger.kept} kept, {ledger.num_dropped} dropped"


def _run_lines(look: Look) -> Iterator[str]:
    if look.shown is None:
        yield "RUN"
        yield f"  there is no such run: {len(look.runs)} were read"
        return
    run = look.runs[look.shown - 1]
    yield f"RUN {look.shown}: {plain(run.trajectory_id)}"
    verdict = {True: "correct", False: "incorrect", None: "not judged"}[run.correct]
    for name, value in (
        ("question", run.question),
        ("answer", run.final_answer),
        ("gold answer", run.gold_answer),
        ("verdict", f"{verdict}; status {run.status}"),
        ("query id", run.query_id),
        ("agent", run.agent),
        ("retriever", run.retriever),
    ):
        if value or name in ("question", "answer", "gold answer"):
            yield f"  {name + ':':<13}{plain(value) if value else 'none'}"
    actions = {action.turn: action for action in Walk.over(run.steps).actions}
    for step in run.steps[:STEPS_SHOWN]:
        yield from _step_lines(run, step, actions.get(step.turn))
    if len(run.steps) > STEPS_SHOWN:
        yield f"  ... {len(run.steps) - STEPS_SHOWN} more steps"
    if not run.steps:
        yield "  no steps"


def _step_lines(run: Trajectory, step: Step, action: SearchAction | BrowseAction | None) -> Iterator[str]:
    head = f"  {step.turn + 1:>3}  {UNDERSTOOD[step.action]}"
    indent = " " * 7
    if step.action == "browse":
        head += f" {plain(step.docid or 'without a document')}"
    elif step.action == "answer":
        head += f" {plain(run.final_answer or '')}"
    elif step.action == "invalid":
        head += f": {plain(step.error or '')}"
    yield head
    if step.reasoning:
        yield f"{indent}reasoning: {plain(step.reasoning)}"
    if step.error is not None and step.action != "invalid":
        yield f"{indent}failed: {plain(step.error)}"
    if isinstance(action, SearchAction):
        lists = action.lists
        for index, query in enumerate(step.queries):
            yield f"{indent}query: {plain(query)}"
            yield from _list_lines(lists.get(index, []), indent + "  ")
    elif isinstance(action, BrowseAction) and not action.failed:
        yield f"{indent}{_origin(action)}"


def _list_lines(candidates: list[Candidate], indent: str) -> Iterator[str]:
    if not candidates:
        yield f"{indent}no list"
    for candidate in candidates[:CANDIDATES_SHOWN]:
        yield f"{indent}{candidate.rank:>2}. {plain(candidate.docid)}  {plain(candidate.title or candidate.snippet)}"
    if len(candidates) > CANDIDATES_SHOWN:
        yield f"{indent}... {len(candidates) - CANDIDATES_SHOWN} more"


def _origin(browse: BrowseAction) -> str:
    if browse.listing is None:
        return "in no list before it: makes no pair"
    search, index, rank = browse.listing
    query = search.step.queries[index] if index < len(search.step.queries) else "?"
    return f"rank {rank} of step {search.turn + 1}, query: {plain(query)}"


def _count_lines(look: Look) -> Iterator[str]:
    for ledger in look.accounts.ledgers():
        if ledger.read or ledger.notes:
            yield f"  {_totals(ledger)}"
            for what, count in sorted(ledger.notes.items()):
                yield f"    {plain(what)}: {count}{_example(ledger, what)}"
    for line in look.joins:
        yield f"  {plain(line)}"


def _loss_lines(look: Look) -> Iterator[str]:
    for ledger in look.accounts.ledgers():
        for what, count in (ledger.dropped + ledger.lost).most_common():
            yield f"  {ledger.item}: {plain(what)}: {count}"
            if example := ledger.examples.get(what):
                yield f"    such as: {plain(example)}"


def _example(ledger: Ledger, what: str) -> str:
    example = ledger.examples.get(what)
    return f", such as: {plain(example)}" if example else ""


def _mining_lines(look: Look) -> Iterator[str]:
    summary = look.summary
    by_outcome = ", ".join(f"{summary.runs[name]} {name}" for name in summary.runs if name != "all")
    by_status = ", ".join(f"{count} {status}" for status, count in sorted(summary.statuses.items()))
    yield f"  runs: {summary.num_runs} ({by_outcome or 'none'}; {by_status or 'none'})"
    yield f"  runs without a search or a browse: {summary.without_action}"
    several = sum(len({hit.query_index for hit in step.results}) > 1 for run in look.runs for step in run.steps)
    yield f"  searches: {summary.actions['search']}, of which with several lists: {several}"
    yield f"  queries: {summary.queries}, of which without a list: {summary.queries - summary.lists}"
    yield f"  browses: {summary.actions['browse']}, of which failed: {summary.failed['browse']}"
    yield f"  {summary.opens}"
    if look.mined is None:
        yield "  nothing can be mined; see the warnings"
        return
    for ledger in (look.mined.ledger["trajectories"], look.mined.ledger["browses"]):
        for reason, count in sorted(ledger.dropped.items()):
            yield f"  {ledger.item} left out, {reason}: {count}"
    without = look.mined.ledger["pairs"].notes["trained pairs without a negative"]
    yield f"  pairs: {len(look.mined.pairs)}, of which without a negative: {without}"
