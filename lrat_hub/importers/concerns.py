"""What of an import is most of the input and can hardly be meant, so that its owner should look."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from lrat_hub.importers.accounts import OTHER_FORMAT, Accounts
from lrat_hub.importers.chat import SEVERAL_RUNS
from lrat_hub.importers.outcomes import UNCLEAR_VERDICTS, VERDICTS
from lrat_hub.importers.redaction.detection import EMAIL
from lrat_hub.importers.redaction.redactor import CHANGED_DOCIDS, CHANGED_QUERY_IDS, MERGED_DOCIDS
from lrat_hub.importers.redaction.replacement import LEFT
from lrat_hub.importers.runs import UNLISTED
from lrat_hub.importers.source_records import DIVIDED_RUNS
from lrat_hub.importers.summary import Summary

MOST = 0.5
"""From this share on, something is most of the input."""

MANY_RUNS = 5
"""So many runs with the same question are no accident."""

SHORT_PAGES = 0.2
MANY_SHORT_PAGES = 3
"""So many documents of one short line, and this share of those that were opened, should make people look."""

_UNKNOWN_ROLE = re.compile(r"messages? of (?:an )?unknown role")
TOOLS_NAMED = 3
FILES_NAMED = 3


def concerns(summary: Summary, accounts: Accounts) -> Iterator[str]:
    """What is most of the input and can hardly be meant, a line each, with what can be done about it."""
    if not summary.num_runs:
        return
    unknown_roles = _unknown_roles(accounts)
    yield from _of_roles(unknown_roles)
    yield from _of_verdicts(summary, accounts)
    yield from _of_actions(summary, accounts)
    yield from _of_pages(summary)
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
    yield from _of_questions(summary, accounts)
    if MANY_RUNS <= summary.golden == summary.repeated_answers:
        yield (
            f"the gold answers of all {summary.golden} runs that have one are word for word those of the agent; if "
            "they are the agent's, say in a `mapping` where each stands (gold_answer: ..., final_answer: ...)"
        )
    yield from _of_redaction(summary, accounts)
    yield from _left_out(accounts)
    if _is_most(summary.without_answer, summary.num_runs):
        yield f"{summary.without_answer} of {summary.num_runs} runs have no answer"
    yield from _of_drops(accounts)


def _unknown_roles(accounts: Accounts) -> Counter[str]:
    """How many messages have a role that is not known, by the role."""
    return Counter({
        reason.partition("role")[2].strip(": "): count
        for reason, count in accounts.parts.dropped.items()
        if _UNKNOWN_ROLE.match(reason)
    })  # fmt: skip


def _of_roles(unknown: Counter[str]) -> Iterator[str]:
    """Messages of unknown roles, by the role."""
    if unknown:
        roles = [role for role, _ in unknown.most_common(TOOLS_NAMED) if role]
        plain = [role.strip("'") for role in roles]
        yield (
            f"{unknown.total()} messages have an unknown role{': ' if roles else ''}{', '.join(roles)}; "
            "they are left out, and so is what they showed; say whose role it is in a `mapping` file, such as "
            f"roles: {{tool: [{', '.join(plain) or '...'}]}}"
        )


def _of_verdicts(summary: Summary, accounts: Accounts) -> Iterator[str]:
    """Verdicts that are not understood."""
    if unclear := accounts.records.lost[UNCLEAR_VERDICTS]:
        key = accounts.records.examples.get(UNCLEAR_VERDICTS, "").partition(":")[0]
        # After a mapping it stands under `correct`, whatever key the file named.
        key = key if key in VERDICTS and key != "correct" else "its key"
        yield (
            f"{unclear} of {summary.num_runs} runs have a verdict that is not understood: they will count as "
            "unjudged, which mining takes by default; say what its values mean in a `mapping` file, "
            f"correct: {{key: {key}, true: [...], false: [...]}}"
        )


def _of_actions(summary: Summary, accounts: Accounts) -> Iterator[str]:
    """Runs without searches or browses, or whose browses failed, and tools that are not known."""
    runs, opens = summary.num_runs, summary.opens
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
        if _is_search_only(summary, accounts):
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
        elif opens.unlisted_example and _is_most(opens.unlisted, opens.unlisted + opens.pairs):
            yield (
                f"{opens.unlisted} documents were opened that no search before had listed, such as: "
                f"{opens.unlisted_example}; if these are the same, say in a `mapping` how lists are "
                "written, or which argument names the document"
            )
        elif summary.lists and opens.concern:
            yield opens.concern
        if opens.pairs >= MANY_RUNS and _is_most(opens.silent, opens.pairs):
            yield (
                f"the agent goes on without a word after the documents of {opens.silent} of "
                f"{opens.pairs} pairs, which will have the weight 0 where other pairs have reasoning; if the "
                "log has it, say where with `mapping`"
            )
        if opens.pairs and not summary.texts:
            yield (
                "no document has a title or a text in these logs, as with searches that an API hosts: pairs can be "
                "trained on with a corpus of your own alone, whose ids are those of the logs"
            )
        if _is_most(summary.unknown_tools.total(), summary.actions.total() - summary.actions["answer"]):
            yield f"most calls are of unknown tools: {unknown}"


def _of_pages(summary: Summary) -> Iterator[str]:
    """Opened documents that may be messages of a tool."""
    opened = summary.actions["browse"] - summary.failed["browse"]
    if summary.short_pages >= MANY_SHORT_PAGES and summary.short_pages >= SHORT_PAGES * opened:
        yield (
            f"of {summary.short_pages} of {opened} opened documents, the log shows one short line, such as "
            f"{_short(summary.short_page)!r}; if visits that show it failed, give a pattern for it under `failure` "
            "in a `mapping` file, or they will be mined as documents that were read"
        )


def _of_questions(summary: Summary, accounts: Accounts) -> Iterator[str]:
    """Runs without a question, or with the same one, and messages that may be of several runs."""
    runs = summary.num_runs
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
    if divided := accounts.records.lost[DIVIDED_RUNS]:
        yield (
            f"{divided} {DIVIDED_RUNS}: if they are parts of one run, put the files together before you import them"
        )
    for reason in accounts.records.lost:
        if reason.startswith(SEVERAL_RUNS):
            key = reason.removeprefix(SEVERAL_RUNS)
            yield f"messages of one file differ in {key}, so they may be of several runs: give `group_by` {key}"


def _of_redaction(summary: Summary, accounts: Accounts) -> Iterator[str]:
    """Ids that redaction changed, and addresses that it left."""
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
            f"redaction changed {changed} of {summary.num_runs} query ids, such as "
            f"{texts.examples.get(CHANGED_QUERY_IDS, '')!r}: they don't match those of queries or qrels unless "
            "these are redacted alike"
        )
    if addresses := texts.notes[LEFT + EMAIL.name]:
        yield (
            f"{addresses} e-mail {'address is' if addresses == 1 else 'addresses are'} left in the texts, such as "
            f"{texts.examples.get(LEFT + EMAIL.name, '')}; `redact_emails` redacts them, too"
        )


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
            f"{' or '.join(sorted(others))}, into a repository of their own"
        )


def _of_drops(accounts: Accounts) -> Iterator[str]:
    """Ledgers of which most is dropped, with the usual reason."""
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


def _is_search_only(summary: Summary, accounts: Accounts) -> bool:
    """Whether the runs search, everything that they call is understood, and nothing of it opens a document."""
    return bool(
        summary.actions["search"]
        and not summary.actions["browse"]
        and not summary.unknown_tools
        and not accounts.browses.read
        and not accounts.steps.num_dropped
    )


def _is_most(count: int, of: int) -> bool:
    return count > 0 and count >= MOST * of


def _short(text: str, length: int = 60) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else f"{text[: length - 3]}..."
