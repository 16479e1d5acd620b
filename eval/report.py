"""A report on evaluations: tables like the paper's with intervals and tests, figures, and all rows behind them.

Reads what `lrat eval retrieval` and `lrat eval agents` have published (or an earlier report) and nothing else.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from lrat_hub import cli
from lrat_hub.cli.stage import Stage, StageArguments, assignments, parse, say
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef


@dataclass(kw_only=True)
class Arguments(StageArguments):
    evaluations: list[str] = field(
        metadata={"group": "inputs", "help": "Published evaluations, or earlier reports.", "recipe": False}
    )
    names: list[str] = field(
        default_factory=list,
        metadata={
            "group": "essentials",
            "help": "What the report calls retrievers, as NAME=RETRIEVER with what the evaluation calls it.",
        },
    )
    baselines: list[str] = field(
        default_factory=list,
        metadata={
            "group": "essentials",
            "help": "What agents' retrievers are compared with, as RETRIEVER=BASELINE by the report's names.",
        },
    )
    title: str = field(
        default="Evaluation of retrievers and agents", metadata={"group": "essentials", "help": "The report's title."}
    )
    folder: str = field(
        default="",
        metadata={
            "group": "inputs",
            "help": "Also write report.md and its figures into this folder.",
            "recipe": False,
        },
    )


def main(argv: list[str] | None = None) -> HubRef:
    (args,) = parse(argv, "eval report", __doc__, Arguments)
    if not args.evaluations:
        raise LratError("lrat eval report: expected at least one evaluation, found none. Give --evaluations.")

    from lrat_hub.evaluation.published import Evaluations
    from lrat_hub.evaluation.report import report_page

    stage = Stage("eval report", args)
    evaluations = Evaluations()
    for number, text in enumerate(args.evaluations, start=1):
        evaluations.add(stage.input(f"evaluation_{number}", text))
    evaluations.rename({retriever: name for name, retriever in assignments("names", args.names).items()})
    evaluations.baselines |= assignments("baselines", args.baselines)
    tables = evaluations.tables()
    stage.expect(list(tables), ["test"])

    page = report_page(evaluations)
    if args.folder:
        say(f"  report: {page.write(Path(args.folder), args.title)}")
    return stage.publish_dataset(
        {config: {"test": table} for config, table in tables.items()},
        template="report",
        counts={
            "cells": len(evaluations.cells),
            "retrievers": {one.name: len(one.scores) for one in evaluations.retrieval},
        },
        files=page.figures,
        title=args.title,
        page=page.text,
    )


if __name__ == "__main__":
    sys.exit(cli.main(["eval", "report", *sys.argv[1:]]))
