"""Turns logs of search agents into a trajectories dataset: files, folders and archives in the formats that are known.

The format is recognised, or named by --format. One bad step costs that step, one unreadable record costs that record,
and the counts say so. Secrets are redacted before anything is published, and the trajectories are also written as
session traces, which the Hub shows.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from lrat_hub import cli
from lrat_hub.cli.stage import Stage, StageArguments, parse, say, with_flags
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef
from lrat_hub.importers import FormatName

if TYPE_CHECKING:
    from lrat_hub.hub.inputs import Inputs
    from lrat_hub.importers import Accounts, LogMapping, Reader, Redactor
    from lrat_hub.importers.bulk import RecordImport
    from lrat_hub.importers.questions import Questions


@dataclass(kw_only=True)
class Arguments(StageArguments):
    to: str = field(
        default="",
        metadata={
            "group": "inputs",
            "help": "Repository to publish to: namespace/name, or namespace/name@branch. Not needed with --look.",
            "recipe": False,
        },
    )
    source: str = field(
        default="",
        metadata={
            "group": "inputs",
            "help": "File, folder, archive or dataset repository to import; may also be the first word.",
        },
    )
    look: bool = field(
        default=False,
        metadata={
            "group": "inputs",
            "help": "Publish nothing, and show what the source would be imported as: its format, one run step by "
            "step, counts, what is not understood, and what could be mined.",
            "recipe": False,
        },
    )
    look_at: int = field(
        default=1, metadata={"help": "Run that --look shows step by step, counted from 1.", "recipe": False}
    )
    format: Literal["auto", FormatName] = field(
        default="auto",
        metadata={
            "group": "essentials",
            "help": "Format of the source; 'auto' recognises it by its first 20 records.",
            "choices_in": "docs/importing.md",
        },
    )
    mapping: str = field(
        default="",
        metadata={
            "group": "essentials",
            "help": "YAML file that says what tools do, and where what stands in a record.",
        },
    )
    reader: str = field(
        default="",
        metadata={
            "help": "Function of your own that makes a chat record of each record, as module:function; for formats "
            "that are not known."
        },
    )
    group_by: str = field(
        default="",
        metadata={
            "help": "Path of keys to the name of a run, such as meta.run_id, where runs are spread over records: "
            "those with the same value are read as one, a list for a reader and messages otherwise."
        },
    )
    queries: str = field(
        default="",
        metadata={
            "group": "inputs",
            "help": "Queries, as a file or reference, whose texts and answers become the questions and gold answers "
            "of runs with the same query id that have none.",
        },
    )
    config_name: str = field(
        default="default",
        metadata={
            "group": "essentials",
            "help": "Config of the published dataset; use one for each pair of agent and retriever.",
        },
    )
    redact: bool = field(
        default=True,
        metadata={
            "group": "essentials",
            "help": "Redact keys, tokens and passwords in all texts.",
            "off": "Publish keys, tokens and passwords as they stand in the texts.",
        },
    )
    redact_emails: bool = field(default=False, metadata={"help": "Also redact e-mail addresses in all texts."})
    redact_hook: str = field(
        default="",
        metadata={
            "help": "Function that every text passes through, as module:function; the module must be on PYTHONPATH."
        },
    )
    traces: int = field(
        default=1000,
        metadata={
            "help": "Maximum number of trajectories that are also published as session traces; 0 publishes none."
        },
    )
    strict: bool = field(
        default=False,
        metadata={
            "group": "essentials",
            "help": "Fail, and publish nothing, when any part of the source can't be read.",
        },
    )
    processes: int = field(
        default=1,
        metadata={
            "group": "essentials",
            "help": "Processes that make trajectories; the result is the same.",
            "recipe": False,
        },
    )


def main(argv: list[str] | None = None) -> HubRef | None:
    argv = list(sys.argv[1:] if argv is None else argv)
    argv = _with_source(argv)
    (args,) = parse(argv, "import", __doc__, Arguments)
    if not args.source:
        raise LratError(
            "lrat import: expected a file, folder or archive, found none. Give it first: lrat import SRC --to REF"
        )
    for name, least in (("traces", 0), ("processes", 1), ("look_at", 1)):
        if (value := getattr(args, name)) < least:
            raise LratError(f"lrat import: --{name}: expected a number of at least {least}, found {value}.")
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
    from lrat_hub.importers.page import printable
    from lrat_hub.importers.summary import concerns

    stage = Stage("import", args, configs=[args.config_name])
    path, settings = _source(stage.inputs, args.source), _settings(stage.inputs, args)
    if not settings.names_format and (recognised := recognise_format(path)):
        say(f"  format: {recognised}")
        settings = replace(settings, format=recognised.format)
    with tempfile.TemporaryDirectory() as folder:
        imported = import_records(path, Path(folder), settings, traces=args.traces, processes=args.processes)
        accounts, summary = imported.accounts, imported.summary
        for ledger in accounts.ledgers():
            if ledger.read or ledger.notes:
                say("\n".join(map(printable, str(ledger).splitlines())))
        if settings.questions is not None:
            say(f"queries: {_joined(accounts, settings.questions)}")
        for concern in concerns(summary, accounts):
            say(f"warning: {printable(with_flags(concern))}")
        check_import(path, accounts, strict=args.strict)
        if summary.num_runs > len(imported.traces):
            say(
                f"traces: of {summary.num_runs} trajectories, the first {len(imported.traces)} are also session "
                f"traces (--traces {args.traces}, and {TRACES_BYTES // 1_000_000} MB at most)"
            )
        return stage.publish_dataset(
            {args.config_name: {"train": imported.paths}},
            template="trajectories",
            counts=accounts.to_dict(),
            summary=summary.outcome_rows(),
            files=imported.traces,
        )


def _with_source(argv: list[str]) -> list[str]:
    """The words with `--source` before the source where that has no option: the first word, or the one after a look.

    The parser would take it for the value of `--look`, which may be given one.
    """
    before = argv.index("--look") + 1 if "--look" in argv else 0
    for index in {0, before}:
        word = argv[index] if index < len(argv) else "-"
        if not word.startswith("-") and word.lower() not in ("true", "false", "yes", "no", "1", "0"):
            return [*argv[:index], "--source", *argv[index:]]
    return argv


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


def _joined(accounts: Accounts, questions: Questions) -> str:
    """How many of the runs without a question got one. None of them is an error, as it can't be meant."""
    from lrat_hub.importers.questions import JOINED, NOT_JOINED
    from lrat_hub.ledger.joins import near_miss

    joined, missing = (accounts.records.notes[note] for note in (JOINED, NOT_JOINED))
    text = f"{joined} of {joined + missing} runs without a question got one by their query id"
    if joined or not missing:
        return text
    example = accounts.records.examples.get(NOT_JOINED, "")
    hint = near_miss([example], questions) or "Are they of other data?"
    raise LratError(
        f"lrat import: --queries: {text}; found the query id {example!r} in a run and "
        f"{next(iter(questions), 'none')!r} in the queries. {hint}"
    )


