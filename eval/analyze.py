"""Analyses how agents search, from trajectories of any agents: the figures of section 4 of the paper, and more.

Publishes every number as a table, and a report with pictures as the card. What needs right answers needs judged
trajectories, what needs evidence needs --qrels; without them the report says so. Several trajectory datasets are
compared.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from lrat_hub import cli
from lrat_hub.cli.stage import Stage, StageArguments, parse, say
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef
from lrat_hub.schema import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lrat_hub.hub.inputs import Source
    from lrat_hub.ledger import Ledger
    from lrat_hub.schema import Trajectory


@dataclass(kw_only=True)
class Arguments(StageArguments):
    trajectories: list[str] = field(metadata={"help": "Trajectories datasets, as ref#config:split.", "recipe": False})
    qrels: str = field(default="", metadata={"help": "The evidence of their questions."})
    tokenizer: str = field(
        default="words",
        metadata={"help": "Model whose tokens measure reasonings, or 'words' for blank-separated words."},
    )
    statuses: list[str] = field(
        default_factory=lambda: list(get_args(Status)),
        metadata={"help": "Which runs to look at; the paper's Table 1 has those that are 'completed'."},
    )
    human_exponent: float = field(
        default=1.0, metadata={"help": "People's clicks by position are modelled as (1 / position) to this power."}
    )
    human_clicks: str = field(
        default="", metadata={"help": "Instead: a file with the clicks at each position, a number a line."}
    )


@dataclass(kw_only=True)
class LocalCopy:
    """A copy of what is published, on this machine."""

    report: str = field(
        default="", metadata={"help": "Also write the report and its figures into this folder.", "recipe": False}
    )


def main(argv: list[str] | None = None) -> HubRef:
    args, copy = parse(argv, "analyze", __doc__, Arguments, LocalCopy)
    if unknown := set(args.statuses) - set(get_args(Status)):
        expected = ", ".join(get_args(Status))
        raise LratError(f"lrat analyze: expected --statuses out of {expected}, found {', '.join(sorted(unknown))}.")

    from lrat_hub.analysis import (
        account_of,
        analyze_runs,
        dataset_of,
        human_curve,
        measure_runs,
        system_labels,
        were_shuffled,
    )
    from lrat_hub.analysis.report import Facts, write_report
    from lrat_hub.hub.inputs import load_tokenizer
    from lrat_hub.ledger import Ledger
    from lrat_hub.mining.weights import LengthMeasure

    stage = Stage("analyze", args, copy)
    clicks = Path(args.human_clicks).expanduser() if args.human_clicks else None
    human = human_curve(args.human_exponent, clicks)
    if clicks:
        record_file(stage, "human_clicks", clicks)
    sources = [stage.input(f"trajectories_{place}", text) for place, text in enumerate(args.trajectories, start=1)]
    if len(set(map(name_of, sources))) < len(sources):
        raise LratError("lrat analyze: expected different --trajectories, found the same twice.")
    qrels = load_evidence(stage.input("qrels", args.qrels)) if args.qrels else None
    unit, tokenizer = "words", None
    if args.tokenizer != "words":
        source = stage.input("tokenizer", args.tokenizer, repo_type="model")
        unit, tokenizer = f"tokens of {getattr(source, 'repo_id', None) or source.path.name}", load_tokenizer(source)

    chosen, measure = Ledger("trajectories read"), LengthMeasure(tokenizer)
    runs = [
        run
        for source in sources
        for run in measure_runs(
            selected(source, args.statuses, chosen), qrels=qrels, measure=measure, source=name_of(source)
        )
    ]
    ledgers = [chosen, *account_of(runs).values()]
    for ledger in ledgers:
        say(str(ledger))
    if not runs:
        raise LratError("lrat analyze: expected trajectories, found none (see the counts).")

    tables = analyze_runs(runs, human=human)
    labels = system_labels(run.system for run in runs)
    facts = Facts(
        unit=unit,
        human=f"People's clicks: {clicks.name}." if clicks
        else f"People's clicks are a model, shares in proportion to (1 / position)^{args.human_exponent:g}.",
        shuffled={
            label: were_shuffled([run for run in runs if run.system == system]) for system, label in labels.items()
        },
    )  # fmt: skip
    report = write_report(tables, facts)
    if copy.report:
        save(report.text, report.pictures, Path(copy.report).expanduser())
    return stage.publish_dataset(
        {name: {"train": dataset_of(rows)} for name, rows in tables.items() if rows},
        template="analysis",
        counts={ledger.item: ledger.to_dict() for ledger in ledgers},
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
    """A source's short name: what tells runs of one agent apart that are in several."""
    if isinstance(source, HubRef):
        name = f"{source.repo_id}@{source.revision[:7]}"
    else:
        name = f"{source.path.name}@{source.digest[:7]}"
    return name + (f"#{source.config}" if source.config else "") + (f":{source.split}" if source.split else "")


def load_evidence(source: Source) -> dict[str, set[str]]:
    """Query id to its evidence documents."""
    from lrat_hub.hub.inputs import load_table
    from lrat_hub.storage import rows_of

    evidence: dict[str, set[str]] = {}
    for row in rows_of(load_table(source, "qrels", config="qrels_evidence")):
        of_query = evidence.setdefault(row["query_id"], set())
        if row["relevance"] > 0:
            of_query.add(row["docid"])
    return evidence


def record_file(stage: Stage, name: str, path: Path) -> None:
    from lrat_hub.hub.inputs import LocalSource, path_digest

    stage.inputs.record(name, str(LocalSource(path.resolve(), path_digest(path))))


def save(text: str, pictures: dict[str, bytes], folder: Path) -> None:
    for name, content in {"report.md": f"# Analysis\n\n{text}".encode(), **pictures}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    say(f"  report: {folder / 'report.md'}")


if __name__ == "__main__":
    sys.exit(cli.main(["analyze", *sys.argv[1:]]))
