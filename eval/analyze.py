"""Analyses how agents search, from trajectories of any agents: the figures of section 4 of the paper, and more.

Publishes every number as a table, and a report with pictures as the card. Figures about accuracy need trajectories
whose answers were judged, figures about evidence need --qrels; the report says which are missing. The agents of all
given datasets are compared.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from lrat_hub import cli
from lrat_hub.cli.expected import PlannedArguments
from lrat_hub.cli.planning import plan_analysis, show
from lrat_hub.cli.stage import Stage, parse, say
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef
from lrat_hub.option import option
from lrat_hub.schema import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lrat_hub.analysis.report import Report
    from lrat_hub.hub.inputs import Source
    from lrat_hub.ledger import Ledger
    from lrat_hub.schema import Trajectory


@dataclass(kw_only=True)
class Arguments(PlannedArguments):
    trajectories: list[str] = option(
        help="Trajectories datasets to analyse and compare, as ref#config:split.", group="inputs", recipe=False
    )
    qrels: str = option(
        "", "Evidence documents of the questions, as ref#config:split; figures about evidence need it.", group="inputs"
    )
    tokenizer: str = option(
        "words",
        "Model whose tokenizer measures reasonings in tokens; 'words' counts words between spaces.",
        group="essentials",
    )
    statuses: list[str] = option(
        help="Statuses of the runs to analyse; Table 1 of the paper has those that are 'completed'.",
        factory=lambda: list(get_args(Status)),
        group="essentials",
    )
    human_exponent: float = option(
        1.0, "Exponent of the model of people's clicks, (1 / position) ** exponent; 0 clicks all alike."
    )
    human_clicks: str = option(
        "", "File of measured clicks in place of the model: one number per line, from the top position on."
    )


@dataclass(kw_only=True)
class LocalCopy:
    """A copy of what is published, on this machine."""

    report: str = option("", "Also write the report and its figures into this folder.", group="inputs", recipe=False)


OPTIONS = (Arguments, LocalCopy)


def main(argv: list[str] | None = None) -> HubRef | None:
    """Returns the pin of the analysis; None where only its plan is shown."""
    args, local = parse(argv, "analyze", __doc__, *OPTIONS)
    if args.dry_run:
        return show(*plan_analysis(args))
    if unknown := set(args.statuses) - set(get_args(Status)):
        expected = ", ".join(get_args(Status))
        raise LratError(f"lrat analyze: expected --statuses among {expected}, found {', '.join(sorted(unknown))}.")

    from lrat_hub.analysis import (
        TABLES,
        account_of,
        analyze_runs,
        dataset_of,
        human_curve,
        measure_runs,
        system_labels,
        were_shuffled,
    )
    from lrat_hub.analysis.report import ReportContext, write_report
    from lrat_hub.evaluation.matches import match_listed
    from lrat_hub.hub.inputs import load_table, load_tokenizer
    from lrat_hub.importers import load_trajectories
    from lrat_hub.ledger import Ledger
    from lrat_hub.ledger.joins import match_ids
    from lrat_hub.mining.weights import LengthMeasure

    stage = Stage("analyze", args, local, configs=TABLES)
    clicks = Path(args.human_clicks).expanduser() if args.human_clicks else None
    human = human_curve(args.human_exponent, clicks)
    if clicks:
        record_file(stage, "human_clicks", clicks)
    sources = [stage.input(f"trajectories_{number}", text) for number, text in enumerate(args.trajectories, start=1)]
    if len(set(map(name_of, sources))) < len(sources):
        raise LratError("lrat analyze: expected different --trajectories, found the same twice.")
    qrels, joins = None, []
    if args.qrels:
        qrels = load_evidence(stage.input("qrels", args.qrels))
        asked = {query_id for source in sources for query_id in load_table(source, "trajectories")["query_id"]}
        # Before the work: figures about evidence would be missing, and nobody would know why.
        join = match_ids(
            sorted(asked), qrels, what=f"`qrels` {args.qrels}", wanted_name="questions of the runs",
            given_name="questions with evidence",
            cure="Leave `qrels` out, or give the judgements of the questions of these runs.",
        )  # fmt: skip
        runs_read = (run for source in sources for run in load_trajectories(load_table(source, "trajectories")))
        evidence = sorted({docid for query_id in asked for docid in qrels.get(query_id, ())})
        shown = match_listed(runs_read, evidence, what=f"`qrels` {args.qrels}")
        joins = [join, shown]
        for one in joins:
            say(f"  {one}")
    unit, tokenizer = "words", None
    if args.tokenizer != "words":
        source = stage.input("tokenizer", args.tokenizer, repo_type="model")
        name = source.repo_id if isinstance(source, HubRef) else source.path.name
        unit, tokenizer = f"tokens of {name}", load_tokenizer(source)

    selection, measure = Ledger("trajectories read"), LengthMeasure(tokenizer)
    runs = [
        run
        for source in sources
        for run in measure_runs(
            selected(source, args.statuses, selection), qrels=qrels, measure=measure, source=name_of(source)
        )
    ]
    ledgers = [selection, *account_of(runs).values()]
    for ledger in ledgers:
        say(str(ledger))
    if not runs:
        raise LratError("lrat analyze: expected trajectories, found none (see the counts).")

    tables = analyze_runs(runs, human=human)
    labels = system_labels(run.system for run in runs)
    context = ReportContext(
        unit=unit,
        human=f"People's clicks: {clicks.name}." if clicks
        else f"People's clicks are a model, shares in proportion to (1 / position)^{args.human_exponent:g}.",
        shuffled={
            label: were_shuffled([run for run in runs if run.system == system]) for system, label in labels.items()
        },
    )  # fmt: skip
    report = write_report(tables, context)
    if local.report:
        save(report, Path(local.report).expanduser())
    return stage.publish_dataset(
        {name: {"train": dataset_of(rows)} for name, rows in tables.items() if rows},
        template="analysis",
        counts={ledger.item: ledger.to_dict() for ledger in ledgers} | {"joins": [join.to_dict() for join in joins]},
        files=report.pictures,
        report=report.text,
        configs=[name for name, rows in tables.items() if rows],
    )


def selected(source: Source, statuses: list[str], ledger: Ledger) -> Iterator[Trajectory]:
    """The trajectories of a source with one of the statuses, one at a time."""
    from lrat_hub.hub.inputs import load_table
    from lrat_hub.importers import load_trajectories

    for trajectory in load_trajectories(load_table(source, "trajectories")):
        if trajectory.status in statuses:
            ledger.keep()
            yield trajectory
        else:
            ledger.drop(f"status {trajectory.status}")


def name_of(source: Source) -> str:
    """A source's short name, which tells apart the runs of one agent in several sources."""
    if isinstance(source, HubRef):
        name = f"{source.repo_id}@{source.revision[:7]}"
    else:
        name = f"{source.path.name}@{source.digest[:7]}"
    return name + (f"#{source.config}" if source.config else "") + (f":{source.split}" if source.split else "")


def load_evidence(source: Source) -> dict[str, set[str]]:
    """Query id to the docids of its evidence documents, none where all judged documents are not relevant."""
    from lrat_hub import load_qrels

    return {
        query_id: {docid for docid, grade in grades.items() if grade > 0}
        for query_id, grades in load_qrels(source).items()
    }


def record_file(stage: Stage, name: str, path: Path) -> None:
    """Records a file of this machine as an unpinned input."""
    from lrat_hub.hub.inputs import LocalSource, path_digest

    stage.inputs.record(name, str(LocalSource(path.resolve(), path_digest(path))))


def save(report: Report, folder: Path) -> None:
    """Writes a report and its pictures to a folder."""
    for name, content in {"report.md": f"# Analysis\n\n{report.text}".encode(), **report.pictures}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    say(f"  report: {folder / 'report.md'}")


if __name__ == "__main__":
    sys.exit(cli.main(["analyze", *sys.argv[1:]]))