def _width() -> int:
    """Columns of the terminal; a page that goes elsewhere gets a width that is readable everywhere."""
    return max(40, shutil.get_terminal_size((100, 24)).columns)


def _settings(inputs: Inputs, args: Arguments) -> RecordImport:
    from lrat_hub.importers.bulk import RecordImport

    return RecordImport(
        format=None if args.format == "auto" else args.format,
        mapping=_mapping(inputs, args.mapping),
        reader=_reader(inputs, args.reader),
        group_by=args.group_by or None,
        questions=_questions(inputs, args.queries),
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


def _questions(inputs: Inputs, queries: str) -> dict[str, tuple[str, str | None]] | None:
    from lrat_hub.corpora.loading import load_questions
    from lrat_hub.corpora.rows import as_path

    return load_questions(inputs.resolve("queries", as_path(queries), repo_type="dataset")) if queries else None


def _redactor(args: Arguments) -> Redactor | None:
    from lrat_hub.importers import EMAIL, SECRETS, Redactor, load_hook

    patterns = (*(SECRETS if args.redact else ()), *((EMAIL,) if args.redact_emails else ()))
    hook = load_hook(args.redact_hook) if args.redact_hook else None
    return Redactor(patterns, hook) if patterns or hook else None


if __name__ == "__main__":
    sys.exit(cli.main(["import", *sys.argv[1:]]))
