"""Checks this installation, this machine and the Hub, and says what is wrong and how to fix it. Changes nothing.

It looks at Python and packages, FAISS, optional extras, GPUs, processors, memory, disks, the Hub and the token. A note
is about a limit that may be intended, and a warning is about something that should be fixed. The exit status is 1 if
something prevents work. No token is shown.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from lrat_hub.cli.parser import CommandParser
from lrat_hub.errors import LratError


def main(argv: list[str]) -> None:
    args = _parser().parse_args(argv)

    from lrat_hub.checkup import check

    findings = []
    for finding in check():
        findings.append(finding)
        if not args.json:
            print(f"{finding.outcome:<7}  {finding.about}: {finding.found}", flush=True)
            if finding.remedy:
                print(f"{'':<7}  -> {finding.remedy}")
    if args.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    failed = [finding.about for finding in findings if finding.outcome == "failed"]
    if failed:
        raise LratError(f"lrat doctor: expected a working installation, found problems with: {', '.join(failed)}.")


def _parser() -> CommandParser:
    parser = CommandParser(prog="lrat doctor", description=__doc__)
    parser.add_argument("--json", action="store_true", help="Print a JSON list, for a report of a failure.")
    return parser
