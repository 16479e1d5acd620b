"""Turns released LRAT trajectory files (a file, a folder or a tar.gz) into a trajectories dataset.

One bad step costs that step, one unreadable file costs that file, and the ledger says so.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from lrat_hub import cli
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef
from lrat_hub.stage import Stage, StageArguments, parse, say


@dataclass(kw_only=True)
class Arguments(StageArguments):
    source: str = field(default="", metadata={"help": "File, folder or tar.gz; may be given first, without --source."})
    config_name: str = field(
        default="default", metadata={"help": "Config of the dataset, one an agent and retriever."}
    )
    strict: bool = field(default=False, metadata={"help": "Fail when anything at all can't be read."})


def main(argv: list[str] | None = None) -> HubRef:
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv and not argv[0].startswith("-"):
        argv.insert(0, "--source")
    (args,) = parse(argv, "import", __doc__, Arguments)
    if not args.source:
        raise LratError(
            "lrat import: expected a file, folder or tar.gz, found none. Give it first: lrat import SRC --to REF"
        )

    from lrat_hub.analysis import outcome_table
    from lrat_hub.hub.inputs import LocalSource, path_digest
    from lrat_hub.importers import new_ledgers, read_release
    from lrat_hub.tables import trajectory_table

    stage = Stage("import", args)
    path = Path(args.source).expanduser()
    if not path.exists():
        raise LratError(f"lrat import: expected a file, folder or tar.gz at {path}, found nothing. Check the path.")
    stage.record("source", str(LocalSource(path.resolve(), path_digest(path))))
    ledgers = new_ledgers()
    trajectories = list(read_release(path, ledgers))
    for ledger in ledgers.values():
        say(str(ledger))
    lost = sum(ledger.num_dropped for ledger in ledgers.values())
    if not trajectories:
        raise LratError(f"lrat import: expected trajectories in {path}, found none that can be read (see the counts).")
    if args.strict and lost:
        raise LratError(f"lrat import: --strict allows no loss, found {lost} (see the counts).")
    return stage.publish_dataset(
        {args.config_name: {"train": trajectory_table(trajectories)}},
        template="trajectories",
        counts={name: ledger.to_dict() for name, ledger in ledgers.items()},
        summary=outcome_table(trajectories),
    )


if __name__ == "__main__":
    sys.exit(cli.main(["import", *sys.argv[1:]]))
