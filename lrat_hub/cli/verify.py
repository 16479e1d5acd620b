"""Checks an artifact, and everything it was made from, against their lineages. Nothing is run or changed.

The checks of each artifact, back to the corpus: its pin exists, its files have the bytes that the Hub and the lineage
record, its accounts add up, its tables and indexes have the recorded numbers of rows and vectors, and its card agrees
with the lineage. Inputs that have no pin on the Hub are listed. The exit status is 1 if any check fails.
"""

from __future__ import annotations

from lrat_hub.cli.parser import CommandParser
from lrat_hub.cli.stage import say
from lrat_hub.errors import LratError


def main(argv: list[str]) -> None:
    args = _parser().parse_args(argv)

    from lrat_hub.artifacts.verification import verify
    from lrat_hub.cli.lineage import artifact_of
    from lrat_hub.cli.tables import show_table

    ref = artifact_of(args.ref)
    checks = []
    for check in verify(ref, fetch=not args.skip_downloads):
        checks.append(check)
        say(f"{check.outcome:<6}  {check.artifact}  {check.name}: {check.found}")
    failed = [check for check in checks if check.outcome == "failed"]
    if failed:
        say("")
        show_table([{"artifact": one.artifact, "check": one.name, "found": one.found} for one in failed])
        raise LratError(f"{ref}: {len(failed)} of {len(checks)} checks failed.")
    noted = sum(check.outcome == "note" for check in checks)
    say(f"{len(checks) - noted} checks passed{f', {noted} could not be made' if noted else ''}.")


def _parser() -> CommandParser:
    parser = CommandParser(prog="lrat verify", description=__doc__)
    parser.add_argument("ref", help="Artifact as namespace/name[@revision], with datasets/ in front for a dataset.")
    parser.add_argument(
        "--skip_downloads",
        action="store_true",
        help="Download the artifact alone, and compare the large files of what it was made from by what the Hub says.",
    )
    return parser
