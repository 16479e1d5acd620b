"""Trains one model on variants of the pairs, with several seeds each, and compares them: the paper's ablations.

`--vary ladder` is Figure 7 (naive, + filter, + reweight), `--vary size` is Figure 8a, and `--vary pairs` compares
several datasets by as many pairs of each, as Table 3 does with those of right and of wrong answers. Publishes the
table and all runs.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Literal

from lrat_hub import cli
from lrat_hub.cli.stage import Stage, StageArguments, parse, say
from lrat_hub.errors import LratError
from lrat_hub.fitting.settings import FitSettings
from lrat_hub.hub.refs import HubRef


@dataclass(kw_only=True)
class Arguments(StageArguments):
    pairs: list[str] = field(metadata={"help": "Mined pairs; several datasets with --vary pairs.", "recipe": False})
    model: str = field(metadata={"help": "The SentenceTransformer that every run starts from."})
    corpus: str = field(metadata={"help": "Corpus to evaluate on."})
    queries: str = field(metadata={"help": "Queries to evaluate on."})
    qrels: str = field(metadata={"help": "Their relevance judgements."})
    vary: Literal["ladder", "size", "pairs"] = field(default="ladder", metadata={"help": "What the variants are."})
    sizes: list[float] = field(
        default_factory=lambda: [0.125, 0.25, 0.5, 1.0], metadata={"help": "Shares of the pairs, with --vary size."}
    )
    seeds: int = field(default=3, metadata={"help": "Runs of each variant."})
    check_passages: int = field(
        default=500, metadata={"help": "Passages for the check of what was forgotten; 0: no check."}
    )


def main(argv: list[str] | None = None) -> HubRef:
    args, settings = parse(argv, "sweep", __doc__, Arguments, FitSettings)
    if args.seeds < 1:
        raise LratError(f"lrat sweep: expected --seeds of 1 or more, found {args.seeds}.")
    if len(args.pairs) > 1 and args.vary != "pairs":
        raise LratError(f"lrat sweep: --vary {args.vary} is of one dataset of pairs, found {len(args.pairs)}.")

    from datasets import Dataset

    from lrat_hub.evaluation.benchmark import Benchmark
    from lrat_hub.evaluation.sweep import ladder, run_rows, run_sweep, sizes, sources, sweep_table
    from lrat_hub.evaluation.tables import system_name
    from lrat_hub.evaluation.trial import Trial
    from lrat_hub.hub.cards import markdown_table
    from lrat_hub.hub.inputs import load_model, load_table

    stage = Stage("sweep", args, settings)
    found = [stage.input(f"pairs_{place}", text) for place, text in enumerate(args.pairs, start=1)]
    model = stage.input("model", args.model, repo_type="model")
    benchmark = Benchmark.load(*(stage.input(name, getattr(args, name)) for name in ("corpus", "queries", "qrels")))
    tables = {system_name(source): load_table(source, "pairs", config="pairs") for source in found}
    first = next(iter(tables.values()))
    variants = {
        "ladder": lambda: ladder(first, settings),
        "size": lambda: sizes(first, settings, args.sizes),
        "pairs": lambda: sources(tables, settings),
    }[args.vary]()

    trial = Trial.of(benchmark, benchmark.documents, passages=args.check_passages)
    if trial.left_out:
        say(f"  forgetting check skipped: {trial.left_out}")
    runs = []
    for run in run_sweep(variants, lambda: load_model(model), benchmark.documents, trial, seeds=args.seeds):
        runs.append(run)
        scores = ", ".join(f"{name} recall@10 {scores.mean('recall@10'):.3f}" for name, scores in run.scores.items())
        say(f"{run.variant}{'' if run.seed is None else f', seed {run.seed}'}: {scores}")
    table = sweep_table(runs, trial)
    say(f"\n{markdown_table(table)}\n")
    return stage.publish_dataset(
        {"summary": {"test": Dataset.from_list(table)}, "runs": {"test": Dataset.from_list(run_rows(runs))}},
        template="sweep",
        counts={"runs": len(runs) - 1, "judged_queries": len(benchmark.qrels)},
        rows=table,
        seeds=args.seeds,
    )


if __name__ == "__main__":
    sys.exit(cli.main(["sweep", *sys.argv[1:]]))
