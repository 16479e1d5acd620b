"""Turns logs of search agents into a trajectories dataset: files, folders and archives in the formats that are known.

The format is recognised, or named by --format. One bad step costs that step, one unreadable record costs that record,
and the counts say so. Secrets are redacted before anything is published, and the trajectories are also written as
session traces, which the Hub shows.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lrat_hub import cli
from lrat_hub.cli.stage import Stage, StageArguments, parse, say
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef
from lrat_hub.importers import FormatName

if TYPE_CHECKING:
    from lrat_hub.importers import Redactor, Tools
    from lrat_hub.schema import Trajectory


@dataclass(kw_only=True)
class Arguments(StageArguments):
    source: str = field(
        default="",
        metadata={"help": "File, folder, tar archive or dataset repository to import; may also be the first word."},
    )
    format: Literal["auto", FormatName] = field(
        default="auto", metadata={"help": "Format of the source; 'auto' recognises it by its first 20 records."}
    )
    mapping: str = field(
        default="",
        metadata={"help": "YAML file that names the tools and arguments that search, browse and answer."},
    )
    config_name: str = field(
        default="default",
        metadata={"help": "Config of the published dataset; use one for each pair of agent and retriever."},
    )
    redact: bool = field(default=True, metadata={"help": "Redact keys, tokens and passwords in all texts."})
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
        default=False, metadata={"help": "Fail, and publish nothing, when any part of the source can't be read."}
    )


def main(argv: list[str] | None = None) -> HubRef:
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv and not argv[0].startswith("-"):
        argv.insert(0, "--source")
    (args,) = parse(argv, "import", __doc__, Arguments)
    if not args.source:
        raise LratError(
            "lrat import: expected a file, folder or tar.gz, found none. Give it first: lrat import SRC --to REF"
        )
    if args.traces < 0:
        raise LratError(f"lrat import: expected a number of traces of at least 0, found {args.traces}.")

    from lrat_hub.analysis import outcome_table
    from lrat_hub.importers import Accounts, check_import, read_trajectories, recognise_format, trace_files
    from lrat_hub.storage import write_trajectories

    stage = Stage("import", args)
    redactor, path = _redactor(args), _source(stage, args.source)
    format_name, tools = None if args.format == "auto" else args.format, _tools(stage, args.mapping)
    if format_name is None:
        try:
            recognised = recognise_format(path)
        except LratError as error:
            raise LratError(str(error).replace("`format`", "--format")) from error
        if recognised:
            say(f"  format: {recognised}")
            format_name = recognised.format

    accounts, outlines = Accounts(), []

    def redacted() -> Iterator[Trajectory]:
        for trajectory in read_trajectories(path, accounts, format=format_name, mapping=tools):
            published = redactor.redact(trajectory, accounts.texts) if redactor else trajectory
            outlines.append(_outline(published))
            yield published

    with tempfile.TemporaryDirectory() as folder:
        table = write_trajectories(redacted(), Path(folder, "trajectories.arrow"))
        for ledger in accounts.ledgers():
            say(str(ledger))
        check_import(path, accounts, strict=args.strict)
        if len(table) > args.traces:
            say(f"traces: of {len(table)} trajectories, the first {args.traces} are also session traces (--traces)")
        return stage.publish_dataset(
            {args.config_name: {"train": table}},
            template="trajectories",
            counts=accounts.to_dict(),
            summary=outcome_table(outlines),
            files=trace_files(table, limit=args.traces),
        )


def _source(stage: Stage, text: str) -> Path:
    """The files to read: those of a path, or of a dataset repository at its pin."""
    from huggingface_hub import snapshot_download

    from lrat_hub.hub.inputs import LocalSource, path_digest
    from lrat_hub.hub.refs import hub_errors

    path = Path(text).expanduser()
    if path.exists():
        stage.inputs.record("source", str(LocalSource(path.resolve(), path_digest(path))))
        return path
    try:
        HubRef.parse(text, repo_type="dataset")
    except LratError as error:
        raise LratError(
            f"lrat import: expected a file, folder or tar.gz at {path}, or a dataset repository, found nothing."
        ) from error
    ref = stage.input("source", text)
    assert isinstance(ref, HubRef)  # no such path exists
    with hub_errors(ref):
        return Path(snapshot_download(ref.repo_id, repo_type="dataset", revision=ref.revision))


def _tools(stage: Stage, mapping: str) -> Tools | None:
    from lrat_hub.hub.inputs import LocalSource, path_digest
    from lrat_hub.importers import load_mapping

    if not mapping:
        return None
    path = Path(mapping).expanduser()
    tools = load_mapping(path)
    stage.inputs.record("mapping", str(LocalSource(path.resolve(), path_digest(path))))
    return tools


def _redactor(args: Arguments) -> Redactor | None:
    from lrat_hub.importers import EMAIL, SECRETS, Redactor, load_hook

    patterns = (*(SECRETS if args.redact else ()), *((EMAIL,) if args.redact_emails else ()))
    hook = load_hook(args.redact_hook) if args.redact_hook else None
    return Redactor(patterns, hook) if patterns or hook else None


def _outline(trajectory: Trajectory) -> Trajectory:
    """What the summary needs of a trajectory: not its texts, which would not fit into memory all together."""
    steps = tuple(replace(step, reasoning=None, queries=(), results=(), observation="") for step in trajectory.steps)
    return replace(trajectory, question="", gold_answer=None, final_answer=None, metadata="{}", steps=steps)


if __name__ == "__main__":
    sys.exit(cli.main(["import", *sys.argv[1:]]))
