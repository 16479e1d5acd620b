"""Trains one model on variants of the pairs, with several seeds each, and compares them: the paper's ablations.

`--vary ladder` is Figure 7 (naive, + filter, + reweight), `--vary size` is Figure 8a, and `--vary pairs` compares
several datasets by the same number of pairs from each, as Table 3 does with those of right and of wrong answers.
Publishes the table and all runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from lrat_hub import cli
from lrat_hub.cli.stage import ModelArguments, Stage, parse, say
from lrat_hub.errors import LratError
from lrat_hub.fitting.settings import FitSettings
from lrat_hub.hub.refs import HubRef

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from lrat_hub.documents import Documents
    from lrat_hub.evaluation.training import TrainingEvaluation, VariantRun
    from lrat_hub.fitting.variants import Variant


@dataclass(kw_only=True)
class Arguments(ModelArguments):
    pairs: list[str] = field(
        metadata={"group": "inputs", "help": "Mined pairs; with `vary` pairs, two datasets or more.", "recipe": False}
    )
    model: str = field(metadata={"group": "inputs", "help": "SentenceTransformer that every run starts from."})
    corpus: str = field(metadata={"group": "inputs", "help": "Corpus to evaluate on."})
    queries: str = field(metadata={"group": "inputs", "help": "Queries to evaluate on."})
    qrels: str = field(metadata={"group": "inputs", "help": "Relevance judgements of the queries."})
    vary: Literal["ladder", "size", "pairs"] = field(
        default="ladder",
        metadata={
            "group": "essentials",
            "help": "What to vary: `ladder` adds the judge's filter and then the weights to naive pairs, `size` "
            "trains on shares of the pairs, and `pairs` on each of several datasets.",
        },
    )
    sizes: list[float] = field(
        default_factory=lambda: [0.125, 0.25, 0.5, 1.0],
        metadata={"group": "essentials", "help": "Shares of the pairs to train on, from 0 to 1, with `vary` size."},
    )
    seeds: int = field(
        default=3,
        metadata={"group": "essentials", "help": "Number of trainings of each variant, with the seeds 0, 1, ..."},
    )
    check_passages: int = field(
        default=500,
        metadata={
            "group": "essentials",
            "help": "Passages of the forgetting check, which compares content retrieval; 0 skips it.",
        },
    )
    allow_unchanged: bool = field(
        default=False,
        metadata={"help": "Go on when a training has left the model as it was.", "recipe": False},
    )


def main(argv: list[str] | None = None) -> HubRef:
    args, settings = parse(argv, "sweep", __doc__, Arguments, FitSettings)
    if args.seeds < 1:
        raise LratError(f"Sweep: expected `seeds` of 1 or more, found {args.seeds}.")
    if len(args.pairs) > 1 and args.vary != "pairs":
        raise LratError(f"Sweep: expected one dataset of pairs with `vary` {args.vary}, found {len(args.pairs)}.")

    # Before torch is imported, which takes long where many do it: what can't be published is told at once.
    stage = Stage("sweep", args, settings, configs=("summary", "runs"))

    from datasets import Dataset

    from lrat_hub.cli.tables import show_table
    from lrat_hub.encoders import load_encoder
    from lrat_hub.evaluation.benchmark import Benchmark
    from lrat_hub.evaluation.tables import system_name
    from lrat_hub.evaluation.training import TrainingEvaluation, run_rows, sweep_table
    from lrat_hub.fitting import choose_settings
    from lrat_hub.fitting.variants import ladder, sizes, sources
    from lrat_hub.hub.inputs import load_table

    inputs = [stage.input(f"pairs_{number}", text) for number, text in enumerate(args.pairs, start=1)]
    model = stage.input("model", args.model, repo_type="model")
    benchmark = Benchmark.load(*(stage.input(name, getattr(args, name)) for name in ("corpus", "queries", "qrels")))
    tables = {system_name(source): load_table(source, "pairs", config="pairs") for source in inputs}
    first = next(iter(tables.values()))
    variants = {
        "ladder": lambda: ladder(first, settings),
        "size": lambda: sizes(first, settings, args.sizes),
        "pairs": lambda: sources(tables, settings),
    }[args.vary]()

    evaluation = TrainingEvaluation.of(benchmark, benchmark.documents, passages=args.check_passages)
    if evaluation.left_out:
        say(f"  forgetting check skipped: {evaluation.left_out}")
    runs = []

    def load_base() -> SentenceTransformer:
        return load_encoder(model, trust_remote_code=args.trust_remote_code)

    for choice in choose_settings(load_base(), settings)[1]:
        stage.choose(**{choice.name: choice.value})
        say(f"  {choice}")
    for run in train_variants(
        variants, load_base, benchmark.documents, evaluation, args.seeds, allow_unchanged=args.allow_unchanged
    ):
        runs.append(run)
        scores = ", ".join(f"{name} recall@10 {scores.mean('recall@10'):.3f}" for name, scores in run.scores.items())
        say(f"{run.variant}{'' if run.seed is None else f', seed {run.seed}'}: {scores}")
    table = sweep_table(runs, evaluation)
    show_table(table)
    return stage.publish_dataset(
        {"summary": {"test": Dataset.from_list(table)}, "runs": {"test": Dataset.from_list(run_rows(runs))}},
        template="sweep",
        counts={"runs": len(runs) - 1, "judged_queries": len(benchmark.qrels)},
        rows=table,
        seeds=args.seeds,
    )


def train_variants(
    variants: Sequence[Variant],
    load_base: Callable[[], SentenceTransformer],
    documents: Documents,
    evaluation: TrainingEvaluation,
    seeds: int,
    *,
    allow_unchanged: bool = False,
) -> Iterator[VariantRun]:
    """Evaluates the base model, then trains and evaluates every variant with the seeds 0, 1, ...

    Raises:
        LratError: A training left the model as it was, unless that is allowed.
    """
    from lrat_hub.encoders import as_master_weights
    from lrat_hub.evaluation.training import VariantRun
    from lrat_hub.fitting import TrainingRows, fit_retriever, require_movement
    from lrat_hub.fitting.variants import draw_pairs

    base = load_base()
    # In the precision that the trained models are evaluated in.
    as_master_weights(base)
    yield VariantRun("base", None, 0, evaluation.score(base))
    for variant in variants:
        for seed in range(seeds):
            settings = replace(variant.settings, seed=seed)
            rows = TrainingRows(draw_pairs(variant.pairs, variant.count, seed), documents, settings)
            fitted = fit_retriever(load_base(), rows, settings)
            if fitted.movement is not None:
                require_movement(fitted.movement, allowed=allow_unchanged)
            yield VariantRun(variant.name, seed, len(rows), evaluation.score(fitted.model, settings.query_style))


if __name__ == "__main__":
    sys.exit(cli.main(["sweep", *sys.argv[1:]]))
