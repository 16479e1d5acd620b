"""Turns logs of search agents into a dataset of trajectories: files, folders and archives in any supported format.

The format is recognised, or named by --format. A step or a record that can't be read is left out or marked as invalid,
and counted with its reason; the rest of the source is read. Secrets are redacted before anything is published, and the
trajectories are also written as session traces, which the Hub can display.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from lrat_hub import cli
from lrat_hub.cli import following
from lrat_hub.cli.parser import UsageError
from lrat_hub.cli.scaled import ScaledArguments, work_folder
from lrat_hub.cli.stage import Stage, StageArguments, parse, say, with_flags
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef
from lrat_hub.importers import FormatName
from lrat_hub.option import option
from lrat_hub.scaling.settings import ExecutionSettings

if TYPE_CHECKING:
    from lrat_hub.hub.inputs import Inputs
    from lrat_hub.importers import LogMapping, Reader, Redactor
    from lrat_hub.importers.bulk import RecordImport


@dataclass(kw_only=True)
class Arguments(ScaledArguments, StageArguments):
    to: str = option(
        "",
        "Repository to publish to: namespace/name, or namespace/name@branch. Not needed with --look.",
        group="inputs",
        recipe=False,
    )
    source: str = option(
        "", "File, folder, archive or dataset repository to import; may also be the first word.", group="inputs"
    )
    look: bool = option(
        False,
        "Publish nothing, and show what the source would be imported as: its format, one run step by "
        "step, counts, what is not understood, and what could be mined.",
        group="inputs",
        recipe=False,
    )
    look_at: int = option(1, "Run that --look shows step by step, counted from 1.", recipe=False)
    format: Literal["auto", FormatName] = option(
        "auto",
        "Format of the source; 'auto' recognises it by its first records, or some of each file.",
        group="essentials",
        choices_in="docs/importing.md",
    )
    mapping: str = option(
        "", "YAML file that maps tools to actions, and the keys of records to their meaning.", group="essentials"
    )
    reader: str = option(
        "",
        "Function that converts each record to a chat record, as module:function, for formats that are not supported.",
    )
    group_by: str = option(
        "",
        "Path of keys to the id of the run, such as meta.run_id, for logs whose runs are spread over "
        "several records; records with the same value are read as one run.",
    )
    queries: str = option(
        "",
        "Queries, as a file or reference, whose texts and answers become the questions and gold answers "
        "of runs that have none: of runs with the same query id, or else with the same question.",
        group="inputs",
    )
    answer_judge: Literal["recorded", "match", "containment"] = option(
        "recorded",
        "Verdicts on answers: recorded (those of the logs), or for runs that have none, match (correct "
        "if equal to the gold answer) or containment (also if short and containing it).",
        group="essentials",
    )
    config_name: str = option(
        "default",
        "Name of the published dataset's only config.",
        group="essentials",
    )
    redact: bool = option(
        True,
        "Redact keys, tokens and passwords in all texts.",
        group="essentials",
        off="Do not redact keys, tokens and passwords.",
    )
    redact_emails: bool = option(
        False, "Also redact e-mail addresses in all texts; without it the import says how many are left."
    )
    redact_hook: str = option(
        "", "Function that every text passes through, as module:function; the module must be on PYTHONPATH."
    )
    traces: int = option(
        1000, "Maximum number of trajectories that are also published as session traces; 0 publishes none."
    )
    strict: bool = option(
        False, "Fail, and publish nothing, when any part of the source can't be read.", group="essentials"
    )
    processes: int = option(
        1, "Processes that make trajectories; the result is the same.", group="essentials", recipe=False
    )


OPTIONS = (Arguments, ExecutionSettings)


def main(argv: list[str] | None = None) -> HubRef | None:
    argv = list(sys.argv[1:] if argv is None else argv)
    argv = _with_source(argv)
    args, execution = parse(argv, "import", __doc__, *OPTIONS)
    if not args.source:
        raise LratError(
            "lrat import: expected a file, folder or archive, found none. Give it first: lrat import SRC --to REF"
        )
    for name, least in (("traces", 0), ("processes", 1), ("look_at", 1)):
        if (value := getattr(args, name)) < least:
            raise LratError(f"lrat import: --{name}: expected a number of at least {least}, found {value}.")
    if execution.executor != "none" and args.processes > 1:
        raise LratError("lrat import: expected --workers in the place of --processes with --executor, found both.")
    if args.look:
        look(args)
        return None
    if not args.to:
        raise LratError(
            "lrat import: expected a repository to publish to, found none. Give it: lrat import SRC --to REF; or see "
            "first what the source would become: lrat import SRC --look"
        )

    from lrat_hub.importers import check_import, recognise_format
    from lrat_hub.importers.bulk import TRACES_BYTES, import_records
    from lrat_hub.importers.concerns import concerns
    from lrat_hub.importers.page import printable
    from lrat_hub.importers.questions import join_concerns, join_lines, join_refusal

    stage = Stage("import", args, configs=[args.config_name])
    path, settings = _source(stage.inputs, args.source), _settings(stage.inputs, args)
    if not settings.names_format and (recognised := recognise_format(path)):
        say(f"  format: {recognised}")
        settings = replace(settings, format=recognised.format)
    with tempfile.TemporaryDirectory() as folder, work_folder(stage, execution, args.work_dir) as work:
        imported = import_records(
            path, Path(folder), settings, traces=args.traces, processes=args.processes, execution=execution, work=work
        )
        accounts, summary = imported.accounts, imported.summary
        for ledger in accounts.ledgers():
            if ledger.read or ledger.notes:
                say("\n".join(map(printable, str(ledger).splitlines())))
        if refusal := join_refusal(accounts, settings.questions):
            raise LratError(f"lrat import: {refusal}")
        joins = (accounts, settings.questions, settings.judge)
        for line in join_lines(*joins):
            say(line)
        for concern in (*join_concerns(*joins), *concerns(summary, accounts)):
            say(f"warning: {printable(with_flags(concern))}")
        say(str(summary.opens))
        check_import(path, accounts, strict=args.strict)
        if summary.num_runs > len(imported.traces):
            say(
                f"traces: of {summary.num_runs} trajectories, the first {len(imported.traces)} are also session "
                f"traces (--traces {args.traces}, and {TRACES_BYTES // 1_000_000} MB at most)"
            )
        published = stage.publish_dataset(
            {args.config_name: {"train": imported.paths}},
            template="trajectories",
            counts=accounts.to_dict(),
            summary=summary.outcome_rows(),
            files=imported.traces,
        )
        if not summary.opens.pairs or not summary.texts:
            kind = following.WITHOUT_TEXTS if summary.opens.pairs else following.WITHOUT_PAIRS
            following.note(kind, published, stage.inputs.pins)
        return published


def _with_source(argv: list[str]) -> list[str]:
    """The words with `--source` before the source where that has no option: the first word, or the one after a look.

    The parser would take it for the value of `--look`, which may be given one.

    Raises:
        UsageError: There are several sources.
    """
    starts = sorted({0, argv.index("--look") + 1 if "--look" in argv else 0})
    found = {
        index: argv[index]
        for start in starts
        for index in takewhile(lambda index: not argv[index].startswith("-"), range(start, len(argv)))
        if argv[index].lower() not in ("true", "false", "yes", "no", "1", "0")
    }
    if len(found) > 1:
        named = ", ".join(repr(word) for word in found.values())
        raise UsageError(
            f"lrat import: expected one source, found {len(found)}: {named}. Put files of one format into a folder or "
            "an archive and import that; import files of several formats one after the other, each into a "
            "repository of its own (--to); lrat mine takes several."
        )
    return [word for index, word in enumerate(argv) for word in (["--source"] if index in found else []) + [word]]


def look(args: Arguments) -> None:
    """Shows what the source would be imported as.

    Raises:
        LratError: No run could be read, or the import would be strict, and refused.
    """
    from lrat_hub.hub.inputs import Inputs
    from lrat_hub.importers.look import look_at
    from lrat_hub.importers.page import page_of

    inputs = Inputs(require_pinned=args.require_pinned)
    path, settings = _source(inputs, args.source, pinned=False), _settings(inputs, args)
    seen = look_at(path, settings, shown=args.look_at, strict=args.strict)
    encoding = sys.stdout.encoding or "utf-8"
    say(with_flags(page_of(seen, width=_width())).encode(encoding, "backslashreplace").decode(encoding))
    if seen.refusal and (args.strict or not seen.runs):
        raise LratError(seen.refusal)


def _width() -> int:
    """Columns of the terminal; a page that goes elsewhere gets a width that is readable everywhere."""
    return max(40, shutil.get_terminal_size((100, 24)).columns)


def _settings(inputs: Inputs, args: Arguments) -> RecordImport:
    from lrat_hub.importers.bulk import RecordImport
    from lrat_hub.judges.answers import AnswerJudge

    return RecordImport(
        format=None if args.format == "auto" else args.format,
        mapping=_mapping(inputs, args.mapping),
        reader=_reader(inputs, args.reader),
        group_by=args.group_by or None,
        questions=_questions(inputs, args.queries, private=args.private),
        judge=None if args.answer_judge == "recorded" else AnswerJudge(containment=args.answer_judge == "containment"),
        redactor=_redactor(args),
    )


def _source(inputs: Inputs, text: str, *, pinned: bool = True) -> Path:
    """The files to read: those of a path, or of a dataset repository at its pin.

    Args:
        pinned: Whether to record the digest of a path, for which everything in it is read.
    """
    from lrat_hub.hub.inputs import LocalSource, fetch_folder, path_digest

    path = Path(text).expanduser()
    if path.exists():
        if pinned:
            inputs.record("source", str(LocalSource(path.resolve(), path_digest(path))))
        return path
    try:
        HubRef.parse(text, repo_type="dataset")
    except LratError as error:
        raise LratError(
            f"lrat import: expected a file, folder or archive at {path}, or a dataset repository, found nothing."
        ) from error
    ref = inputs.resolve("source", text, repo_type="dataset")
    assert isinstance(ref, HubRef)  # no such path exists
    return fetch_folder(ref)


def _mapping(inputs: Inputs, mapping: str) -> LogMapping | None:
    from lrat_hub.hub.inputs import LocalSource, path_digest
    from lrat_hub.importers import load_mapping

    if not mapping:
        return None
    path = Path(mapping).expanduser()
    tools = load_mapping(path)
    inputs.record("mapping", str(LocalSource(path.resolve(), path_digest(path))))
    return tools


def _reader(inputs: Inputs, name: str) -> Reader | None:
    from lrat_hub.plugins import load_object, plugin_identity

    if not name:
        return None
    reader = load_object(name)
    if not callable(reader):
        raise LratError(f"lrat import: --reader {name}: expected a function, found {type(reader).__name__}.")
    inputs.record("reader", plugin_identity(name))
    return cast("Reader", reader)


def _questions(inputs: Inputs, queries: str, *, private: bool) -> dict[str, tuple[str, str | None]] | None:
    from lrat_hub.corpora.loading import load_question_rows
    from lrat_hub.corpora.rows import as_path

    if not queries:
        return None
    rows = load_question_rows(inputs.resolve("queries", as_path(queries), repo_type="dataset"))
    if not private and any(row["canary"] for row in rows):
        raise LratError(
            "lrat import: --queries has questions that are published obfuscated, and an import puts their plain text "
            "beside the runs. Add --private."
        )
    return {row["query_id"]: (row["query"], row["answer"]) for row in rows}


def _redactor(args: Arguments) -> Redactor | None:
    from lrat_hub.importers import EMAIL, SECRETS, Redactor, load_hook

    patterns = (*(SECRETS if args.redact else ()), *((EMAIL,) if args.redact_emails else ()))
    hook = load_hook(args.redact_hook) if args.redact_hook else None
    # A hook may take addresses out, too, so what is left is not known before it.
    counted = (EMAIL,) if patterns and not args.redact_emails and not hook else ()
    return Redactor(patterns, hook, counted) if patterns or hook else None


if __name__ == "__main__":
    sys.exit(cli.main(["import", *sys.argv[1:]]))
