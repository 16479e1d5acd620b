"""Makes a report on evaluations: tables like the paper's with intervals and tests, figures, and all rows behind them.

Reads what `lrat eval retrieval` and `lrat eval agents` have published (or an earlier report) and nothing else.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from lrat_hub import cli
from lrat_hub.cli.stage import Stage, StageArguments, assignments, parse, say
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef
from lrat_hub.option import option


@dataclass(kw_only=True)
class Arguments(StageArguments):
    evaluations: list[str] = option(help="Published evaluations, or earlier reports.", group="inputs", recipe=False)
    names: list[str] = option(
        help="What the report calls retrievers, as NAME=RETRIEVER with what the evaluation calls it.",
        factory=list,
        group="essentials",
    )
    baselines: list[str] = option(
        help="What agents' retrievers are compared with, as RETRIEVER=BASELINE by the report's names.",
        factory=list,
        group="essentials",
    )
    figures: list[str] = option(
        help="Figures and tables of the paper to make as it does, with its own numbers beside: 1, 7, 8a, 8b, "
        "table2, table3. Figures 4 and 6 are made by lrat analyze.",
        factory=list,
        group="essentials",
    )
    title: str = option("Evaluation of retrievers and agents", "The report's title.", group="essentials")
    folder: str = option("", "Also write report.md and its figures into this folder.", group="inputs", recipe=False)


OPTIONS = (Arguments,)


def main(argv: list[str] | None = None) -> HubRef:
    (args,) = parse(argv, "eval report", __doc__, *OPTIONS)
    if not args.evaluations:
        raise LratError("lrat eval report: expected at least one evaluation, found none. Give --evaluations.")

    from datasets import Dataset

    from lrat_hub.evaluation.as_paper import paper_figures
    from lrat_hub.evaluation.published import Evaluations
    from lrat_hub.evaluation.report import report_page

    stage = Stage("eval report", args)
    evaluations = Evaluations()
    for number, text in enumerate(args.evaluations, start=1):
        evaluations.add(stage.input(f"evaluation_{number}", text))
    evaluations.rename({retriever: name for name, retriever in assignments("names", args.names).items()})
    evaluations.baselines |= assignments("baselines", args.baselines)
    tables = evaluations.tables()
    as_paper = paper_figures(args.figures, evaluations.cells)
    if as_paper:
        tables["as_paper"] = Dataset.from_list([row for drawn in as_paper for row in drawn.rows])
    stage.expect(list(tables), ["test"])

    page = report_page(evaluations, as_paper=as_paper)
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
